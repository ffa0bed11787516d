package payments

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Cycle is the record cycles/{subscription}_{start}: a cycle that was paid for. It is made when its credits are granted, and closed when they
// can no longer be used.
type Cycle struct {
	Org          string `firestore:"org"`
	Subscription string `firestore:"subscription"`
	// Plan is the catalogue's, and PlanName what it was called.
	Plan     string `firestore:"plan"`
	PlanName string `firestore:"plan_name"`
	Invoice  string `firestore:"invoice"`
	// Items are the subscription items that the invoice billed.
	Items []string `firestore:"items"`
	// Period is the cycle's: the line's, or a month of a yearly one's.
	Period Period `firestore:"period"`
	// CloseAt is when it is due to be closed: when its credits can surely not be used any more. It is gone once the cycle is closed.
	CloseAt time.Time `firestore:"close_at,omitempty"`
	// ClosedAt is when it was, and Statement what it came to; zero and nil before.
	ClosedAt  time.Time  `firestore:"closed_at,omitempty"`
	Statement *Statement `firestore:"statement,omitempty"`
}

// Statement is what became of a cycle's credits.
type Statement struct {
	// Granted are the credits that the cycle's invoices brought. Of these, Used were spent, Expired lapsed unused, Returned were clawed back after
	// a refund or dispute, and Held were still set aside for work in progress when the cycle was closed.
	Granted  int64 `firestore:"granted" json:"granted"`
	Used     int64 `firestore:"used" json:"used"`
	Expired  int64 `firestore:"expired" json:"expired"`
	Returned int64 `firestore:"returned" json:"returned"`
	Held     int64 `firestore:"held" json:"held"`
	// Bought are the credits of purchases that were paid within the cycle. They never expire, and are in none of the other numbers.
	Bought int64 `firestore:"bought" json:"bought"`
}

// ID names a cycle for good.
func (c Cycle) ID() string {
	return c.Subscription + "_" + strconv.FormatInt(c.Period.Start.Unix(), 10)
}

type cycleDocument struct {
	V int64 `firestore:"v"`
	Cycle
}

func (s store) cycles() *firestore.CollectionRef { return s.client.Collection("cycles") }

// openCycles records cycles that were paid for. One that is recorded already stays as it is, whatever is told again.
func (s store) openCycles(ctx context.Context, cycles []Cycle) error {
	for _, c := range cycles {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		_, err := s.cycles().Doc(c.ID()).Create(ctx, cycleDocument{V: schemaVersion, Cycle: c})
		cancel()
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return storeDown(fmt.Errorf("open cycle %s: %w", c.ID(), err))
		}
	}
	return nil
}

// opened records what an invoice paid for: its cycles, and until when its subscription is paid. What has become of the subscription since it
// was looked at counts for the grace of what was granted.
func (r *Receiver) opened(ctx context.Context, d Decision, known Subscription) error {
	if err := r.store.openCycles(ctx, d.Cycles); err != nil || known.ID == "" {
		return err
	}
	s, err := r.store.changeSubscription(ctx, known.ID, func(_ context.Context, old Subscription) (Subscription, error) {
		old.PaidUntil = latest(old.PaidUntil, d.PaidUntil)
		return old, nil
	})
	if err != nil || reflectsGrace(s, known) {
		return err
	}
	return r.settleGrace(ctx, s)
}

// reflectsGrace reports whether two states of a subscription give its current period, and the one before, the same grace.
func reflectsGrace(a, b Subscription) bool {
	return a.Period == b.Period && a.renews(a.Period.End) == b.renews(b.Period.End) && a.Live() == b.Live()
}

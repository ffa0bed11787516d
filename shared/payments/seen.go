package payments

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// seenLife is how long an event is kept for operators to look at.
const seenLife = 90 * 24 * time.Hour

// Outcome is what became of an event.
type Outcome string

// The outcomes of events.
const (
	Credited    Outcome = "granted"     // its credits are in the wallet
	Recorded    Outcome = "recorded"    // a record learnt from it, or it is kept for operators
	Ignored     Outcome = "ignored"     // it is not about credits
	Quarantined Outcome = "quarantined" // it waits for a person
)

// seenEvent is the record stripeEvents/{id}.
type seenEvent struct {
	V         int64     `firestore:"v"`
	Type      string    `firestore:"type"`
	Outcome   Outcome   `firestore:"outcome"`
	Org       string    `firestore:"org,omitempty"`
	Reference string    `firestore:"reference,omitempty"`
	At        time.Time `firestore:"at"`
	SeenAt    time.Time `firestore:"seen_at"`
	ExpireAt  time.Time `firestore:"expire_at"`
}

// quarantined is the record quarantine/{id}, under the event's id.
type quarantined struct {
	V      int64  `firestore:"v"`
	Event  string `firestore:"event"`
	Type   string `firestore:"type"`
	Reason Reason `firestore:"reason"`
	Detail string `firestore:"detail"`
	// Org and Reference are those that the event names, whether they are ours or not.
	Org       string `firestore:"org,omitempty"`
	Reference string `firestore:"reference,omitempty"`
	// Object and Payment are Stripe's ids, to look them up there.
	Object  string    `firestore:"object,omitempty"`
	Payment string    `firestore:"payment,omitempty"`
	At      time.Time `firestore:"at"`
	// ResolvedAt is when the event was settled after all; not there before.
	ResolvedAt time.Time `firestore:"resolved_at,omitempty"`
}

func (s store) event(id string) *firestore.DocumentRef {
	return s.client.Collection("stripeEvents").Doc(id)
}
func (s store) aside(id string) *firestore.DocumentRef {
	return s.client.Collection("quarantine").Doc(id)
}

// saw keeps an event for operators. One that was put aside before, and is settled now, is taken out of quarantine.
func (s store) saw(ctx context.Context, n Notice, e seenEvent) error {
	return s.insist(ctx, func(ctx context.Context) error {
		_, err := s.event(n.ID).Create(ctx, e)
		if status.Code(err) != codes.AlreadyExists {
			if err != nil {
				return fmt.Errorf("record event %s: %w", n.ID, err)
			}
			return nil
		}
		snapshot, err := s.event(n.ID).Get(ctx)
		if err != nil {
			return fmt.Errorf("read event %s: %w", n.ID, err)
		}
		var before seenEvent
		if err := decode(snapshot, &before); err != nil {
			return err
		}
		if before.Outcome != Quarantined {
			return nil
		}
		return s.commit(ctx, []write{
			func(tx *firestore.Transaction) error {
				return tx.Update(s.event(n.ID), []firestore.Update{{Path: "outcome", Value: e.Outcome}}, firestore.LastUpdateTime(snapshot.UpdateTime))
			},
			func(tx *firestore.Transaction) error {
				return tx.Update(s.aside(n.ID), []firestore.Update{{Path: "resolved_at", Value: e.SeenAt}})
			},
		})
	})
}

// quarantine puts an event aside for a person.
func (s store) quarantine(ctx context.Context, n Notice, e seenEvent, q quarantined) error {
	return s.insist(ctx, func(ctx context.Context) error {
		return s.commit(ctx, []write{
			func(tx *firestore.Transaction) error { return tx.Set(s.event(n.ID), e) },
			func(tx *firestore.Transaction) error { return tx.Set(s.aside(n.ID), q) },
		})
	})
}

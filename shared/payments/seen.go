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

func (s store) event(id string) *firestore.DocumentRef {
	return s.client.Collection("stripeEvents").Doc(id)
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
				return tx.Update(s.asides().Doc(n.ID), resolved(e.SeenAt, "", ""))
			},
		})
	})
}

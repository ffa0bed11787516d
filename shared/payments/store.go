package payments

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// storeTimeout bounds one use of the store, with its repeats.
	storeTimeout = 6 * time.Second
	// maxAttempts is how often a record is written before the store counts as unavailable: whoever loses a race finds most of it done.
	maxAttempts = 6
	// retryPause is the mean wait before the first repeat; it doubles with each.
	retryPause = 10 * time.Millisecond
)

// store keeps the records of purchases and payments, and what is known of events. Its documents lie outside wallets. Every write states what
// it was decided on; one that comes too late, or whose answer is lost, is decided again on what is there.
type store struct{ client *firestore.Client }

func (s store) purchases() *firestore.CollectionRef { return s.client.Collection("purchases") }
func (s store) payments() *firestore.CollectionRef  { return s.client.Collection("payments") }

// write is a part of a commit.
type write func(*firestore.Transaction) error

type purchaseDocument struct {
	V int64 `firestore:"v"`
	Purchase
}

type paymentDocument struct {
	V int64 `firestore:"v"`
	Payment
}

// records are a purchase and a payment as stored; nil for none.
type records struct {
	purchase   *Purchase
	purchaseAt time.Time // the document's update time
	payment    *Payment
	paymentAt  time.Time
}

// load reads the records of a purchase and of a payment at one moment. What is not named, or cannot be a name, is not there.
func (s store) load(ctx context.Context, reference, payment string) (records, error) {
	var refs []*firestore.DocumentRef
	if ValidReference(reference) {
		refs = append(refs, s.purchases().Doc(reference))
	}
	if payment != "" {
		refs = append(refs, s.payments().Doc(payment))
	}
	if len(refs) == 0 {
		return records{}, nil
	}
	snapshots, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return records{}, storeDown(fmt.Errorf("read purchase %q and payment %q: %w", reference, payment, err))
	}
	var r records
	for _, snapshot := range snapshots {
		if !snapshot.Exists() {
			continue
		}
		if snapshot.Ref.Parent.ID == "purchases" {
			var d purchaseDocument
			err = decode(snapshot, &d)
			r.purchase, r.purchaseAt = &d.Purchase, snapshot.UpdateTime
		} else {
			var d paymentDocument
			err = decode(snapshot, &d)
			r.payment, r.paymentAt = &d.Payment, snapshot.UpdateTime
		}
		if err != nil {
			return records{}, err
		}
	}
	return r, nil
}

// learn adds a fact to the records it is about. The purchase must be there; the payment is recorded when it is not.
func (s store) learn(ctx context.Context, f Fact) (Purchase, error) {
	purchase, _, err := s.learnBoth(ctx, f)
	return purchase, err
}

// learnPayment is learn for who wants the payment as it is then.
func (s store) learnPayment(ctx context.Context, f Fact) (Payment, error) {
	_, payment, err := s.learnBoth(ctx, f)
	return payment, err
}

func (s store) learnBoth(ctx context.Context, f Fact) (out Purchase, payment Payment, err error) {
	err = s.insist(ctx, func(ctx context.Context) error {
		old, err := s.load(ctx, f.Reference, f.Payment)
		if err != nil {
			return err
		}
		var writes []write
		if old.purchase != nil {
			out = old.purchase.with(f)
			if !reflect.DeepEqual(out, *old.purchase) {
				writes = append(writes, func(tx *firestore.Transaction) error {
					return tx.Update(s.purchases().Doc(f.Reference), out.updates(), firestore.LastUpdateTime(old.purchaseAt))
				})
			}
		}
		var w write
		if payment, w = s.paymentWrite(old, f); w != nil {
			writes = append(writes, w)
		}
		return s.commit(ctx, writes)
	})
	return out, payment, err
}

// paymentWrite is a payment after a fact, and the write that lets its record learn it; nil when there is nothing to learn.
func (s store) paymentWrite(old records, f Fact) (Payment, write) {
	if f.Payment == "" {
		return Payment{}, nil
	}
	doc := s.payments().Doc(f.Payment)
	if old.payment == nil {
		next := Payment{}.with(f)
		return next, func(tx *firestore.Transaction) error {
			return tx.Create(doc, paymentDocument{V: schemaVersion, Payment: next})
		}
	}
	next := old.payment.with(f)
	if reflect.DeepEqual(next, *old.payment) {
		return next, nil
	}
	return next, func(tx *firestore.Transaction) error {
		return tx.Update(doc, next.updates(), firestore.LastUpdateTime(old.paymentAt))
	}
}

// updates are the fields of a purchase that facts change.
func (p Purchase) updates() []firestore.Update {
	out := []firestore.Update{{Path: "status", Value: p.Status}, {Path: "timeline", Value: p.Timeline}}
	for path, value := range map[string]string{"session": p.Session, "checkout_url": p.CheckoutURL, "payment": p.Payment, "grant": p.Grant} {
		if value != "" {
			out = append(out, firestore.Update{Path: path, Value: value})
		}
	}
	if !p.PaidAt.IsZero() {
		out = append(out, firestore.Update{Path: "paid_at", Value: p.PaidAt})
	}
	return out
}

// updates are the fields of a payment that facts change.
func (p Payment) updates() []firestore.Update {
	out := []firestore.Update{
		{Path: "status", Value: p.Status}, {Path: "grants", Value: p.Grants}, {Path: "amount", Value: p.Amount}, {Path: "tax", Value: p.Tax},
		{Path: "org", Value: p.Org}, {Path: "subscription", Value: p.Subscription}, // which a refund that was told before did not know
	}
	if len(p.Bonuses) > 0 {
		out = append(out, firestore.Update{Path: "bonuses", Value: p.Bonuses})
	}
	if !p.PaidAt.IsZero() {
		out = append(out, firestore.Update{Path: "paid_at", Value: p.PaidAt})
	}
	return out
}

// commit writes all or nothing.
func (s store) commit(ctx context.Context, writes []write) error {
	if len(writes) == 0 {
		return nil
	}
	err := s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		for _, w := range writes {
			if err := w(tx); err != nil {
				return err
			}
		}
		return nil
	}, firestore.MaxAttempts(1))
	if err != nil {
		return fmt.Errorf("commit %d records: %w", len(writes), err)
	}
	return nil
}

// insist repeats what reads, decides and writes, while its writes come too late or their outcome is not known. Each time it reads what is
// there, so that what has taken effect is found done.
func (s store) insist(ctx context.Context, do func(ctx context.Context) error) error {
	return s.insistFor(ctx, storeTimeout, do)
}

// insistFor is insist for what takes longer than the store alone.
func (s store) insistFor(ctx context.Context, most time.Duration, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	pause := retryPause
	var err error
	for range maxAttempts {
		err = do(ctx)
		if err != nil && ctx.Err() != nil {
			return storeDown(err) // whatever its code: time has run out
		}
		if code := status.Code(err); err == nil || code == codes.Unknown || code == codes.PermissionDenied {
			return err // of other codes, even one that refuses what was sent, the answer to a commit that was applied may have been lost
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return storeDown(fmt.Errorf("%w, after %w", ctx.Err(), err))
		}
		pause *= 2
	}
	return storeDown(err)
}

// decode reads a document into target, after making sure that its form is the one that is known.
func decode(snapshot *firestore.DocumentSnapshot, target any) error {
	err := versioned.Read(snapshot, schemaVersion, target)
	if errors.Is(err, versioned.ErrNewer) {
		return storeDown(err)
	}
	return err
}

func storeDown(err error) error {
	return unavailable("The records of purchases cannot be read or written now.", err)
}

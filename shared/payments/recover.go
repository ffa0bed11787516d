package payments

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/coded"
)

const (
	// Stripe is asked about one purchase at most maxChecks times in checkWindow.
	maxChecks   = 10
	checkWindow = time.Minute
	// checkLife is how long it is remembered when Stripe was asked.
	checkLife = day
)

// check is the record purchaseChecks/{reference}: how often Stripe was asked about a purchase, since when.
type check struct {
	V        int64     `firestore:"v"`
	Since    time.Time `firestore:"since"`
	Checks   int64     `firestore:"checks"`
	ExpireAt time.Time `firestore:"expire_at"`
}

// Recover asks Stripe what became of an organisation's purchase, and credits it if it is paid: what its webhook would have done. A purchase
// that is credited already is returned as it is, and Stripe is not asked. Repeating it, also at once, or beside the webhook, grants nothing
// twice.
//
// Errors are an *Error: `not_found` as for [Shop.Purchase]; `rate_limited` when Stripe was asked about this purchase ten times within a minute;
// `unavailable` when it may be repeated.
func (r *Receiver) Recover(ctx context.Context, org, reference string) (Purchase, error) {
	p, err := r.store.find(ctx, reference)
	switch {
	case err != nil:
		return Purchase{}, err
	case p.Org != org:
		return Purchase{}, unknownPurchase()
	}
	return r.recover(ctx, p)
}

// RecoverSession is Recover for somebody who comes back from the checkout. They need not be known: who has the session's id was there.
func (r *Receiver) RecoverSession(ctx context.Context, reference, session string) (Purchase, error) {
	p, err := r.store.find(ctx, reference)
	switch {
	case err != nil:
		return Purchase{}, err
	case p.Session == "" || p.Session != session:
		return Purchase{}, unknownPurchase()
	}
	return r.recover(ctx, p)
}

func (r *Receiver) recover(ctx context.Context, p Purchase) (Purchase, error) {
	if p.credited() || p.Session == "" && p.Customer == "" { // nobody was sent to pay, and nobody charged
		return p, nil
	}
	if err := r.store.allowCheck(ctx, p.Reference, r.opts.Now().UTC().Truncate(time.Microsecond)); err != nil {
		return Purchase{}, err
	}
	n, tells, err := r.opts.Stripe.became(ctx, p)
	if err != nil || !tells {
		return p, err
	}
	if _, err := r.Receive(ctx, n); err != nil {
		return Purchase{}, fmt.Errorf("recover purchase %s: %w", p.Reference, err)
	}
	return r.store.find(ctx, p.Reference)
}

// became asks what became of a purchase: by its session or, if it is an auto top-up, by the payment that names it. tells is false while that is
// nothing.
func (g *Gateway) became(ctx context.Context, p Purchase) (n Notice, tells bool, err error) {
	if p.TopUp == "" {
		object, found, err := g.object(ctx, sessionSource.path, p.Session, sessionDetail)
		if err != nil || !found {
			return Notice{}, false, err
		}
		return foundSession(ctx, g, object)
	}
	made, _, err := g.page(ctx, listing{
		path: intentSource.path, span: Period{Start: p.CreatedAt.Add(-overlap), End: p.CreatedAt.Add(intentSource.lookback)},
		where: [][2]string{{"customer", p.Customer}},
	}, "")
	for _, l := range made { // a customer's of one day
		if u, paid := paidByTopUp(l); paid && u.Reference == p.Reference {
			return foundIntent(ctx, g, l.Object)
		}
	}
	return Notice{}, false, err
}

// credited reports whether the purchase's credits were granted, whatever became of them since.
func (p Purchase) credited() bool { return p.Grant != "" }

// allowCheck counts a question to Stripe about a purchase, or refuses it.
func (s store) allowCheck(ctx context.Context, reference string, now time.Time) error {
	doc := s.client.Collection("purchaseChecks").Doc(reference)
	return s.insist(ctx, func(ctx context.Context) error {
		c := check{V: schemaVersion, Since: now, ExpireAt: now.Add(checkLife)}
		snapshot, err := doc.Get(ctx)
		if status.Code(err) == codes.NotFound {
			c.Checks = 1
			_, err = doc.Create(ctx, c)
			return err //nolint:wrapcheck // whether to try again is told by the bare error
		}
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		var before check
		if err := decode(snapshot, &before); err != nil {
			return err
		}
		if ends := before.Since.Add(checkWindow); now.Before(ends) {
			if before.Checks >= maxChecks {
				return tooOften(ends.Sub(now))
			}
			c.Since, c.Checks = before.Since, before.Checks
		}
		c.Checks++
		return s.commit(ctx, []write{func(tx *firestore.Transaction) error {
			return tx.Update(doc, []firestore.Update{
				{Path: "since", Value: c.Since}, {Path: "checks", Value: c.Checks}, {Path: "expire_at", Value: c.ExpireAt},
			}, firestore.LastUpdateTime(snapshot.UpdateTime))
		}})
	})
}

// tooOften refuses a question that was asked too often.
func tooOften(wait time.Duration) error {
	return &waitError{&Error{coded.Reason{Is: "rate_limited", Says: "This purchase was checked many times just now."}}, wait}
}

// waitError is an Error after which there is more to wait than a moment.
type waitError struct {
	is   *Error
	wait time.Duration
}

// Error implements error.
func (e *waitError) Error() string { return e.is.Error() }

// Unwrap returns the Error.
func (e *waitError) Unwrap() error { return e.is }

// RetryAfter is how long to wait before repeating.
func (e *waitError) RetryAfter() time.Duration { return e.wait }

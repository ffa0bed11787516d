package payments

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
)

const (
	// returnTimeout bounds the work on an event about money that goes back, with what Stripe is asked: less than a webhook may take.
	returnTimeout = 20 * time.Second
	// maxSettles is how often a payment's credits are brought to their targets while its record changes meanwhile.
	maxSettles = 6
)

// receiveReturn settles an event about money that goes back: the payment's record learns of it, and its credits follow the record.
func (r *Receiver) receiveReturn(ctx context.Context, n Notice, e Event, about subject) (Outcome, error) {
	var d Decision
	err := r.store.insistFor(ctx, returnTimeout, func(ctx context.Context) (err error) {
		d, err = r.learnReturn(ctx, e)
		return err
	})
	if err != nil {
		return "", err
	}
	about.org = clip(d.Org)
	if d.Payment != nil {
		about.reference = d.Payment.Reference
		refused, err := r.settler().settle(ctx, *d.Payment)
		switch {
		case err != nil:
			return "", err
		case refused != nil:
			d.Doubt = refused
		}
	}
	if d.Doubt != nil {
		return r.putAside(ctx, n, about, d.Doubt)
	}
	return Recorded, r.store.saw(ctx, n, r.seen(n, Recorded, about))
}

// learnReturn decides about an event on what is stored, asks Stripe where that is not enough, and writes what is learnt on the condition that
// nobody else wrote meanwhile. So an answer of Stripe's is never stored over one that it gave later.
func (r *Receiver) learnReturn(ctx context.Context, e Event) (Decision, error) {
	reference := ""
	if e.Return.Charge != nil {
		reference = e.Return.Charge.Reference
	}
	rec, err := r.store.loadReturn(ctx, e.Return.payment(), reference)
	if err != nil {
		return Decision{}, err
	}
	k := Known{Now: r.opts.Now().UTC(), Purchase: rec.purchase, Payment: rec.payment}
	d := Plan(e, k)
	if d.Ask {
		account, found, err := r.opts.Stripe.account(ctx, e.Return.payment())
		switch {
		case err != nil:
			return Decision{}, err
		case !found:
			return Decision{Doubt: doubt(UnknownReference, "Stripe knows of no money that %s took", e.Return.payment())}, nil
		}
		if rec.payment == nil { // whose it is, is known only now
			if rec, err = r.store.loadReturn(ctx, e.Return.payment(), account.Charge.Reference); err != nil {
				return Decision{}, err
			}
		}
		if rec.payment == nil && account.Charge.billed() {
			billed, err := r.opts.Stripe.billed(ctx, account.Charge.Invoice)
			if err != nil {
				return Decision{}, err
			}
			k.Billed = &billed
		}
		k.Purchase, k.Payment, k.Account = rec.purchase, rec.payment, &account
		d = Plan(e, k)
	}
	if d.Payment == nil {
		return d, nil
	}
	return d, r.store.learnReturn(ctx, rec, *d.Payment, d.Moment)
}

// loadReturn reads a payment and its purchase. The reference is what the event names; what the payment's record names comes first.
func (s store) loadReturn(ctx context.Context, payment, reference string) (records, error) {
	rec, err := s.load(ctx, reference, payment)
	if err != nil || rec.payment == nil || rec.payment.Reference == "" || rec.payment.Reference == reference {
		return rec, err
	}
	return s.load(ctx, rec.payment.Reference, payment)
}

// learnReturn writes what a payment's record and its purchase's timeline learnt, on the condition that they are as they were read.
func (s store) learnReturn(ctx context.Context, rec records, next Payment, m Moment) error {
	doc := s.payments().Doc(next.ID)
	var writes []write
	switch {
	case rec.payment == nil:
		writes = append(writes, func(tx *firestore.Transaction) error {
			return tx.Create(doc, paymentDocument{V: schemaVersion, Payment: next})
		})
	case !reflect.DeepEqual(rec.payment.Returns, next.Returns):
		writes = append(writes, func(tx *firestore.Transaction) error {
			return tx.Update(doc, next.Returns.updates(), firestore.LastUpdateTime(rec.paymentAt))
		})
	}
	if p := rec.purchase; p != nil && m.What != "" {
		if timeline := insert(p.Timeline, m); !slices.Equal(timeline, p.Timeline) {
			writes = append(writes, func(tx *firestore.Transaction) error {
				return tx.Update(s.purchases().Doc(p.Reference), []firestore.Update{{Path: "timeline", Value: timeline}}, firestore.LastUpdateTime(rec.purchaseAt))
			})
		}
	}
	return s.commit(ctx, writes)
}

// updates are the fields of a payment that tell of money that goes back.
func (r Returns) updates() []firestore.Update {
	out := []firestore.Update{
		{Path: "refunded", Value: r.Refunded}, {Path: "disputes", Value: r.Disputes}, {Path: "own_refunds", Value: r.Refunds},
		{Path: "refunded_as_of", Value: firestore.Delete}, {Path: "resume_at", Value: firestore.Delete},
	}
	if !r.RefundedAsOf.IsZero() {
		out[3].Value = r.RefundedAsOf
	}
	if !r.ResumeAt.IsZero() {
		out[4].Value = r.ResumeAt
	}
	return out
}

// settler brings the credits of payments to where their records say.
type settler struct {
	store  store
	ledger Ledger
}

func (r *Receiver) settler() settler { return settler{r.store, r.opts.Ledger} }

// settle brings a payment's credits to their targets, and then looks whether the record still asks for the same: two that settle at once
// may carry out the older target last, and then the one that did finds out here. Without targets it costs nothing.
func (s settler) settle(ctx context.Context, p Payment) (*Doubt, error) {
	for range maxSettles {
		targets := p.targets()
		if len(targets) == 0 {
			return nil, nil //nolint:nilnil // nothing to doubt, as with carryOut
		}
		for _, t := range targets {
			if refused, err := carryOut(ctx, s.ledger.Do, t.org, t.command); refused != nil || err != nil {
				return refused, err
			}
		}
		again, err := s.store.load(ctx, "", p.ID)
		switch {
		case err != nil:
			return nil, err
		case again.payment == nil:
			return nil, fmt.Errorf("the record of payment %s is gone", p.ID)
		case sameTargets(p, *again.payment) && !again.payment.unsettled():
			return nil, nil //nolint:nilnil // as above
		case sameTargets(p, *again.payment): // a refund of ours needs nobody any more
			if err := s.store.rest(ctx, again); err == nil {
				return nil, nil //nolint:nilnil // as above
			}
		}
		p = *again.payment
	}
	return nil, unavailable("The payment changes faster than its credits can follow.", fmt.Errorf("%s: not settled after %d rounds", p.ID, maxSettles))
}

// rest notes that a payment's refunds need nobody any more, unless its record has changed since it was read.
func (s store) rest(ctx context.Context, rec records) error {
	next := *rec.payment
	next.ResumeAt = time.Time{}
	return s.learnReturn(ctx, rec, next, Moment{})
}

func sameTargets(a, b Payment) bool {
	return slices.EqualFunc(a.targets(), b.targets(), func(x, y target) bool { return x == y })
}

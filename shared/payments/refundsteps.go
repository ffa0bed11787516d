package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
)

const (
	// resumeAfter is how long a refund is left to who began it, or tried in vain to end it: longer than a request lasts.
	resumeAfter = 2 * time.Minute
	// resumePage bounds the refunds that one sweep ends.
	resumePage = 50
)

// finish brings a refund that was begun to its end, from wherever it got to: its credits are set aside, Stripe makes it, that is recorded, and
// the credits follow the record. Each step may have been done before, by a process that died or by one that is at it now; doing it again
// changes nothing. late says that Stripe may have made it long ago, and forgotten its key.
func (r *Refunder) finish(ctx context.Context, p Payment, own OwnRefund, late bool) (OwnRefund, error) {
	if late {
		var err error
		if p, err = r.ask(ctx, p); err != nil {
			return own, err
		}
		if own = p.Refunds[own.N-1]; own.State != RefundBegun {
			return own, r.settle(ctx, p)
		}
	}
	aside := credit.SetAside{Key: credit.SystemKey(refundKey(p.Reference, own.N)), ClawBack: credit.ClawBack{
		Grant: p.bought(), Returned: p.returned(), Paid: p.Amount, Actor: own.By, Reason: "refund of purchase " + p.Reference,
	}}
	ctxAside, cancel := context.WithTimeout(ctx, grantTimeout)
	_, err := r.opts.Ledger.Do(ctxAside, p.Org, aside)
	cancel()
	if _, refused := errors.AsType[*credit.Refusal](err); refused {
		return r.refuse(ctx, p, own, whyNothing)
	} else if err != nil {
		return own, fmt.Errorf("set aside %s: %w", aside.Key.ID, err)
	}
	err = r.opts.Stripe.refund(ctx, p, own)
	refused := errors.Is(err, errRefused)
	if err != nil && !refused {
		return own, err
	}
	if p, err = r.ask(ctx, p); err != nil {
		return own, err
	}
	own = p.Refunds[own.N-1]
	switch {
	case own.State == RefundBegun && refused:
		return r.refuse(ctx, p, own, whyStripe)
	case own.State == RefundBegun:
		return own, stripeDown(fmt.Errorf("refund %s was made, and is not listed", aside.Key.ID))
	}
	r.opts.Log.InfoContext(ctx, "refunded", slog.String("org", p.Org), slog.String("reference", p.Reference), slog.Int64("amount", own.Amount),
		slog.String("currency", string(p.Currency)), slog.String("by", own.By), slog.String("refund", own.ID))
	return own, r.settle(ctx, p)
}

// refuse records that a refund will not be, and gives its credits back. Until they are, the record says that somebody is to see to it.
func (r *Refunder) refuse(ctx context.Context, p Payment, own OwnRefund, why string) (OwnRefund, error) {
	m := Moment{At: r.opts.Now().UTC().Truncate(time.Microsecond), What: "refund_refused", Amount: own.Amount}
	p, err := r.amend(ctx, p, m, func(x Returns) Returns {
		if o := &x.Refunds[own.N-1]; o.State == RefundBegun {
			o.State, o.Why = RefundRefused, why
		}
		return x
	})
	if err != nil {
		return own, err
	}
	if err := r.settle(ctx, p); err != nil {
		return own, err
	}
	if own = p.Refunds[own.N-1]; own.State == RefundRefused {
		return own, own.refusal()
	}
	return own, nil // whoever else was at it had Stripe make it
}

// ask lets a payment's record learn how things stand at Stripe.
func (r *Refunder) ask(ctx context.Context, p Payment) (Payment, error) {
	var out Payment
	err := r.store.insistFor(ctx, returnTimeout, func(ctx context.Context) error {
		rec, err := r.store.loadReturn(ctx, p.ID, p.Reference)
		if err != nil {
			return err
		}
		account, found, err := r.opts.Stripe.account(ctx, p.ID)
		switch {
		case err != nil:
			return err
		case !found || rec.payment == nil:
			return fmt.Errorf("payment %s is not there: at Stripe %t, here %t", p.ID, found, rec.payment != nil)
		}
		out = *rec.payment
		out.Returns = out.asked(p.Reference, account, r.opts.Now().UTC().Truncate(time.Second))
		return r.store.learnReturn(ctx, rec, out, Moment{})
	})
	return out, err
}

// amend changes what is known of a payment's money that goes back. The function gets refunds of its own to change.
func (r *Refunder) amend(ctx context.Context, p Payment, m Moment, change func(Returns) Returns) (Payment, error) {
	var out Payment
	err := r.store.insist(ctx, func(ctx context.Context) error {
		rec, err := r.store.loadReturn(ctx, p.ID, p.Reference)
		switch {
		case err != nil:
			return err
		case rec.payment == nil:
			return fmt.Errorf("payment %s is not there", p.ID)
		}
		out = *rec.payment
		out.Refunds = slices.Clone(out.Refunds)
		out.Returns = change(out.Returns)
		return r.store.learnReturn(ctx, rec, out, m)
	})
	return out, err
}

func (r *Refunder) settle(ctx context.Context, p Payment) error {
	refused, err := settler{r.store, r.opts.Ledger}.settle(ctx, p)
	if err == nil && refused != nil {
		err = fmt.Errorf("payment %s: %s", p.ID, refused.Detail)
	}
	return err
}

// Resume ends the refunds that a process began and did not end: at most 50, those that wait longest. It returns how many are ended. One that
// cannot be ended now, because Stripe or the store is away, is tried again two minutes later, after others; the error tells of all of them. When
// the context ends, what is left is for the next sweep.
func (r *Refunder) Resume(ctx context.Context) (ended int, err error) {
	now := r.opts.Now().UTC()
	query := r.store.payments().Where("resume_at", "<=", now).OrderBy("resume_at", firestore.Asc).Limit(resumePage)
	found, err := query.Documents(ctx).GetAll()
	if err != nil {
		return 0, storeDown(fmt.Errorf("find refunds that are not ended: %w", err))
	}
	var failures []error
	for i, snapshot := range found {
		if ctx.Err() != nil {
			failures = append(failures, fmt.Errorf("%d refunds are left: %w", len(found)-i, ctx.Err()))
			break
		}
		if err := r.resume(ctx, snapshot, now); err != nil {
			failures = append(failures, err)
			continue
		}
		ended++
	}
	return ended, errors.Join(failures...)
}

func (r *Refunder) resume(ctx context.Context, snapshot *firestore.DocumentSnapshot, now time.Time) error {
	var d paymentDocument
	if err := decode(snapshot, &d); err != nil {
		return err
	}
	var err error
	if i := d.underWay(); i >= 0 {
		_, err = r.finish(ctx, d.Payment, d.Refunds[i], true)
	} else {
		err = r.settle(ctx, d.Payment)
	}
	if !unknown(err) {
		r.opts.Log.InfoContext(ctx, "ended a refund that was left", slog.String("org", d.Org), slog.String("reference", d.Reference))
		return nil
	}
	err = fmt.Errorf("refund of %s: %w", d.Reference, err)
	_, late := r.amend(context.WithoutCancel(ctx), d.Payment, Moment{}, func(x Returns) Returns {
		if !x.ResumeAt.IsZero() {
			x.ResumeAt = now.Add(resumeAfter)
		}
		return x
	})
	return errors.Join(err, late)
}

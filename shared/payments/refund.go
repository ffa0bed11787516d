package payments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/credit"
)

const (
	// maxOwnRefunds bounds the refunds of ours that one payment may have.
	maxOwnRefunds = 32
	// maxRefundLooks is how often a payment is looked at anew, because others wrote to it meanwhile or had a refund under way.
	maxRefundLooks = 6
)

// CoveringLedger is a Ledger that knows how far a payment's own credits cover its refund.
type CoveringLedger interface {
	Ledger
	Covered(ctx context.Context, org, grant string, returned, paid, most int64) (credit.Cover, error)
}

// RefunderOptions are what a Refunder works with. All are required.
type RefunderOptions struct {
	Documents *firestore.Client
	Ledger    CoveringLedger
	Stripe    *Gateway
	// Now is the system's clock.
	Now func() time.Time
	Log *slog.Logger
}

// Refunder gives the unused part of a purchase back, in money. It is safe for concurrent use.
type Refunder struct {
	opts  RefunderOptions
	store store
}

// NewRefunder makes a Refunder.
func NewRefunder(o RefunderOptions) (*Refunder, error) {
	if o.Documents == nil || o.Ledger == nil || o.Stripe == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("refunding needs a store, a ledger, Stripe, a clock and a logger")
	}
	return &Refunder{opts: o, store: store{o.Documents}}, nil
}

// RefundQuote is what a refund would give.
type RefundQuote struct {
	Reference string
	// Amount is the most money that the purchase's own free credits, and those of its bonus, cover; minor units of Currency, with tax.
	Amount   int64
	Currency catalogue.Currency
	// Credits would be taken for it.
	Credits int64
}

// RefundOrder is a refund that somebody asks for.
type RefundOrder struct {
	Org, Reference string
	// Amount is in minor units; 0 for all there is.
	Amount int64
	// Key is the caller's idempotency key, 1–128 bytes: the same order again is the same refund.
	Key string
	// By asks for it, for this reason.
	By, Reason string
}

// Refunded is a refund of ours as it stands.
type Refunded struct {
	Reference string
	OwnRefund
	Currency catalogue.Currency
	// Replayed says that the same key asked for it before.
	Replayed bool
}

// Why a purchase is not refunded, in the detail "reason" of a `not_refundable`.
const (
	whyUnpaid       = "not_paid"
	whySubscription = "subscription"
	whyFree         = "free"
	whyDisputed     = "disputed"
	whyNothing      = "nothing_left"
	whyAmount       = "amount"
	whyStripe       = "stripe_refused"
	whyTooMany      = "too_many"
)

func notRefundable(why, says string, more map[string]any) *Error {
	with := map[string]any{"reason": why}
	for name, value := range more {
		with[name] = value
	}
	return &Error{coded.Reason{Is: "not_refundable", Says: says, With: with}}
}

func nothingLeft() *Error {
	return notRefundable(whyNothing, "Nothing of this purchase is left to refund: its credits are used, held or refunded already.", nil)
}

// Quote tells what a refund of a purchase would give now, and changes nothing. Errors are an *Error: `not_found`, `not_refundable` with the
// reason, `unavailable`; or one of the ledger's.
func (r *Refunder) Quote(ctx context.Context, org, reference string) (RefundQuote, error) {
	rec, err := r.find(ctx, org, reference)
	if err != nil {
		return RefundQuote{}, err
	}
	return r.quote(ctx, *rec.payment, rec.payment.Amount)
}

// quote is what a refund of a payment would give now, at most so much money.
func (r *Refunder) quote(ctx context.Context, p Payment, most int64) (RefundQuote, error) {
	switch {
	case p.frozen():
		return RefundQuote{}, notRefundable(whyDisputed, "The payment is disputed: its bank decides. Refund it once the dispute is closed.", nil)
	case len(p.Grants) == 0:
		return RefundQuote{}, nothingLeft()
	}
	returned := p.returned()
	c, err := r.opts.Ledger.Covered(ctx, p.Org, p.bought(), returned, p.Amount, most)
	switch {
	case err != nil:
		return RefundQuote{}, fmt.Errorf("what is left of %s: %w", p.Reference, err)
	case c.Returned <= returned:
		return RefundQuote{}, nothingLeft()
	}
	return RefundQuote{Reference: p.Reference, Amount: c.Returned - returned, Currency: p.Currency, Credits: c.Credits}, nil
}

// quoteFor is the quote of an amount, of all there is if that is 0.
func (r *Refunder) quoteFor(ctx context.Context, p Payment, amount int64) (RefundQuote, error) {
	all, err := r.quote(ctx, p, p.Amount)
	switch {
	case err != nil || amount == 0 || amount == all.Amount:
		return all, err
	case amount < all.Amount:
		part, err := r.quote(ctx, p, amount)
		if err == nil || unknown(err) {
			return part, err
		}
	}
	return RefundQuote{}, notRefundable(whyAmount, "What is left of this purchase is not worth so much, or this is less than a credit is worth.",
		map[string]any{"amount": all.Amount, "currency": all.Currency})
}

// find is an organisation's purchase that money was paid for, with its payment. An invoice's payment, named by the invoice or itself, is refused with
// what to do instead.
func (r *Refunder) find(ctx context.Context, org, reference string) (records, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if !ValidReference(reference) {
		return records{}, r.refuseInvoice(ctx, org, reference)
	}
	rec, err := r.store.load(ctx, reference, "")
	switch {
	case err != nil:
		return records{}, err
	case rec.purchase == nil || rec.purchase.Org != org:
		return records{}, noPurchase()
	case rec.purchase.Status != Paid:
		return records{}, notRefundable(whyUnpaid, "This purchase is not paid.", nil)
	}
	rec, err = r.store.load(ctx, reference, rec.purchase.Payment)
	switch {
	case err != nil:
	case rec.payment == nil:
		err = fmt.Errorf("the payment of %s is not there", reference)
	case rec.payment.Amount == 0: // and Stripe knows of no charge that it could be asked about
		err = notRefundable(whyFree, "Nothing was paid for this purchase.", nil)
	}
	return rec, err
}

func noPurchase() *Error {
	return &Error{coded.Reason{Is: "not_found", Says: "There is no such purchase."}}
}

// refuseInvoice refuses what is no purchase's reference: as a plan's credits, if it names an invoice or its payment, or as not found.
func (r *Refunder) refuseInvoice(ctx context.Context, org, name string) error {
	if !validObjectID(name) {
		return noPurchase()
	}
	rec, err := r.store.load(ctx, "", name)
	if err != nil {
		return err
	}
	if rec.payment == nil {
		found, err := r.store.payments().Where("invoice", "==", name).Limit(1).Documents(ctx).GetAll()
		if err != nil {
			return storeDown(fmt.Errorf("find the payment of invoice %q: %w", name, err))
		}
		for _, snapshot := range found {
			var d paymentDocument
			if err := decode(snapshot, &d); err != nil {
				return err
			}
			rec.payment = &d.Payment
		}
	}
	if p := rec.payment; p == nil || p.Org != org || p.Invoice == "" {
		return noPurchase()
	}
	return notRefundable(whySubscription, "Subscription credits are not refunded. Cancel the plan, or change it for the next cycle, in the billing portal: "+
		"what is paid for stays usable to the period's end. To return money all the same, refund the invoice in Stripe's dashboard; its credits follow.", nil)
}

// Refund gives a purchase's unused part back: its credits are set aside, then Stripe is asked. The same order again is the same refund, however
// far the first came; and whatever else was begun for the purchase is ended first. Errors are those of Quote, `idempotency_conflict`, and
// `unavailable` when the outcome is not known: repeat with the same key, or leave it to [Refunder.Resume].
func (r *Refunder) Refund(ctx context.Context, o RefundOrder) (Refunded, error) {
	if err := errors.Join(credit.CheckOrg(o.Org), credit.CheckID("Idempotency-Key", o.Key)); err != nil {
		return Refunded{}, err
	}
	if o.Amount < 0 || len(o.Reason) > credit.MaxReasonBytes {
		return Refunded{}, refuse("The amount must be above 0, the reason 1 KiB at most.", nil)
	}
	for range maxRefundLooks {
		rec, err := r.find(ctx, o.Org, o.Reference)
		if err != nil {
			return Refunded{}, err
		}
		p := *rec.payment
		if i := o.among(p.Refunds); i >= 0 {
			return r.again(ctx, p, i, o)
		}
		if i := p.underWay(); i >= 0 {
			if _, err := r.finish(ctx, p, p.Refunds[i], true); unknown(err) {
				return Refunded{}, err
			}
			continue
		}
		if p, err = r.ask(ctx, p); err == nil && (p.unsettled() || !sameTargets(p, *rec.payment)) {
			err = r.settle(ctx, p)
		}
		if err != nil {
			return Refunded{}, err
		}
		begun, own, err := r.begin(ctx, p, o)
		switch {
		case errors.Is(err, errMoved):
			continue
		case err != nil:
			return Refunded{}, err
		}
		done, err := r.finish(ctx, begun, own, false)
		return Refunded{Reference: o.Reference, OwnRefund: done, Currency: p.Currency}, err
	}
	return Refunded{}, unavailable("The purchase is changed by others at the moment; repeat with the same key.", nil)
}

// keyHash is the order's key as it is kept.
func (o RefundOrder) keyHash() string {
	sum := sha256.Sum256([]byte(o.Key))
	return hex.EncodeToString(sum[:20])
}

// among is where the order's refund is among those that were begun, -1 for nowhere.
func (o RefundOrder) among(begun []OwnRefund) int {
	key := o.keyHash()
	return slices.IndexFunc(begun, func(own OwnRefund) bool { return own.Key == key })
}

// again answers an order whose key is known: what is not ended is.
func (r *Refunder) again(ctx context.Context, p Payment, i int, o RefundOrder) (Refunded, error) {
	own := p.Refunds[i]
	if own.Asked != o.Amount {
		return Refunded{}, conflict("This key was used for a refund of another amount.")
	}
	var err error
	if p.unsettled() {
		if err = r.settle(ctx, p); err != nil {
			return Refunded{}, err
		}
	}
	switch own.State {
	case RefundBegun:
		own, err = r.finish(ctx, p, own, true)
	case RefundRefused:
		err = own.refusal()
	case RefundMade, RefundFailed:
	}
	return Refunded{Reference: o.Reference, OwnRefund: own, Currency: p.Currency, Replayed: true}, err
}

// refusal is why a refund was refused.
func (o OwnRefund) refusal() *Error {
	if o.Why == whyStripe {
		return notRefundable(whyStripe, "Stripe does not make this refund; its credits are given back. Its dashboard tells why.", nil)
	}
	return nothingLeft()
}

// begin records a refund before anything else happens for it, so that whatever does can be found and ended. The error is errMoved when the same
// order, or another, began one since the payment was looked at.
func (r *Refunder) begin(ctx context.Context, p Payment, o RefundOrder) (Payment, OwnRefund, error) {
	if o.among(p.Refunds) >= 0 || p.underWay() >= 0 { // while Stripe was asked
		return Payment{}, OwnRefund{}, errMoved
	}
	if len(p.Refunds) == maxOwnRefunds {
		return Payment{}, OwnRefund{}, notRefundable(whyTooMany, "This purchase was refunded in too many parts; refund the rest in Stripe's dashboard.", nil)
	}
	q, refused := r.quoteFor(ctx, p, o.Amount)
	if unknown(refused) {
		return Payment{}, OwnRefund{}, refused
	}
	// What another has begun meanwhile is recorded before its credits are taken: no quote, nor refusal, is of a wallet that the record does not tell of.
	rec, err := r.find(ctx, o.Org, o.Reference)
	switch {
	case err != nil:
		return Payment{}, OwnRefund{}, err
	case !slices.Equal(rec.payment.Refunds, p.Refunds) || rec.payment.returned() != p.returned() || rec.payment.frozen() != p.frozen():
		return Payment{}, OwnRefund{}, errMoved
	case refused != nil:
		return Payment{}, OwnRefund{}, refused
	}
	now := r.opts.Now().UTC().Truncate(time.Microsecond)
	own := OwnRefund{
		N: int64(len(p.Refunds)) + 1, Amount: q.Amount, Credits: q.Credits, State: RefundBegun,
		Key: o.keyHash(), Asked: o.Amount, By: o.By, Reason: o.Reason, At: now,
	}
	next := *rec.payment
	next.Refunds = append(slices.Clone(p.Refunds), own)
	next.ResumeAt = now.Add(resumeAfter)
	err = r.store.learnReturn(ctx, rec, next, Moment{At: now, What: "refund_begun", Amount: own.Amount})
	if err != nil { // somebody was faster, or this was written and its answer lost: what is stored tells
		return Payment{}, OwnRefund{}, fmt.Errorf("%w: %w", errMoved, err)
	}
	return next, own, nil
}

// errMoved says that a record is not as it was read.
var errMoved = errors.New("the record has changed")

// unknown reports whether an error leaves open what became of a refund.
func unknown(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return err != nil && (!ok || e.Code() != "not_refundable")
}

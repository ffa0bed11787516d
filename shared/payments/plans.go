package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/credit"
)

// maxSubscriptions bounds how many subscriptions of one organisation are looked at; there is one that is alive.
const maxSubscriptions = 50

// Plans shows organisations' subscriptions, and changes their plans. It is safe for concurrent use.
type Plans struct{ receiver *Receiver }

// NewPlans makes Plans of what settles Stripe's events.
func NewPlans(r *Receiver) *Plans { return &Plans{receiver: r} }

// Standing is how an organisation's subscription stands.
type Standing struct {
	Subscription
	// Now is what it sells now; the zero Offering when the catalogue does not know its prices.
	Now Offering
	// Later is what a scheduled change will make of it; nil for none.
	Later *Offering
	// Next is the cycle that follows the one that runs; nil when none does.
	Next *NextCycle
}

// Offering is what a subscription's items come to.
type Offering struct {
	// Plan is that of the first item.
	Plan     catalogue.Plan
	Interval catalogue.Interval
	Currency catalogue.Currency
	// Credits are those of one cycle, Amount the price of one interval in minor units, both of all items together. The price is the one that is
	// sold now, and 0 for prices that are not sold any more.
	Credits, Amount int64
}

// NextCycle is what the next cycle begins with, as things stand.
type NextCycle struct {
	At time.Time
	Offering
	// Due is what is to be paid for it then; 0 within a year that is paid for.
	Due int64
}

// PlanOrder is a change of plan that somebody wants.
type PlanOrder struct {
	Org  string
	Plan string
	// Key is the caller's idempotency key.
	Key string
}

// Subscription returns how an organisation's subscription stands, as Stripe last told. Errors are an *Error: `not_found` if it never had one;
// `unavailable`.
func (p *Plans) Subscription(ctx context.Context, org string) (Standing, error) {
	s, err := p.current(ctx, org)
	if err != nil {
		return Standing{}, err
	}
	return p.standing(ctx, s)
}

// current is an organisation's subscription: the latest that runs, else the latest that has not ended, else the latest.
func (p *Plans) current(ctx context.Context, org string) (Subscription, error) {
	if err := credit.CheckOrg(org); err != nil {
		return Subscription{}, fmt.Errorf("the subscription of %q: %w", org, err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshots, err := p.receiver.store.client.Collection("subscriptions").Where("org", "==", org).Limit(maxSubscriptions).Documents(ctx).GetAll()
	if err != nil {
		return Subscription{}, storeDown(fmt.Errorf("find the subscription of %s: %w", org, err))
	}
	all := make([]Subscription, len(snapshots))
	for i, snapshot := range snapshots {
		var d subscriptionDocument
		if err := decode(snapshot, &d); err != nil {
			return Subscription{}, err
		}
		all[i] = d.Subscription
	}
	if len(all) == 0 {
		return Subscription{}, &Error{coded.Reason{Is: "not_found", Says: "There is no subscription."}}
	}
	return slices.MaxFunc(all, func(a, b Subscription) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	}), nil
}

// rank orders subscriptions: what has ended, what is alive without being billed (it was never paid, or its trial ran out without a card), and
// what runs.
func rank(s Subscription) int {
	switch {
	case !s.Live():
		return 0
	case s.Status == Active || s.Status == Trialing || s.Status == PastDue:
		return 2
	default:
		return 1
	}
}

func (p *Plans) standing(ctx context.Context, s Subscription) (Standing, error) {
	prices, err := p.receiver.opts.Prices.Current(ctx)
	if err != nil {
		return Standing{}, fmt.Errorf("the plan of subscription %s: %w", s.ID, err)
	}
	out := Standing{Subscription: s, Now: offering(prices, s.Items)}
	if s.Live() && s.Change != nil {
		out.Later = new(offering(prices, s.Change.Items))
	}
	out.Next = next(prices, s, out.Now, p.receiver.opts.Now())
	return out, nil
}

// offering is what items come to. Those that the catalogue does not know count nothing.
func offering(prices *catalogue.Catalogue, items []Item) Offering {
	var out Offering
	for _, i := range items {
		p, err := prices.PlanByStripePrice(i.Price)
		if err != nil {
			continue
		}
		if out.Plan.ID == "" {
			out.Plan, out.Interval, out.Currency = p.Plan, p.Interval, p.Currency
		}
		out.Credits += p.Plan.CreditsPerCycle * i.Quantity
		if !p.Former {
			out.Amount += amount(p) * i.Quantity
		}
	}
	return out
}

// amount is what a price that is sold costs.
func amount(p catalogue.PlanPrice) int64 {
	prices := p.Plan.Prices[p.Currency]
	if p.Interval == catalogue.Year && prices.Year != nil {
		return prices.Year.Amount
	}
	return prices.Month.Amount
}

// next is the cycle after the one that runs: the next month of a year that is paid for, or the first cycle of the next period.
func next(prices *catalogue.Catalogue, s Subscription, now Offering, at time.Time) *NextCycle {
	for _, month := range months(s.Period, now.Interval)[1:] {
		if month.Start.After(at) && s.PaidUntil.After(month.Start) {
			return &NextCycle{At: month.Start, Offering: now}
		}
	}
	end := s.Period.End
	if !s.renews(end) || end.IsZero() {
		return nil
	}
	out := &NextCycle{At: end, Offering: now}
	if s.Change != nil && !s.Change.At.After(end) {
		out.Offering = offering(prices, s.Change.Items)
	}
	out.Due = out.Amount
	return out
}

// Change changes an organisation's plan. A dearer plan begins at once: Stripe charges for the difference, and its credits come when that is paid. A
// cheaper one begins with the next period; what was planned before is dropped. The plan that it has takes back what was planned: a change, or the
// end. The same order again changes nothing more.
//
// Errors are an *Error: `not_found` for no subscription, or no such plan; `invalid_request` for one that cannot be had; `payment_declined` when
// the difference cannot be charged, and then nothing has changed; `idempotency_conflict` when the key stands for another order; `unavailable`.
func (p *Plans) Change(ctx context.Context, o PlanOrder) (Standing, error) {
	if err := credit.CheckID("Idempotency-Key", o.Key); err != nil {
		return Standing{}, fmt.Errorf("change the plan of %s: %w", o.Org, err)
	}
	s, err := p.current(ctx, o.Org)
	if err != nil {
		return Standing{}, err
	}
	if s, err = p.receiver.askSubscription(ctx, s.ID); err != nil {
		return Standing{}, err
	}
	has, wanted, err := p.wanted(ctx, s, o.Plan)
	if err != nil {
		return Standing{}, err
	}
	c := planChange{gateway: p.receiver.opts.Stripe, s: s, price: wanted, key: strings.Join([]string{"plan", o.Org, o.Key}, ":")}
	switch to := wanted.Plan.Rank; {
	case wanted.Plan.ID == has.Plan.ID:
		err = c.stay(ctx)
	case to > has.Plan.Rank:
		err = c.upgrade(ctx)
	default:
		err = c.downgrade(ctx)
	}
	if err != nil {
		return Standing{}, err
	}
	if s, err = p.receiver.askSubscription(ctx, s.ID); err != nil {
		return Standing{}, err
	}
	if err := p.receiver.settleGrace(ctx, s); err != nil {
		return Standing{}, err
	}
	return p.standing(ctx, s)
}

// wanted finds what a subscription sells now, and the plan's price that would take its place: of the same currency and interval.
func (p *Plans) wanted(ctx context.Context, s Subscription, plan string) (has, wanted planPrice, err error) {
	prices, err := p.receiver.opts.Prices.Current(ctx)
	if err != nil {
		return planPrice{}, planPrice{}, fmt.Errorf("plan %s: %w", plan, err)
	}
	switch {
	case !s.Live():
		return has, wanted, refuse("The subscription has ended. A new one begins on the billing page.", nil)
	case len(s.Items) != 1:
		return has, wanted, refuse(fmt.Sprintf("The subscription has %d items; its plan is changed by support.", len(s.Items)), nil)
	}
	has.ID = s.Items[0].Price
	if has.PlanPrice, err = prices.PlanByStripePrice(has.ID); err != nil {
		return has, wanted, refuse("The subscription's plan is changed by support.", err)
	}
	all := prices.Document().Plans
	i := slices.IndexFunc(all, func(x catalogue.Plan) bool { return x.ID == plan })
	if i < 0 {
		return has, wanted, &Error{coded.Reason{Is: "not_found", Says: fmt.Sprintf("There is no plan %q.", plan)}}
	}
	wanted.PlanPrice = catalogue.PlanPrice{Plan: all[i], Currency: has.Currency, Interval: has.Interval}
	sold, ok := all[i].Prices[has.Currency]
	wanted.ID = sold.Month.StripePrice
	if has.Interval == catalogue.Year {
		if ok = ok && sold.Year != nil; ok {
			wanted.ID = sold.Year.StripePrice
		}
	}
	if !ok {
		return has, wanted, refuse(fmt.Sprintf("The plan %q is not sold in %s by the %s.", plan, has.Currency, has.Interval), nil)
	}
	if wanted.Plan.ID == has.Plan.ID {
		wanted.ID = has.ID // also when it is a former price
	}
	return has, wanted, nil
}

// planPrice is a plan's price, with Stripe's id.
type planPrice struct {
	catalogue.PlanPrice
	ID string
}

// declined says that money could not be taken.
func declined(cause error) *Error {
	return &Error{coded.Reason{
		Is: "payment_declined", Says: "The payment was declined, and the plan is as it was. See the card on the billing page.", From: cause,
	}}
}

var errOutstanding = errors.New("a payment is outstanding")

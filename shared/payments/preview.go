package payments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/invoice"
)

// Preview is what a change of plan would do, as things stand.
type Preview struct {
	// When says when the plan would begin, At the moment: for a dearer one now, for a cheaper one the period's end.
	When When
	At   time.Time
	Offering
	// Due is what would be charged then, without tax, in minor units, before what the customer has to its credit at Stripe; 0 when what is left of
	// the old plan is worth more.
	Due int64
	// Credits are those that would come when that is paid, for the period that runs then.
	Credits int64
}

// When is when a change of plan takes effect.
type When string

// The moments of change. The plan that an organisation has already changes nothing, but takes back what was planned.
const (
	AtOnce   When = "at_once"
	AtTurn   When = "at_turn"
	NotAtAll When = "not_at_all"
)

// Preview tells what Change would do with an order, and changes nothing. What is left of a period shrinks by the second, and so do the amounts.
// Errors are those of Change.
func (p *Plans) Preview(ctx context.Context, org, plan string) (Preview, error) {
	s, err := p.current(ctx, org)
	if err != nil {
		return Preview{}, err
	}
	if s, err = p.receiver.askSubscription(ctx, s.ID); err != nil {
		return Preview{}, err
	}
	has, wanted, err := p.wanted(ctx, s, plan)
	if err != nil {
		return Preview{}, err
	}
	prices, err := p.receiver.opts.Prices.Current(ctx)
	if err != nil {
		return Preview{}, fmt.Errorf("preview plan %s: %w", plan, err)
	}
	out := Preview{When: AtTurn, At: s.Period.End, Offering: offering(prices, []Item{{Price: wanted.ID, Quantity: s.Items[0].Quantity}})}
	out.Due, out.Credits = out.Amount, out.Offering.Credits
	switch rank := wanted.Plan.Rank; {
	case wanted.Plan.ID == has.Plan.ID:
		out.When, out.At, out.Due, out.Credits = NotAtAll, p.receiver.opts.Now().UTC(), 0, 0
		return out, nil
	case rank < has.Plan.Rank:
		return out, nil
	case !upgradable(s):
		return Preview{}, declined(errOutstanding)
	}
	out.When, out.At = AtOnce, p.receiver.opts.Now().UTC().Truncate(time.Second)
	in, err := p.receiver.opts.Stripe.upcoming(ctx, s, wanted.ID, out.At)
	if err != nil {
		return Preview{}, err
	}
	out.Due, out.Credits = 0, 0
	d := Plan(Event{Invoice: in}, Known{Now: out.At, Prices: prices, Subscription: s, CustomerOrg: org, Grace: p.receiver.opts.Grace})
	if d.Doubt != nil {
		return Preview{}, refuse("What this change would cost cannot be told.", errors.New(d.Doubt.Detail))
	}
	for _, l := range in.Lines {
		out.Due += l.Amount
	}
	out.Due = max(out.Due, 0)
	for _, g := range d.Grants {
		if !g.Terms.EffectiveAt.After(out.At) {
			out.Credits += g.Terms.Granted
		}
	}
	return out, nil
}

// upcoming is what Stripe would charge at once for another price, as an invoice of the lines that are for time before the next period.
func (g *Gateway) upcoming(ctx context.Context, s Subscription, price string, at time.Time) (*Invoice, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	in, err := invoice.Client{B: g.backend, Key: g.key}.Upcoming(&stripe.InvoiceUpcomingParams{
		Params:                        stripe.Params{Context: ctx},
		Subscription:                  stripe.String(s.ID),
		SubscriptionItems:             []*stripe.SubscriptionItemsParams{{ID: stripe.String(s.Items[0].ID), Price: stripe.String(price)}},
		SubscriptionProrationBehavior: stripe.String("always_invoice"),
		SubscriptionProrationDate:     stripe.Int64(at.Unix()),
	})
	if err != nil {
		return nil, stripeDown(fmt.Errorf("preview subscription %s at %s: %w", s.ID, price, err))
	}
	out := readInvoice(in)
	now := make([]Line, 0, len(out.Lines))
	for _, l := range out.Lines {
		if l.Period.Start.Before(s.Period.End) {
			now = append(now, l)
		}
	}
	out.Lines, out.Subscription, out.Org = now, s.ID, s.Org
	return out, nil
}

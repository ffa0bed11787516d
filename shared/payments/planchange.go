package payments

import (
	"context"
	"errors"
	"fmt"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/subscription"
	"github.com/stripe/stripe-go/v76/subscriptionschedule"

	"github.com/fluxori/ai-credits/shared/coded"
)

// planChange is the work of changing one subscription's plan at Stripe. Each step has a key of its own, and moves towards a state, so that what
// was cut off goes on where it was.
type planChange struct {
	gateway *Gateway
	s       Subscription
	price   planPrice
	key     string
}

func (c planChange) params(ctx context.Context, step string) stripe.Params {
	return stripe.Params{Context: ctx, IdempotencyKey: stripe.String(c.key + ":" + step)}
}

func (c planChange) subscriptions() subscription.Client {
	return subscription.Client{B: c.gateway.backend, Key: c.gateway.key}
}

func (c planChange) schedules() subscriptionschedule.Client {
	return subscriptionschedule.Client{B: c.gateway.backend, Key: c.gateway.key}
}

// stay takes back what was planned.
func (c planChange) stay(ctx context.Context) error {
	if err := c.release(ctx); err != nil || !c.s.CancelAtPeriodEnd {
		return err
	}
	return c.keep(ctx)
}

// release ends the schedule that manages the subscription, which stays as it is.
func (c planChange) release(ctx context.Context) error {
	if c.s.Schedule == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.schedules().Release(c.s.Schedule, &stripe.SubscriptionScheduleReleaseParams{Params: c.params(ctx, "release")})
	return c.explain("release", err)
}

// keep takes back the subscription's end.
func (c planChange) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.subscriptions().Update(c.s.ID, &stripe.SubscriptionParams{Params: c.params(ctx, "keep"), CancelAtPeriodEnd: stripe.Bool(false)})
	return c.explain("keep", err)
}

// upgradable reports whether nothing is outstanding, so that more can be charged.
func upgradable(s Subscription) bool { return s.Status == Active || s.Status == Trialing }

// upgrade begins a dearer plan now. Stripe charges for what is left of the period, or for a new period when the old plan was free; if it cannot,
// nothing changes: so what was planned is dropped last. Who is cut off before that has the plan when asking again, and drops it then.
func (c planChange) upgrade(ctx context.Context) error {
	if !upgradable(c.s) {
		return declined(errOutstanding)
	}
	if err := c.charge(ctx); err != nil {
		return err
	}
	return c.release(ctx)
}

// charge changes the subscription's price, once that is paid for.
func (c planChange) charge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{
		Params:            c.params(ctx, "upgrade"),
		Items:             []*stripe.SubscriptionItemsParams{{ID: stripe.String(c.s.Items[0].ID), Price: stripe.String(c.price.ID)}},
		ProrationBehavior: stripe.String("always_invoice"), PaymentBehavior: stripe.String("error_if_incomplete"),
	}
	if c.s.Schedule == "" { // of one that a schedule manages, Stripe takes everything but its end
		params.CancelAtPeriodEnd = stripe.Bool(false)
	}
	_, err := c.subscriptions().Update(c.s.ID, params)
	return c.explain("upgrade", err)
}

// downgrade lets a schedule begin a cheaper plan with the next period.
func (c planChange) downgrade(ctx context.Context) error {
	if c.s.CancelAtPeriodEnd {
		if err := c.keep(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var schedule *stripe.SubscriptionSchedule
	var err error
	if c.s.Schedule == "" {
		schedule, err = c.schedules().New(&stripe.SubscriptionScheduleParams{Params: c.params(ctx, "schedule"), FromSubscription: stripe.String(c.s.ID)})
	} else {
		schedule, err = c.schedules().Get(c.s.Schedule, &stripe.SubscriptionScheduleParams{Params: stripe.Params{Context: ctx}})
	}
	if err != nil {
		return c.explain("schedule", err)
	}
	if schedule.CurrentPhase == nil {
		return stripeDown(fmt.Errorf("schedule %s of %s has no current phase", schedule.ID, c.s.ID))
	}
	return c.reschedule(ctx, schedule)
}

// reschedule lets a schedule that the subscription has begin the plan.
func (c planChange) reschedule(ctx context.Context, schedule *stripe.SubscriptionSchedule) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.schedules().Update(schedule.ID, &stripe.SubscriptionScheduleParams{
		Params: c.params(ctx, "downgrade"), EndBehavior: stripe.String("release"), ProrationBehavior: stripe.String("none"),
		Phases: c.phases(schedule),
	})
	return c.explain("downgrade", err)
}

// phases are what a schedule does: the current period as it is, its trial and coupon included, and then the cheaper plan.
func (c planChange) phases(schedule *stripe.SubscriptionSchedule) []*stripe.SubscriptionSchedulePhaseParams {
	item := c.s.Items[0]
	quantity := stripe.Int64(item.Quantity)
	now := &stripe.SubscriptionSchedulePhaseParams{
		Items:     []*stripe.SubscriptionSchedulePhaseItemParams{{Price: stripe.String(item.Price), Quantity: quantity}},
		StartDate: stripe.Int64(schedule.CurrentPhase.StartDate), EndDate: stripe.Int64(c.s.Period.End.Unix()),
	}
	later := &stripe.SubscriptionSchedulePhaseParams{
		Items:      []*stripe.SubscriptionSchedulePhaseItemParams{{Price: stripe.String(c.price.ID), Quantity: quantity}},
		Iterations: stripe.Int64(1),
	}
	for _, p := range schedule.Phases {
		if p.StartDate != schedule.CurrentPhase.StartDate {
			continue
		}
		if p.TrialEnd != 0 {
			now.TrialEnd = stripe.Int64(p.TrialEnd)
		}
		if p.Coupon != nil {
			now.Coupon, later.Coupon = stripe.String(p.Coupon.ID), stripe.String(p.Coupon.ID)
		}
	}
	return []*stripe.SubscriptionSchedulePhaseParams{now, later}
}

// explain says what an error of Stripe's means to who asked.
func (c planChange) explain(step string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s subscription %s to %s: %w", step, c.s.ID, c.price.ID, err)
	no, told := errors.AsType[*stripe.Error](err)
	switch {
	case !told || passes(no.Code):
		return stripeDown(err)
	case no.Type == stripe.ErrorTypeIdempotency:
		return &Error{coded.Reason{Is: "idempotency_conflict", Says: "The Idempotency-Key was used for another change of plan.", From: err}}
	case no.Type == stripe.ErrorTypeCard, step == "upgrade" && no.Code == stripe.ErrorCodeResourceMissing: // there is no card
		return declined(err)
	case no.Type == stripe.ErrorTypeInvalidRequest:
		return refuse("Stripe does not take this change of plan. It may be made on the billing page.", err)
	}
	return stripeDown(err)
}

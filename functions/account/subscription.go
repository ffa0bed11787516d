package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// subscription is how an organisation's subscription stands, as Stripe last told.
type subscription struct {
	SubscriptionID string                      `json:"subscription_id"`
	Status         payments.SubscriptionStatus `json:"status"`
	// CollectionPaused says that its invoices are not collected for now, so that no cycle follows.
	CollectionPaused bool `json:"collection_paused"`
	offering
	Period period `json:"period"`
	// CancelAtPeriodEnd says that it ends with its period; EndsAt is when, if an end is planned.
	CancelAtPeriodEnd bool      `json:"cancel_at_period_end"`
	EndsAt            time.Time `json:"ends_at,omitzero"`
	// ScheduledChange is another plan that begins later, if one does.
	ScheduledChange *scheduledChange `json:"scheduled_change,omitempty"`
	// NextCycle is what the next cycle begins with, as things stand, if one follows.
	NextCycle *nextCycle `json:"next_cycle,omitempty"`
}

// offering is a plan as it is subscribed to. Credits are those of one cycle, a month; Amount is the price of one interval, without tax, in minor
// units of the currency.
type offering struct {
	Plan     string             `json:"plan"`
	Name     string             `json:"name"`
	Interval catalogue.Interval `json:"interval"`
	Credits  int64              `json:"credits_per_cycle"`
	Amount   int64              `json:"amount"`
	Currency catalogue.Currency `json:"currency"`
}

type period struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

type scheduledChange struct {
	Plan string    `json:"plan"`
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

type nextCycle struct {
	At time.Time `json:"at"`
	offering
	// Due is what is to be paid for it then, without tax; 0 within a year that is paid for.
	Due int64 `json:"due"`
}

// planOrder is the body of POST …/subscription/change.
type planOrder struct {
	Plan string `json:"plan"`
}

func (h *handler) subscription(w http.ResponseWriter, r *http.Request, c call) error {
	s, err := h.plans.Subscription(r.Context(), c.org)
	if err != nil {
		return err
	}
	serve.OK(w, r, showSubscription(s))
	return nil
}

// preview is what a change of plan would do. When is at_once, at_turn (with the next period) or not_at_all; Due is what is charged then, without
// tax, and Credits are those that come with it for the period that runs.
type preview struct {
	When payments.When `json:"when"`
	At   time.Time     `json:"at"`
	offering
	Due     int64 `json:"due"`
	Granted int64 `json:"credits"`
}

func (h *handler) previewPlan(w http.ResponseWriter, r *http.Request, c call) error {
	plan := c.query.Get("plan")
	if plan == "" {
		return invalid("plan", "State the plan.")
	}
	p, err := h.plans.Preview(r.Context(), c.org, plan)
	if err != nil {
		return err
	}
	serve.OK(w, r, preview{When: p.When, At: p.At, offering: showOffering(p.Offering), Due: p.Due, Granted: p.Credits})
	return nil
}

func (h *handler) changePlan(w http.ResponseWriter, r *http.Request, c call) error {
	o, err := strictjson.Decode[planOrder](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if o.Plan == "" {
		return invalid("plan", "State the plan.")
	}
	s, err := h.plans.Change(r.Context(), payments.PlanOrder{Org: c.org, Plan: o.Plan, Key: c.key})
	if err != nil {
		return err
	}
	serve.OK(w, r, showSubscription(s))
	return nil
}

func showOffering(o payments.Offering) offering {
	return offering{Plan: o.Plan.ID, Name: o.Plan.Name, Interval: o.Interval, Credits: o.Credits, Amount: o.Amount, Currency: o.Currency}
}

func showSubscription(s payments.Standing) subscription {
	out := subscription{
		SubscriptionID: s.ID, Status: s.Status, CollectionPaused: s.Unbilled, offering: showOffering(s.Now),
		Period: period(s.Period), CancelAtPeriodEnd: s.CancelAtPeriodEnd, EndsAt: s.EndsAt,
	}
	if s.Next != nil {
		out.NextCycle = &nextCycle{At: s.Next.At, offering: showOffering(s.Next.Offering), Due: s.Next.Due}
	}
	if s.Later != nil {
		out.ScheduledChange = &scheduledChange{Plan: s.Later.Plan.ID, Name: s.Later.Plan.Name, At: s.Change.At}
	}
	return out
}

package payments

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// SubscriptionStatus is Stripe's word for how a subscription stands.
type SubscriptionStatus string

// The statuses that are told apart. Stripe has incomplete, incomplete_expired and unpaid besides.
const (
	Trialing SubscriptionStatus = "trialing"
	Active   SubscriptionStatus = "active"
	PastDue  SubscriptionStatus = "past_due"
	Paused   SubscriptionStatus = "paused"
	Canceled SubscriptionStatus = "canceled"
	// lapsed is a subscription whose first payment never came.
	lapsed SubscriptionStatus = "incomplete_expired"
)

// maxFormer bounds how many items are remembered that a subscription had before; the latest are.
const maxFormer = 50

// Subscription is the record subscriptions/{id}: a subscription as Stripe last told of it. The zero Subscription is one that Stripe does not
// have.
type Subscription struct {
	ID  string `firestore:"id"`
	Org string `firestore:"org"`
	// Customer is Stripe's.
	Customer string             `firestore:"customer"`
	Status   SubscriptionStatus `firestore:"status"`
	// Items are what it bills for. Former are the ids of items that it had before, the latest last.
	Items  []Item   `firestore:"items"`
	Former []string `firestore:"former,omitempty"`
	// Period is the current one, Anchor the moment from which periods are counted.
	Period Period    `firestore:"period"`
	Anchor time.Time `firestore:"anchor"`
	// CancelAtPeriodEnd says that it ends with its current period; EndsAt is a planned end, zero for none.
	CancelAtPeriodEnd bool      `firestore:"cancel_at_period_end"`
	EndsAt            time.Time `firestore:"ends_at,omitempty"`
	// Unbilled says that its invoices are not collected, until ResumesAt if that is set.
	Unbilled  bool      `firestore:"unbilled,omitempty"`
	ResumesAt time.Time `firestore:"resumes_at,omitempty"`
	// Schedule is that which manages it, and Change what that will do next; nil for nothing.
	Schedule  string    `firestore:"schedule,omitempty"`
	Change    *Change   `firestore:"change,omitempty"`
	CreatedAt time.Time `firestore:"created_at"`
	// AsOf is how far Stripe's word is known: the time of the latest event, or of the latest question.
	AsOf time.Time `firestore:"as_of"`
	// PaidUntil is the end of the last period that was paid for.
	PaidUntil time.Time `firestore:"paid_until,omitempty"`
}

// Item is what a subscription bills for.
type Item struct {
	ID       string `firestore:"id,omitempty"`
	Price    string `firestore:"price"`
	Quantity int64  `firestore:"quantity"`
}

// Change is what a schedule will make of a subscription.
type Change struct {
	At    time.Time `firestore:"at"`
	Items []Item    `firestore:"items"`
}

// Live reports whether the subscription has not ended.
func (s Subscription) Live() bool {
	return s.ID != "" && s.Status != Canceled && s.Status != lapsed
}

// renews reports whether a period that ends at end is followed by another that is billed. One that the current period cut short is not.
func (s Subscription) renews(end time.Time) bool {
	switch {
	case !s.Live(), s.Status == Paused, end.After(s.Period.Start) && end.Before(s.Period.End):
		return false
	case s.Unbilled && (s.ResumesAt.IsZero() || s.ResumesAt.After(end)):
		return false
	case s.CancelAtPeriodEnd && !s.Period.End.After(end):
		return false
	}
	return s.EndsAt.IsZero() || s.EndsAt.After(end)
}

// usableUntil is until when credits of a period of the subscription's can be used.
func (s Subscription) usableUntil(end time.Time, grace time.Duration) time.Time {
	if s.renews(end) {
		return end.Add(grace)
	}
	return end
}

// itemIDs are the ids of its items, those that it had before included.
func (s Subscription) itemIDs() []string {
	out := slices.Clone(s.Former)
	for _, i := range s.Items {
		out = append(out, i.ID)
	}
	return out
}

// follows are the items whose earlier periods a paid line of an item follows beside its own: those that are gone.
func (s Subscription) follows(item string) []string {
	return slices.DeleteFunc(slices.Clone(s.Former), func(id string) bool { return id == item })
}

// merge is the subscription after an event that told of it. An event that is later than all that is known is believed. One that is not, and tells
// something else, may be older than what is known or not; ask says that Stripe must be asked, and so it does when the event names a schedule
// whose plans it does not tell. So what events say comes to the same in whatever order and however often they come.
func (s Subscription) merge(told Subscription, at time.Time) (next Subscription, ask bool) {
	switch {
	case s.ID == "":
	case s.says(told):
		return s, false
	case !at.After(s.AsOf):
		return s, true
	}
	if told.Schedule != "" && told.Schedule != s.Schedule {
		return s, true
	}
	if told.Schedule != "" {
		told.Change = s.Change
	}
	return s.become(told, at), false
}

// become is the subscription once what is told of it counts, as of a moment.
func (s Subscription) become(told Subscription, at time.Time) Subscription {
	told.Org = cmp.Or(told.Org, s.Org)
	told.AsOf, told.PaidUntil = latest(s.AsOf, at), s.PaidUntil
	told.Former = slices.Clone(s.Former)
	for _, i := range s.Items {
		told.Former = append(told.Former, i.ID)
	}
	told.Former = slices.DeleteFunc(told.Former, func(id string) bool {
		return slices.ContainsFunc(told.Items, func(i Item) bool { return i.ID == id })
	})
	slices.Reverse(told.Former) // the latest stay
	told.Former = distinct(told.Former)
	told.Former = told.Former[:min(len(told.Former), maxFormer)]
	slices.Reverse(told.Former)
	if len(told.Former) == 0 {
		told.Former = nil
	}
	return told
}

// distinct leaves the first of each.
func distinct(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(ids, func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// says reports whether an event tells what is known.
func (s Subscription) says(told Subscription) bool {
	told.Org = cmp.Or(told.Org, s.Org)
	told.AsOf, told.PaidUntil, told.Former, told.Change = s.AsOf, s.PaidUntil, s.Former, s.Change
	return reflect.DeepEqual(s, told)
}

// periodEnding finds the whole period of which a part ends at end: as Stripe stated it, or else as it is counted from the anchor.
func (s Subscription) periodEnding(part Period, months int, stated ...Period) (Period, bool) {
	for _, whole := range append(stated, s.Period) {
		if part.within(whole) {
			return whole, true
		}
	}
	if s.Anchor.IsZero() || months < 1 {
		return Period{}, false
	}
	// The turn before the part's end: whole intervals from the anchor, clamped to the month's last day.
	n := (part.End.Year()-s.Anchor.Year())*monthsPerYear + int(part.End.Month()) - int(s.Anchor.Month())
	whole := Period{Start: addMonths(s.Anchor, n-months), End: addMonths(s.Anchor, n)}
	return whole, n%months == 0 && part.within(whole)
}

// readSubscription reads a subscription of Stripe's. What its schedule will do is known only if the schedule came with it.
func readSubscription(s *stripe.Subscription) Subscription {
	out := Subscription{
		ID: s.ID, Org: s.Metadata[metaOrg], Status: SubscriptionStatus(s.Status), Period: readPeriod(s.CurrentPeriodStart, s.CurrentPeriodEnd),
		Anchor: readTime(s.BillingCycleAnchor), CancelAtPeriodEnd: s.CancelAtPeriodEnd, EndsAt: readTime(s.CancelAt), CreatedAt: readTime(s.Created),
	}
	if s.Customer != nil {
		out.Customer = s.Customer.ID
	}
	if p := s.PauseCollection; p != nil {
		out.Unbilled, out.ResumesAt = true, readTime(p.ResumesAt)
	}
	if s.Items != nil {
		for _, i := range s.Items.Data {
			item := Item{ID: i.ID, Quantity: i.Quantity}
			if i.Price != nil {
				item.Price = i.Price.ID
			}
			out.Items = append(out.Items, item)
		}
	}
	if s.Schedule != nil {
		out.Schedule = s.Schedule.ID
		out.Change = readChange(s.Schedule)
	}
	return out
}

// readChange is what a schedule does at the end of its current phase; nil for nothing, or if it is not told.
func readChange(s *stripe.SubscriptionSchedule) *Change {
	if s.CurrentPhase == nil {
		return nil
	}
	for _, p := range s.Phases {
		if p.StartDate < s.CurrentPhase.EndDate {
			continue
		}
		out := &Change{At: readTime(p.StartDate)}
		for _, i := range p.Items {
			item := Item{Quantity: i.Quantity}
			if i.Price != nil {
				item.Price = i.Price.ID
			}
			out.Items = append(out.Items, item)
		}
		return out
	}
	return nil
}

// subscriptionEvent reads a notice about a subscription or a schedule. Of a schedule, only which subscription it manages is read: the rest is
// asked for.
func (n Notice) subscriptionEvent(e Event) (Event, error) {
	if n.about("subscription_schedule.") {
		var s stripe.SubscriptionSchedule
		if err := json.Unmarshal(n.Object, &s); err != nil {
			return Event{}, fmt.Errorf("the schedule of %s: %w", n.ID, err)
		}
		e.Scheduled = &Scheduled{ID: s.ID}
		switch {
		case s.Subscription != nil:
			e.Scheduled.Subscription = s.Subscription.ID
		case s.ReleasedSubscription != nil:
			e.Scheduled.Subscription = s.ReleasedSubscription.ID
		}
		if !validObjectID(s.ID) || e.Scheduled.Subscription != "" && !validObjectID(e.Scheduled.Subscription) {
			return Event{}, fmt.Errorf("the schedule of %s has the id %q and the subscription %q", n.ID, s.ID, e.Scheduled.Subscription)
		}
		return e, nil
	}
	var s stripe.Subscription
	if err := json.Unmarshal(n.Object, &s); err != nil {
		return Event{}, fmt.Errorf("the subscription of %s: %w", n.ID, err)
	}
	told := readSubscription(&s)
	e.Told = &told
	if !validObjectID(told.ID) {
		return Event{}, fmt.Errorf("the subscription of %s has the id %q", n.ID, told.ID)
	}
	return e, nil
}

func readTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

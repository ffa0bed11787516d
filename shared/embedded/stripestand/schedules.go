package stripestand

import "fmt"

// The states of a subscription schedule.
const (
	scheduleActive   = "active"
	scheduleReleased = "released"
	scheduleCanceled = "canceled"
)

const maxPhases = 10

// schedule is a SubscriptionSchedule.
type schedule struct {
	ID                   string     `json:"id"`
	Object               string     `json:"object"`
	CanceledAt           instant    `json:"canceled_at"`
	CompletedAt          instant    `json:"completed_at"`
	Created              int64      `json:"created"`
	CurrentPhase         *phaseSpan `json:"current_phase"`
	Customer             string     `json:"customer"`
	EndBehavior          string     `json:"end_behavior"`
	Metadata             metadata   `json:"metadata"`
	Phases               []phase    `json:"phases"`
	ReleasedAt           instant    `json:"released_at"`
	ReleasedSubscription text       `json:"released_subscription"`
	Status               string     `json:"status"`
	Subscription         text       `json:"subscription"`
}

type phaseSpan struct {
	EndDate   int64 `json:"end_date"`
	StartDate int64 `json:"start_date"`
}

type phase struct {
	Currency          string      `json:"currency"`
	EndDate           int64       `json:"end_date"`
	Items             []phaseItem `json:"items"`
	Metadata          metadata    `json:"metadata"`
	ProrationBehavior string      `json:"proration_behavior"`
	StartDate         int64       `json:"start_date"`
	TrialEnd          instant     `json:"trial_end"`
}

type phaseItem struct {
	Metadata metadata `json:"metadata"`
	Price    string   `json:"price"`
	Quantity int64    `json:"quantity"`
}

var scheduleEndpoints = []endpointSpec{
	{"POST /v1/subscription_schedules", newSpec("from_subscription!"), (*op).createSchedule},
	{"GET /v1/subscription_schedules", newSpec("customer").with(pageParams, createdParams), (*op).listSchedules},
	{"GET /v1/subscription_schedules/{id}", newSpec(), func(o *op) (any, error) { return o.schedule(o.id, "id") }},
	{
		"POST /v1/subscription_schedules/{id}", newSpec("end_behavior release|cancel", "metadata map",
			"phases[][items][][price]", "phases[][items][][quantity] int", "phases[][items][][metadata] map",
			"phases[][start_date] time", "phases[][end_date] time", "phases[][iterations] int", "phases[][metadata] map", "phases[][trial_end] time",
			"phases[][proration_behavior] create_prorations|none|always_invoice",
			"proration_behavior create_prorations|none|always_invoice"), (*op).updateSchedule,
	},
	{"POST /v1/subscription_schedules/{id}/release", newSpec("preserve_cancel_date bool"), (*op).releaseSchedule},
	{"POST /v1/subscription_schedules/{id}/cancel", newSpec(), (*op).cancelSchedule},
}

func (s *Stand) schedule(id, param string) (*schedule, error) {
	sc, ok := s.st.Schedules.get(id)
	if !ok {
		return nil, missing("subscription schedule", param, id)
	}
	return sc, nil
}

func (o *op) listSchedules() (any, error) {
	return page(o, "/v1/subscription_schedules", &o.st.Schedules, func(sc *schedule) bool {
		return o.wants("customer", sc.Customer) && o.inCreatedRange(sc.Created)
	})
}

func (o *op) createSchedule() (any, error) {
	sub, err := o.subscription(o.p.str("from_subscription"), "from_subscription")
	if err != nil {
		return nil, err
	}
	if sub.over() || sub.Schedule != "" {
		return nil, invalid("", "from_subscription", "You cannot migrate a subscription that is canceled or already attached to a schedule: `%s`", sub.ID)
	}
	if err := o.room(); err != nil {
		return nil, err
	}
	now := phase{
		Currency: sub.Currency, StartDate: sub.CurrentPeriodStart, EndDate: sub.CurrentPeriodEnd,
		Metadata: metadata{}, ProrationBehavior: "create_prorations",
	}
	if sub.Status == subTrialing {
		now.TrialEnd = sub.TrialEnd
	}
	for _, item := range sub.Items.Data {
		now.Items = append(now.Items, phaseItem{Metadata: metadata{}, Price: item.Price.ID, Quantity: item.Quantity})
	}
	sc := &schedule{
		ID: o.newID("sub_sched_1"), Object: "subscription_schedule", Created: o.now, Customer: sub.Customer,
		CurrentPhase: &phaseSpan{StartDate: now.StartDate, EndDate: now.EndDate}, EndBehavior: "release",
		Metadata: metadata{}, Phases: []phase{now}, Status: scheduleActive, Subscription: text(sub.ID),
	}
	o.st.Schedules.add(sc.ID, sc)
	o.arm(timerSchedule, sc.ID)
	if err := o.emit("subscription_schedule.created", sc); err != nil {
		return nil, err
	}
	return sc, o.change("customer.subscription.updated", sub, func() { sub.Schedule = text(sc.ID) })
}

// running finds a schedule that still has an effect, and its subscription.
func (o *op) running() (*schedule, *subscription, error) {
	sc, err := o.schedule(o.id, "id")
	if err != nil {
		return nil, nil, err
	}
	if sc.Status != scheduleActive {
		return nil, nil, invalid("", "", "You cannot change a subscription schedule that is currently in the `%s` status.", sc.Status)
	}
	sub, err := o.subscription(string(sc.Subscription), "subscription")
	return sc, sub, err
}

func (o *op) updateSchedule() (any, error) {
	sc, sub, err := o.running()
	if err != nil {
		return nil, err
	}
	meta, err := o.p.meta("metadata", sc.Metadata)
	if err != nil {
		return nil, err
	}
	phases := sc.Phases
	if o.p.has("phases") {
		if phases, err = o.phases(sc, sub); err != nil {
			return nil, err
		}
	}
	err = o.change("subscription_schedule.updated", sc, func() {
		sc.Metadata, sc.Phases = meta, phases
		sc.EndBehavior = o.p.strOr("end_behavior", sc.EndBehavior)
		for _, p := range phases {
			if p.StartDate <= o.now && o.now < p.EndDate {
				sc.CurrentPhase = &phaseSpan{StartDate: p.StartDate, EndDate: p.EndDate}
			}
		}
	})
	o.arm(timerSchedule, sc.ID)
	return sc, err
}

// phases reads the phases parameter. The stand-in changes future phases alone:
// the current one must stay as it is, but for its end.
func (o *op) phases(sc *schedule, sub *subscription) ([]phase, error) {
	paths := o.p.elements("phases")
	if len(paths) > maxPhases {
		return nil, invalid("", "phases", "You can have up to %d phases", maxPhases)
	}
	var out []phase
	start := sc.CurrentPhase.StartDate
	for i, path := range paths {
		p, err := o.phase(path, start, sub)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if at := o.p.integer(path + "[start_date]"); at != 0 && at != start {
				return nil, invalid("", path+"[start_date]", "You can not modify the start date of the current phase.")
			}
			if sub.Status == subTrialing && p.TrialEnd != sub.TrialEnd {
				return nil, invalid("", path+"[trial_end]", "The stand-in does not end the trial of the current phase through a schedule")
			}
			if !sub.holds(p.Items) {
				return nil, invalid("", path+"[items]", "The stand-in does not change the items of the current phase through a schedule")
			}
		}
		if p.EndDate <= o.now || p.EndDate <= p.StartDate {
			return nil, invalid("", path+"[end_date]", "The phase must end in the future and after it starts")
		}
		out = append(out, p)
		start = p.EndDate
	}
	return out, nil
}

func (o *op) phase(path string, start int64, sub *subscription) (phase, error) {
	p := phase{
		Currency: sub.Currency, StartDate: start, Metadata: metadata{},
		ProrationBehavior: o.p.strOr(path+"[proration_behavior]", "create_prorations"), TrialEnd: instant(o.p.integer(path + "[trial_end]")),
	}
	var err error
	if p.Metadata, err = o.p.meta(path+"[metadata]", nil); err != nil {
		return phase{}, err
	}
	var items []wantedItem
	for _, at := range o.p.elements(path + "[items]") {
		item, err := o.wantedItem(at)
		if err != nil {
			return phase{}, err
		}
		items = append(items, item)
		p.Items = append(p.Items, phaseItem{Metadata: item.metadata, Price: item.price.ID, Quantity: item.quantity})
	}
	if err := checkItems(items); err != nil {
		return phase{}, err
	}
	if p.EndDate = o.p.integer(path + "[end_date]"); p.EndDate != 0 {
		return p, nil
	}
	iterations := max(o.p.integer(path+"[iterations]"), 1)
	const maxIterations = 1200
	if iterations > maxIterations {
		return phase{}, invalid("", path+"[iterations]", "A phase can have up to %d iterations", maxIterations)
	}
	p.EndDate = start
	for range iterations {
		p.EndDate = nextAnchor(sub.BillingCycleAnchor, p.EndDate, *items[0].price.Recurring)
	}
	return p, nil
}

// holds reports whether the subscription's items are those of a phase.
func (sub *subscription) holds(items []phaseItem) bool {
	if len(items) != len(sub.Items.Data) {
		return false
	}
	for i, item := range sub.Items.Data {
		if items[i].Price != item.Price.ID || items[i].Quantity != item.Quantity {
			return false
		}
	}
	return true
}

// nextPhase moves a schedule on when its current phase ends.
func (o *op) nextPhase(sc *schedule) error {
	sub, err := o.subscription(string(sc.Subscription), "subscription")
	if err != nil {
		return fmt.Errorf("moving %s on: %w", sc.ID, err)
	}
	for _, p := range sc.Phases {
		if p.StartDate != sc.CurrentPhase.EndDate {
			continue
		}
		if err := o.enter(sub, p); err != nil {
			return err
		}
		err := o.change("subscription_schedule.updated", sc, func() {
			sc.CurrentPhase = &phaseSpan{StartDate: p.StartDate, EndDate: p.EndDate}
		})
		o.arm(timerSchedule, sc.ID)
		return err
	}
	if sc.EndBehavior == "cancel" {
		return o.cancel(sub, "cancellation_requested")
	}
	return o.release(sc, sub)
}

// enter gives a subscription the items of a phase. An item whose price stays
// keeps its id; phases name no items, so another price is another item.
func (o *op) enter(sub *subscription, p phase) error {
	var items []subscriptionItem
	for _, want := range p.Items {
		priced, err := o.price(want.Price, "price")
		if err != nil {
			return err
		}
		item := o.newItem(sub.ID, wantedItem{price: *priced, quantity: want.Quantity, metadata: want.Metadata})
		for _, old := range sub.Items.Data {
			if old.Price.ID == want.Price {
				item.ID, item.Created = old.ID, old.Created
			}
		}
		items = append(items, item)
	}
	if sub.holds(p.Items) {
		return nil
	}
	ch := subChange{items: items, changed: true}
	if p.ProrationBehavior != "none" && o.now > sub.CurrentPeriodStart && o.now < sub.CurrentPeriodEnd {
		o.st.PendingItems[sub.ID] = append(o.st.PendingItems[sub.ID], o.prorations(sub, &ch, o.now)...)
	}
	return o.change("customer.subscription.updated", sub, func() {
		sub.Items = newList(sub.Items.URL, items)
		for k, v := range p.Metadata {
			sub.Metadata[k] = v
		}
	})
}

func (o *op) release(sc *schedule, sub *subscription) error {
	sc.Status, sc.ReleasedAt, sc.ReleasedSubscription = scheduleReleased, instant(o.now), text(sub.ID)
	sc.CurrentPhase, sc.Subscription = nil, ""
	if err := o.emit("subscription_schedule.released", sc); err != nil {
		return err
	}
	return o.change("customer.subscription.updated", sub, func() { sub.Schedule = "" })
}

func (o *op) releaseSchedule() (any, error) {
	sc, sub, err := o.running()
	if err != nil {
		return nil, err
	}
	return sc, o.release(sc, sub)
}

func (o *op) cancelSchedule() (any, error) {
	sc, sub, err := o.running()
	if err != nil {
		return nil, err
	}
	return sc, o.cancel(sub, "cancellation_requested")
}

// endSchedule ends the schedule of a subscription that was cancelled.
func (o *op) endSchedule(sub *subscription) error {
	sc, ok := o.st.Schedules.get(string(sub.Schedule))
	if !ok || sc.Status != scheduleActive {
		return nil
	}
	sc.Status, sc.CanceledAt, sc.CurrentPhase = scheduleCanceled, instant(o.now), nil
	return o.emit("subscription_schedule.canceled", sc)
}

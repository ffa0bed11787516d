package stripestand

// The states of a subscription.
const (
	subIncomplete        = "incomplete"
	subIncompleteExpired = "incomplete_expired"
	subTrialing          = "trialing"
	subActive            = "active"
	subPastDue           = "past_due"
	subCanceled          = "canceled"
)

// incompleteLife is how long the first payment may take before the
// subscription expires, in seconds.
const incompleteLife = 23 * 3600

// subscription is a Subscription; periods are half-open, in Unix seconds.
type subscription struct {
	ID                   string                 `json:"id"`
	Object               string                 `json:"object"`
	AutomaticTax         subTax                 `json:"automatic_tax"`
	BillingCycleAnchor   int64                  `json:"billing_cycle_anchor"`
	CancelAt             instant                `json:"cancel_at"`
	CancelAtPeriodEnd    bool                   `json:"cancel_at_period_end"`
	CanceledAt           instant                `json:"canceled_at"`
	CancellationDetails  cancellationDetails    `json:"cancellation_details"`
	Created              int64                  `json:"created"`
	Currency             string                 `json:"currency"`
	CurrentPeriodEnd     int64                  `json:"current_period_end"`
	CurrentPeriodStart   int64                  `json:"current_period_start"`
	Customer             string                 `json:"customer"`
	DefaultPaymentMethod text                   `json:"default_payment_method"`
	Description          text                   `json:"description"`
	EndedAt              instant                `json:"ended_at"`
	Items                list[subscriptionItem] `json:"items"`
	LatestInvoice        text                   `json:"latest_invoice"`
	Metadata             metadata               `json:"metadata"`
	PauseCollection      *pauseCollection       `json:"pause_collection"`
	Schedule             text                   `json:"schedule"`
	StartDate            int64                  `json:"start_date"`
	Status               string                 `json:"status"`
	TrialEnd             instant                `json:"trial_end"`
	TrialStart           instant                `json:"trial_start"`
}

type subTax struct {
	Enabled bool `json:"enabled"`
}

type cancellationDetails struct {
	Comment  text `json:"comment"`
	Feedback text `json:"feedback"`
	Reason   text `json:"reason"`
}

type pauseCollection struct {
	Behavior  string  `json:"behavior"`
	ResumesAt instant `json:"resumes_at"`
}

type subscriptionItem struct {
	ID           string   `json:"id"`
	Object       string   `json:"object"`
	Created      int64    `json:"created"`
	Metadata     metadata `json:"metadata"`
	Price        price    `json:"price"`
	Quantity     int64    `json:"quantity"`
	Subscription string   `json:"subscription"`
}

func (i subscriptionItem) amount() int64 { return i.Price.UnitAmount * i.Quantity }

func (sub *subscription) over() bool {
	return sub.Status == subCanceled || sub.Status == subIncompleteExpired
}

// total is what a whole period costs, before tax.
func (sub *subscription) total() int64 {
	var sum int64
	for _, item := range sub.Items.Data {
		sum += item.amount()
	}
	return sum
}

// every is the interval of the subscription, that of its first item.
func (sub *subscription) every() recurring { return *sub.Items.Data[0].Price.Recurring }

var (
	subCreateParams = newSpec("customer!", "items[][price]", "items[][quantity] int", "items[][metadata] map",
		"metadata map", "description", "default_payment_method", "billing_cycle_anchor time", "cancel_at_period_end bool",
		"trial_period_days int", "trial_end time|now", "proration_behavior create_prorations|none|always_invoice",
		"payment_behavior allow_incomplete|error_if_incomplete", "off_session bool", "automatic_tax[enabled] bool",
		"collection_method charge_automatically")
	subUpdateParams = newSpec("items[][id]", "items[][price]", "items[][quantity] int", "items[][deleted] bool",
		"items[][metadata] map", "metadata map", "description", "default_payment_method",
		"billing_cycle_anchor now|unchanged", "cancel_at time", "cancel_at_period_end bool", "trial_end time|now",
		"proration_behavior create_prorations|none|always_invoice", "proration_date time",
		"payment_behavior allow_incomplete|error_if_incomplete", "off_session bool",
		"pause_collection", "pause_collection[behavior] keep_as_draft|mark_uncollectible|void",
		"pause_collection[resumes_at] time", "cancellation_details[comment]", "cancellation_details[feedback]",
		"automatic_tax[enabled] bool")
	subscriptionEndpoints = []endpointSpec{
		{"POST /v1/subscriptions", subCreateParams, (*op).createSubscription},
		{
			"GET /v1/subscriptions", newSpec("customer", "price",
				"status active|past_due|canceled|incomplete|incomplete_expired|trialing|all|ended").
				with(pageParams, createdParams), (*op).listSubscriptions,
		},
		{"GET /v1/subscriptions/search", searchParams, func(o *op) (any, error) {
			return search(o, "/v1/subscriptions/search", &o.st.Subscriptions, (*subscription).searchField)
		}},
		{"GET /v1/subscriptions/{id}", newSpec(), func(o *op) (any, error) { return o.subscription(o.id, "id") }},
		{"POST /v1/subscriptions/{id}", subUpdateParams, (*op).updateSubscription},
		{
			"DELETE /v1/subscriptions/{id}", newSpec("invoice_now bool", "prorate bool",
				"cancellation_details[comment]", "cancellation_details[feedback]"), (*op).cancelSubscription,
		},
	}
)

func (s *Stand) subscription(id, param string) (*subscription, error) {
	sub, ok := s.st.Subscriptions.get(id)
	if !ok {
		return nil, missing("subscription", param, id)
	}
	return sub, nil
}

func (sub *subscription) searchField(field string) (string, bool) {
	if field == "status" {
		return sub.Status, true
	}
	return sub.Metadata.searchField(field)
}

func (o *op) listSubscriptions() (any, error) {
	return page(o, "/v1/subscriptions", &o.st.Subscriptions, func(sub *subscription) bool {
		wanted := true
		switch status := o.p.str("status"); status {
		case "":
			wanted = !sub.over()
		case "all":
		case "ended":
			wanted = sub.over()
		default:
			wanted = sub.Status == status
		}
		if id := o.p.str("price"); id != "" {
			has := false
			for _, item := range sub.Items.Data {
				has = has || item.Price.ID == id
			}
			wanted = wanted && has
		}
		return wanted && o.wants("customer", sub.Customer) && o.inCreatedRange(sub.Created)
	})
}

// wantedItem is an item that a subscription shall have.
type wantedItem struct {
	price    price
	quantity int64
	metadata metadata
}

// newSubscription is what a subscription is made from.
type newSubscription struct {
	customer, method  string
	items             []wantedItem
	oneTime           []wantedItem // charged with the first invoice
	metadata          metadata
	description       text
	trialEnd          int64
	anchor            int64 // when the first period ends, if not a whole interval from now
	anchorFree        bool  // nothing is charged until the anchor
	cancelAtPeriodEnd bool
	automaticTax      bool
	present           bool // the customer can authenticate the first payment
}

func (o *op) createSubscription() (any, error) {
	want := newSubscription{
		customer: o.p.str("customer"), method: o.p.str("default_payment_method"), description: text(o.p.str("description")),
		trialEnd: o.p.integer("trial_end"), anchor: o.p.integer("billing_cycle_anchor"),
		anchorFree:        o.p.str("proration_behavior") == "none",
		cancelAtPeriodEnd: o.p.boolean("cancel_at_period_end"), automaticTax: o.p.boolean("automatic_tax[enabled]"),
	}
	c, err := o.customer(want.customer, "customer")
	if err != nil {
		return nil, err
	}
	if want.metadata, err = o.p.meta("metadata", nil); err != nil {
		return nil, err
	}
	if days := o.p.integer("trial_period_days"); days > 0 {
		want.trialEnd = o.now + days*daySeconds
	}
	var due int64
	for _, path := range o.p.elements("items") {
		item, err := o.wantedItem(path)
		if err != nil {
			return nil, err
		}
		want.items = append(want.items, item)
		due += item.price.UnitAmount * item.quantity
	}
	if err := checkItems(want.items); err != nil {
		return nil, err
	}
	if want.anchor != 0 && (want.anchor <= o.now || want.anchor > nextAnchor(o.now, o.now, *want.items[0].price.Recurring)) {
		return nil, invalid("", "billing_cycle_anchor", "billing_cycle_anchor must be in the future and within one period")
	}
	method := want.method
	if method == "" {
		method = string(c.InvoiceSettings.DefaultPaymentMethod)
	}
	if want.trialEnd <= o.now && due > 0 && (want.anchor == 0 || !want.anchorFree) {
		if err := o.canCharge(method); err != nil {
			return nil, err
		}
	}
	return o.subscribe(want)
}

// canCharge refuses a subscription that nothing could pay for, and, if the
// caller asks for it, one whose first payment the card would refuse.
func (o *op) canCharge(method string) error {
	if method == "" {
		return invalid("resource_missing", "", "This customer has no attached payment source or default payment method. "+
			"Please consider adding a default payment method.")
	}
	traits, err := o.traitsOf(method)
	if err != nil {
		return err
	}
	if refusal := traits.refusal(o.p.boolean("off_session")); refusal != nil && o.p.str("payment_behavior") == "error_if_incomplete" {
		return refusal
	}
	return nil
}

func (o *op) wantedItem(path string) (wantedItem, error) {
	p, err := o.price(o.p.str(path+"[price]"), path+"[price]")
	if err != nil {
		return wantedItem{}, err
	}
	item := wantedItem{price: *p, quantity: 1}
	if o.p.has(path + "[quantity]") {
		item.quantity = o.p.integer(path + "[quantity]")
	}
	if item.quantity < 0 || item.quantity > maxCharge {
		return wantedItem{}, invalid("parameter_invalid_integer", path+"[quantity]", "Invalid non-negative integer")
	}
	item.metadata, err = o.p.meta(path+"[metadata]", nil)
	return item, err
}

// checkItems refuses items that cannot be billed together.
func checkItems(items []wantedItem) error {
	if len(items) == 0 {
		return required("items")
	}
	const maxItems = 20
	if len(items) > maxItems {
		return invalid("", "items", "A subscription can have up to %d items", maxItems)
	}
	first := items[0].price
	for _, item := range items {
		switch {
		case item.price.Recurring == nil:
			return invalid("", "items", "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.")
		case item.price.Currency != first.Currency:
			return invalid("", "items", "Subscription items must have one currency: %s and %s", first.Currency, item.price.Currency)
		case item.price.Recurring.Interval != first.Recurring.Interval,
			item.price.Recurring.IntervalCount != first.Recurring.IntervalCount:
			return invalid("", "items", "Currently, all prices on a subscription must have the same interval")
		}
	}
	return nil
}

func (o *op) newItem(subID string, want wantedItem) subscriptionItem {
	return subscriptionItem{
		ID: o.newID("si_"), Object: "subscription_item", Created: o.now, Metadata: copied(want.metadata),
		Price: want.price, Quantity: want.quantity, Subscription: subID,
	}
}

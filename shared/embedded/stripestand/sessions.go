package stripestand

import "time"

// The states of a checkout session and of its payment.
const (
	sessionOpen     = "open"
	sessionComplete = "complete"
	sessionExpired  = "expired"

	paymentUnpaid      = "unpaid"
	paymentPaid        = "paid"
	paymentNotRequired = "no_payment_required"

	modePayment      = "payment"
	modeSubscription = "subscription"
)

// A session lives from 30 minutes to 24 hours, 24 hours unless stated.
const (
	minSessionLife = 30 * time.Minute
	maxSessionLife = 24 * time.Hour
)

// session is a Checkout Session; amounts are in minor units of Currency.
type session struct {
	ID                 string           `json:"id"`
	Object             string           `json:"object"`
	AllowPromotion     *bool            `json:"allow_promotion_codes"`
	AmountSubtotal     int64            `json:"amount_subtotal"`
	AmountTotal        int64            `json:"amount_total"`
	AutomaticTax       automaticTax     `json:"automatic_tax"`
	BillingAddress     text             `json:"billing_address_collection"`
	CancelURL          text             `json:"cancel_url"`
	ClientReferenceID  text             `json:"client_reference_id"`
	Created            int64            `json:"created"`
	Currency           string           `json:"currency"`
	Customer           text             `json:"customer"`
	CustomerCreation   text             `json:"customer_creation"`
	CustomerDetails    *customerDetails `json:"customer_details"`
	CustomerEmail      text             `json:"customer_email"`
	ExpiresAt          int64            `json:"expires_at"`
	Invoice            text             `json:"invoice"`
	InvoiceCreation    *invoiceCreation `json:"invoice_creation"`
	Locale             text             `json:"locale"`
	Metadata           metadata         `json:"metadata"`
	Mode               string           `json:"mode"`
	PaymentIntent      text             `json:"payment_intent"`
	PaymentMethodTypes []string         `json:"payment_method_types"`
	PaymentStatus      string           `json:"payment_status"`
	Status             string           `json:"status"`
	SubmitType         text             `json:"submit_type"`
	Subscription       text             `json:"subscription"`
	SuccessURL         text             `json:"success_url"`
	TotalDetails       totalDetails     `json:"total_details"`
	URL                text             `json:"url"`
	Hidden             sessionHidden    `json:"_hidden"`
}

type automaticTax struct {
	Enabled bool `json:"enabled"`
	Status  text `json:"status"`
}

type customerDetails struct {
	Address   *address `json:"address"`
	Email     text     `json:"email"`
	Name      text     `json:"name"`
	Phone     text     `json:"phone"`
	TaxExempt text     `json:"tax_exempt"`
	TaxIDs    []string `json:"tax_ids"`
}

type invoiceCreation struct {
	Enabled bool                `json:"enabled"`
	Data    invoiceCreationData `json:"invoice_data"`
}

type invoiceCreationData struct {
	Description text     `json:"description"`
	Footer      text     `json:"footer"`
	Metadata    metadata `json:"metadata"`
}

type totalDetails struct {
	AmountDiscount int64 `json:"amount_discount"`
	AmountShipping int64 `json:"amount_shipping"`
	AmountTax      int64 `json:"amount_tax"`
}

// lineItem is what a session sells, in minor units.
type lineItem struct {
	ID             string `json:"id"`
	Object         string `json:"object"`
	AmountDiscount int64  `json:"amount_discount"`
	AmountSubtotal int64  `json:"amount_subtotal"`
	AmountTax      int64  `json:"amount_tax"`
	AmountTotal    int64  `json:"amount_total"`
	Currency       string `json:"currency"`
	Description    string `json:"description"`
	Price          price  `json:"price"`
	Quantity       int64  `json:"quantity"`
}

// sessionHidden is what a session gives to the objects that it makes.
type sessionHidden struct {
	Items        []lineItem    `json:"items"`
	Intent       intentDefault `json:"intent"`
	Subscription subDefault    `json:"subscription"`
	Declined     string        `json:"declined"` // why the last attempt to pay was refused
}

type intentDefault struct {
	Description      text     `json:"description"`
	Metadata         metadata `json:"metadata"`
	ReceiptEmail     text     `json:"receipt_email"`
	SetupFutureUsage text     `json:"setup_future_usage"`
	Descriptor       text     `json:"statement_descriptor"`
	DescriptorSuffix text     `json:"statement_descriptor_suffix"`
}

type subDefault struct {
	Description text     `json:"description"`
	Metadata    metadata `json:"metadata"`
	TrialEnd    int64    `json:"trial_end"`
	TrialDays   int64    `json:"trial_days"`
}

var sessionCreateParams = newSpec("mode! payment|subscription", "success_url", "cancel_url", "client_reference_id",
	"currency", "customer", "customer_email", "customer_creation always|if_required",
	"customer_update[address] auto|never", "customer_update[name] auto|never", "expires_at time",
	"line_items[][price]", "line_items[][quantity] int", "line_items[][price_data][currency]",
	"line_items[][price_data][unit_amount] int", "line_items[][price_data][product]",
	"line_items[][price_data][product_data][name]", "line_items[][price_data][product_data][description]",
	"line_items[][price_data][product_data][metadata] map", "line_items[][price_data][product_data][tax_code]",
	"line_items[][price_data][tax_behavior] exclusive|unspecified",
	"line_items[][price_data][recurring][interval] day|week|month|year",
	"line_items[][price_data][recurring][interval_count] int", "metadata map",
	"payment_intent_data[description]", "payment_intent_data[metadata] map", "payment_intent_data[receipt_email]",
	"payment_intent_data[setup_future_usage] off_session|on_session", "payment_intent_data[statement_descriptor]",
	"payment_intent_data[statement_descriptor_suffix]", "subscription_data[description]", "subscription_data[metadata] map",
	"subscription_data[trial_period_days] int", "subscription_data[trial_end] time", "invoice_creation[enabled] bool",
	"invoice_creation[invoice_data][description]", "invoice_creation[invoice_data][footer]",
	"invoice_creation[invoice_data][metadata] map", "payment_method_types[] card", "locale",
	"submit_type auto|book|donate|pay", "allow_promotion_codes bool", "automatic_tax[enabled] bool",
	"billing_address_collection auto|required", "tax_id_collection[enabled] bool", "discounts[][coupon]",
	"phone_number_collection[enabled] bool", "ui_mode hosted")

var sessionEndpoints = []endpointSpec{
	{"POST /v1/checkout/sessions", sessionCreateParams, (*op).createSession},
	{
		"GET /v1/checkout/sessions", newSpec("customer", "payment_intent", "subscription", "status open|complete|expired",
			"customer_details[email]").with(pageParams, createdParams), (*op).listSessions,
	},
	{"GET /v1/checkout/sessions/{id}", newSpec(), func(o *op) (any, error) { return o.session(o.id, "id") }},
	{"POST /v1/checkout/sessions/{id}/expire", newSpec(), (*op).expireSession},
	{"GET /v1/checkout/sessions/{id}/line_items", pageParams, (*op).listLineItems},
}

func (s *Stand) session(id, param string) (*session, error) {
	c, ok := s.st.Sessions.get(id)
	if !ok {
		return nil, missing("checkout.session", param, id)
	}
	return c, nil
}

func (o *op) listSessions() (any, error) {
	return page(o, "/v1/checkout/sessions", &o.st.Sessions, func(c *session) bool {
		email := ""
		if c.CustomerDetails != nil {
			email = string(c.CustomerDetails.Email)
		}
		return o.wants("customer", string(c.Customer)) && o.wants("payment_intent", string(c.PaymentIntent)) &&
			o.wants("subscription", string(c.Subscription)) && o.wants("status", c.Status) &&
			o.wants("customer_details[email]", email) && o.inCreatedRange(c.Created)
	})
}

func (o *op) listLineItems() (any, error) {
	c, err := o.session(o.id, "id")
	if err != nil {
		return nil, err
	}
	var items table[lineItem]
	for i := len(c.Hidden.Items) - 1; i >= 0; i-- { // pages show the last added first
		items.add(c.Hidden.Items[i].ID, &c.Hidden.Items[i])
	}
	return page(o, "/v1/checkout/sessions/"+c.ID+"/line_items", &items, func(*lineItem) bool { return true })
}

func (o *op) expireSession() (any, error) {
	c, err := o.session(o.id, "id")
	if err != nil {
		return nil, err
	}
	if c.Status != sessionOpen {
		return nil, invalid("", "", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of %s.", c.Status)
	}
	return c, o.expire(c)
}

func (o *op) expire(c *session) error {
	c.Status, c.URL = sessionExpired, ""
	return o.emit("checkout.session.expired", c)
}

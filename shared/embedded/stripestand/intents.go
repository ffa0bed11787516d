package stripestand

import (
	"encoding/json"
	"fmt"
	"slices"
)

// The states of a payment intent.
const (
	intentNeedsMethod       = "requires_payment_method"
	intentNeedsConfirmation = "requires_confirmation"
	intentProcessing        = "processing"
	intentSucceeded         = "succeeded"
	intentCanceled          = "canceled"
)

// minimumCharge is the least amount of a payment in minor units. Stripe's
// depends on the currency and the account; this is that of EUR and USD.
const minimumCharge = 50

// intent is a PaymentIntent; amounts are in minor units of Currency.
type intent struct {
	ID                        string          `json:"id"`
	Object                    string          `json:"object"`
	Amount                    int64           `json:"amount"`
	AmountReceived            int64           `json:"amount_received"`
	CanceledAt                instant         `json:"canceled_at"`
	CancellationReason        text            `json:"cancellation_reason"`
	ClientSecret              string          `json:"client_secret"`
	Created                   int64           `json:"created"`
	Currency                  string          `json:"currency"`
	Customer                  text            `json:"customer"`
	Description               text            `json:"description"`
	Invoice                   text            `json:"invoice"`
	LastPaymentError          json.RawMessage `json:"last_payment_error"`
	LatestCharge              text            `json:"latest_charge"`
	Metadata                  metadata        `json:"metadata"`
	PaymentMethod             text            `json:"payment_method"`
	PaymentMethodTypes        []string        `json:"payment_method_types"`
	ReceiptEmail              text            `json:"receipt_email"`
	SetupFutureUsage          text            `json:"setup_future_usage"`
	StatementDescriptor       text            `json:"statement_descriptor"`
	StatementDescriptorSuffix text            `json:"statement_descriptor_suffix"`
	Status                    string          `json:"status"`
}

var (
	intentDetails = newSpec("description", "metadata map", "receipt_email", "setup_future_usage off_session|on_session",
		"statement_descriptor", "statement_descriptor_suffix")
	intentConfirm = newSpec("payment_method", "off_session bool", "error_on_requires_action bool", "return_url")
	intentCreate  = newSpec("amount! int", "currency!", "customer", "confirm bool", "payment_method_types[] card",
		"automatic_payment_methods[enabled] bool", "automatic_payment_methods[allow_redirects] always|never",
		"capture_method automatic|automatic_async", "confirmation_method automatic")
	intentEndpoints = []endpointSpec{
		{"POST /v1/payment_intents", intentCreate.with(intentDetails, intentConfirm), (*op).createIntent},
		{"GET /v1/payment_intents", newSpec("customer").with(pageParams, createdParams), (*op).listIntents},
		{"GET /v1/payment_intents/search", searchParams, func(o *op) (any, error) {
			return search(o, "/v1/payment_intents/search", &o.st.Intents, (*intent).searchField)
		}},
		{"GET /v1/payment_intents/{id}", newSpec("client_secret"), func(o *op) (any, error) { return o.intent(o.id, "id") }},
		{"POST /v1/payment_intents/{id}", intentDetails.with(newSpec("payment_method", "customer")), (*op).updateIntent},
		{"POST /v1/payment_intents/{id}/confirm", intentConfirm, (*op).confirmIntent},
		{
			"POST /v1/payment_intents/{id}/cancel",
			newSpec("cancellation_reason duplicate|fraudulent|requested_by_customer|abandoned"), (*op).cancelIntent,
		},
	}
)

func (s *Stand) intent(id, param string) (*intent, error) {
	pi, ok := s.st.Intents.get(id)
	if !ok {
		return nil, missing("payment_intent", param, id)
	}
	return pi, nil
}

func (pi *intent) searchField(field string) (string, bool) {
	switch field {
	case "status":
		return pi.Status, true
	case "customer":
		return string(pi.Customer), true
	case "currency":
		return pi.Currency, true
	default:
		return pi.Metadata.searchField(field)
	}
}

func (o *op) listIntents() (any, error) {
	return page(o, "/v1/payment_intents", &o.st.Intents, func(pi *intent) bool {
		return o.wants("customer", string(pi.Customer)) && o.inCreatedRange(pi.Created)
	})
}

func (o *op) createIntent() (any, error) {
	amount := o.p.integer("amount")
	if amount < minimumCharge {
		return nil, invalid("amount_too_small", "amount", "Amount must be at least %d", minimumCharge)
	}
	if id := o.p.str("customer"); id != "" {
		if _, err := o.customer(id, "customer"); err != nil {
			return nil, err
		}
	}
	method := o.p.str("payment_method")
	if err := o.checkMethod(method, "payment_method"); err != nil {
		return nil, err
	}
	if o.p.boolean("confirm") && method == "" {
		return nil, invalid("payment_intent_unexpected_state", "", "You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	if o.p.boolean("off_session") && !o.p.boolean("confirm") {
		return nil, invalid("", "off_session", "off_session can only be used when confirm is true")
	}
	if pm, ok := o.st.Methods.get(method); ok && string(pm.Customer) != o.p.str("customer") {
		return nil, invalid("", "payment_method", "The provided PaymentMethod belongs to another Customer, or to none.")
	}
	meta, err := o.p.meta("metadata", nil)
	if err != nil {
		return nil, err
	}
	pi, err := o.newIntent(amount, o.p.str("currency"), o.p.str("customer"), meta)
	if err != nil {
		return nil, err
	}
	o.applyIntent(pi)
	if method != "" {
		pi.PaymentMethod, pi.Status = text(method), intentNeedsConfirmation
	}
	if err := o.emit("payment_intent.created", pi); err != nil {
		return nil, err
	}
	if o.p.boolean("confirm") {
		return pi, o.confirm(pi, method)
	}
	return pi, nil
}

func (o *op) newIntent(amount int64, currency, customerID string, meta metadata) (*intent, error) {
	if err := o.room(); err != nil {
		return nil, err
	}
	pi := &intent{
		ID: o.newID("pi_3"), Object: "payment_intent", Amount: amount, Created: o.now, Currency: currency,
		Customer: text(customerID), Metadata: meta, PaymentMethodTypes: []string{"card"}, Status: intentNeedsMethod,
	}
	pi.ClientSecret = pi.ID + "_secret_" + o.letters(o.st.Serial, 12)
	o.st.Intents.add(pi.ID, pi)
	return pi, nil
}

func (o *op) applyIntent(pi *intent) {
	for name, dst := range map[string]*text{
		"description": &pi.Description, "receipt_email": &pi.ReceiptEmail, "setup_future_usage": &pi.SetupFutureUsage,
		"statement_descriptor": &pi.StatementDescriptor, "statement_descriptor_suffix": &pi.StatementDescriptorSuffix,
	} {
		o.p.applyText(name, dst)
	}
}

func (o *op) updateIntent() (any, error) {
	pi, err := o.intent(o.id, "id")
	if err != nil {
		return nil, err
	}
	meta, err := o.p.meta("metadata", pi.Metadata)
	if err != nil {
		return nil, err
	}
	method := o.p.str("payment_method")
	if err := o.checkMethod(method, "payment_method"); err != nil {
		return nil, err
	}
	if (method != "" || o.p.has("customer")) && !slices.Contains([]string{intentNeedsMethod, intentNeedsConfirmation}, pi.Status) {
		return nil, pi.unexpected("update")
	}
	pi.Metadata = meta
	o.applyIntent(pi)
	o.p.applyText("customer", &pi.Customer)
	if method != "" {
		pi.PaymentMethod, pi.Status = text(method), intentNeedsConfirmation
	}
	return pi, nil
}

func (pi *intent) unexpected(verb string) *apiError {
	return invalid("payment_intent_unexpected_state", "", "You cannot %s this PaymentIntent because it has a status of %s.", verb, pi.Status)
}

func (o *op) confirmIntent() (any, error) {
	pi, err := o.intent(o.id, "id")
	if err != nil {
		return nil, err
	}
	method := o.p.strOr("payment_method", string(pi.PaymentMethod))
	if err := o.checkMethod(method, "payment_method"); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{intentNeedsMethod, intentNeedsConfirmation}, pi.Status) || method == "" {
		return nil, pi.unexpected("confirm")
	}
	return pi, o.confirm(pi, method)
}

// confirm charges a payment intent as the API does: a refusal by the card is
// an error that carries the intent.
func (o *op) confirm(pi *intent, method string) error {
	declined, err := o.pay(pi, method, o.p.boolean("off_session"))
	if err != nil {
		return err
	}
	if declined == nil {
		return nil
	}
	answer := *declined
	answer.Charge = string(pi.LatestCharge)
	t, err := tree(pi)
	if err != nil {
		return err
	}
	if answer.Intent, err = json.Marshal(t); err != nil {
		return fmt.Errorf("encoding %s: %w", pi.ID, err)
	}
	return &answer
}

func (o *op) cancelIntent() (any, error) {
	pi, err := o.intent(o.id, "id")
	if err != nil {
		return nil, err
	}
	if pi.Status == intentSucceeded || pi.Status == intentCanceled || pi.Status == intentProcessing {
		return nil, pi.unexpected("cancel")
	}
	pi.Status, pi.CanceledAt = intentCanceled, instant(o.now)
	o.p.applyText("cancellation_reason", &pi.CancellationReason)
	return pi, o.emit("payment_intent.canceled", pi)
}

// pay charges a payment intent with a payment method or a test card. It
// returns the card's refusal, if any.
func (o *op) pay(pi *intent, method string, offSession bool) (declined *apiError, err error) {
	traits, err := o.traitsOf(method)
	if err != nil {
		return nil, err
	}
	pi.PaymentMethod = text(method)
	if refusal := traits.refusal(offSession); refusal != nil {
		return refusal, o.failIntent(pi, traits, refusal)
	}
	if pi.SetupFutureUsage != "" && pi.Customer != "" {
		if err := o.keepMethod(pi, method); err != nil {
			return nil, err
		}
	}
	ch, err := o.newCharge(pi, traits)
	if err != nil {
		return nil, err
	}
	return nil, o.succeed(pi, ch)
}

// keepMethod saves the card that pays with the customer.
func (o *op) keepMethod(pi *intent, method string) error {
	pm, err := o.attach(method, string(pi.Customer))
	if err != nil {
		return err
	}
	pi.PaymentMethod = text(pm.ID)
	return nil
}

func (o *op) succeed(pi *intent, ch *charge) error {
	ch.succeed(o)
	pi.Status, pi.AmountReceived, pi.LatestCharge, pi.LastPaymentError = intentSucceeded, pi.Amount, text(ch.ID), nil
	if err := o.emit("charge.succeeded", ch); err != nil {
		return err
	}
	return o.emit("payment_intent.succeeded", pi)
}

// failIntent records a refused charge: the intent asks for another payment
// method.
func (o *op) failIntent(pi *intent, traits cardTraits, refusal *apiError) error {
	ch, err := o.newCharge(pi, traits)
	if err != nil {
		return err
	}
	return o.failCharge(pi, ch, refusal)
}

func (o *op) failCharge(pi *intent, ch *charge, refusal *apiError) error {
	ch.fail(refusal)
	pi.Status, pi.LatestCharge, pi.PaymentMethod = intentNeedsMethod, text(ch.ID), ""
	kept := *refusal
	kept.Charge = ch.ID
	raw, err := json.Marshal(kept)
	if err != nil {
		return fmt.Errorf("encoding the refusal of %s: %w", pi.ID, err)
	}
	pi.LastPaymentError = raw
	if err := o.emit("charge.failed", ch); err != nil {
		return err
	}
	return o.emit("payment_intent.payment_failed", pi)
}

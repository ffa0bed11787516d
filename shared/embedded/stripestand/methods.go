package stripestand

import (
	"net/http"
	"strings"
)

// Card says how a test card behaves when it is charged.
type Card string

// The cards that the stand-in knows, under the names of Stripe's test payment
// methods.
const (
	CardVisa              Card = "pm_card_visa"
	CardMastercard        Card = "pm_card_mastercard"
	CardDeclined          Card = "pm_card_chargeDeclined"
	CardInsufficientFunds Card = "pm_card_chargeDeclinedInsufficientFunds"
	CardExpired           Card = "pm_card_chargeDeclinedExpiredCard"
	// CardFailsLater can be saved; every charge of it is declined.
	CardFailsLater Card = "pm_card_chargeCustomerFail"
	// CardAuthentication can be paid with in person; off session it asks for
	// authentication.
	CardAuthentication Card = "pm_card_authenticationRequired"
)

type cardTraits struct {
	brand, last4       string
	code, decline, why string // of the refusal, if it is refused
	unattachable       bool
	onlyOffSession     bool // refused off session only
}

var cards = map[Card]cardTraits{
	CardVisa:       {brand: "visa", last4: "4242"},
	CardMastercard: {brand: "mastercard", last4: "4444"},
	CardDeclined: {
		brand: "visa", last4: "0002", unattachable: true,
		code: "card_declined", decline: "generic_decline", why: "Your card was declined.",
	},
	CardInsufficientFunds: {
		brand: "visa", last4: "9995", unattachable: true,
		code: "card_declined", decline: "insufficient_funds", why: "Your card has insufficient funds.",
	},
	CardExpired: {
		brand: "visa", last4: "0069", unattachable: true,
		code: "expired_card", decline: "expired_card", why: "Your card has expired.",
	},
	CardFailsLater: {
		brand: "visa", last4: "0341",
		code: "card_declined", decline: "generic_decline", why: "Your card was declined.",
	},
	CardAuthentication: {
		brand: "visa", last4: "3184", onlyOffSession: true,
		code: "authentication_required", decline: "authentication_required",
		why: "Your card was declined. This transaction requires authentication.",
	},
}

// paymentMethod is a PaymentMethod of type card.
type paymentMethod struct {
	ID       string       `json:"id"`
	Object   string       `json:"object"`
	Card     cardDetails  `json:"card"`
	Created  int64        `json:"created"`
	Customer text         `json:"customer"`
	Metadata metadata     `json:"metadata"`
	Type     string       `json:"type"`
	Hidden   methodHidden `json:"_hidden"`
}

type methodHidden struct {
	Card Card `json:"card"`
}

type cardDetails struct {
	Brand    string `json:"brand"`
	Country  string `json:"country"`
	ExpMonth int    `json:"exp_month"`
	ExpYear  int    `json:"exp_year"`
	Funding  string `json:"funding"`
	Last4    string `json:"last4"`
}

// details describes a card that expires at the end of a year far away, so that
// a moved clock never makes it expire.
func (t cardTraits) details() cardDetails {
	return cardDetails{Brand: t.brand, Country: "US", ExpMonth: 12, ExpYear: 2099, Funding: "credit", Last4: t.last4}
}

// refusal is why a charge of the card is refused; nil if it is not.
func (t cardTraits) refusal(offSession bool) *apiError {
	if t.code == "" || (t.onlyOffSession && !offSession) {
		return nil
	}
	return &apiError{
		Status: http.StatusPaymentRequired, Type: typeCard, Code: t.code, DeclineCode: t.decline, Message: t.why,
	}
}

var methodEndpoints = []endpointSpec{
	{"GET /v1/payment_methods", newSpec("customer!", "type card").with(pageParams), func(o *op) (any, error) {
		return o.listMethods("/v1/payment_methods", o.p.str("customer"), "customer")
	}},
	{"GET /v1/customers/{id}/payment_methods", newSpec("type card").with(pageParams), func(o *op) (any, error) {
		return o.listMethods("/v1/customers/"+o.id+"/payment_methods", o.id, "id")
	}},
	{"GET /v1/payment_methods/{id}", newSpec(), func(o *op) (any, error) { return o.method(o.id, "id") }},
	{"POST /v1/payment_methods/{id}/attach", newSpec("customer!"), (*op).attachMethod},
	{"POST /v1/payment_methods/{id}/detach", newSpec(), (*op).detachMethod},
}

func (s *Stand) method(id, param string) (*paymentMethod, error) {
	pm, ok := s.st.Methods.get(id)
	if !ok {
		return nil, missing("PaymentMethod", param, id)
	}
	return pm, nil
}

// checkMethod refuses a payment method that cannot be used: neither a known
// one nor a test card; none is fine.
func (s *Stand) checkMethod(id, param string) error {
	if id == "" {
		return nil
	}
	if _, known := cards[Card(id)]; known {
		return nil
	}
	_, err := s.method(id, param)
	return err
}

func (o *op) listMethods(url, customerID, param string) (any, error) {
	if _, err := o.customer(customerID, param); err != nil {
		return nil, err
	}
	return page(o, url, &o.st.Methods, func(pm *paymentMethod) bool { return string(pm.Customer) == customerID })
}

func (o *op) attachMethod() (any, error) {
	if _, err := o.customer(o.p.str("customer"), "customer"); err != nil {
		return nil, err
	}
	if err := o.checkMethod(o.id, "id"); err != nil {
		return nil, err
	}
	return o.attach(o.id, o.p.str("customer"))
}

// attach saves a payment method with a customer; a test card's name makes a new
// payment method.
func (o *op) attach(id, customerID string) (*paymentMethod, error) {
	traits, isCard := cards[Card(id)]
	if !isCard {
		pm, err := o.method(id, "payment_method")
		if err != nil {
			return nil, err
		}
		if pm.Customer != "" && string(pm.Customer) != customerID {
			return nil, invalid("resource_already_exists", "", "The payment method you provided has already been attached to a customer.")
		}
		pm.Customer = text(customerID)
		return pm, nil
	}
	if traits.unattachable {
		return nil, traits.refusal(true)
	}
	return o.newMethod(Card(id), customerID)
}

func (o *op) newMethod(card Card, customerID string) (*paymentMethod, error) {
	if err := o.room(); err != nil {
		return nil, err
	}
	pm := &paymentMethod{
		ID: o.newID("pm_1"), Object: "payment_method", Card: cards[card].details(), Created: o.now,
		Customer: text(customerID), Metadata: metadata{}, Type: "card", Hidden: methodHidden{Card: card},
	}
	o.st.Methods.add(pm.ID, pm)
	return pm, nil
}

func (o *op) detachMethod() (any, error) {
	pm, err := o.method(o.id, "id")
	if err != nil {
		return nil, err
	}
	if pm.Customer == "" {
		return nil, invalid("", "", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	if c, ok := o.st.Customers.get(string(pm.Customer)); ok && string(c.InvoiceSettings.DefaultPaymentMethod) == pm.ID {
		c.InvoiceSettings.DefaultPaymentMethod = ""
	}
	pm.Customer = ""
	return pm, nil
}

// traitsOf finds the card behind a payment method or a test card's name.
func (s *Stand) traitsOf(id string) (cardTraits, error) {
	if t, ok := cards[Card(id)]; ok {
		return t, nil
	}
	pm, err := s.method(id, "payment_method")
	if err != nil {
		return cardTraits{}, err
	}
	return cards[pm.Hidden.Card], nil
}

// SetCard saves a card with a customer and makes it the default for invoices
// and subscriptions, as the customer portal does. It returns the payment
// method's id.
func (s *Stand) SetCard(customerID string, card Card) (string, error) {
	var id string
	err := s.do(func(o *op) error {
		c, err := o.customer(customerID, "customer")
		if err != nil {
			return err
		}
		if t, known := cards[card]; !known || t.unattachable {
			return invalid("", "card", "No card that can be saved: %q", strings.TrimSpace(string(card)))
		}
		pm, err := o.newMethod(card, c.ID)
		if err != nil {
			return err
		}
		id = pm.ID
		return o.change("customer.updated", c, func() { c.InvoiceSettings.DefaultPaymentMethod = text(pm.ID) })
	})
	return id, err
}

package stripestand

// The states of a charge.
const (
	chargePending   = "pending"
	chargeSucceeded = "succeeded"
	chargeFailed    = "failed"
)

// charge is a Charge; AmountRefunded is cumulative over its refunds that have
// not failed.
type charge struct {
	ID                   string         `json:"id"`
	Object               string         `json:"object"`
	Amount               int64          `json:"amount"`
	AmountCaptured       int64          `json:"amount_captured"`
	AmountRefunded       int64          `json:"amount_refunded"`
	BalanceTransaction   text           `json:"balance_transaction"`
	BillingDetails       billingDetails `json:"billing_details"`
	Captured             bool           `json:"captured"`
	Created              int64          `json:"created"`
	Currency             string         `json:"currency"`
	Customer             text           `json:"customer"`
	Description          text           `json:"description"`
	Disputed             bool           `json:"disputed"`
	FailureCode          text           `json:"failure_code"`
	FailureMessage       text           `json:"failure_message"`
	Invoice              text           `json:"invoice"`
	Metadata             metadata       `json:"metadata"`
	Outcome              *chargeOutcome `json:"outcome"`
	Paid                 bool           `json:"paid"`
	PaymentIntent        text           `json:"payment_intent"`
	PaymentMethod        text           `json:"payment_method"`
	PaymentMethodDetails methodDetails  `json:"payment_method_details"`
	ReceiptEmail         text           `json:"receipt_email"`
	ReceiptURL           text           `json:"receipt_url"`
	Refunded             bool           `json:"refunded"`
	Status               string         `json:"status"`
}

type billingDetails struct {
	Address address `json:"address"`
	Email   text    `json:"email"`
	Name    text    `json:"name"`
	Phone   text    `json:"phone"`
}

type chargeOutcome struct {
	NetworkStatus string `json:"network_status"`
	Reason        text   `json:"reason"`
	RiskLevel     string `json:"risk_level"`
	SellerMessage string `json:"seller_message"`
	Type          string `json:"type"`
}

type methodDetails struct {
	Card cardDetails `json:"card"`
	Type string      `json:"type"`
}

var chargeEndpoints = []endpointSpec{
	{"GET /v1/charges", newSpec("customer", "payment_intent").with(pageParams, createdParams), (*op).listCharges},
	{"GET /v1/charges/search", searchParams, func(o *op) (any, error) {
		return search(o, "/v1/charges/search", &o.st.Charges, (*charge).searchField)
	}},
	{"GET /v1/charges/{id}", newSpec(), func(o *op) (any, error) { return o.charge(o.id, "id") }},
	{"POST /v1/charges/{id}", newSpec("metadata map", "description", "receipt_email"), (*op).updateCharge},
	{"GET /v1/charges/{id}/refunds", pageParams, func(o *op) (any, error) {
		if _, err := o.charge(o.id, "id"); err != nil {
			return nil, err
		}
		return page(o, "/v1/charges/"+o.id+"/refunds", &o.st.Refunds, func(r *refund) bool { return r.Charge == o.id })
	}},
}

func (s *Stand) charge(id, param string) (*charge, error) {
	ch, ok := s.st.Charges.get(id)
	if !ok {
		return nil, missing("charge", param, id)
	}
	return ch, nil
}

func (ch *charge) searchField(field string) (string, bool) {
	switch field {
	case "status":
		return ch.Status, true
	case "customer":
		return string(ch.Customer), true
	case "currency":
		return ch.Currency, true
	default:
		return ch.Metadata.searchField(field)
	}
}

func (o *op) listCharges() (any, error) {
	return page(o, "/v1/charges", &o.st.Charges, func(ch *charge) bool {
		return o.wants("customer", string(ch.Customer)) && o.wants("payment_intent", string(ch.PaymentIntent)) &&
			o.inCreatedRange(ch.Created)
	})
}

func (o *op) updateCharge() (any, error) {
	ch, err := o.charge(o.id, "id")
	if err != nil {
		return nil, err
	}
	meta, err := o.p.meta("metadata", ch.Metadata)
	if err != nil {
		return nil, err
	}
	ch.Metadata = meta
	o.p.applyText("description", &ch.Description)
	o.p.applyText("receipt_email", &ch.ReceiptEmail)
	return ch, nil
}

// newCharge makes a pending charge of a payment intent. The metadata is the
// intent's at this moment, as Stripe copies it.
func (o *op) newCharge(pi *intent, traits cardTraits) (*charge, error) {
	if err := o.room(); err != nil {
		return nil, err
	}
	ch := &charge{
		ID: o.newID("ch_3"), Object: "charge", Amount: pi.Amount, Created: o.now, Currency: pi.Currency,
		Customer: pi.Customer, Description: pi.Description, Invoice: pi.Invoice, Metadata: copied(pi.Metadata),
		PaymentIntent: text(pi.ID), PaymentMethod: pi.PaymentMethod, ReceiptEmail: pi.ReceiptEmail,
		PaymentMethodDetails: methodDetails{Card: traits.details(), Type: "card"}, Status: chargePending,
	}
	ch.ReceiptURL = text(o.opts.BaseURL + "/receipt/" + ch.ID)
	if c, ok := o.st.Customers.get(string(pi.Customer)); ok {
		ch.BillingDetails.Email, ch.BillingDetails.Name, ch.BillingDetails.Phone = c.Email, c.Name, c.Phone
		if c.Address != nil {
			ch.BillingDetails.Address = *c.Address
		}
	}
	o.st.Charges.add(ch.ID, ch)
	return ch, nil
}

func (ch *charge) succeed(o *op) {
	ch.Status, ch.Paid, ch.Captured, ch.AmountCaptured = chargeSucceeded, true, true, ch.Amount
	ch.BalanceTransaction = text(o.newID("txn_3"))
	ch.Outcome = &chargeOutcome{
		NetworkStatus: "approved_by_network", RiskLevel: "normal", SellerMessage: "Payment complete.", Type: "authorized",
	}
}

func (ch *charge) fail(refusal *apiError) {
	ch.Status, ch.FailureCode, ch.FailureMessage = chargeFailed, text(refusal.Code), text(refusal.Message)
	ch.Outcome = &chargeOutcome{
		NetworkStatus: "declined_by_network", Reason: text(refusal.DeclineCode), RiskLevel: "normal",
		SellerMessage: "The bank did not return any further details with this decline.", Type: "issuer_declined",
	}
}

// paidCharge finds the charge of a payment, named by its payment intent or by
// the charge itself, that money was taken with.
func (s *Stand) paidCharge(id, param string) (*charge, error) {
	if pi, ok := s.st.Intents.get(id); ok {
		id = string(pi.LatestCharge)
	}
	ch, err := s.charge(id, param)
	if err != nil {
		return nil, err
	}
	if !ch.Paid {
		return nil, invalid("charge_not_paid", param, "This charge (%s) has not been paid.", ch.ID)
	}
	return ch, nil
}

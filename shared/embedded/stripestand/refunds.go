package stripestand

// The states of a refund.
const (
	refundPending   = "pending"
	refundSucceeded = "succeeded"
	refundFailed    = "failed"
)

// refund is a Refund; Amount is in minor units of Currency.
type refund struct {
	ID                 string   `json:"id"`
	Object             string   `json:"object"`
	Amount             int64    `json:"amount"`
	BalanceTransaction text     `json:"balance_transaction"`
	Charge             string   `json:"charge"`
	Created            int64    `json:"created"`
	Currency           string   `json:"currency"`
	FailureReason      string   `json:"failure_reason,omitempty"`
	Metadata           metadata `json:"metadata"`
	PaymentIntent      text     `json:"payment_intent"`
	Reason             text     `json:"reason"`
	Status             string   `json:"status"`
}

var refundEndpoints = []endpointSpec{
	{
		"POST /v1/refunds", newSpec("charge", "payment_intent", "amount int", "metadata map",
			"reason duplicate|fraudulent|requested_by_customer"), (*op).createRefund,
	},
	{"GET /v1/refunds", newSpec("charge", "payment_intent").with(pageParams, createdParams), (*op).listRefunds},
	{"GET /v1/refunds/{id}", newSpec(), func(o *op) (any, error) { return o.refund(o.id, "id") }},
	{"POST /v1/refunds/{id}", newSpec("metadata map"), (*op).updateRefund},
}

func (s *Stand) refund(id, param string) (*refund, error) {
	r, ok := s.st.Refunds.get(id)
	if !ok {
		return nil, missing("refund", param, id)
	}
	return r, nil
}

func (s *Stand) refundsOf(chargeID string) []*refund {
	out := []*refund{}
	for i := s.st.Refunds.len() - 1; i >= 0 && len(out) < maxPage; i-- {
		if r := s.st.Refunds.at(i); r.Charge == chargeID {
			out = append(out, r)
		}
	}
	return out
}

func (o *op) listRefunds() (any, error) {
	return page(o, "/v1/refunds", &o.st.Refunds, func(r *refund) bool {
		return o.wants("charge", r.Charge) && o.wants("payment_intent", string(r.PaymentIntent)) && o.inCreatedRange(r.Created)
	})
}

func (o *op) createRefund() (any, error) {
	param, id := "charge", o.p.str("charge")
	if id == "" {
		param, id = "payment_intent", o.p.str("payment_intent")
	}
	if id == "" {
		return nil, invalid("parameter_missing", "", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	ch, err := o.paidCharge(id, param)
	if err != nil {
		return nil, err
	}
	meta, err := o.p.meta("metadata", nil)
	if err != nil {
		return nil, err
	}
	amount := ch.Amount - ch.AmountRefunded
	if o.p.has("amount") {
		amount = o.p.integer("amount")
	}
	return o.refundCharge(ch, amount, o.p.str("reason"), meta)
}

// refundCharge gives an amount of a charge back.
func (o *op) refundCharge(ch *charge, amount int64, reason string, meta metadata) (*refund, error) {
	left := ch.Amount - ch.AmountRefunded
	switch {
	case left == 0:
		return nil, invalid("charge_already_refunded", "", "Charge %s has already been refunded.", ch.ID)
	case amount < 1:
		return nil, invalid("parameter_invalid_integer", "amount", "Invalid positive integer")
	case amount > left:
		return nil, invalid("", "amount", "Refund amount (%d) is greater than unrefunded amount on charge (%d)", amount, left)
	case o.disputeHolds(ch):
		return nil, invalid("charge_disputed", "", "Charge %s has been charged back; cannot issue a refund.", ch.ID)
	}
	if err := o.room(); err != nil {
		return nil, err
	}
	r := &refund{
		ID: o.newID("re_3"), Object: "refund", Amount: amount, Charge: ch.ID, Created: o.now, Currency: ch.Currency,
		BalanceTransaction: text(o.newID("txn_3")), Metadata: meta, PaymentIntent: ch.PaymentIntent,
		Reason: text(reason), Status: refundSucceeded,
	}
	if o.st.RefundsPend {
		r.Status = refundPending
	}
	o.st.Refunds.add(r.ID, r)
	return r, o.change("charge.refunded", ch, func() {
		ch.AmountRefunded += amount
		ch.Refunded = ch.AmountRefunded == ch.Amount
	})
}

func (o *op) updateRefund() (any, error) {
	r, err := o.refund(o.id, "id")
	if err != nil {
		return nil, err
	}
	meta, err := o.p.meta("metadata", r.Metadata)
	if err != nil {
		return nil, err
	}
	return r, o.change("charge.refund.updated", r, func() { r.Metadata = meta })
}

// settleRefund ends a pending refund, or fails one that had succeeded, as a
// bank may weeks later. A failed refund's money is the account's again: the
// charge counts as refunded by so much less.
func (o *op) settleRefund(r *refund, success bool) error {
	if r.Status == refundFailed || (success && r.Status == refundSucceeded) {
		return invalid("", "", "Refund %s is already %s", r.ID, r.Status)
	}
	if success {
		return o.change("charge.refund.updated", r, func() { r.Status = refundSucceeded })
	}
	ch, err := o.charge(r.Charge, "charge")
	if err != nil {
		return err
	}
	ch.AmountRefunded -= r.Amount
	ch.Refunded = false
	return o.change("charge.refund.updated", r, func() {
		r.Status, r.FailureReason = refundFailed, "expired_or_canceled_card"
	})
}

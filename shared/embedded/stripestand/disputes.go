package stripestand

import "slices"

// The states of a dispute; the warning states are those of an inquiry, which
// takes no money.
const (
	disputeNeedsResponse = "needs_response"
	disputeWon           = "won"
	disputeLost          = "lost"
	inquiryNeedsResponse = "warning_needs_response"
	inquiryClosed        = "warning_closed"
)

const (
	disputeDueSeconds = 7 * 24 * 3600
	// disputeFee is what Stripe keeps for a dispute, in minor units.
	disputeFee = 1500
	// maxDisputed is how many times its charge a dispute may be: a bank counts in
	// its customer's currency, whose rate has moved since.
	maxDisputed = 2
)

// dispute is a Dispute; Amount is in minor units of Currency.
type dispute struct {
	ID                  string               `json:"id"`
	Object              string               `json:"object"`
	Amount              int64                `json:"amount"`
	BalanceTransactions []balanceTransaction `json:"balance_transactions"`
	Charge              string               `json:"charge"`
	Created             int64                `json:"created"`
	Currency            string               `json:"currency"`
	EvidenceDetails     evidenceDetails      `json:"evidence_details"`
	IsChargeRefundable  bool                 `json:"is_charge_refundable"`
	Metadata            metadata             `json:"metadata"`
	PaymentIntent       text                 `json:"payment_intent"`
	Reason              string               `json:"reason"`
	Status              string               `json:"status"`
}

type evidenceDetails struct {
	DueBy           instant `json:"due_by"`
	HasEvidence     bool    `json:"has_evidence"`
	PastDue         bool    `json:"past_due"`
	SubmissionCount int64   `json:"submission_count"`
}

// balanceTransaction is money taken (negative) or given back for a dispute.
type balanceTransaction struct {
	ID       string `json:"id"`
	Object   string `json:"object"`
	Amount   int64  `json:"amount"`
	Created  int64  `json:"created"`
	Currency string `json:"currency"`
	Fee      int64  `json:"fee"`
	Net      int64  `json:"net"`
	Source   string `json:"source"`
	Type     string `json:"type"`
}

var disputeReasons = []string{
	"bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
	"duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "product_not_received",
	"product_unacceptable", "subscription_canceled", "unrecognized",
}

var disputeEndpoints = []endpointSpec{
	{"GET /v1/disputes", newSpec("charge", "payment_intent").with(pageParams, createdParams), (*op).listDisputes},
	{"GET /v1/disputes/{id}", newSpec(), func(o *op) (any, error) { return o.dispute(o.id, "id") }},
}

func (s *Stand) dispute(id, param string) (*dispute, error) {
	d, ok := s.st.Disputes.get(id)
	if !ok {
		return nil, missing("dispute", param, id)
	}
	return d, nil
}

func (o *op) listDisputes() (any, error) {
	return page(o, "/v1/disputes", &o.st.Disputes, func(d *dispute) bool {
		return o.wants("charge", d.Charge) && o.wants("payment_intent", string(d.PaymentIntent)) && o.inCreatedRange(d.Created)
	})
}

// latestDispute finds the newest dispute of a charge.
func (s *Stand) latestDispute(chargeID string) (*dispute, bool) {
	for i := s.st.Disputes.len() - 1; i >= 0; i-- {
		if d := s.st.Disputes.at(i); d.Charge == chargeID {
			return d, true
		}
	}
	return nil, false
}

// disputeHolds reports whether a dispute keeps a charge from being refunded.
func (s *Stand) disputeHolds(ch *charge) bool {
	if !ch.Disputed {
		return false
	}
	d, ok := s.latestDispute(ch.ID)
	return ok && (d.Status == disputeNeedsResponse || d.Status == disputeLost)
}

func (o *op) openDispute(ch *charge, want Dispute) (*dispute, error) {
	if d, ok := o.latestDispute(ch.ID); ok && d.open() {
		return nil, invalid("", "charge", "Charge %s has an open dispute, %s", ch.ID, d.ID)
	}
	amount := want.Amount
	if amount == 0 {
		amount = ch.Amount - ch.AmountRefunded
	}
	if most := maxDisputed * ch.Amount; amount < 1 || amount > most {
		return nil, invalid("", "amount", "A dispute of charge %s is for 1 to %d, not %d", ch.ID, most, amount)
	}
	reason := want.Reason
	if reason == "" {
		reason = "fraudulent"
	}
	if !slices.Contains(disputeReasons, reason) {
		return nil, invalid("", "reason", "Unknown reason of a dispute: %s", reason)
	}
	if err := o.room(); err != nil {
		return nil, err
	}
	d := &dispute{
		ID: o.newID("dp_1"), Object: "dispute", Amount: amount, BalanceTransactions: []balanceTransaction{},
		Charge: ch.ID, Created: o.now, Currency: ch.Currency, PaymentIntent: ch.PaymentIntent, Reason: reason,
		EvidenceDetails: evidenceDetails{DueBy: instant(o.now + disputeDueSeconds)}, Metadata: metadata{},
		Status: disputeNeedsResponse,
	}
	o.st.Disputes.add(d.ID, d)
	ch.Disputed = true
	if want.Inquiry {
		d.Status, d.IsChargeRefundable = inquiryNeedsResponse, true
		return d, o.emit("charge.dispute.created", d)
	}
	o.moveFunds(d, -amount, disputeFee)
	if err := o.emit("charge.dispute.created", d); err != nil {
		return nil, err
	}
	return d, o.emit("charge.dispute.funds_withdrawn", d)
}

func (d *dispute) open() bool {
	return d.Status == disputeNeedsResponse || d.Status == inquiryNeedsResponse
}

func (o *op) closeDispute(d *dispute, won bool) error {
	if !d.open() {
		return invalid("", "", "Dispute %s is already closed: %s", d.ID, d.Status)
	}
	status := disputeLost
	switch {
	case d.Status == inquiryNeedsResponse && !won:
		return invalid("", "", "Dispute %s is an inquiry, which takes no money and cannot be lost", d.ID)
	case d.Status == inquiryNeedsResponse:
		status = inquiryClosed
	case won:
		status = disputeWon
	}
	err := o.change("charge.dispute.closed", d, func() {
		d.Status = status
		if status == disputeWon {
			o.moveFunds(d, d.Amount, -disputeFee)
		}
	})
	if err != nil || status != disputeWon {
		return err
	}
	return o.emit("charge.dispute.funds_reinstated", d)
}

func (o *op) moveFunds(d *dispute, amount, fee int64) {
	d.BalanceTransactions = append(d.BalanceTransactions, balanceTransaction{
		ID: o.newID("txn_1"), Object: "balance_transaction", Amount: amount, Created: o.now, Currency: d.Currency,
		Fee: fee, Net: amount - fee, Source: d.ID, Type: "adjustment",
	})
}

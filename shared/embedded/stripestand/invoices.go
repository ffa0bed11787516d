package stripestand

// The states of an invoice.
const (
	invoiceDraft         = "draft"
	invoiceOpen          = "open"
	invoicePaid          = "paid"
	invoiceVoid          = "void"
	invoiceUncollectible = "uncollectible"
)

// The types of an invoice's line.
const (
	lineSubscription = "subscription"
	lineItemType     = "invoiceitem"
)

// invoice is an Invoice; amounts are in minor units of Currency.
type invoice struct {
	ID                   string            `json:"id"`
	Object               string            `json:"object"`
	AmountDue            int64             `json:"amount_due"`
	AmountPaid           int64             `json:"amount_paid"`
	AmountRemaining      int64             `json:"amount_remaining"`
	AttemptCount         int64             `json:"attempt_count"`
	Attempted            bool              `json:"attempted"`
	AutoAdvance          bool              `json:"auto_advance"`
	AutomaticTax         automaticTax      `json:"automatic_tax"`
	BillingReason        string            `json:"billing_reason"`
	Charge               text              `json:"charge"`
	Created              int64             `json:"created"`
	Currency             string            `json:"currency"`
	Customer             text              `json:"customer"`
	CustomerEmail        text              `json:"customer_email"`
	CustomerName         text              `json:"customer_name"`
	DefaultPaymentMethod text              `json:"default_payment_method"`
	Description          text              `json:"description"`
	EffectiveAt          instant           `json:"effective_at"`
	EndingBalance        *int64            `json:"ending_balance"`
	Footer               text              `json:"footer"`
	HostedInvoiceURL     text              `json:"hosted_invoice_url"`
	Lines                list[line]        `json:"lines"`
	Metadata             metadata          `json:"metadata"`
	NextPaymentAttempt   instant           `json:"next_payment_attempt"`
	Number               text              `json:"number"`
	Paid                 bool              `json:"paid"`
	PaymentIntent        text              `json:"payment_intent"`
	PeriodEnd            int64             `json:"period_end"`
	PeriodStart          int64             `json:"period_start"`
	StartingBalance      int64             `json:"starting_balance"`
	Status               string            `json:"status"`
	StatusTransitions    statusTransitions `json:"status_transitions"`
	Subscription         text              `json:"subscription"`
	SubscriptionDetails  subDetails        `json:"subscription_details"`
	Subtotal             int64             `json:"subtotal"`
	SubtotalExcludingTax int64             `json:"subtotal_excluding_tax"`
	Tax                  *int64            `json:"tax"`
	Total                int64             `json:"total"`
	TotalExcludingTax    int64             `json:"total_excluding_tax"`
	TotalTaxAmounts      []taxAmount       `json:"total_tax_amounts"`
	Hidden               invoiceHidden     `json:"_hidden"`
}

type statusTransitions struct {
	FinalizedAt           instant `json:"finalized_at"`
	MarkedUncollectibleAt instant `json:"marked_uncollectible_at"`
	PaidAt                instant `json:"paid_at"`
	VoidedAt              instant `json:"voided_at"`
}

type subDetails struct {
	Metadata metadata `json:"metadata"`
}

type invoiceHidden struct {
	FinalizeAt int64 `json:"finalize_at"`
	Failures   int   `json:"failures"` // of renewals' automatic collection
}

// line is a line of an invoice. Period is what it pays for.
type line struct {
	ID               string      `json:"id"`
	Object           string      `json:"object"`
	Amount           int64       `json:"amount"`
	Currency         string      `json:"currency"`
	Description      text        `json:"description"`
	Discountable     bool        `json:"discountable"`
	Invoice          text        `json:"invoice"`
	InvoiceItem      string      `json:"invoice_item,omitempty"`
	Metadata         metadata    `json:"metadata"`
	Period           period      `json:"period"`
	Price            price       `json:"price"`
	Proration        bool        `json:"proration"`
	Quantity         int64       `json:"quantity"`
	Subscription     text        `json:"subscription"`
	SubscriptionItem string      `json:"subscription_item,omitempty"`
	TaxAmounts       []taxAmount `json:"tax_amounts"`
	Type             string      `json:"type"`
}

type period struct {
	End   int64 `json:"end"`
	Start int64 `json:"start"`
}

type taxAmount struct {
	Amount        int64  `json:"amount"`
	Inclusive     bool   `json:"inclusive"`
	TaxRate       string `json:"tax_rate"`
	TaxableAmount int64  `json:"taxable_amount"`
}

var invoiceEndpoints = []endpointSpec{
	{
		"GET /v1/invoices", newSpec("customer", "subscription", "status draft|open|paid|uncollectible|void").
			with(pageParams, createdParams), (*op).listInvoices,
	},
	{"GET /v1/invoices/search", searchParams, func(o *op) (any, error) {
		return search(o, "/v1/invoices/search", &o.st.Invoices, (*invoice).searchField)
	}},
	{"GET /v1/invoices/{id}", newSpec(), func(o *op) (any, error) { return o.invoice(o.id, "id") }},
	{"GET /v1/invoices/{id}/lines", pageParams, (*op).listLines},
	{"POST /v1/invoices/{id}", newSpec("metadata map", "description", "auto_advance bool"), (*op).updateInvoice},
	{"POST /v1/invoices/{id}/finalize", newSpec("auto_advance bool"), (*op).finalizeInvoice},
	{"POST /v1/invoices/{id}/pay", newSpec("payment_method", "off_session bool"), (*op).payInvoice},
	{"POST /v1/invoices/{id}/void", newSpec(), (*op).voidInvoice},
}

func (s *Stand) invoice(id, param string) (*invoice, error) {
	in, ok := s.st.Invoices.get(id)
	if !ok {
		return nil, missing("invoice", param, id)
	}
	return in, nil
}

func (in *invoice) searchField(field string) (string, bool) {
	switch field {
	case "status":
		return in.Status, true
	case "customer":
		return string(in.Customer), true
	case "subscription":
		return string(in.Subscription), true
	case "number":
		return string(in.Number), true
	default:
		return in.Metadata.searchField(field)
	}
}

func (o *op) listInvoices() (any, error) {
	return page(o, "/v1/invoices", &o.st.Invoices, func(in *invoice) bool {
		return o.wants("customer", string(in.Customer)) && o.wants("subscription", string(in.Subscription)) &&
			o.wants("status", in.Status) && o.inCreatedRange(in.Created)
	})
}

func (o *op) listLines() (any, error) {
	in, err := o.invoice(o.id, "id")
	if err != nil {
		return nil, err
	}
	var rows table[line]
	for i := len(in.Lines.Data) - 1; i >= 0; i-- { // pages show the last added first
		rows.add(in.Lines.Data[i].ID, &in.Lines.Data[i])
	}
	return page(o, in.Lines.URL, &rows, func(*line) bool { return true })
}

func (o *op) updateInvoice() (any, error) {
	in, err := o.invoice(o.id, "id")
	if err != nil {
		return nil, err
	}
	if in.Metadata, err = o.p.meta("metadata", in.Metadata); err != nil {
		return nil, err
	}
	o.p.applyText("description", &in.Description)
	if o.p.has("auto_advance") {
		in.AutoAdvance = o.p.boolean("auto_advance")
		o.arm(timerInvoice, in.ID)
	}
	return in, nil
}

func (o *op) finalizeInvoice() (any, error) {
	in, err := o.invoice(o.id, "id")
	if err != nil {
		return nil, err
	}
	if in.Status != invoiceDraft {
		return nil, in.notA(invoiceDraft)
	}
	return in, o.finalize(in)
}

func (o *op) payInvoice() (any, error) {
	in, err := o.invoice(o.id, "id")
	if err != nil {
		return nil, err
	}
	method := o.p.str("payment_method")
	if err := o.checkMethod(method, "payment_method"); err != nil {
		return nil, err
	}
	if in.Status == invoiceDraft {
		if err := o.finalize(in); err != nil {
			return nil, err
		}
	}
	if in.Status != invoiceOpen {
		return nil, in.notA(invoiceOpen)
	}
	declined, err := o.collect(in, method, o.p.str("off_session") != "false")
	if err != nil {
		return nil, err
	}
	if declined != nil {
		return nil, declined
	}
	return in, nil
}

func (o *op) voidInvoice() (any, error) {
	in, err := o.invoice(o.id, "id")
	if err != nil {
		return nil, err
	}
	if in.Status != invoiceOpen && in.Status != invoiceUncollectible {
		return nil, in.notA(invoiceOpen)
	}
	return in, o.void(in)
}

func (in *invoice) notA(status string) *apiError {
	return invalid("invoice_not_"+status, "", "Invoice %s is %s, not %s", in.ID, in.Status, status)
}

func (o *op) void(in *invoice) error {
	in.Status, in.NextPaymentAttempt, in.AutoAdvance = invoiceVoid, 0, false
	in.StatusTransitions.VoidedAt = instant(o.now)
	return o.emit("invoice.voided", in)
}

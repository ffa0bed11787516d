package stripestand

import "strings"

// taxCalculation is what tax would be on a sale that is not made by a checkout or invoice.
type taxCalculation struct {
	ID                 string         `json:"id"`
	Object             string         `json:"object"`
	AmountTotal        int64          `json:"amount_total"`
	Currency           string         `json:"currency"`
	Customer           string         `json:"customer"`
	ExpiresAt          int64          `json:"expires_at"`
	Livemode           bool           `json:"livemode"`
	TaxAmountExclusive int64          `json:"tax_amount_exclusive"`
	TaxAmountInclusive int64          `json:"tax_amount_inclusive"`
	TaxBreakdown       []taxBreakdown `json:"tax_breakdown"`
	TaxDate            int64          `json:"tax_date"`
}

type taxBreakdown struct {
	Amount        int64 `json:"amount"`
	Inclusive     bool  `json:"inclusive"`
	TaxableAmount int64 `json:"taxable_amount"`
}

// taxTransaction is a sale as Stripe Tax reports it.
type taxTransaction struct {
	ID        string   `json:"id"`
	Object    string   `json:"object"`
	Created   int64    `json:"created"`
	Livemode  bool     `json:"livemode"`
	Metadata  metadata `json:"metadata"`
	Reference string   `json:"reference"`
	Type      string   `json:"type"`
}

var taxEndpoints = []endpointSpec{
	{
		"POST /v1/tax/calculations", newSpec("currency!", "customer!", "line_items[][amount] int", "line_items[][reference]",
			"line_items[][tax_behavior] exclusive|inclusive"), (*op).calculateTax,
	},
	{"POST /v1/tax/transactions/create_from_calculation", newSpec("calculation!", "reference!"), (*op).recordTax},
}

const calculationPrefix = "taxcalc_1"

// calculateTax is one exclusive rate on all lines. Every customer counts as one whose place is known.
func (o *op) calculateTax() (any, error) {
	c, err := o.customer(o.p.str("customer"), "customer")
	if err != nil {
		return nil, err
	}
	var net int64
	for _, path := range o.p.elements("line_items") {
		if o.p.strOr(path+"[tax_behavior]", "exclusive") != "exclusive" {
			return nil, invalid("", path+"[tax_behavior]", "The stand-in knows exclusive taxes only")
		}
		net += o.p.integer(path + "[amount]")
	}
	tax := taxOn(net, o.opts.TaxBasisPoints)
	const life = 90 * daySeconds
	return &taxCalculation{
		ID: o.newID(calculationPrefix), Object: "tax.calculation", AmountTotal: net + tax, Currency: o.p.str("currency"), Customer: c.ID,
		ExpiresAt: o.now + life, TaxAmountExclusive: tax, TaxBreakdown: []taxBreakdown{{Amount: tax, TaxableAmount: net}}, TaxDate: o.now,
	}, nil
}

// recordTax tells Stripe Tax of a sale. It is not kept.
func (o *op) recordTax() (any, error) {
	if id := o.p.str("calculation"); !strings.HasPrefix(id, calculationPrefix) {
		return nil, missing("tax calculation", "calculation", id)
	}
	return &taxTransaction{
		ID: o.newID("tax_1"), Object: "tax.transaction", Created: o.now, Metadata: metadata{}, Reference: o.p.str("reference"), Type: "transaction",
	}, nil
}

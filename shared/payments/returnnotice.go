package payments

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stripe/stripe-go/v76"
)

// metaRefund names, in a refund's metadata, the key under which its credits were set aside.
const metaRefund = "refund"

// about reports whether the notice's type begins so.
func (n Notice) about(prefix string) bool { return strings.HasPrefix(n.Type, prefix) }

// returnEvent reads a notice about a charge, a refund or a dispute.
func (n Notice) returnEvent(e Event) (Event, error) {
	r := &Return{}
	switch {
	case n.Type == chargeRefunded:
		var c stripe.Charge
		if err := json.Unmarshal(n.Object, &c); err != nil {
			return Event{}, fmt.Errorf("the charge of %s: %w", n.ID, err)
		}
		charge := readCharge(&c)
		r.Charge = &charge
	case n.about("charge.dispute."):
		var d stripe.Dispute
		if err := json.Unmarshal(n.Object, &d); err != nil {
			return Event{}, fmt.Errorf("the dispute of %s: %w", n.ID, err)
		}
		dispute := readDispute(&d)
		r.Dispute = &dispute
	default:
		var f stripe.Refund
		if err := json.Unmarshal(n.Object, &f); err != nil {
			return Event{}, fmt.Errorf("the refund of %s: %w", n.ID, err)
		}
		refund := readRefund(&f)
		r.Refund = &refund
	}
	if !validObjectID(r.object()) || !validObjectID(r.payment()) {
		return Event{}, fmt.Errorf("the object of %s has the id %q and the payment %q", n.ID, r.object(), r.payment())
	}
	e.Return = r
	return e, nil
}

func readCharge(c *stripe.Charge) Charge {
	out := Charge{
		ID: c.ID, Reference: c.Metadata[metaReference], Org: c.Metadata[metaOrg], Currency: string(c.Currency),
		Amount: c.Amount, Refunded: c.AmountRefunded,
	}
	if c.PaymentIntent != nil {
		out.Payment = c.PaymentIntent.ID
	}
	if c.Invoice != nil {
		out.Invoice = c.Invoice.ID
	}
	return out
}

func readRefund(f *stripe.Refund) Refund {
	out := Refund{ID: f.ID, Currency: string(f.Currency), Amount: f.Amount, Status: string(f.Status), Key: f.Metadata[metaRefund]}
	if f.Charge != nil {
		out.Charge = f.Charge.ID
	}
	if f.PaymentIntent != nil {
		out.Payment = f.PaymentIntent.ID
	}
	return out
}

func readDispute(d *stripe.Dispute) Dispute {
	out := Dispute{ID: d.ID, Currency: string(d.Currency), Amount: d.Amount, Status: string(d.Status)}
	if d.Charge != nil {
		out.Charge = d.Charge.ID
	}
	if d.PaymentIntent != nil {
		out.Payment = d.PaymentIntent.ID
	}
	return out
}

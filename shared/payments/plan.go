package payments

import (
	"fmt"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
)

// Reason says why a person must look at an event.
type Reason string

// The reasons for quarantine.
const (
	Malformed        Reason = "malformed"         // the object cannot be read, or makes no sense
	UnknownReference Reason = "unknown_reference" // no purchase of ours
	UnknownOrg       Reason = "unknown_org"       // no organisation is named, or it has no wallet
	UnknownPrice     Reason = "unknown_price"     // no plan has this price
	UnknownPeriod    Reason = "unknown_period"    // the period that a proration is a part of is not known
	WrongOrg         Reason = "wrong_org"         // the event and our record name different organisations
	WrongSession     Reason = "wrong_session"     // the purchase has another checkout
	WrongPayment     Reason = "wrong_payment"     // the payment is known, as another purchase's: its credits are granted already
	WrongCurrency    Reason = "wrong_currency"
	WrongAmount      Reason = "wrong_amount" // not what was offered
	Unsettled        Reason = "unsettled"    // for a month it could not be settled, or Stripe has it no more
)

// Doubt is why an event is not settled, or not wholly.
type Doubt struct {
	Reason Reason
	Detail string // for operators
}

func doubt(reason Reason, format string, args ...any) *Doubt {
	return &Doubt{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Known is what is known when an event is looked at.
type Known struct {
	// Now is the system's clock: a purchase's credits begin then.
	Now time.Time
	// Purchase and Payment are our records; nil for none.
	Purchase *Purchase
	Payment  *Payment
	// Account is what Stripe says of the payment; nil when it was not asked.
	Account *Account
	// Billed is whose the invoice is that a charge pays for; nil when it was not asked.
	Billed *Billed
	// Subscription is the invoice's, as it is now; the zero Subscription when Stripe does not have it.
	Subscription Subscription
	// CustomerOrg is what the metadata of the invoice's customer names.
	CustomerOrg string
	// Prices tell which plan a price sells.
	Prices *catalogue.Catalogue
	// Grace is for how long a subscription's credits can be used after their period, while its next invoice is awaited.
	Grace time.Duration
}

// Decision is what an event asks for. Without grants, fact and doubt it asks for nothing.
type Decision struct {
	// Org is whose credits Grants are.
	Org    string
	Grants []credit.NewGrant
	// Cycles are those that an invoice pays for, and PaidUntil the end of the period of its last line.
	Cycles    []Cycle
	PaidUntil time.Time
	// Fact is what the records learn once the grants are made; nil for nothing.
	Fact *Fact
	// Doubt puts the event aside for a person; nil for none. Grants beside it are beyond doubt.
	Doubt *Doubt
	// Ask says that this can only be decided when Known.Account is there, and Billed if its charge pays for an invoice alone.
	Ask bool
	// Payment is the record that replaces Known.Payment, and Moment what its purchase's timeline learns; nil for nothing.
	Payment *Payment
	Moment  Moment
}

// Plan decides what an event asks for.
func Plan(e Event, k Known) Decision {
	d := Decision{}
	switch {
	case e.Session != nil:
		d = planSession(e, k)
	case e.Invoice != nil:
		d = planInvoice(e, k)
	case e.Return != nil:
		d = planReturn(e, k)
	}
	for _, g := range d.Grants {
		if err := credit.Check(g); err != nil {
			return Decision{Org: d.Org, Doubt: doubt(Malformed, "%v", err)}
		}
	}
	return d
}

// planSession decides about a checkout. Sessions of another mode than payment are about subscriptions, whose credits come from invoices.
func planSession(e Event, k Known) Decision {
	s, p := e.Session, k.Purchase
	if s.Mode != "payment" {
		return Decision{}
	}
	d := Decision{Org: s.Org}
	status, known := sessionStatus(e)
	switch {
	case !known:
		d.Doubt = doubt(Malformed, "payment_status is %q", s.PaymentStatus)
	case p == nil:
		d.Doubt = doubt(UnknownReference, "there is no purchase %q", s.Reference)
	case s.Org != p.Org:
		d.Doubt = doubt(WrongOrg, "the session names %q, the purchase is of %q", s.Org, p.Org)
	case s.TopUp != p.TopUp:
		d.Doubt = doubt(WrongSession, "the payment is for the top-up %q, the purchase is %q", s.TopUp, p.TopUp)
	case p.Session != "" && p.Session != s.ID:
		d.Doubt = doubt(WrongSession, "the purchase has the session %s", p.Session)
	case k.Payment != nil && (k.Payment.Org != p.Org || k.Payment.Reference != p.Reference):
		d.Doubt = doubt(WrongPayment, "the payment %s is of %q, purchase %q", k.Payment.ID, k.Payment.Org, k.Payment.Reference)
	case status == Paid && k.Payment != nil && k.Payment.Amount != s.Total:
		d.Doubt = doubt(WrongAmount, "paid %d, the charge took %d", s.Total, k.Payment.Amount)
	case status == Paid && !strings.EqualFold(s.Currency, string(p.Currency)):
		d.Doubt = doubt(WrongCurrency, "paid in %s, offered in %s", s.Currency, p.Currency)
	case status == Paid && s.Total-s.Tax+s.Discount != p.Amount:
		d.Doubt = doubt(WrongAmount, "paid %d less tax of %d after a discount of %d, offered for %d %s", s.Total, s.Tax, s.Discount, p.Amount, p.Currency)
	case p.TopUp != "" && s.Tax != p.Tax.Amount:
		d.Doubt = doubt(WrongAmount, "a tax of %d is told, and %d was charged", s.Tax, p.Tax.Amount)
	case s.Discount != 0 && !p.Discounts:
		d.Doubt = doubt(WrongAmount, "a discount of %d was taken off, and none was offered", s.Discount)
	}
	if d.Doubt != nil {
		return d
	}
	d.Fact = &Fact{
		Moment: Moment{At: e.At, What: e.Type, Event: e.ID}, Status: status, Org: p.Org, Reference: p.Reference,
		Session: s.ID, Payment: s.Payment, Amount: s.Total, Tax: s.Tax, Currency: p.Currency,
	}
	if status != Paid {
		return d
	}
	d.Fact.Payment = s.payment()
	d.grant(credit.NewGrant{
		Key:    credit.SystemKey("grant", s.payment()),
		Terms:  credit.Terms{Source: credit.Purchase, Granted: p.Credits, EffectiveAt: k.Now, Payment: s.payment()},
		Reason: "purchase " + p.Reference,
		// Of an auto top-up people are told by itself.
		Announce: p.TopUp == "",
	})
	return d
}

// sessionStatus is what a session's event says of its purchase. The type decides where it can: the snapshot of an async payment may be older.
func sessionStatus(e Event) (status Status, known bool) {
	switch e.Type {
	case sessionAsyncSucceeded, intentSucceeded:
		return Paid, true
	case sessionAsyncFailed, intentFailed:
		return Failed, true
	case sessionExpired:
		return Expired, true
	case sessionFound:
		switch s := e.Session; {
		case s.State == "open":
			return Created, true
		case s.State == "expired":
			return Expired, true
		case s.PaymentStatus == "unpaid" && s.failed:
			return Failed, true
		}
	}
	switch e.Session.PaymentStatus {
	case "paid", "no_payment_required":
		return Paid, true
	case "unpaid":
		return Pending, true
	default:
		return "", false
	}
}

// actor is who the ledger names as the cause of grants.
const actor = "stripe"

// grant adds a grant to the decision and to what the records learn.
func (d *Decision) grant(g credit.NewGrant) {
	g.Actor = actor
	d.Grants = append(d.Grants, g)
	d.Fact.Grants = append(d.Fact.Grants, Granted{ID: credit.GrantID(g.Key), Credits: g.Terms.Granted})
}

package payments

import (
	"cmp"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// Status is how far a purchase or payment has come. It only ever advances, in the order of the constants, so that the order of events does
// not matter.
type Status string

// The statuses, from the least to the most advanced.
const (
	Created Status = "created" // recorded, nothing heard from Stripe
	Pending Status = "pending" // ordered; the money is on its way
	Expired Status = "expired" // its checkout lapsed unpaid
	Failed  Status = "failed"  // the money did not come
	Paid    Status = "paid"
)

var advance = []Status{"", Created, Pending, Expired, Failed, Paid}

// further is the more advanced of two statuses.
func further(a, b Status) Status {
	if slices.Index(advance, b) > slices.Index(advance, a) {
		return b
	}
	return a
}

// maxTimeline bounds a timeline. A purchase has a handful of moments; the earliest are kept.
const maxTimeline = 64

// Moment is something that happened to a purchase.
type Moment struct {
	At time.Time `firestore:"at"`
	// What is the type of Stripe's event, or what we did: "created", "checkout_opened".
	What string `firestore:"what"`
	// Event is the id of Stripe's event; empty for what we did.
	Event string `firestore:"event,omitempty"`
	// Amount is the money that it is about, in minor units; 0 when that is the price, or it is about none.
	Amount int64 `firestore:"amount,omitempty"`
}

// Offer is what a purchase sells. It is priced once, when the purchase begins.
type Offer struct {
	// Package is the package sold; empty for an amount of one's choice.
	Package string `firestore:"package,omitempty"`
	Credits int64  `firestore:"credits"`
	// Amount is the price without tax, in minor units of Currency.
	Amount       int64              `firestore:"amount"`
	Currency     catalogue.Currency `firestore:"currency"`
	PriceVersion int64              `firestore:"price_version"`
	// AutomaticTax says that the checkout adds the tax that Stripe works out.
	AutomaticTax bool `firestore:"automatic_tax,omitempty"`
	// Discounts says that the checkout takes Stripe's promotion codes, so that less than Amount may be paid, or nothing.
	Discounts bool `firestore:"discounts,omitempty"`
}

// Purchase is the record purchases/{reference}.
type Purchase struct {
	Reference string `firestore:"reference"`
	Org       string `firestore:"org"`
	Offer
	Status Status `firestore:"status"`
	// TopUp names the auto top-up that it is, and Customer and Card who is charged for it and how; empty for one that people pay themselves.
	TopUp    string `firestore:"top_up,omitempty"`
	Customer string `firestore:"customer,omitempty"`
	Card     string `firestore:"card,omitempty"`
	// Tax is an auto top-up's; that of a checkout is worked out there.
	Tax Tax `firestore:"tax,omitempty"`
	// Session and CheckoutURL are Stripe's, once the checkout is open.
	Session     string `firestore:"session,omitempty"`
	CheckoutURL string `firestore:"checkout_url,omitempty"`
	// Payment is the payment intent, or the session when nothing was due.
	Payment string `firestore:"payment,omitempty"`
	// Grant is the id of the grant that the purchase became.
	Grant     string    `firestore:"grant,omitempty"`
	CreatedAt time.Time `firestore:"created_at"`
	// PaidAt is when Stripe said that it is paid; zero before.
	PaidAt   time.Time `firestore:"paid_at,omitempty"`
	Timeline []Moment  `firestore:"timeline"`
}

// Payment is the record payments/{payment intent}, or that of the session or invoice when nothing was due.
type Payment struct {
	ID  string `firestore:"id"`
	Org string `firestore:"org"`
	// Reference is the purchase; Invoice and Subscription are set for a plan instead.
	Reference    string `firestore:"reference,omitempty"`
	Invoice      string `firestore:"invoice,omitempty"`
	Subscription string `firestore:"subscription,omitempty"`
	Status       Status `firestore:"status"`
	// Amount is the charge with Tax, in minor units of Currency.
	Amount   int64              `firestore:"amount"`
	Tax      int64              `firestore:"tax"`
	Currency catalogue.Currency `firestore:"currency"`
	// Grants are what it paid for.
	Grants []Granted `firestore:"grants"`
	// Bonuses are what campaigns gave for it, in this organisation's wallet and in others'.
	Bonuses []Bonus   `firestore:"bonuses,omitempty"`
	PaidAt  time.Time `firestore:"paid_at,omitempty"`
	Returns
}

// Granted is a grant that a payment paid for.
type Granted struct {
	ID      string `firestore:"id"`
	Credits int64  `firestore:"credits"`
}

// Fact is what an event, or a step of our own, adds to the records.
type Fact struct {
	Moment
	Status Status
	Org    string
	// Reference is the purchase it is about; empty for a plan.
	Reference            string
	Session, CheckoutURL string
	// Payment is the payment it is about; empty for none.
	Payment               string
	Invoice, Subscription string
	Amount, Tax           int64
	Currency              catalogue.Currency
	Grants                []Granted
	Bonuses               []Bonus
}

// with is the purchase after a fact. Facts in any order, any number of times, make the same purchase.
func (p Purchase) with(f Fact) Purchase {
	p.Status = further(p.Status, f.Status)
	p.Session = cmp.Or(p.Session, f.Session)
	p.CheckoutURL = cmp.Or(p.CheckoutURL, f.CheckoutURL)
	p.Payment = cmp.Or(p.Payment, f.Payment)
	if f.Status == Paid {
		p.PaidAt = earlier(p.PaidAt, f.At)
		for _, g := range f.Grants {
			p.Grant = g.ID
		}
	}
	p.Timeline = insert(p.Timeline, f.Moment)
	return p
}

// with is the payment after a fact.
func (p Payment) with(f Fact) Payment {
	p.ID, p.Org, p.Reference, p.Invoice, p.Subscription = f.Payment, f.Org, f.Reference, f.Invoice, f.Subscription
	p.Amount, p.Tax, p.Currency = f.Amount, f.Tax, f.Currency
	p.Status = further(p.Status, f.Status)
	if f.Status == Paid {
		p.PaidAt = earlier(p.PaidAt, f.At)
	}
	p.Grants = slices.Clone(p.Grants)
	for _, g := range f.Grants { // told again when the catalogue has changed, they are still those that were granted
		if !slices.ContainsFunc(p.Grants, func(known Granted) bool { return known.ID == g.ID }) {
			p.Grants = append(p.Grants, g)
		}
	}
	slices.SortFunc(p.Grants, func(a, b Granted) int { return cmp.Compare(a.ID, b.ID) })
	p.Bonuses = slices.Clone(p.Bonuses)
	for _, b := range f.Bonuses {
		if !slices.Contains(p.Bonuses, b) {
			p.Bonuses = append(p.Bonuses, b)
		}
	}
	slices.SortFunc(p.Bonuses, func(a, b Bonus) int { return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.ID, b.ID)) })
	return p
}

// earlier is the earlier of two moments; zero counts as none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// insert puts a moment in its place in a timeline, once.
func insert(timeline []Moment, m Moment) []Moment {
	i, found := slices.BinarySearchFunc(timeline, m, func(a, b Moment) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.What, b.What), cmp.Compare(a.Event, b.Event))
	})
	if found {
		return timeline
	}
	out := slices.Insert(slices.Clone(timeline), i, m)
	return out[:min(len(out), maxTimeline)]
}

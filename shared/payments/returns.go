package payments

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
)

// Returns are what is known of a payment's money that went back, or may.
type Returns struct {
	// Refunded is what Stripe has refunded or is refunding, in minor units; what failed is not counted. RefundedAsOf is the moment of which
	// that is known, zero when nothing was heard.
	Refunded     int64     `firestore:"refunded,omitempty"`
	RefundedAsOf time.Time `firestore:"refunded_as_of,omitempty"`
	Disputes     []Dispute `firestore:"disputes,omitempty"`
	// Refunds are those that were begun here, the earliest first.
	Refunds []OwnRefund `firestore:"own_refunds,omitempty"`
	// ResumeAt is there while one of Refunds is under way, or ended and the credits may not have followed: from then on whoever looks sees to it.
	ResumeAt time.Time `firestore:"resume_at,omitempty"`
}

// Dispute is a dispute of a payment as it was at a moment.
type Dispute struct {
	ID string `firestore:"id"`
	// Amount is what is disputed, in minor units of the payment's currency. It may be more than was paid.
	Amount int64 `firestore:"amount"`
	// Status is Stripe's.
	Status string    `firestore:"status"`
	AsOf   time.Time `firestore:"as_of"`
	// Currency, Charge and Payment are not kept: they are the payment's.
	Currency, Charge, Payment string `firestore:"-"`
}

// open reports whether the money is gone and may come back. An inquiry, whose status is a warning, takes none.
func (d Dispute) open() bool { return d.Status == "needs_response" || d.Status == "under_review" }

func (d Dispute) lost() bool { return d.Status == "lost" }

// RefundState is how far a refund of ours has come.
type RefundState string

// The states of a refund of ours.
const (
	RefundBegun   RefundState = "begun"   // its credits are to be set aside, and Stripe may know of it
	RefundMade    RefundState = "made"    // Stripe has made it
	RefundRefused RefundState = "refused" // Stripe would not, or the credits were not there any more
	RefundFailed  RefundState = "failed"  // Stripe made it, and the money came back
)

// OwnRefund is a refund that was begun here.
type OwnRefund struct {
	// N counts the payment's refunds from 1.
	N int64 `firestore:"n"`
	// Amount is the money, in minor units of the payment's currency; Credits are set aside for it.
	Amount  int64       `firestore:"amount"`
	Credits int64       `firestore:"credits"`
	State   RefundState `firestore:"state"`
	// ID is Stripe's, once it is known.
	ID string `firestore:"id,omitempty"`
	// Why is the reason of a refusal.
	Why string `firestore:"why,omitempty"`
	// Key is the hash of the caller's idempotency key, Asked the amount as sent, 0 for all there is.
	Key   string `firestore:"key"`
	Asked int64  `firestore:"asked,omitempty"`
	// By began it, for this reason.
	By     string    `firestore:"by"`
	Reason string    `firestore:"reason,omitempty"`
	At     time.Time `firestore:"at"`
}

// Account is what Stripe says of a payment when it is asked.
type Account struct {
	Charge   Charge
	Refunds  []Refund
	Disputes []Dispute
}

// Charge is what a payment took.
type Charge struct {
	ID, Payment string
	// Invoice is what it pays for; empty for a purchase.
	Invoice string
	// Reference and Org are those that our metadata names.
	Reference, Org string
	Currency       string
	// Amount is with tax, Refunded of it in all; minor units.
	Amount, Refunded int64
}

// billed reports whether only an invoice tells whose the charge is.
func (c Charge) billed() bool { return c.Reference == "" && c.Invoice != "" }

// Billed is whose an invoice is: its subscription, empty for none, and the organisation that it, its subscription or its customer names.
type Billed struct{ Subscription, Org string }

// Refund is one of a charge's refunds.
type Refund struct {
	ID, Charge, Payment, Currency string
	Amount                        int64 // minor units
	Status                        string
	// Key is the one that our metadata names: of a refund that was begun here.
	Key string
}

// stands reports whether the refund's money is the customer's, or on its way.
func (r Refund) stands() bool { return r.Status != "failed" && r.Status != "canceled" }

// returned is all money of the payment that is the customer's or may soon be: refunded, lost in disputes, or to be refunded by us.
func (r Returns) returned() int64 {
	sum := r.Refunded
	for _, d := range r.Disputes {
		if d.lost() {
			sum += d.Amount
		}
	}
	for _, o := range r.Refunds {
		if o.State == RefundBegun {
			sum += o.Amount
		}
	}
	return sum
}

// frozen reports whether what remains of the payment's credits is frozen: while a dispute is open.
func (r Returns) frozen() bool { return slices.ContainsFunc(r.Disputes, Dispute.open) }

// known reports whether anything was ever heard of the payment's money going back.
func (r Returns) known() bool {
	return !r.RefundedAsOf.IsZero() || len(r.Disputes) > 0 || len(r.Refunds) > 0
}

// underWay is the index of the refund that was begun here and is not ended, -1 for none. There is at most one.
func (r Returns) underWay() int {
	return slices.IndexFunc(r.Refunds, func(o OwnRefund) bool { return o.State == RefundBegun })
}

// unsettled reports whether a refund of ours has ended, and the credits may not have followed.
func (r Returns) unsettled() bool { return !r.ResumeAt.IsZero() && r.underWay() < 0 }

// asked is what is known after Stripe has said how things stand. That is as of now by our own clock, or of the event that made us ask, if
// that is later: what is said of an earlier moment, or the same, is asked for again.
func (r Returns) asked(reference string, a Account, asOf time.Time) Returns {
	out := r
	out.RefundedAsOf = latest(r.RefundedAsOf, asOf)
	for _, d := range r.Disputes {
		out.RefundedAsOf = latest(out.RefundedAsOf, d.AsOf)
	}
	out.Refunded = 0
	out.Refunds = slices.Clone(r.Refunds)
	for _, f := range a.Refunds {
		if f.stands() {
			out.Refunded += f.Amount
		}
		for i, own := range out.Refunds {
			switch {
			case f.Key == "" || f.Key != refundKey(reference, own.N):
			case f.stands():
				out.Refunds[i].State, out.Refunds[i].ID = RefundMade, f.ID
			default:
				out.Refunds[i].State, out.Refunds[i].ID = RefundFailed, f.ID
			}
		}
	}
	out.Disputes = nil
	for _, d := range a.Disputes {
		if !strings.EqualFold(d.Currency, a.Charge.Currency) {
			continue // its own event is put aside: what share of the charge it is, a person says
		}
		out.Disputes = append(out.Disputes, Dispute{ID: d.ID, Amount: d.Amount, Status: d.Status, AsOf: out.RefundedAsOf})
	}
	slices.SortFunc(out.Disputes, func(x, y Dispute) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// refunded is what is known after an event that stated what is refunded in all. ask says that Stripe must be asked: what is stored is of the
// same moment or a later one, or a refund of ours is under way, and the sum does not tell whether it is in it.
func (r Returns) refunded(sum int64, at time.Time) (out Returns, ask bool) {
	newer := at.After(r.RefundedAsOf)
	switch {
	case r.underWay() >= 0, !newer && sum != r.Refunded:
		return r, true
	case newer:
		r.Refunded, r.RefundedAsOf = sum, at
	}
	return r, false
}

// disputed is what is known after an event about a dispute; ask is as of refunded.
func (r Returns) disputed(d Dispute) (out Returns, ask bool) {
	d = Dispute{ID: d.ID, Amount: d.Amount, Status: d.Status, AsOf: d.AsOf}
	i, found := slices.BinarySearchFunc(r.Disputes, d, func(x, y Dispute) int { return cmp.Compare(x.ID, y.ID) })
	if !found {
		r.Disputes = slices.Insert(slices.Clone(r.Disputes), i, d)
		return r, false
	}
	stored := r.Disputes[i]
	if !d.AsOf.After(stored.AsOf) {
		return r, d.Status != stored.Status || d.Amount != stored.Amount
	}
	r.Disputes = slices.Clone(r.Disputes)
	r.Disputes[i] = d
	return r, false
}

// bought is the id of the grant that a purchase's payment bought; other grants came with it.
func (p Payment) bought() string { return credit.GrantID(credit.SystemKey("grant", p.ID)) }

// target is a command that brings some credits to where they should be, on the wallet that they are in.
type target struct {
	org     string
	command credit.Command
}

// targets are the commands that bring a payment's credits to where they should be. All grants of a payment share alike: each loses
// floor(returned × credits ÷ paid) of its own. What is lost is clawed back before the rest is thawed, so that it cannot be spent in between.
// Bonuses in the payment's own wallet are linked to its grant and follow it; those in others' are brought to the same share by themselves. A
// dispute does not freeze them: their owners have no part in it.
func (p Payment) targets() []target {
	if p.Status != Paid || !p.known() {
		return nil
	}
	what := "purchase " + p.Reference
	if p.Reference == "" {
		what = "invoice " + p.Invoice
	}
	cause := "refund of "
	if slices.ContainsFunc(p.Disputes, Dispute.lost) {
		cause = "refund or lost dispute of "
	}
	frozen := p.frozen()
	var out []target
	add := func(org string, commands ...credit.Command) {
		for _, c := range commands {
			out = append(out, target{org, c})
		}
	}
	for _, g := range p.Grants {
		claw := credit.ClawBack{Grant: g.ID, Returned: p.returned(), Paid: p.Amount, Actor: actor, Reason: cause + what}
		freeze := credit.FreezeGrant{Grant: g.ID, Frozen: frozen, Actor: actor, Reason: "dispute of " + what}
		switch {
		case frozen:
			add(p.Org, freeze, claw)
		case len(p.Disputes) > 0:
			add(p.Org, claw, freeze)
		default:
			add(p.Org, claw)
		}
	}
	for _, b := range p.Bonuses {
		if b.Org != p.Org {
			// The reason is told in another organisation's ledger, so it does not name the purchase.
			add(b.Org, credit.ClawBack{Grant: b.ID, Returned: p.returned(), Paid: p.Amount, Actor: actor, Reason: "refund or dispute of the purchase it came with"})
		}
	}
	return out
}

// Return is an event about money that goes back: one of Charge, Refund and Dispute is set.
type Return struct {
	Charge  *Charge
	Refund  *Refund
	Dispute *Dispute
}

// payment is the payment intent that the event names.
func (r *Return) payment() string {
	switch {
	case r.Charge != nil:
		return r.Charge.Payment
	case r.Refund != nil:
		return r.Refund.Payment
	default:
		return r.Dispute.Payment
	}
}

// object is the id of what the event is about.
func (r *Return) object() string {
	switch {
	case r.Charge != nil:
		return r.Charge.ID
	case r.Refund != nil:
		return r.Refund.ID
	default:
		return r.Dispute.ID
	}
}

// money is the amount that the event states, and its currency.
func (r *Return) money() (amount int64, currency string) {
	switch {
	case r.Charge != nil:
		return r.Charge.Refunded, r.Charge.Currency
	case r.Refund != nil:
		return r.Refund.Amount, r.Refund.Currency
	default:
		return r.Dispute.Amount, r.Dispute.Currency
	}
}

// planReturn decides what an event about money that goes back lets the payment's record learn. The record may not be there yet: a refund can
// be told before the purchase. Then it is begun, and applied once the credits are granted.
func planReturn(e Event, k Known) Decision {
	charge := e.Return.Charge
	if k.Account != nil {
		charge = &k.Account.Charge
	}
	p := Payment{Status: Created}
	switch {
	case k.Payment != nil:
		p = *k.Payment
	case charge == nil, charge.billed() && k.Billed == nil: // whose it is, only the charge tells, or its invoice
		return Decision{Ask: true}
	default:
		p.ID, p.Org, p.Reference, p.Invoice = charge.Payment, charge.Org, charge.Reference, charge.Invoice
		p.Amount, p.Currency = charge.Amount, catalogue.Currency(strings.ToUpper(charge.Currency))
		if charge.billed() {
			p.Org, p.Subscription = k.Billed.Org, k.Billed.Subscription
		} else {
			p.Invoice = ""
		}
	}
	d := Decision{Org: p.Org, Doubt: doubtReturn(e.Return, charge, p, k)}
	if d.Doubt != nil {
		return d
	}
	next, ask := p.Returns, false
	switch r := e.Return; {
	case k.Account != nil:
		next = next.asked(p.Reference, *k.Account, latest(e.At, k.Now.Truncate(time.Second)))
	case r.Charge != nil:
		next, ask = next.refunded(r.Charge.Refunded, e.At)
	case r.Dispute != nil:
		dispute := *r.Dispute
		dispute.AsOf = e.At
		next, ask = next.disputed(dispute)
	default: // a refund's event tells nothing of the others
		ask = true
	}
	if ask {
		return Decision{Ask: true}
	}
	p.Returns = next
	d.Payment = &p
	amount, _ := e.Return.money()
	d.Moment = Moment{At: e.At, What: e.Type, Event: e.ID, Amount: amount}
	return d
}

// doubtReturn is what is wrong with an event about money that goes back, nil for nothing.
func doubtReturn(r *Return, charge *Charge, p Payment, k Known) *Doubt {
	amount, currency := r.money()
	switch {
	case p.Reference == "" && p.Subscription == "":
		return doubt(UnknownReference, "the charge of %s names no purchase, and pays for no plan; its invoice is %q", p.ID, p.Invoice)
	case p.Reference == "" && credit.CheckOrg(p.Org) != nil:
		return doubt(UnknownOrg, "neither the subscription of invoice %s nor its customer names an organisation: %q", p.Invoice, p.Org)
	case p.Reference != "" && k.Purchase == nil:
		return doubt(UnknownReference, "there is no purchase %q", p.Reference)
	case p.Reference != "" && k.Purchase.Org != p.Org:
		return doubt(WrongOrg, "the charge names %q, the purchase is of %q", p.Org, k.Purchase.Org)
	case p.Reference != "" && k.Purchase.Payment != "" && k.Purchase.Payment != p.ID:
		return doubt(WrongPayment, "the purchase was paid by %s", k.Purchase.Payment)
	case !strings.EqualFold(currency, string(p.Currency)):
		return doubt(WrongCurrency, "it is in %s, the payment in %s", currency, p.Currency)
	case amount < 0 || amount > p.Amount && r.Dispute == nil: // a bank may dispute more than was paid
		return doubt(WrongAmount, "%d of %d %s", amount, p.Amount, p.Currency)
	case charge != nil && charge.Amount != p.Amount:
		return doubt(WrongAmount, "the charge took %d, the payment is recorded with %d", charge.Amount, p.Amount)
	case charge != nil && !strings.EqualFold(charge.Currency, string(p.Currency)):
		return doubt(WrongCurrency, "the charge is in %s, the payment is recorded in %s", charge.Currency, p.Currency)
	}
	return nil
}

package payments

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// The names of our metadata on Stripe's objects.
const (
	metaOrg       = "org_id"
	metaReference = "reference"
)

// Notice is an event that is known to be Stripe's: one that [Verifier.Verify] let through.
type Notice struct {
	ID   string
	Type string
	// At is when Stripe made the event.
	At time.Time
	// Object is the object it is about, as JSON.
	Object json.RawMessage
}

// matters reports whether the notice's type changes something.
func (n Notice) matters() bool {
	switch n.Type {
	case sessionCompleted, sessionAsyncSucceeded, sessionAsyncFailed, sessionExpired, sessionFound, invoicePaid, intentSucceeded, intentFailed, customerUpdated:
		return true
	case chargeRefunded, chargeRefundUpdated, refundCreated, refundUpdated:
		return true
	case disputeCreated, disputeUpdated, disputeClosed, disputeWithdrawn, disputeReinstated:
		return true
	case subscriptionCreated, subscriptionUpdated, subscriptionDeleted, subscriptionPaused, subscriptionResumed:
		return true
	case scheduleUpdated, scheduleReleased, scheduleCanceled:
		return true
	default:
		return false
	}
}

// object is the id of what the notice is about, also when the rest of it cannot be read; empty when that cannot either.
func (n Notice) object() string {
	var fields map[string]json.RawMessage
	var id string
	if json.Unmarshal(n.Object, &fields) != nil || json.Unmarshal(fields["id"], &id) != nil || !validObjectID(id) {
		return ""
	}
	return id
}

// event reads a notice whose type matters.
func (n Notice) event() (Event, error) {
	e := Event{ID: n.ID, Type: n.Type, At: n.At}
	if n.about("charge.") || n.about("refund.") {
		return n.returnEvent(e)
	}
	if n.about("customer.subscription.") || n.about("subscription_schedule.") {
		return n.subscriptionEvent(e)
	}
	switch n.Type {
	case intentSucceeded, intentFailed:
		return n.intentEvent(e)
	case customerUpdated:
		return n.cardEvent(e)
	case invoicePaid:
		var in stripe.Invoice
		if err := json.Unmarshal(n.Object, &in); err != nil {
			return Event{}, fmt.Errorf("the invoice of %s: %w", n.ID, err)
		}
		e.Invoice = readInvoice(&in)
		if i := e.Invoice; !validObjectID(i.ID) || !validObjectID(i.payment()) || i.Subscription != "" && !validObjectID(i.Subscription) {
			return Event{}, fmt.Errorf("the invoice of %s has the id %q, the payment %q and the subscription %q", n.ID, i.ID, i.Payment, i.Subscription)
		}
		return e, nil
	}
	var s stripe.CheckoutSession
	if err := json.Unmarshal(n.Object, &s); err != nil {
		return Event{}, fmt.Errorf("the session of %s: %w", n.ID, err)
	}
	e.Session = readSession(&s)
	if !validObjectID(e.Session.ID) || !validObjectID(e.Session.payment()) {
		return Event{}, fmt.Errorf("the session of %s has the id %q and the payment %q", n.ID, e.Session.ID, e.Session.Payment)
	}
	return e, nil
}

func readSession(s *stripe.CheckoutSession) *Session {
	out := &Session{
		ID: s.ID, Mode: string(s.Mode), State: string(s.Status), PaymentStatus: string(s.PaymentStatus), Reference: s.Metadata[metaReference],
		Org: s.Metadata[metaOrg], Currency: string(s.Currency), Total: s.AmountTotal,
	}
	if s.PaymentIntent != nil {
		out.Payment = s.PaymentIntent.ID
		out.failed = s.PaymentIntent.Status == stripe.PaymentIntentStatusRequiresPaymentMethod || s.PaymentIntent.Status == stripe.PaymentIntentStatusCanceled
	}
	if s.TotalDetails != nil {
		out.Tax, out.Discount = s.TotalDetails.AmountTax, s.TotalDetails.AmountDiscount
	}
	return out
}

func readInvoice(in *stripe.Invoice) *Invoice {
	out := &Invoice{
		ID: in.ID, Currency: string(in.Currency), Paid: in.AmountPaid, Tax: in.Tax, Period: readPeriod(in.PeriodStart, in.PeriodEnd),
	}
	if in.Subscription != nil {
		out.Subscription = in.Subscription.ID
	}
	if in.Customer != nil {
		out.Customer = in.Customer.ID
	}
	if in.SubscriptionDetails != nil {
		out.Org = in.SubscriptionDetails.Metadata[metaOrg]
	}
	if in.PaymentIntent != nil {
		out.Payment = in.PaymentIntent.ID
	}
	if in.Lines != nil {
		out.Truncated = in.Lines.HasMore
		for _, l := range in.Lines.Data {
			out.Lines = append(out.Lines, readLine(l))
		}
	}
	return out
}

func readLine(l *stripe.InvoiceLineItem) Line {
	out := Line{ID: l.ID, Currency: string(l.Currency), Amount: l.Amount, Quantity: l.Quantity, Proration: l.Proration}
	if l.SubscriptionItem != nil {
		out.Item = l.SubscriptionItem.ID
	}
	if l.Price != nil {
		out.Price = l.Price.ID
	}
	if l.Period != nil {
		out.Period = readPeriod(l.Period.Start, l.Period.End)
	}
	return out
}

func readPeriod(start, end int64) Period {
	return Period{Start: time.Unix(start, 0).UTC(), End: time.Unix(end, 0).UTC()}
}

// maxObjectID bounds the ids of Stripe's objects, which have at most 255 characters.
const maxObjectID = 255

// validObjectID reports whether a string can be the id of an object of Stripe's, and so of a document of ours.
func validObjectID(id string) bool {
	if id == "" || len(id) > maxObjectID {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}) < 0
}

package payments

import "time"

// The types of Stripe's events that change something here.
const (
	sessionCompleted      = "checkout.session.completed"
	sessionAsyncSucceeded = "checkout.session.async_payment_succeeded"
	sessionAsyncFailed    = "checkout.session.async_payment_failed"
	sessionExpired        = "checkout.session.expired"
	invoicePaid           = "invoice.paid"
	intentSucceeded       = "payment_intent.succeeded"
	intentFailed          = "payment_intent.payment_failed"
	customerUpdated       = "customer.updated"
	chargeRefunded        = "charge.refunded"
	chargeRefundUpdated   = "charge.refund.updated"
	refundCreated         = "refund.created"
	refundUpdated         = "refund.updated"
	disputeCreated        = "charge.dispute.created"
	disputeUpdated        = "charge.dispute.updated"
	disputeClosed         = "charge.dispute.closed"
	disputeWithdrawn      = "charge.dispute.funds_withdrawn"
	disputeReinstated     = "charge.dispute.funds_reinstated"
	subscriptionCreated   = "customer.subscription.created"
	subscriptionUpdated   = "customer.subscription.updated"
	subscriptionDeleted   = "customer.subscription.deleted"
	subscriptionPaused    = "customer.subscription.paused"
	subscriptionResumed   = "customer.subscription.resumed"
	scheduleUpdated       = "subscription_schedule.updated"
	scheduleReleased      = "subscription_schedule.released"
	scheduleCanceled      = "subscription_schedule.canceled"
)

// Event is what one of Stripe's events says, as far as it matters here. One of Session, Invoice, Return, Card, Told and Scheduled is set, by its
// type; none when it is about a payment that other events tell of.
type Event struct {
	ID   string
	Type string
	// At is when Stripe made the event.
	At      time.Time
	Session *Session
	Invoice *Invoice
	Return  *Return
	Card    *Card
	// Told is what an event tells of a subscription, without its schedule's plans; Scheduled names a schedule.
	Told      *Subscription
	Scheduled *Scheduled
}

// Card is that a customer has a card that it pays with. Which, Stripe is asked: the event may be an old one.
type Card struct{ Org, Customer string }

// Scheduled is a schedule, and the subscription that it manages, or managed until it was released; empty for none.
type Scheduled struct{ ID, Subscription string }

// Session is a Checkout Session as it was when its event was made. Amounts are in minor units.
type Session struct {
	ID   string
	Mode string
	// State is open, complete or expired.
	State         string
	PaymentStatus string
	// TopUp names the auto top-up that a payment without a checkout was made for. The session is that payment then, and has no ID.
	TopUp string
	// failed says that the money did not come; it is known only of a session that was asked for.
	failed bool
	// Reference and Org are those that our metadata names.
	Reference, Org string
	// Payment is the payment intent; empty when nothing was due.
	Payment  string
	Currency string
	// Total is what was charged, with Tax, after Discount was taken off.
	Total, Tax, Discount int64
}

// payment names the payment for good: by its intent, or by the session when nothing was due.
func (s *Session) payment() string {
	if s.Payment != "" {
		return s.Payment
	}
	return s.ID
}

// Invoice is an invoice as it was when its event was made.
type Invoice struct {
	ID string
	// Subscription is empty for an invoice that is only a receipt.
	Subscription string
	Customer     string
	// Org is what the subscription's metadata named when the invoice was finalised.
	Org string
	// Payment is the payment intent; empty when nothing was due.
	Payment  string
	Currency string
	// Paid is what was charged and Tax its tax, in minor units.
	Paid, Tax int64
	// Period is the one in which the invoice's items came up: of a renewal the period that has ended.
	Period Period
	Lines  []Line
	// Truncated says that Lines are not all there are.
	Truncated bool
}

// payment names the payment for good: by its intent, or by the invoice when nothing was due.
func (in *Invoice) payment() string {
	if in.Payment != "" {
		return in.Payment
	}
	return in.ID
}

// Line is a line of an invoice.
type Line struct {
	ID string
	// Item is the subscription item; empty for what belongs to no subscription.
	Item     string
	Price    string
	Currency string
	// Amount is in minor units, negative for a credit.
	Amount    int64
	Quantity  int64
	Proration bool
	// Period is what the line pays for.
	Period Period
}

// Period is the time from Start up to, but not including, End.
type Period struct {
	Start time.Time `firestore:"start"`
	End   time.Time `firestore:"end"`
}

// within reports whether p is a part of whole that ends with it.
func (p Period) within(whole Period) bool {
	return p.End.Equal(whole.End) && !p.Start.Before(whole.Start) && p.Start.Before(p.End)
}

// seconds is the period's length. Stripe's times are whole seconds.
func (p Period) seconds() int64 { return p.End.Unix() - p.Start.Unix() }

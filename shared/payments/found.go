package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// sessionFound is the type of what Stripe says of a session when it is asked, rather than of an event of its own.
const sessionFound = "session.found"

// sessionDetail is what of a session's payment is fetched with it: whether the money failed to come, and when it came.
const sessionDetail = "payment_intent.latest_charge"

// source is a kind of Stripe's objects that tell what happened, when its events are not there to tell.
type source struct {
	name, path string
	// kind is a type of event that is about such an object.
	kind string
	// lookback is how long before a gap an object may have been made to which something happened in the gap.
	lookback time.Duration
	where    [][2]string
	expand   string // of one object; in lists it stands beneath data
	// notice is what an object tells; ok is false when that is nothing.
	notice func(ctx context.Context, g *Gateway, object json.RawMessage) (n Notice, ok bool, err error)
}

const day = 24 * time.Hour

// sessionSource are the checkouts. A session is paid within a day; a payment that is settled later takes up to 14.
var sessionSource = source{name: "session", path: "/v1/checkout/sessions", kind: sessionFound, lookback: 16 * day, expand: sessionDetail, notice: foundSession}

// intentSource are payment intents: of them an auto top-up alone matters, which is charged at once.
var intentSource = source{name: "payment_intent", path: "/v1/payment_intents", kind: intentSucceeded, lookback: day, notice: foundIntent}

// invoiceSource are paid invoices. A renewal's payment is attempted for up to four weeks, or two months as the account is set.
var invoiceSource = source{name: "invoice", path: "/v1/invoices", kind: invoicePaid, lookback: 62 * day, where: [][2]string{{"status", "paid"}}, notice: foundInvoice}

// refundSource are the refunds. One may fail up to 30 days after it was made.
var refundSource = source{name: "refund", path: "/v1/refunds", kind: refundUpdated, lookback: 31 * day, notice: foundRefund}

// disputeSource are the disputes, which take two to three months.
var disputeSource = source{name: "dispute", path: "/v1/disputes", kind: disputeUpdated, lookback: 120 * day, notice: foundDispute}

// chargeSource are charges that were refunded. They are not swept: their refunds are.
var chargeSource = source{name: "charge", path: "/v1/charges", kind: chargeRefunded, notice: foundCharge}

// The sources that only what was put aside, or is owed, is read from again. A subscription is asked for when its event is handled.
var (
	customerSource     = source{name: "customer", path: "/v1/customers", kind: customerUpdated, notice: found(customerUpdated)}
	subscriptionSource = source{name: "subscription", path: "/v1/subscriptions", kind: subscriptionUpdated, notice: found(subscriptionUpdated)}
	scheduleSource     = source{name: "subscription_schedule", path: "/v1/subscription_schedules", kind: scheduleUpdated, notice: found(scheduleUpdated)}
)

// The sources that are swept, in this order: a payment before what was taken back of it.
var swept = []source{sessionSource, intentSource, invoiceSource, refundSource, disputeSource}

// objectSources are all that events are about.
var objectSources = append([]source{chargeSource, customerSource, subscriptionSource, scheduleSource}, swept...)

// eventSource is Stripe's own record of what happened.
var eventSource = source{name: "event", path: "/v1/events", notice: foundEvent}

// sourceNamed finds a source.
func sourceNamed(name string) (source, bool) {
	for _, s := range append([]source{eventSource}, swept...) {
		if s.name == name {
			return s, true
		}
	}
	return source{}, false
}

// foundEvent reads an event as the API gives it. It is in the form of the API version that was the account's when it was made: from another
// version's, only what it is about is believed, and that object is fetched anew.
func foundEvent(ctx context.Context, g *Gateway, object json.RawMessage) (Notice, bool, error) {
	var e stripe.Event
	if err := json.Unmarshal(object, &e); err != nil || !validObjectID(e.ID) || e.Data == nil {
		return Notice{}, false, unreadable("event", e.ID, err)
	}
	n := Notice{ID: e.ID, Type: string(e.Type), At: time.Unix(e.Created, 0).UTC(), Object: e.Data.Raw}
	if !n.meant() {
		return Notice{}, false, nil
	}
	if e.APIVersion == stripe.APIVersion {
		return n, true, nil
	}
	kind, _ := e.Data.Object["object"].(string)
	id, _ := e.Data.Object["id"].(string)
	if kind == "checkout.session" {
		kind = sessionSource.name
	}
	i := slices.IndexFunc(objectSources, func(src source) bool { return src.name == kind })
	if i < 0 || !validObjectID(id) {
		return n, false, unreadable("event", e.ID, fmt.Errorf("of version %s, it is about %s %q", e.APIVersion, kind, id))
	}
	now, found, err := g.object(ctx, objectSources[i].path, id)
	if found {
		n.Object = now
	}
	return n, found, err
}

// found reads objects of a kind that say of themselves how they stand.
func found(kind string) func(context.Context, *Gateway, json.RawMessage) (Notice, bool, error) {
	return func(_ context.Context, _ *Gateway, object json.RawMessage) (Notice, bool, error) {
		var o struct {
			ID      string `json:"id"`
			Created int64  `json:"created"`
		}
		if err := json.Unmarshal(object, &o); err != nil || !validObjectID(o.ID) {
			return Notice{}, false, unreadable("object of "+kind, o.ID, err)
		}
		return Notice{ID: foundID(o.ID, "now"), Type: kind, At: time.Unix(o.Created, 0).UTC(), Object: object}, true, nil
	}
}

// errUnreadable is about an object of Stripe's that makes no sense, and will not make more when it is read again.
var errUnreadable = errors.New("it cannot be read")

func unreadable(what, id string, err error) error {
	return errors.Join(fmt.Errorf("the %s %q: %w", what, id, errUnreadable), err)
}

// foundID names what was found for good: the same object in the same state has the same id.
func foundID(object, state string) string { return "found_" + object + "_" + state }

// foundSession reads a session. One that is open tells nothing.
func foundSession(_ context.Context, _ *Gateway, object json.RawMessage) (Notice, bool, error) {
	var s stripe.CheckoutSession
	if err := json.Unmarshal(object, &s); err != nil || !validObjectID(s.ID) {
		return Notice{}, false, unreadable("session", s.ID, err)
	}
	status, known := sessionStatus(Event{Type: sessionFound, Session: readSession(&s)})
	switch {
	case status == Created || s.Mode != stripe.CheckoutSessionModePayment:
		return Notice{}, false, nil
	case !known:
		status = "unknown" // and is put aside for a person
	}
	at := s.Created
	switch {
	case status == Expired:
		at = s.ExpiresAt
	case s.PaymentIntent != nil && s.PaymentIntent.LatestCharge != nil && s.PaymentIntent.LatestCharge.Created != 0:
		at = s.PaymentIntent.LatestCharge.Created
	}
	return Notice{ID: foundID(s.ID, string(status)), Type: sessionFound, At: time.Unix(at, 0).UTC(), Object: object}, true, nil
}

// foundIntent tells of a payment of an auto top-up; of others their checkout or invoice tells.
func foundIntent(_ context.Context, _ *Gateway, object json.RawMessage) (Notice, bool, error) {
	var pi stripe.PaymentIntent
	if err := json.Unmarshal(object, &pi); err != nil || !validObjectID(pi.ID) {
		return Notice{}, false, unreadable("payment intent", pi.ID, err)
	}
	n := Notice{ID: foundID(pi.ID, string(pi.Status)), Type: intentSucceeded, At: time.Unix(pi.Created, 0).UTC(), Object: object}
	switch pi.Status {
	case stripe.PaymentIntentStatusSucceeded:
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusCanceled: // its card was declined
		n.Type = intentFailed
	default:
		return Notice{}, false, nil
	}
	return n, pi.Metadata[metaTopUp] != "", nil
}

func foundInvoice(_ context.Context, _ *Gateway, object json.RawMessage) (Notice, bool, error) {
	var in stripe.Invoice
	if err := json.Unmarshal(object, &in); err != nil || !validObjectID(in.ID) {
		return Notice{}, false, unreadable("invoice", in.ID, err)
	}
	if in.Status != stripe.InvoiceStatusPaid {
		return Notice{}, false, nil
	}
	at := in.Created
	if in.StatusTransitions != nil && in.StatusTransitions.PaidAt != 0 {
		at = in.StatusTransitions.PaidAt
	}
	return Notice{ID: foundID(in.ID, "paid"), Type: invoicePaid, At: time.Unix(at, 0).UTC(), Object: object}, true, nil
}

// foundRefund tells of a refund: what its charge has been refunded in all, or that it failed.
func foundRefund(ctx context.Context, g *Gateway, object json.RawMessage) (Notice, bool, error) {
	var r stripe.Refund
	if err := json.Unmarshal(object, &r); err != nil || !validObjectID(r.ID) {
		return Notice{}, false, unreadable("refund", r.ID, err)
	}
	at := time.Unix(r.Created, 0).UTC()
	if r.Status == stripe.RefundStatusFailed || r.Status == stripe.RefundStatusCanceled {
		return Notice{ID: foundID(r.ID, string(r.Status)), Type: chargeRefundUpdated, At: at, Object: object}, true, nil
	}
	if r.Charge == nil || !validObjectID(r.Charge.ID) {
		return Notice{}, false, nil
	}
	charge, found, err := g.object(ctx, "/v1/charges", r.Charge.ID)
	if err != nil || !found {
		return Notice{}, false, err
	}
	n, tells, err := foundCharge(ctx, g, charge)
	n.ID, n.At = foundID(r.ID, string(r.Status)), at // the same sum may be of another refund: one that failed is made again
	return n, tells, err
}

// foundCharge tells what a charge has been refunded in all. When, it does not know: later than it was made.
func foundCharge(_ context.Context, _ *Gateway, object json.RawMessage) (Notice, bool, error) {
	var c stripe.Charge
	if err := json.Unmarshal(object, &c); err != nil || !validObjectID(c.ID) {
		return Notice{}, false, unreadable("charge", c.ID, err)
	}
	id := foundID(c.ID, strconv.FormatInt(c.AmountRefunded, 10))
	return Notice{ID: id, Type: chargeRefunded, At: time.Unix(c.Created, 0).UTC(), Object: object}, true, nil
}

func foundDispute(_ context.Context, _ *Gateway, object json.RawMessage) (Notice, bool, error) {
	var d stripe.Dispute
	if err := json.Unmarshal(object, &d); err != nil || !validObjectID(d.ID) {
		return Notice{}, false, unreadable("dispute", d.ID, err)
	}
	kind := disputeCreated
	if d.Status == stripe.DisputeStatusWon || d.Status == stripe.DisputeStatusLost || d.Status == stripe.DisputeStatusWarningClosed {
		kind = disputeClosed
	}
	return Notice{ID: foundID(d.ID, string(d.Status)), Type: kind, At: time.Unix(d.Created, 0).UTC(), Object: object}, true, nil
}

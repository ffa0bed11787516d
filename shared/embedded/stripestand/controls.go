package stripestand

import (
	"errors"
	"fmt"
)

// ErrDeclined is a payment that the card refused.
var ErrDeclined = errors.New("the card was declined")

// PayCheckout pays an open checkout session with a card that works.
func (s *Stand) PayCheckout(sessionID string) error {
	return s.checkout(sessionID, payment{card: CardVisa})
}

// PayCheckoutWith pays an open checkout session with one of the test cards. It
// returns ErrDeclined if the card refuses; the session then stays open.
func (s *Stand) PayCheckoutWith(sessionID string, card Card) error {
	return s.checkout(sessionID, payment{card: card})
}

// PayCheckoutWithCode pays an open session of mode payment after its page was
// given a promotion code: the id of a coupon.
func (s *Stand) PayCheckoutWithCode(sessionID, code string) error {
	return s.checkout(sessionID, payment{card: CardVisa, code: code})
}

// PayLater completes an open session of mode payment by a method that settles
// later; SettleLater ends it.
func (s *Stand) PayLater(sessionID string) error {
	return s.checkout(sessionID, payment{card: CardVisa, later: true})
}

// DeclineCheckout attempts to pay an open session with a card that is declined.
// The session stays open.
func (s *Stand) DeclineCheckout(sessionID string) error {
	err := s.checkout(sessionID, payment{card: CardDeclined})
	if errors.Is(err, ErrDeclined) {
		return nil
	}
	return err
}

func (s *Stand) checkout(sessionID string, by payment) error {
	return s.do(func(o *op) error {
		declined, err := o.paySession(sessionID, by)
		if err == nil && declined != nil {
			err = fmt.Errorf("paying %s: %w: %s", sessionID, ErrDeclined, declined.DeclineCode)
		}
		return err
	})
}

// SettleLater ends a payment begun by PayLater: the money comes, or it does not.
func (s *Stand) SettleLater(sessionID string, success bool) error {
	return s.do(func(o *op) error { return o.settleLater(sessionID, success) })
}

// ExpireCheckout expires an open session before its time.
func (s *Stand) ExpireCheckout(sessionID string) error {
	return s.do(func(o *op) error {
		c, err := o.openSession(sessionID)
		if err != nil {
			return err
		}
		return o.expire(c)
	})
}

// RefundPayment refunds an amount, in minor units, of a payment named by its
// payment intent or charge, as from Stripe's dashboard; 0 refunds what is left.
// It returns the refund's id.
func (s *Stand) RefundPayment(id string, amount int64) (string, error) {
	var refundID string
	err := s.do(func(o *op) error {
		ch, err := o.paidCharge(id, "payment_intent")
		if err != nil {
			return err
		}
		if amount == 0 {
			amount = ch.Amount - ch.AmountRefunded
		}
		r, err := o.refundCharge(ch, amount, "requested_by_customer", metadata{})
		if err == nil {
			refundID = r.ID
		}
		return err
	})
	return refundID, err
}

// RefundsPending makes refunds from now on pending until SettleRefund, or
// succeeded at once, as card refunds are.
func (s *Stand) RefundsPending(pending bool) error {
	return s.do(func(*op) error {
		s.st.RefundsPend = pending
		return nil
	})
}

// SettleRefund ends a pending refund, or fails one that had succeeded.
func (s *Stand) SettleRefund(refundID string, success bool) error {
	return s.do(func(o *op) error {
		r, err := o.refund(refundID, "refund")
		if err != nil {
			return err
		}
		return o.settleRefund(r, success)
	})
}

// Dispute describes a dispute to open.
type Dispute struct {
	// Amount is in minor units; 0 means what was not refunded.
	Amount int64
	// Reason is one of Stripe's; default "fraudulent".
	Reason string
	// Inquiry opens an inquiry, which takes no money and can only be closed.
	Inquiry bool
}

// OpenDispute has the bank dispute a payment, named by its payment intent or
// charge. It returns the dispute's id.
func (s *Stand) OpenDispute(id string, d Dispute) (string, error) {
	var disputeID string
	err := s.do(func(o *op) error {
		ch, err := o.paidCharge(id, "payment_intent")
		if err != nil {
			return err
		}
		opened, err := o.openDispute(ch, d)
		if err == nil {
			disputeID = opened.ID
		}
		return err
	})
	return disputeID, err
}

// CloseDispute closes the open dispute with an id, or of a payment named by its
// payment intent or charge, for us or against us.
func (s *Stand) CloseDispute(id string, won bool) error {
	return s.do(func(o *op) error {
		if d, ok := o.st.Disputes.get(id); ok {
			return o.closeDispute(d, won)
		}
		ch, err := o.paidCharge(id, "payment_intent")
		if err != nil {
			return err
		}
		d, ok := o.latestDispute(ch.ID)
		if !ok {
			return missing("dispute", "payment_intent", id)
		}
		return o.closeDispute(d, won)
	})
}

// NewCustomer describes a customer to make.
type NewCustomer struct {
	Name, Email string
	Metadata    map[string]string
	// Card, if set, is saved as the default.
	Card Card
}

// CreateCustomer makes a customer and returns its id.
func (s *Stand) CreateCustomer(n NewCustomer) (string, error) {
	var id string
	err := s.do(func(o *op) error {
		if t, known := cards[n.Card]; n.Card != "" && (!known || t.unattachable) {
			return invalid("", "card", "No card that can be saved: %q", string(n.Card))
		}
		c, err := o.newCustomer(copied(n.Metadata))
		if err != nil {
			return err
		}
		id, c.Name, c.Email = c.ID, text(n.Name), text(n.Email)
		if n.Card != "" {
			pm, err := o.newMethod(n.Card, c.ID)
			if err != nil {
				return err
			}
			c.InvoiceSettings.DefaultPaymentMethod = text(pm.ID)
		}
		return o.emit("customer.created", c)
	})
	return id, err
}

// Subscription describes a subscription to make.
type Subscription struct {
	Customer, Price string
	Quantity        int64 // default 1
	Metadata        map[string]string
	TrialDays       int64
}

// CreateSubscription subscribes a customer to a price, as Checkout does, and
// bills the first period. A customer without a card gets one that works. It
// returns the subscription's id.
func (s *Stand) CreateSubscription(n Subscription) (string, error) {
	var id string
	err := s.do(func(o *op) error {
		c, err := o.customer(n.Customer, "customer")
		if err != nil {
			return err
		}
		p, err := o.price(n.Price, "price")
		if err != nil {
			return err
		}
		items := []wantedItem{{price: *p, quantity: max(n.Quantity, 1)}}
		if err := checkItems(items); err != nil {
			return err
		}
		if c.InvoiceSettings.DefaultPaymentMethod == "" {
			pm, err := o.newMethod(CardVisa, c.ID)
			if err != nil {
				return err
			}
			c.InvoiceSettings.DefaultPaymentMethod = text(pm.ID)
		}
		want := newSubscription{customer: c.ID, items: items, metadata: copied(n.Metadata)}
		if n.TrialDays > 0 {
			want.trialEnd = o.now + n.TrialDays*daySeconds
		}
		sub, err := o.subscribe(want)
		if err == nil {
			id = sub.ID
		}
		return err
	})
	return id, err
}

// PayInvoice collects an open invoice now, as its customer or the dashboard
// may. It returns ErrDeclined if the card refuses.
func (s *Stand) PayInvoice(invoiceID string) error {
	return s.do(func(o *op) error {
		in, err := o.invoice(invoiceID, "invoice")
		if err != nil {
			return err
		}
		if in.Status != invoiceOpen {
			return in.notA(invoiceOpen)
		}
		declined, err := o.collect(in, "", false)
		if err == nil && declined != nil {
			err = fmt.Errorf("paying %s: %w: %s", invoiceID, ErrDeclined, declined.DeclineCode)
		}
		return err
	})
}

// Webhooks tells how webhooks stand.
type Webhooks struct {
	Mode Mode `json:"mode"`
	// Waiting counts deliveries in line or in flight.
	Waiting int `json:"waiting"`
	// Undelivered counts the events kept that some endpoint has not taken.
	Undelivered int `json:"undelivered"`
}

// Webhooks returns how webhooks stand.
func (s *Stand) Webhooks() Webhooks {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := Webhooks{Mode: s.st.Mode, Waiting: s.waiting()}
	for i := range s.st.Events.len() {
		if s.st.Events.at(i).PendingWebhooks > 0 {
			w.Undelivered++
		}
	}
	return w
}

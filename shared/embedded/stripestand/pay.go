package stripestand

import "errors"

// buyerEmail is given to a customer who stated no address on the payment page.
const buyerEmail = "buyer@example.com"

// errNotOpen is a payment of a session that is complete or expired.
var errNotOpen = errors.New("the checkout session is not open")

// openSession finds a session that can be paid.
func (o *op) openSession(id string) (*session, error) {
	c, err := o.session(id, "session")
	if err != nil {
		return nil, err
	}
	if c.Status != sessionOpen {
		return nil, invalid("", "session", "%v: %s is %s", errNotOpen, id, c.Status)
	}
	return c, nil
}

// payment is how a customer pays a session.
type payment struct {
	card  Card
	later bool // by a method that settles later
	email string
	code  string // a promotion code; empty for none
}

// paySession pays a session. A refusal by the card leaves the session open
// and is returned.
func (o *op) paySession(id string, by payment) (declined *apiError, err error) {
	c, err := o.openSession(id)
	if err != nil {
		return nil, err
	}
	traits, err := o.traitsOf(string(by.card))
	if err != nil {
		return nil, err
	}
	if err := o.redeemCode(c, by.code); err != nil {
		return nil, err
	}
	refusal := traits.refusal(false)
	if c.AmountTotal == 0 && c.Mode == modePayment {
		refusal = nil // nothing is charged, no card is asked for
	}
	c.Hidden.Declined = ""
	if refusal != nil {
		c.Hidden.Declined = refusal.Message
	}
	if refusal != nil && c.Mode == modeSubscription {
		return refusal, nil // Checkout makes the subscription once the card is accepted
	}
	if refusal == nil {
		if err := o.settleCustomer(c, by); err != nil {
			return nil, err
		}
	}
	if c.Mode == modeSubscription {
		return nil, o.paySubscription(c, by)
	}
	if c.AmountTotal == 0 {
		return nil, o.completeFree(c)
	}
	return refusal, o.payOnce(c, by, refusal)
}

// takesCodes reports whether a promotion code can be entered: not any more once
// a payment was attempted.
func (c *session) takesCodes() bool {
	return c.AllowPromotion != nil && *c.AllowPromotion && c.Mode == modePayment && c.PaymentIntent == ""
}

// redeemCode takes off what a promotion code is good for. A code is here the
// id of its coupon.
func (o *op) redeemCode(c *session, code string) error {
	if code == "" {
		return nil
	}
	if !c.takesCodes() {
		return invalid("", "promotion_code", "%s takes no promotion codes", c.ID)
	}
	off, err := o.coupon(code, "promotion_code")
	if err != nil {
		return err
	}
	if off.AmountOff != nil && string(off.Currency) != c.Currency {
		return invalid("", "promotion_code", "The code %s is in %s, the session in %s", off.ID, off.Currency, c.Currency)
	}
	return o.discounted(c, off)
}

// settleCustomer gives a session its customer as Stripe does at completion.
func (o *op) settleCustomer(c *session, by payment) error {
	email := by.email
	if c.CustomerDetails != nil && c.CustomerDetails.Email != "" {
		email = string(c.CustomerDetails.Email)
	}
	if email == "" {
		email = buyerEmail
	}
	if c.CustomerDetails == nil {
		c.CustomerDetails = &customerDetails{TaxExempt: "none"}
	}
	c.CustomerDetails.Email = text(email)
	c.CustomerDetails.TaxIDs = []string{}
	keepsCard := c.Hidden.Intent.SetupFutureUsage != ""
	if c.Customer != "" || (c.CustomerCreation != "always" && !keepsCard) {
		return nil
	}
	made, err := o.newCustomer(metadata{})
	if err != nil {
		return err
	}
	made.Email, c.Customer = text(email), text(made.ID)
	return o.emit("customer.created", made)
}

// completeFree completes a session with nothing to pay.
func (o *op) completeFree(c *session) error {
	c.PaymentStatus = paymentNotRequired
	return o.complete(c)
}

func (o *op) complete(c *session) error {
	c.Status, c.URL = sessionComplete, ""
	return o.emit("checkout.session.completed", c)
}

// payOnce pays a session of mode payment. The payment intent is made at the
// first attempt, as since API version 2022-08-01, and kept for the next.
func (o *op) payOnce(c *session, by payment, refusal *apiError) error {
	pi, err := o.sessionIntent(c)
	if err != nil {
		return err
	}
	traits := cards[by.card]
	if refusal != nil {
		return o.failIntent(pi, traits, refusal)
	}
	pi.PaymentMethod = text(by.card)
	if pi.SetupFutureUsage != "" {
		if err := o.keepMethod(pi, string(by.card)); err != nil {
			return err
		}
	} else {
		pm, err := o.newMethod(by.card, "")
		if err != nil {
			return err
		}
		pi.PaymentMethod = text(pm.ID)
	}
	ch, err := o.newCharge(pi, traits)
	if err != nil {
		return err
	}
	ch.BillingDetails.Email = c.CustomerDetails.Email
	if by.later {
		return o.payLater(c, pi, ch)
	}
	if err := o.succeed(pi, ch); err != nil {
		return err
	}
	c.PaymentStatus = paymentPaid
	if err := o.invoiceForPayment(c, pi, ch); err != nil {
		return err
	}
	return o.complete(c)
}

func (o *op) sessionIntent(c *session) (*intent, error) {
	if c.PaymentIntent != "" {
		pi, err := o.intent(string(c.PaymentIntent), "payment_intent")
		if err != nil {
			return nil, err
		}
		pi.Customer = c.Customer
		return pi, nil
	}
	d := c.Hidden.Intent
	pi, err := o.newIntent(c.AmountTotal, c.Currency, string(c.Customer), copied(d.Metadata))
	if err != nil {
		return nil, err
	}
	pi.Description, pi.ReceiptEmail, pi.SetupFutureUsage = d.Description, d.ReceiptEmail, d.SetupFutureUsage
	pi.StatementDescriptor, pi.StatementDescriptorSuffix = d.Descriptor, d.DescriptorSuffix
	c.PaymentIntent = text(pi.ID)
	return pi, o.emit("payment_intent.created", pi)
}

// payLater completes a session whose money is still on its way.
func (o *op) payLater(c *session, pi *intent, ch *charge) error {
	pi.Status, pi.LatestCharge = intentProcessing, text(ch.ID)
	if err := o.emit("charge.pending", ch); err != nil {
		return err
	}
	if err := o.emit("payment_intent.processing", pi); err != nil {
		return err
	}
	return o.complete(c)
}

// settleLater ends a payment that was on its way.
func (o *op) settleLater(id string, success bool) error {
	c, err := o.session(id, "session")
	if err != nil {
		return err
	}
	pi, err := o.intent(string(c.PaymentIntent), "session")
	if err != nil {
		return err
	}
	if pi.Status != intentProcessing {
		return invalid("", "session", "The payment of %s is %s, not processing", id, pi.Status)
	}
	ch, err := o.charge(string(pi.LatestCharge), "session")
	if err != nil {
		return err
	}
	if !success {
		refusal := &apiError{
			Type: typeCard, Code: "payment_intent_payment_attempt_failed", DeclineCode: "generic_decline",
			Message: "The payment failed.",
		}
		if err := o.failCharge(pi, ch, refusal); err != nil {
			return err
		}
		return o.emit("checkout.session.async_payment_failed", c)
	}
	if err := o.succeed(pi, ch); err != nil {
		return err
	}
	c.PaymentStatus = paymentPaid
	if err := o.invoiceForPayment(c, pi, ch); err != nil {
		return err
	}
	return o.emit("checkout.session.async_payment_succeeded", c)
}

// paySubscription makes the subscription of a session and pays its first
// invoice.
func (o *op) paySubscription(c *session, by payment) error {
	if by.later {
		return invalid("", "session", "The stand-in starts no subscription by a payment that settles later")
	}
	pm, err := o.attach(string(by.card), string(c.Customer))
	if err != nil {
		return err
	}
	d := c.Hidden.Subscription
	want := newSubscription{
		customer: string(c.Customer), method: pm.ID, metadata: copied(d.Metadata), description: d.Description,
		trialEnd: d.TrialEnd, automaticTax: c.AutomaticTax.Enabled, present: true,
	}
	if d.TrialDays > 0 {
		want.trialEnd = o.now + d.TrialDays*daySeconds
	}
	for _, item := range c.Hidden.Items {
		if item.Price.Recurring != nil {
			want.items = append(want.items, wantedItem{price: item.Price, quantity: item.Quantity})
		} else {
			want.oneTime = append(want.oneTime, wantedItem{price: item.Price, quantity: item.Quantity})
		}
	}
	sub, err := o.subscribe(want)
	if err != nil {
		return err
	}
	c.Subscription, c.Invoice, c.PaymentStatus = text(sub.ID), sub.LatestInvoice, paymentPaid
	if in, ok := o.st.Invoices.get(string(sub.LatestInvoice)); ok && in.AmountDue == 0 {
		c.PaymentStatus = paymentNotRequired
	}
	return o.complete(c)
}

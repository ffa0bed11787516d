package stripestand

import (
	"fmt"
	"strings"
)

// invoicePrefix is how a customer's invoice numbers begin.
func invoicePrefix(customerID string) string {
	return strings.ToUpper(customerID[len(customerID)-8:])
}

// sum is what lines come to, with tax.
func (o *op) sum(lines []line, taxed bool) int64 {
	var net int64
	for _, l := range lines {
		net += l.Amount
	}
	if taxed && net > 0 {
		net += taxOn(net, o.opts.TaxBasisPoints)
	}
	return net
}

// draft makes an invoice of a subscription. start and end are the period in
// which its items came up: for a renewal the period that has just ended, as
// Stripe states it, while the lines state the period that they pay for.
func (o *op) draft(sub *subscription, reason string, lines []line, start, end int64) (*invoice, error) {
	if err := o.room(); err != nil {
		return nil, err
	}
	in := &invoice{
		ID: o.newID("in_1"), Object: "invoice", AutoAdvance: true, BillingReason: reason, Created: o.now,
		Currency: sub.Currency, Customer: text(sub.Customer), Metadata: metadata{},
		PeriodStart: start, PeriodEnd: end, Status: invoiceDraft, Subscription: text(sub.ID),
		SubscriptionDetails: subDetails{Metadata: copied(sub.Metadata)},
		AutomaticTax:        automaticTax{Enabled: sub.AutomaticTax.Enabled}, TotalTaxAmounts: []taxAmount{},
	}
	o.setLines(in, lines)
	if c, ok := o.st.Customers.get(sub.Customer); ok {
		in.CustomerEmail, in.CustomerName, in.StartingBalance = c.Email, c.Name, c.Balance
		in.total(c.Balance)
	}
	sub.LatestInvoice = text(in.ID)
	o.st.Invoices.add(in.ID, in)
	return in, o.emit("invoice.created", in)
}

// setLines gives an invoice its lines and what they come to.
func (o *op) setLines(in *invoice, lines []line) {
	for i := range lines {
		lines[i].Invoice = text(in.ID)
		in.Subtotal += lines[i].Amount
	}
	in.Lines = newList("/v1/invoices/"+in.ID+"/lines", lines)
	in.SubtotalExcludingTax, in.TotalExcludingTax, in.Total = in.Subtotal, in.Subtotal, in.Subtotal
	if in.AutomaticTax.Enabled && in.Subtotal > 0 {
		tax := taxOn(in.Subtotal, o.opts.TaxBasisPoints)
		in.Tax, in.Total, in.AutomaticTax.Status = &tax, in.Subtotal+tax, "complete"
		in.TotalTaxAmounts = []taxAmount{{Amount: tax, TaxRate: "txr_standin", TaxableAmount: in.Subtotal}}
	}
}

// total applies the customer's balance, which is negative for credit.
func (in *invoice) total(balance int64) {
	in.AmountDue = max(in.Total+balance, 0)
	in.AmountRemaining = in.AmountDue
}

// finalize fixes an invoice: it gets its number, takes from the customer's
// credit or adds to it, and is paid if nothing is due.
func (o *op) finalize(in *invoice) error {
	in.Status, in.StatusTransitions.FinalizedAt, in.EffectiveAt = invoiceOpen, instant(o.now), instant(o.now)
	in.HostedInvoiceURL = text(o.opts.BaseURL + "/pay/invoice/" + in.ID)
	if sub, ok := o.st.Subscriptions.get(string(in.Subscription)); ok {
		in.SubscriptionDetails.Metadata = copied(sub.Metadata)
	}
	if c, ok := o.st.Customers.get(string(in.Customer)); ok {
		in.StartingBalance = c.Balance
		in.total(c.Balance)
		ending := c.Balance + in.Total - in.AmountDue
		c.Balance, in.EndingBalance = ending, &ending
		in.Number = text(fmt.Sprintf("%s-%04d", c.InvoicePrefix, c.NextInvoiceSequence))
		c.NextInvoiceSequence++
	}
	if err := o.emit("invoice.finalized", in); err != nil {
		return err
	}
	if in.AmountDue == 0 {
		return o.markPaid(in)
	}
	return nil
}

func (o *op) markPaid(in *invoice) error {
	in.Status, in.Paid, in.StatusTransitions.PaidAt = invoicePaid, true, instant(o.now)
	in.AmountPaid, in.AmountRemaining, in.NextPaymentAttempt = in.AmountDue, 0, 0
	in.Attempted = true
	if err := o.emit("invoice.paid", in); err != nil {
		return err
	}
	if err := o.emit("invoice.payment_succeeded", in); err != nil {
		return err
	}
	sub, ok := o.st.Subscriptions.get(string(in.Subscription))
	if !ok || (sub.Status != subIncomplete && sub.Status != subPastDue) || string(sub.LatestInvoice) != in.ID {
		return nil
	}
	err := o.change("customer.subscription.updated", sub, func() { sub.Status = subActive })
	o.arm(timerSubscription, sub.ID)
	return err
}

// billNow makes, finalises and collects an invoice in one go. A refusal by the
// card is returned and leaves the invoice open.
func (o *op) billNow(sub *subscription, reason string, lines []line, start, end int64, offSession bool) (declined *apiError, err error) {
	in, err := o.draft(sub, reason, lines, start, end)
	if err != nil {
		return nil, err
	}
	if err := o.finalize(in); err != nil || in.Paid {
		return nil, err
	}
	return o.collect(in, "", offSession)
}

// payer is the payment method that a subscription's invoices are charged to.
func (o *op) payer(sub *subscription, preferred string) string {
	if preferred != "" {
		return preferred
	}
	if c, ok := o.st.Customers.get(sub.Customer); ok {
		return string(c.InvoiceSettings.DefaultPaymentMethod)
	}
	return ""
}

// collect attempts to charge an open invoice.
func (o *op) collect(in *invoice, method string, offSession bool) (declined *apiError, err error) {
	sub, hasSub := o.st.Subscriptions.get(string(in.Subscription))
	if method == "" && hasSub {
		method = o.payer(sub, string(sub.DefaultPaymentMethod))
	}
	pi, err := o.invoiceIntent(in, hasSub)
	if err != nil {
		return nil, err
	}
	in.AttemptCount++
	in.Attempted = true
	if method == "" {
		declined = &apiError{
			Status: 402, Type: typeCard, Code: "invoice_payment_intent_requires_action", Message: "There is no payment method to charge.",
		}
	} else if declined, err = o.pay(pi, method, offSession); err != nil {
		return nil, err
	}
	in.Charge = pi.LatestCharge
	if declined == nil {
		return nil, o.markPaid(in)
	}
	return declined, o.collectionFailed(in, declined)
}

func (o *op) invoiceIntent(in *invoice, hasSub bool) (*intent, error) {
	if in.PaymentIntent != "" {
		return o.intent(string(in.PaymentIntent), "invoice")
	}
	pi, err := o.newIntent(in.AmountDue, in.Currency, string(in.Customer), metadata{})
	if err != nil {
		return nil, err
	}
	pi.Invoice, in.PaymentIntent = text(in.ID), text(pi.ID)
	if hasSub {
		pi.SetupFutureUsage = "off_session"
		pi.Description = "Subscription update"
		if in.BillingReason == "subscription_create" {
			pi.Description = "Subscription creation"
		}
	}
	return pi, o.emit("payment_intent.created", pi)
}

// collectionFailed plans the next attempt. The subscription is past due; after
// the last attempt it is cancelled. The first payment of a subscription is not
// attempted again by itself.
func (o *op) collectionFailed(in *invoice, declined *apiError) error {
	sub, ok := o.st.Subscriptions.get(string(in.Subscription))
	waits := ok && !sub.over() && sub.Status != subIncomplete
	in.NextPaymentAttempt = 0
	if waits && in.Hidden.Failures < len(o.opts.RetryAfter) {
		in.NextPaymentAttempt = instant(o.now + int64(o.opts.RetryAfter[in.Hidden.Failures].Seconds()))
	}
	in.Hidden.Failures++
	if err := o.emit("invoice.payment_failed", in); err != nil {
		return err
	}
	if declined.Code == "authentication_required" {
		if err := o.emit("invoice.payment_action_required", in); err != nil {
			return err
		}
	}
	if !waits {
		return nil
	}
	if in.NextPaymentAttempt == 0 {
		return o.cancel(sub, "payment_failed")
	}
	o.arm(timerInvoice, in.ID)
	if sub.Status == subPastDue {
		return nil
	}
	return o.change("customer.subscription.updated", sub, func() { sub.Status = subPastDue })
}

// advance does what is due on an invoice: the renewal's draft is finalised and
// collected, an open one is collected again.
func (o *op) advance(in *invoice) error {
	if in.Status == invoiceDraft {
		sub, ok := o.st.Subscriptions.get(string(in.Subscription))
		paused := ""
		if ok {
			paused = sub.pausedAs(o.now)
		}
		if err := o.finalize(in); err != nil || in.Paid {
			return err
		}
		switch paused {
		case "void":
			return o.void(in)
		case "mark_uncollectible":
			in.Status, in.StatusTransitions.MarkedUncollectibleAt = invoiceUncollectible, instant(o.now)
			return o.emit("invoice.marked_uncollectible", in)
		}
	}
	_, err := o.collect(in, "", true)
	return err
}

// invoiceForPayment makes the paid invoice of a one-time purchase that asked
// for one.
func (o *op) invoiceForPayment(c *session, pi *intent, ch *charge) error {
	if c.InvoiceCreation == nil || !c.InvoiceCreation.Enabled {
		return nil
	}
	if err := o.room(); err != nil {
		return err
	}
	data := c.InvoiceCreation.Data
	in := &invoice{
		ID: o.newID("in_1"), Object: "invoice", BillingReason: "manual", Created: o.now, Currency: c.Currency,
		Customer: c.Customer, Description: data.Description, Footer: data.Footer, Metadata: copied(data.Metadata),
		PeriodStart: o.now, PeriodEnd: o.now, Status: invoiceDraft, PaymentIntent: text(pi.ID), Charge: text(ch.ID),
		AutomaticTax: automaticTax{Enabled: c.AutomaticTax.Enabled}, TotalTaxAmounts: []taxAmount{},
	}
	if c.CustomerDetails != nil {
		in.CustomerEmail, in.CustomerName = c.CustomerDetails.Email, c.CustomerDetails.Name
	}
	var lines []line
	for _, item := range c.Hidden.Items {
		lines = append(lines, line{
			ID: o.newID("il_1"), Object: "line_item", Amount: item.AmountSubtotal - item.AmountDiscount,
			Currency: item.Currency, Description: text(item.Description), Discountable: true, InvoiceItem: o.newID("ii_1"),
			Metadata: metadata{}, Period: period{Start: o.now, End: o.now}, Price: item.Price, Quantity: item.Quantity,
			TaxAmounts: []taxAmount{}, Type: lineItemType,
		})
	}
	o.setLines(in, lines)
	in.AmountDue, in.AmountRemaining = in.Total, in.Total
	in.StatusTransitions.FinalizedAt, in.EffectiveAt = instant(o.now), instant(o.now)
	o.st.Invoices.add(in.ID, in)
	c.Invoice, pi.Invoice, ch.Invoice = text(in.ID), text(in.ID), text(in.ID)
	if err := o.emit("invoice.created", in); err != nil {
		return err
	}
	in.Status = invoiceOpen
	if err := o.emit("invoice.finalized", in); err != nil {
		return err
	}
	return o.markPaid(in)
}

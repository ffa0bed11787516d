package stripestand

import "fmt"

// subscribe makes a subscription, bills its first period at once and collects.
func (o *op) subscribe(want newSubscription) (*subscription, error) {
	if err := o.room(); err != nil {
		return nil, err
	}
	sub := &subscription{
		ID: o.newID("sub_1"), Object: "subscription", AutomaticTax: subTax{Enabled: want.automaticTax},
		BillingCycleAnchor: o.now, Created: o.now, Currency: want.items[0].price.Currency, CurrentPeriodStart: o.now,
		Customer: want.customer, DefaultPaymentMethod: text(want.method), Description: want.description,
		Metadata: want.metadata, StartDate: o.now, Status: subIncomplete,
	}
	var items []subscriptionItem
	for _, item := range want.items {
		items = append(items, o.newItem(sub.ID, item))
	}
	sub.Items = newList("/v1/subscription_items?subscription="+sub.ID, items)
	switch {
	case want.trialEnd > o.now:
		sub.BillingCycleAnchor, sub.Status = want.trialEnd, subTrialing
		sub.TrialStart, sub.TrialEnd = instant(o.now), instant(want.trialEnd)
	case want.anchor > o.now:
		sub.BillingCycleAnchor = want.anchor
	}
	sub.CurrentPeriodEnd = nextAnchor(sub.BillingCycleAnchor, o.now, sub.every())
	if want.cancelAtPeriodEnd {
		sub.cancelAt(sub.CurrentPeriodEnd, true, o.now)
	}
	lines := o.firstLines(sub, want)
	if sub.Status == subIncomplete && o.sum(lines, sub.AutomaticTax.Enabled) <= 0 {
		sub.Status = subActive
	}
	o.st.Subscriptions.add(sub.ID, sub)
	if c, ok := o.st.Customers.get(sub.Customer); ok {
		c.Currency = text(sub.Currency)
	}
	if err := o.emit("customer.subscription.created", sub); err != nil {
		return nil, err
	}
	o.arm(timerSubscription, sub.ID)
	if len(lines) == 0 {
		return sub, nil
	}
	_, err := o.billNow(sub, "subscription_create", lines, o.now, o.now, !want.present)
	return sub, err
}

// firstLines are the lines of a subscription's first invoice.
func (o *op) firstLines(sub *subscription, want newSubscription) []line {
	var lines []line
	short := want.anchor > o.now && sub.Status != subTrialing
	for _, item := range sub.Items.Data {
		l := o.subscriptionLine(sub, item)
		switch {
		case sub.Status == subTrialing:
			l.Amount, l.Description = 0, text("Trial period for "+o.nameOf(item.Price))
		case short && want.anchorFree:
			continue
		case short:
			whole := nextAnchor(want.anchor, want.anchor, sub.every()) - want.anchor
			l.Amount, l.Proration = prorate(item.amount(), want.anchor-o.now, whole), true
		}
		lines = append(lines, l)
	}
	for _, item := range want.oneTime {
		l := o.newLine(sub, item.price, item.quantity, item.price.UnitAmount*item.quantity)
		l.Type, l.InvoiceItem, l.Period = lineItemType, o.newID("ii_1"), period{Start: o.now, End: o.now}
		lines = append(lines, l)
	}
	return lines
}

func (o *op) nameOf(p price) string {
	if of, ok := o.st.Products.get(p.Product); ok {
		return of.Name
	}
	return p.Product
}

func (o *op) newLine(sub *subscription, p price, quantity, amount int64) line {
	return line{
		ID: o.newID("il_1"), Object: "line_item", Amount: amount, Currency: p.Currency, Discountable: true,
		Description: text(fmt.Sprintf("%d × %s", quantity, o.nameOf(p))), Metadata: copied(sub.Metadata),
		Price: p, Quantity: quantity, Subscription: text(sub.ID), TaxAmounts: []taxAmount{},
	}
}

// subscriptionLine bills an item for the subscription's current period.
func (o *op) subscriptionLine(sub *subscription, item subscriptionItem) line {
	l := o.newLine(sub, item.Price, item.Quantity, item.amount())
	l.Type, l.SubscriptionItem = lineSubscription, item.ID
	l.Period = period{Start: sub.CurrentPeriodStart, End: sub.CurrentPeriodEnd}
	return l
}

// turn begins a subscription's next period, or ends the subscription.
func (o *op) turn(sub *subscription) error {
	if sub.Status == subIncomplete {
		return o.expireIncomplete(sub)
	}
	if sub.CancelAt != 0 && int64(sub.CancelAt) <= o.now {
		return o.cancel(sub, string(sub.CancellationDetails.Reason))
	}
	start, end := sub.CurrentPeriodStart, sub.CurrentPeriodEnd
	err := o.change("customer.subscription.updated", sub, func() {
		sub.CurrentPeriodStart = end
		sub.CurrentPeriodEnd = nextAnchor(sub.BillingCycleAnchor, end, sub.every())
		if sub.Status == subTrialing {
			sub.Status = subActive
		}
	})
	if err != nil {
		return err
	}
	o.arm(timerSubscription, sub.ID)
	in, err := o.draft(sub, "subscription_cycle", o.cycleLines(sub), start, end)
	if err != nil {
		return err
	}
	if sub.pausedAs(o.now) == "keep_as_draft" {
		in.AutoAdvance = false
	}
	in.Hidden.FinalizeAt = o.now + int64(o.opts.FinalizeAfter.Seconds())
	o.arm(timerInvoice, in.ID)
	return nil
}

// pausedAs returns how invoices are treated while collection is paused, ""
// when it is not.
func (sub *subscription) pausedAs(now int64) string {
	p := sub.PauseCollection
	if p == nil || (p.ResumesAt != 0 && int64(p.ResumesAt) <= now) {
		return ""
	}
	return p.Behavior
}

// cycleLines bills the period that begins, after what waits from changes.
func (o *op) cycleLines(sub *subscription) []line {
	lines := o.st.PendingItems[sub.ID]
	delete(o.st.PendingItems, sub.ID)
	for _, item := range sub.Items.Data {
		lines = append(lines, o.subscriptionLine(sub, item))
	}
	return lines
}

func (o *op) expireIncomplete(sub *subscription) error {
	if in, ok := o.st.Invoices.get(string(sub.LatestInvoice)); ok && in.Status == invoiceOpen {
		if err := o.void(in); err != nil {
			return err
		}
	}
	return o.change("customer.subscription.updated", sub, func() {
		sub.Status, sub.EndedAt = subIncompleteExpired, instant(o.now)
	})
}

// cancelAt plans the end of a subscription.
func (sub *subscription) cancelAt(at int64, periodEnd bool, now int64) {
	sub.CancelAt, sub.CancelAtPeriodEnd, sub.CanceledAt = instant(at), periodEnd, instant(now)
	sub.CancellationDetails.Reason = "cancellation_requested"
}

// keep takes a planned end back.
func (sub *subscription) keep() {
	sub.CancelAt, sub.CancelAtPeriodEnd, sub.CanceledAt = 0, false, 0
	sub.CancellationDetails = cancellationDetails{}
}

// cancel ends a subscription now. Its open invoices are no longer collected.
func (o *op) cancel(sub *subscription, reason string) error {
	sub.Status, sub.EndedAt, sub.CancellationDetails.Reason = subCanceled, instant(o.now), text(reason)
	if sub.CanceledAt == 0 {
		sub.CanceledAt = instant(o.now)
	}
	delete(o.st.PendingItems, sub.ID)
	for i := o.st.Invoices.len() - 1; i >= 0; i-- {
		in := o.st.Invoices.at(i)
		if in.Created < sub.Created {
			break
		}
		if string(in.Subscription) == sub.ID && (in.Status == invoiceOpen || in.Status == invoiceDraft) {
			in.AutoAdvance, in.NextPaymentAttempt = false, 0
		}
	}
	if err := o.emit("customer.subscription.deleted", sub); err != nil {
		return err
	}
	return o.endSchedule(sub)
}

func (o *op) cancelSubscription() (any, error) {
	sub, err := o.subscription(o.id, "id")
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, missing("subscription", "id", o.id)
	}
	o.p.applyText("cancellation_details[comment]", &sub.CancellationDetails.Comment)
	o.p.applyText("cancellation_details[feedback]", &sub.CancellationDetails.Feedback)
	var credit []line
	if o.p.boolean("prorate") && sub.Status != subTrialing {
		for _, item := range sub.Items.Data {
			credit = append(credit, o.prorationLine(sub, item, -1, o.now))
		}
	}
	pending := append(o.st.PendingItems[sub.ID], credit...)
	if err := o.cancel(sub, "cancellation_requested"); err != nil {
		return nil, err
	}
	if o.p.boolean("invoice_now") && len(pending) > 0 {
		_, err = o.billNow(sub, "subscription_update", pending, sub.CurrentPeriodStart, o.now, true)
	}
	return sub, err
}

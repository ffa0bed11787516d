package stripestand

import (
	"fmt"
	"time"
)

// subChange is an update of a subscription, checked before anything changes.
type subChange struct {
	items     []subscriptionItem
	changed   bool // the items differ
	reset     bool // a new period begins now
	prorated  []line
	meta      metadata
	method    string
	trialEnd  int64
	endsTrial bool
}

func (o *op) updateSubscription() (any, error) {
	sub, err := o.subscription(o.id, "id")
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, invalid("", "", "A canceled subscription can only update its cancellation_details.")
	}
	if sub.Status == subIncomplete && (o.p.has("items") || o.p.has("trial_end") || o.p.has("billing_cycle_anchor")) {
		return nil, invalid("", "", "A subscription whose first payment is outstanding can only update its metadata and its payment method.")
	}
	if sub.Schedule != "" && (o.p.has("cancel_at") || o.p.has("cancel_at_period_end")) {
		return nil, invalid("", "cancel_at_period_end", "The subscription is managed by the subscription schedule `%s`, and "+
			"updating any cancelation behavior directly is not allowed. Please update the schedule instead.", string(sub.Schedule))
	}
	var ch subChange
	if ch.meta, err = o.p.meta("metadata", sub.Metadata); err != nil {
		return nil, err
	}
	ch.method = o.p.strOr("default_payment_method", string(sub.DefaultPaymentMethod))
	if err := o.checkMethod(ch.method, "default_payment_method"); err != nil {
		return nil, err
	}
	if at := o.p.integer("cancel_at"); at != 0 && at <= o.now {
		return nil, invalid("", "cancel_at", "cancel_at must be in the future")
	}
	ch.endsTrial = sub.Status == subTrialing && o.p.str("trial_end") == "now"
	ch.trialEnd = o.p.integer("trial_end")
	if ch.trialEnd != 0 && ch.trialEnd <= o.now {
		return nil, invalid("", "trial_end", "Invalid timestamp: must be an integer Unix timestamp in the future.")
	}
	if err := o.changedItems(sub, &ch); err != nil {
		return nil, err
	}
	if err := o.plan(sub, &ch); err != nil {
		return nil, err
	}
	return sub, o.applyChange(sub, ch)
}

// changedItems works out the items after the update.
func (o *op) changedItems(sub *subscription, ch *subChange) error {
	byID := map[string]wantedItem{}
	removed := map[string]bool{}
	var added []wantedItem
	for _, path := range o.p.elements("items") {
		id := o.p.str(path + "[id]")
		if id == "" {
			item, err := o.wantedItem(path)
			if err != nil {
				return err
			}
			added = append(added, item)
			continue
		}
		old, ok := sub.item(id)
		if !ok {
			return missing("subscription_item", path+"[id]", id)
		}
		if o.p.boolean(path + "[deleted]") {
			removed[id] = true
			continue
		}
		item := wantedItem{price: old.Price, quantity: old.Quantity, metadata: old.Metadata}
		if o.p.has(path + "[price]") {
			changed, err := o.wantedItem(path)
			if err != nil {
				return err
			}
			item.price = changed.price
		}
		if o.p.has(path + "[quantity]") {
			item.quantity = o.p.integer(path + "[quantity]")
		}
		byID[id] = item
	}
	var all []wantedItem
	for _, item := range sub.Items.Data {
		if removed[item.ID] {
			ch.changed = true
			continue
		}
		if want, ok := byID[item.ID]; ok {
			ch.changed = ch.changed || want.price.ID != item.Price.ID || want.quantity != item.Quantity
			item.Price, item.Quantity = want.price, want.quantity
		}
		ch.items = append(ch.items, item)
		all = append(all, wantedItem{price: item.Price, quantity: item.Quantity})
	}
	for _, want := range added {
		ch.changed = true
		ch.items = append(ch.items, o.newItem(sub.ID, want))
		all = append(all, want)
	}
	return checkItems(all)
}

func (sub *subscription) item(id string) (subscriptionItem, bool) {
	for _, item := range sub.Items.Data {
		if item.ID == id {
			return item, true
		}
	}
	return subscriptionItem{}, false
}

// plan decides whether a new period begins and what is prorated. As with
// Stripe, a new interval, or going from free to paid, begins a new period.
func (o *op) plan(sub *subscription, ch *subChange) error {
	after := subscription{Items: newList("", ch.items)}
	running := sub.Status == subActive || sub.Status == subPastDue
	interval := after.every() != sub.every()
	fromFree := sub.total() == 0 && after.total() > 0
	ch.reset = ch.endsTrial || o.p.str("billing_cycle_anchor") == "now" || (running && ch.changed && (interval || fromFree))
	at := o.now
	if date := o.p.integer("proration_date"); date != 0 {
		if date < sub.CurrentPeriodStart || date > sub.CurrentPeriodEnd {
			return invalid("", "proration_date", "Cannot specify `proration_date` outside of the subscription's current period")
		}
		at = date
	}
	behavior := o.p.strOr("proration_behavior", "create_prorations")
	if running && behavior != "none" && (ch.changed || ch.reset) {
		ch.prorated = o.prorations(sub, ch, at)
	}
	if (ch.reset || behavior == "always_invoice") && o.p.str("payment_behavior") == "error_if_incomplete" {
		return o.canCharge(o.payer(sub, ch.method))
	}
	return nil
}

// prorations credits what is left of the old items and, unless a new period
// begins, charges what is left for the new.
func (o *op) prorations(sub *subscription, ch *subChange, at int64) []line {
	kept := map[string]subscriptionItem{}
	for _, item := range ch.items {
		kept[item.ID] = item
	}
	var lines []line
	for _, old := range sub.Items.Data {
		if now, ok := kept[old.ID]; ok && !ch.reset && now.Price.ID == old.Price.ID && now.Quantity == old.Quantity {
			delete(kept, old.ID)
			continue
		}
		lines = append(lines, o.prorationLine(sub, old, -1, at))
	}
	if ch.reset {
		return lines
	}
	for _, item := range ch.items {
		if _, ok := kept[item.ID]; ok {
			lines = append(lines, o.prorationLine(sub, item, 1, at))
		}
	}
	return lines
}

// prorationLine credits (sign -1) or charges (sign 1) an item from a moment to
// the period's end.
func (o *op) prorationLine(sub *subscription, item subscriptionItem, sign, at int64) line {
	amount := sign * prorate(item.amount(), sub.CurrentPeriodEnd-at, sub.CurrentPeriodEnd-sub.CurrentPeriodStart)
	l := o.newLine(sub, item.Price, item.Quantity, amount)
	l.Type, l.InvoiceItem, l.Proration, l.Discountable = lineItemType, o.newID("ii_1"), true, false
	l.SubscriptionItem, l.Period = item.ID, period{Start: at, End: sub.CurrentPeriodEnd}
	kind := "Remaining"
	if sign < 0 {
		kind = "Unused"
	}
	l.Description = text(fmt.Sprintf("%s time on %s after %s", kind, o.nameOf(item.Price), time.Unix(at, 0).UTC().Format("02 Jan 2006")))
	return l
}

func (o *op) applyChange(sub *subscription, ch subChange) error {
	start := sub.CurrentPeriodStart
	err := o.change("customer.subscription.updated", sub, func() {
		sub.Items = newList(sub.Items.URL, ch.items)
		sub.Metadata, sub.DefaultPaymentMethod = ch.meta, text(ch.method)
		o.p.applyText("description", &sub.Description)
		if o.p.has("automatic_tax") {
			sub.AutomaticTax.Enabled = o.p.boolean("automatic_tax[enabled]")
		}
		o.applyCancellation(sub)
		o.applyPause(sub)
		if ch.trialEnd != 0 {
			sub.Status, sub.TrialEnd, sub.BillingCycleAnchor = subTrialing, instant(ch.trialEnd), ch.trialEnd
			sub.CurrentPeriodEnd = ch.trialEnd
		}
		if ch.endsTrial {
			sub.Status, sub.TrialEnd = subActive, instant(o.now)
		}
		if ch.reset {
			sub.BillingCycleAnchor, sub.CurrentPeriodStart = o.now, o.now
			sub.CurrentPeriodEnd = nextAnchor(o.now, o.now, sub.every())
		}
		if sub.CancelAtPeriodEnd {
			sub.CancelAt = instant(sub.CurrentPeriodEnd)
		}
	})
	if err != nil {
		return err
	}
	o.arm(timerSubscription, sub.ID)
	switch {
	case ch.reset:
		lines := append(o.st.PendingItems[sub.ID], ch.prorated...)
		delete(o.st.PendingItems, sub.ID)
		for _, item := range sub.Items.Data {
			lines = append(lines, o.subscriptionLine(sub, item))
		}
		_, err = o.billNow(sub, "subscription_update", lines, start, o.now, true)
	case o.p.str("proration_behavior") == "always_invoice" && len(ch.prorated) > 0:
		_, err = o.billNow(sub, "subscription_update", ch.prorated, start, o.now, true)
	case len(ch.prorated) > 0:
		o.st.PendingItems[sub.ID] = append(o.st.PendingItems[sub.ID], ch.prorated...)
	}
	return err
}

func (o *op) applyCancellation(sub *subscription) {
	if o.p.has("cancel_at_period_end") {
		if o.p.boolean("cancel_at_period_end") {
			sub.cancelAt(sub.CurrentPeriodEnd, true, o.now)
		} else {
			sub.keep()
		}
	}
	if o.p.has("cancel_at") {
		if at := o.p.integer("cancel_at"); at != 0 {
			sub.cancelAt(at, false, o.now)
		} else {
			sub.keep()
		}
	}
	o.p.applyText("cancellation_details[comment]", &sub.CancellationDetails.Comment)
	o.p.applyText("cancellation_details[feedback]", &sub.CancellationDetails.Feedback)
}

func (o *op) applyPause(sub *subscription) {
	if !o.p.has("pause_collection") {
		return
	}
	sub.PauseCollection = nil
	if behavior := o.p.str("pause_collection[behavior]"); behavior != "" {
		sub.PauseCollection = &pauseCollection{
			Behavior: behavior, ResumesAt: instant(o.p.integer("pause_collection[resumes_at]")),
		}
	}
}

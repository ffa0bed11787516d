package stripestand

import "strings"

// upcomingEndpoint previews the invoice that a change of a subscription would bring.
var upcomingEndpoint = []endpointSpec{{
	"GET /v1/invoices/upcoming", newSpec("subscription!", "subscription_items[][id]", "subscription_items[][price]", "subscription_items[][quantity] int",
		"subscription_proration_behavior create_prorations|none|always_invoice", "subscription_proration_date time"), (*op).upcoming,
}}

// upcoming is the invoice that would come next if a subscription were changed: the one that is sent at once when the change is invoiced so, else
// that of the next period. Nothing changes.
func (o *op) upcoming() (any, error) {
	serial := o.st.Serial
	defer func() { o.st.Serial = serial }()
	sub, err := o.subscription(o.p.str("subscription"), "subscription")
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, invalid("invoice_upcoming_none", "", "No upcoming invoices for customer: %s", sub.Customer)
	}
	change := params{values: map[string]string{}}
	for name, value := range o.p.values {
		if name, ok := strings.CutPrefix(name, "subscription_"); ok {
			change.values[name] = value
		}
	}
	o.p, change = change, o.p
	var ch subChange
	err = o.changedItems(sub, &ch)
	if err == nil {
		err = o.plan(sub, &ch)
	}
	at := o.p.strOr("proration_behavior", "create_prorations")
	o.p = change
	if err != nil {
		return nil, err
	}
	after := *sub
	after.Items = newList(sub.Items.URL, ch.items)
	in := &invoice{
		Object: "invoice", BillingReason: "upcoming", Created: o.now, Currency: sub.Currency, Customer: text(sub.Customer), Metadata: metadata{},
		PeriodStart: sub.CurrentPeriodStart, PeriodEnd: o.now, Status: invoiceDraft, Subscription: text(sub.ID),
		SubscriptionDetails: subDetails{Metadata: copied(sub.Metadata)}, AutomaticTax: automaticTax{Enabled: sub.AutomaticTax.Enabled},
		TotalTaxAmounts: []taxAmount{},
	}
	lines := ch.prorated
	switch {
	case ch.reset:
		after.CurrentPeriodStart, after.CurrentPeriodEnd = o.now, nextAnchor(o.now, o.now, after.every())
	case at == "always_invoice" && len(lines) > 0:
		after.Items = newList[subscriptionItem](sub.Items.URL, nil)
	default:
		after.CurrentPeriodStart = sub.CurrentPeriodEnd
		after.CurrentPeriodEnd = nextAnchor(sub.BillingCycleAnchor, sub.CurrentPeriodEnd, after.every())
		in.PeriodEnd = sub.CurrentPeriodEnd
	}
	for _, item := range after.Items.Data {
		lines = append(lines, o.subscriptionLine(&after, item))
	}
	o.setLines(in, lines)
	if c, ok := o.st.Customers.get(sub.Customer); ok {
		in.total(c.Balance)
	}
	return in, nil
}

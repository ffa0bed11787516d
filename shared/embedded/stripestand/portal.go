package stripestand

import (
	"fmt"
	"net/http"
)

// portalSession is a customer's way into the billing portal.
type portalSession struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Created   int64  `json:"created"`
	Customer  string `json:"customer"`
	Locale    text   `json:"locale"`
	ReturnURL text   `json:"return_url"`
	URL       string `json:"url"`
}

var portalEndpoints = []endpointSpec{
	{"POST /v1/billing_portal/sessions", newSpec("customer!", "return_url", "locale"), (*op).createPortal},
}

func (o *op) createPortal() (any, error) {
	if _, err := o.customer(o.p.str("customer"), "customer"); err != nil {
		return nil, err
	}
	if err := o.room(); err != nil {
		return nil, err
	}
	b := &portalSession{
		ID: o.newID("bps_1"), Object: "billing_portal.session", Created: o.now, Customer: o.p.str("customer"),
		Locale: text(o.p.str("locale")), ReturnURL: text(o.p.str("return_url")),
	}
	b.URL = o.opts.BaseURL + "/portal/" + b.ID
	o.st.Portals.add(b.ID, b)
	return b, nil
}

type portalPage struct {
	Title, Customer, Card, Return, Problem string
	Subscriptions                          []portalSubscription
	Cards                                  []pageChoice
	Invoices                               []pageRow
}

type portalSubscription struct {
	ID, Plan, Price, Status string
	Ending                  bool
	Plans                   []pageChoice
}

func (o *op) portal(id string) (*portalSession, *customer, error) {
	b, ok := o.st.Portals.get(id)
	if !ok {
		return nil, nil, missing("billing_portal.session", "id", id)
	}
	c, err := o.customer(b.Customer, "customer")
	return b, c, err
}

func (s *Stand) showPortal(w http.ResponseWriter, r *http.Request) { s.answerPortal(w, r, "") }

func (s *Stand) answerPortal(w http.ResponseWriter, r *http.Request, problem string) {
	var page portalPage
	err := s.read(func(o *op) error {
		b, c, err := o.portal(r.PathValue("id"))
		if err != nil {
			return err
		}
		page = o.newPortalPage(b, c)
		page.Problem = problem
		return nil
	})
	if err != nil {
		renderProblem(w, err)
		return
	}
	render(w, http.StatusOK, "portal", page)
}

func (o *op) newPortalPage(b *portalSession, c *customer) portalPage {
	page := portalPage{
		Title: "Billing", Customer: string(c.Email), Card: "No card saved.", Return: string(b.ReturnURL), Cards: savableCards,
	}
	if c.Name != "" {
		page.Customer = string(c.Name)
	}
	if page.Customer == "" {
		page.Customer = c.ID
	}
	if pm, ok := o.st.Methods.get(string(c.InvoiceSettings.DefaultPaymentMethod)); ok {
		page.Card = fmt.Sprintf("%s ending in %s", pm.Card.Brand, pm.Card.Last4)
	}
	for _, sub := range o.subscriptionsOf(c.ID) {
		page.Subscriptions = append(page.Subscriptions, o.portalSubscription(sub))
	}
	const shown = 12
	for i := o.st.Invoices.len() - 1; i >= 0 && len(page.Invoices) < shown; i-- {
		in := o.st.Invoices.at(i)
		if string(in.Customer) != c.ID || in.Number == "" {
			continue
		}
		page.Invoices = append(page.Invoices, pageRow{
			Name: string(in.Number), Detail: day(in.Created) + ", " + in.Status, Amount: money(in.Total, in.Currency),
			URL: string(in.HostedInvoiceURL),
		})
	}
	return page
}

func (o *op) portalSubscription(sub *subscription) portalSubscription {
	item := sub.Items.Data[0]
	out := portalSubscription{
		ID: sub.ID, Plan: o.nameOf(item.Price), Price: money(sub.total(), sub.Currency) + " " + sub.every().words(),
		Status: fmt.Sprintf("%s, renews on %s", sub.Status, day(sub.CurrentPeriodEnd)), Ending: sub.CancelAt != 0,
	}
	if out.Ending {
		out.Status = fmt.Sprintf("%s, ends on %s", sub.Status, day(int64(sub.CancelAt)))
	}
	if sc, ok := o.st.Schedules.get(string(sub.Schedule)); ok && len(sc.Phases) > 1 {
		if next, err := o.price(sc.Phases[1].Items[0].Price, "price"); err == nil {
			out.Status += ", then " + o.nameOf(*next)
		}
		return out
	}
	for i := range o.st.Prices.len() {
		p := o.st.Prices.at(i)
		if p.Active && p.Recurring != nil && p.Currency == sub.Currency && p.ID != item.Price.ID {
			out.Plans = append(out.Plans, pageChoice{
				Value: p.ID, Label: fmt.Sprintf("%s, %s %s", o.nameOf(*p), money(p.UnitAmount, p.Currency), p.Recurring.words()),
			})
		}
	}
	return out
}

// submitPortal does what the customer chose.
func (s *Stand) submitPortal(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	action, subID := r.PostFormValue("action"), r.PostFormValue("subscription")
	err := s.do(func(o *op) error {
		_, c, err := o.portal(r.PathValue("id"))
		if err != nil {
			return err
		}
		if action == "card" {
			card := Card(r.PostFormValue("card"))
			if t, known := cards[card]; !known || t.unattachable {
				return invalid("", "card", "No card that can be saved: %q", string(card))
			}
			pm, err := o.newMethod(card, c.ID)
			if err != nil {
				return err
			}
			return o.change("customer.updated", c, func() { c.InvoiceSettings.DefaultPaymentMethod = text(pm.ID) })
		}
		sub, err := o.subscription(subID, "subscription")
		if err != nil {
			return err
		}
		if sub.Customer != c.ID {
			return missing("subscription", "subscription", subID)
		}
		switch action {
		case "cancel":
			return o.as(subID, map[string]string{"cancel_at_period_end": "true"}, (*op).updateSubscription)
		case "keep":
			return o.as(subID, map[string]string{"cancel_at_period_end": "false"}, (*op).updateSubscription)
		case "change":
			return o.changePlan(sub, r.PostFormValue("price"))
		default:
			return invalid("", "action", "Unknown action %q", action)
		}
	})
	if err != nil {
		s.answerPortal(w, r, sentence(err))
		return
	}
	http.Redirect(w, r, s.opts.BaseURL+"/portal/"+r.PathValue("id"), http.StatusSeeOther)
}

// as runs an endpoint's work with parameters of the stand-in's own.
func (o *op) as(id string, values map[string]string, run func(*op) (any, error)) error {
	inner := *o
	inner.id, inner.p = id, params{values: values}
	_, err := run(&inner)
	return err
}

// changePlan begins a dearer plan now, charging the difference, and a cheaper
// one with the next period.
func (o *op) changePlan(sub *subscription, priceID string) error {
	p, err := o.price(priceID, "price")
	if err != nil {
		return err
	}
	item := sub.Items.Data[0]
	if p.UnitAmount*item.Quantity >= item.amount() {
		return o.as(sub.ID, map[string]string{
			"items[0][id]": item.ID, "items[0][price]": p.ID, "proration_behavior": "always_invoice",
			"payment_behavior": "error_if_incomplete",
		}, (*op).updateSubscription)
	}
	inner := *o
	inner.p = params{values: map[string]string{"from_subscription": sub.ID}}
	made, err := inner.createSchedule()
	if err != nil {
		return err
	}
	sc, ok := made.(*schedule)
	if !ok {
		return fmt.Errorf("changing the plan of %s: a %T was made", sub.ID, made)
	}
	quantity := fmt.Sprint(item.Quantity)
	return o.as(sc.ID, map[string]string{
		"phases[0][items][0][price]": item.Price.ID, "phases[0][items][0][quantity]": quantity,
		"phases[0][start_date]": fmt.Sprint(sub.CurrentPeriodStart), "phases[0][end_date]": fmt.Sprint(sub.CurrentPeriodEnd),
		"phases[1][items][0][price]": p.ID, "phases[1][items][0][quantity]": quantity, "phases[1][iterations]": "1",
		"end_behavior": "release",
	}, (*op).updateSchedule)
}

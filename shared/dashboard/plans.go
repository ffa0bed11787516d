package dashboard

import (
	"net/http"
	"net/url"
	"slices"
)

// planData fills the page of the organisation's plan.
type planData struct {
	priceList
	// Standing is the subscription, or nil where there is none.
	Standing *subscription
	// Wanted is the plan that is asked for, for the person to confirm.
	Wanted *planChoice
}

// planChoice is a plan that could be had.
type planChoice struct {
	plan
	// Dearer plans begin at once, others with the next cycle.
	Dearer bool
	// Preview is what the change would cost and bring, or nil where that cannot be told now.
	Preview *planPreview
}

func (v *visit) plan() error {
	var d planData
	if err := v.get("/catalogue", url.Values{"country": {v.Org.Country}}, &d.priceList); err != nil {
		return err
	}
	var standing subscription
	switch err := v.get(v.in("subscription"), nil, &standing); {
	case err == nil:
		d.Standing = &standing
	case !missing(err):
		return err
	}
	if at := slices.IndexFunc(d.Plans, func(p plan) bool { return p.ID == v.query("to") }); at >= 0 && d.Standing != nil && v.Admin() && d.Plans[at].ID != standing.Plan {
		choice := d.choice(d.Plans[at])
		if err := v.preview(&choice); err != nil {
			return err
		}
		d.Wanted = &choice
	}
	return v.render("Plan", d)
}

// preview asks what a change would cost and bring. Without an answer the page says in words what will happen.
func (v *visit) preview(c *planChoice) error {
	var p planPreview
	err := v.get(v.in("subscription", "preview"), url.Values{"plan": {c.ID}}, &p)
	if err == nil {
		c.Preview = &p
		return nil
	}
	no, ok := refused(err)
	if !ok {
		return err
	}
	if no.Code == "payment_declined" {
		v.Problem = no.Detail
	}
	return nil
}

// choice is a plan beside the one that the organisation has.
func (d planData) choice(p plan) planChoice {
	at := slices.IndexFunc(d.Plans, func(p plan) bool { return p.ID == d.Standing.Plan })
	return planChoice{plan: p, Dearer: at >= 0 && p.Month > d.Plans[at].Month}
}

// Choices are all plans, for templates.
func (d planData) Choices() []planChoice {
	var out []planChoice
	for _, p := range d.Plans {
		if d.Standing == nil {
			out = append(out, planChoice{plan: p})
			continue
		}
		out = append(out, d.choice(p))
	}
	return out
}

// changePlan changes the plan, or sends the person to Stripe's page of plans, cards and invoices.
func (v *visit) changePlan() error {
	switch v.field("do") {
	case "portal":
		return v.openPortal((*visit).plan)
	case "change":
		if err := v.do(http.MethodPost, v.in("subscription", "change"), map[string]string{"plan": v.field("plan")}, nil); err != nil {
			return v.again((*visit).plan, err)
		}
		return v.done("/orgs/"+v.org+"/plan", "plan")
	}
	return v.again((*visit).plan, wrong("This form is not known."))
}

// openPortal sends an administrator to Stripe's page of plans, cards and invoices; where that is not to be had, the page says why.
func (v *visit) openPortal(show func(*visit) error) error {
	var to struct {
		URL string `json:"url"`
	}
	if err := v.do(http.MethodPost, v.in("billing-portal"), nil, &to); err != nil {
		return v.again(show, err)
	}
	http.Redirect(v.w, v.r, to.URL, http.StatusSeeOther)
	return nil
}

package dashboard

// link is an entry of the menu.
type link struct {
	Href, Text string
	Current    bool
	// Apart entries begin a group.
	Apart bool
}

// Menu is what leads from one page to the others: those of the organisation that this one is about, as far as the person may see them, or those
// of support.
func (v *visit) Menu() []link {
	if v.session.IDToken == "" || (v.Org.ID == "" && !v.page.staff) {
		return nil
	}
	var out []link
	apart := false
	add := func(shown bool, name, href, text string) {
		if shown {
			out = append(out, link{Href: href, Text: text, Current: v.page.within() == name, Apart: apart && len(out) > 0})
			apart = false
		}
	}
	if home := v.Home(); v.Org.ID != "" {
		add(true, "overview", home, "Credits Dashboard")
		add(true, "usage", home+"/usage", "Usage Reports")
		apart = true
		add(v.Admin(), "purchase", home+"/purchase", "Purchase Credits")
		add(v.Reads(), "history", home+"/purchases", "Purchase History")
		add(v.Reads(), "topup", home+"/auto-top-up", "Auto Top-Up")
		add(true, "plan", home+"/plan", "Plan")
		apart = true
		add(true, "controls", home+"/controls", "Usage Controls")
		add(true, "teams", home+"/teams", "Team Allocations")
		add(true, "notifications", home+"/notifications", "Notifications")
		apart = true
		add(true, "refusals", home+"/refusals", "Why was I refused?")
		add(true, "prices", home+"/prices", "Prices")
		add(v.Belongs() || v.Support(), "referral", home+"/referral", "Referral")
		add(v.Support(), "adjust", home+"/adjust", "Adjust credits")
		return out
	}
	base := v.d.base
	add(true, "support", base+"/support", "Find a customer")
	add(true, "letters", base+"/support/dead-letters", "Dead letters")
	add(true, "quarantine", base+"/support/quarantine", "Quarantine")
	return out
}

// within is the page of the menu that a page belongs to.
func (p page) within() string {
	parents := map[string]string{"bought": "history", "activity": "overview", "entry": "overview", "statement": "usage"}
	if parent, ok := parents[p.name]; ok {
		return parent
	}
	return p.name
}

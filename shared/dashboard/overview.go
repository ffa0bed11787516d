package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// pageTable is every page for people who have signed in.
func pageTable() []page {
	return []page{
		{name: "overview", path: "/orgs/{org}", show: (*visit).overview},
		{name: "purchase", path: "/orgs/{org}/purchase", show: (*visit).shop, change: (*visit).buy},
		{name: "history", path: "/orgs/{org}/purchases", show: (*visit).history},
		{name: "bought", path: "/orgs/{org}/purchases/{reference}", show: (*visit).bought, change: (*visit).changeBought},
		{name: "controls", path: "/orgs/{org}/controls", show: (*visit).controls, change: (*visit).changeControls},
		{name: "notifications", path: "/orgs/{org}/notifications", show: (*visit).notifications, change: (*visit).changeNotifications},
		{name: "teams", path: "/orgs/{org}/teams", show: (*visit).teams, change: (*visit).changeTeams},
		{name: "usage", path: "/orgs/{org}/usage", show: (*visit).usage},
		{name: "usage", path: "/orgs/{org}/usage.csv", show: (*visit).usageTable},
		{name: "statement", path: "/orgs/{org}/statement", show: (*visit).statement},
		{name: "statement", path: "/orgs/{org}/statement.csv", show: (*visit).statementTable},
		{name: "refusals", path: "/orgs/{org}/refusals", show: (*visit).refusals},
		{name: "activity", path: "/orgs/{org}/activity", show: (*visit).activity},
		{name: "entry", path: "/orgs/{org}/activity/{id}", show: (*visit).entry},
		{name: "prices", path: "/orgs/{org}/prices", show: (*visit).prices, change: (*visit).openPortal},
		{name: "referral", path: "/orgs/{org}/referral", show: (*visit).referral, change: (*visit).claim},
		{name: "support", path: "/support", show: (*visit).support},
		{name: "adjust", path: "/orgs/{org}/adjust", show: (*visit).adjustments, change: (*visit).adjust},
		{name: "signout", path: "/signout", change: func(v *visit) error { return v.d.signOut(v.w, v.r, v) }},
	}
}

// link is an entry of the navigation.
type link struct {
	Href, Text string
	Current    bool
}

// Link is for templates: an entry of the navigation, current on the page that it names.
func (v *visit) Link(name, path, text string) link {
	parents := map[string]string{"bought": "history", "activity": "overview", "entry": "overview", "statement": "usage"}
	current := v.page.name
	if parent, ok := parents[current]; ok {
		current = parent
	}
	return link{Href: v.Home() + path, Text: text, Current: current == name}
}

// home leads to the person's one organisation, or lists them.
func (v *visit) home() error {
	var found list[organisation]
	if err := v.get("/orgs", nil, &found); err != nil {
		return err
	}
	if len(found.Items) == 1 && !v.session.Support {
		http.Redirect(v.w, v.r, v.d.base+"/orgs/"+url.PathEscape(found.Items[0].ID), http.StatusSeeOther)
		return nil
	}
	if len(found.Items) == 0 && v.session.Support {
		http.Redirect(v.w, v.r, v.d.base+"/support", http.StatusSeeOther)
		return nil
	}
	return v.render("Your organisations", found.Items)
}

// overviewData fills the overview.
type overviewData struct {
	Balance balance
	Sources []ranked
	Limits  limits
	Entries []entry
	// Used is what was used in UsedDays days, PerDay one of them, rounded; DaysLeft how long the rest lasts at that, if PerDay is not 0.
	Used, UsedDays, PerDay, DaysLeft int64
}

// burnDaysMin is how old a month must be to tell how much is used a day; before, the month before tells.
const burnDaysMin = 7

// overview asks the API five times: for the organisation, and four times here.
func (v *visit) overview() error {
	var d overviewData
	if err := v.get(v.in("balance"), nil, &d.Balance); err != nil {
		return err
	}
	if err := v.get(v.in("limits"), nil, &d.Limits); err != nil {
		return err
	}
	var recent list[entry]
	if err := v.get(v.in("entries"), url.Values{"page_size": {"6"}}, &recent); err != nil {
		return err
	}
	d.Entries = recent.Items
	if err := v.burn(&d); err != nil {
		return err
	}
	for _, source := range []string{"subscription", "promotion", "referral", "adjustment", "purchase"} {
		if n := d.Balance.BySource[source]; n > 0 {
			d.Sources = append(d.Sources, ranked{Name: v.Words(source), Value: n, Part: v.Share(n, d.Balance.Available)})
		}
	}
	return v.render("Credits Dashboard", d)
}

// burn finds how fast credits are used.
func (v *visit) burn(d *overviewData) error {
	now := v.d.opts.Now().In(v.zone)
	month := now
	if now.Day() <= burnDaysMin {
		month = now.AddDate(0, 0, -now.Day())
	}
	var s statement
	if err := v.get(v.in("statements", month.Format("2006-01")), nil, &s); err != nil {
		return err
	}
	d.Used = s.Totals.Used - s.Totals.Reversed
	d.UsedDays = max(1, int64(s.AsOf.Sub(s.From)/(24*time.Hour)))
	if d.PerDay = (d.Used + d.UsedDays/2) / d.UsedDays; d.PerDay > 0 {
		d.DaysLeft = d.Balance.Available / d.PerDay
	}
	return nil
}

// entriesData fills the list of what happened.
type entriesData struct {
	Entries []entry
	Next    string
}

func (v *visit) activity() error {
	var found list[entry]
	if err := v.get(v.in("entries"), v.paging(), &found); err != nil {
		return err
	}
	return v.render("Activity", entriesData{found.Items, v.next(found.Next)})
}

func (v *visit) entry() error {
	var e explained
	if err := v.get(v.in("entries", v.r.PathValue("id")), nil, &e); err != nil {
		return err
	}
	return v.render("What happened", e)
}

// pageSize is how many items a page lists.
const pageSize = 30

// paging is where in a list a page begins.
func (v *visit) paging() url.Values {
	q := url.Values{"page_size": {strconv.Itoa(pageSize)}}
	if after := v.r.URL.Query().Get("after"); after != "" {
		q.Set("page_token", after)
	}
	return q
}

// next is the address of the page that follows, or empty.
func (v *visit) next(token string) string {
	if token == "" {
		return ""
	}
	return "?" + url.Values{"after": {token}}.Encode()
}

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
		{name: "receipt", path: "/orgs/{org}/purchases/{reference}/receipt", show: (*visit).receipt},
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
		{name: "topup", path: "/orgs/{org}/auto-top-up", show: (*visit).topping, change: (*visit).changeTopping},
		{name: "plan", path: "/orgs/{org}/plan", show: (*visit).plan, change: (*visit).changePlan},
		{name: "prices", path: "/orgs/{org}/prices", show: (*visit).prices},
		{name: "referral", path: "/orgs/{org}/referral", show: (*visit).referral, change: (*visit).claim},
		{name: "support", path: "/support", staff: true, show: (*visit).support},
		{name: "letters", path: "/support/dead-letters", staff: true, show: (*visit).letters, change: (*visit).changeLetters},
		{name: "quarantine", path: "/support/quarantine", staff: true, show: (*visit).quarantine, change: (*visit).changeQuarantine},
		{name: "adjust", path: "/orgs/{org}/adjust", staff: true, show: (*visit).adjustments, change: (*visit).adjust},
		{name: "signout", path: "/signout", change: func(v *visit) error { return v.d.signOut(v.w, v.r, v) }},
	}
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
	firstLook
	Sources []ranked
	Columns columns
	Burn    burn
}

// burn is how fast credits are used.
type burn struct {
	// Used is what was used in Days days, PerDay one of them, rounded; DaysLeft how long the rest lasts at that, if PerDay is not 0.
	Used, Days, PerDay, DaysLeft int64
}

// longDays is from how many days on nobody counts them.
const longDays = 1000

// Long reports whether credits last for years.
func (b burn) Long() bool { return b.DaysLeft >= longDays }

// overview asks the API twice: for the organisation, and here. What that costs is bounded by a test of the function that serves the pages.
func (v *visit) overview() error {
	var d overviewData
	if err := v.get(v.in("overview"), nil, &d.firstLook); err != nil {
		return err
	}
	var labels []string
	var values []int64
	for _, day := range d.Used {
		labels, values = append(labels, shortDay(day.Day)), append(values, max(0, day.Credits))
	}
	d.Columns = newColumns(labels, values)
	d.Burn = v.burn(values, d.Balance.Available)
	begin := int64(0)
	for _, source := range []string{"subscription", "promotion", "referral", "adjustment", "purchase"} {
		if n := d.Balance.BySource[source]; n > 0 {
			d.Sources = append(d.Sources, ranked{ID: source, Name: v.Words(source), Value: n, Part: v.Share(n, d.Balance.Available), Begin: begin})
			begin += v.Share(n, d.Balance.Available)
		}
	}
	return v.render("Credits Dashboard", d)
}

// burn is how fast credits were used on some days, the last of which is today, since the organisation has been there.
func (v *visit) burn(daily []int64, available int64) burn {
	out := burn{Days: max(1, min(int64(len(daily)), int64(v.d.opts.Now().Sub(v.Org.CreatedAt)/(24*time.Hour))+1))}
	for _, n := range daily {
		out.Used += n
	}
	if out.PerDay = (out.Used + out.Days/2) / out.Days; out.PerDay > 0 {
		out.DaysLeft = max(0, available) * out.Days / out.Used
	}
	return out
}

// entriesData fills the list of what happened.
type entriesData struct {
	Entries []entry
	Names   map[string]string
	Next    string
}

func (v *visit) activity() error {
	var found list[entry]
	if err := v.get(v.in("entries"), v.paging(), &found); err != nil {
		return err
	}
	names, err := v.memberNames()
	if err != nil {
		return err
	}
	return v.render("Activity", entriesData{found.Items, names, v.next(found.Next)})
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
	q := v.r.URL.Query()
	q.Del("done")
	q.Set("after", token)
	return "?" + q.Encode()
}

package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// rankedMax bounds how many names a chart has; the export has all.
const rankedMax = 50

// columnsMax bounds how many days a chart has; of a longer range only the sums are shown.
const columnsMax = 92

// grouping is what a report can be grouped by.
type grouping struct {
	ID, Name string
	Current  bool
}

// usageData fills the page of usage. From and Until are the first and last day, both of them included.
type usageData struct {
	From, Until string
	By          grouping
	Groupings   []grouping
	Total       int64
	Columns     *columns
	Ranked      []ranked
	// More is how many names the chart leaves out.
	More int
}

// days are the first day of a report and the day after its last, as asked for: this month so far unless the address says otherwise.
func (v *visit) days() (from, to time.Time) {
	now := v.d.opts.Now().In(v.zone)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	from, err := time.Parse(time.DateOnly, v.query("from"))
	if err != nil {
		from = today.AddDate(0, 0, 1-today.Day())
	}
	until, err := time.Parse(time.DateOnly, v.query("until"))
	if err != nil {
		until = today
	}
	if until.Before(from) {
		from, until = until, from
	}
	return from, until.AddDate(0, 0, 1)
}

// groupings are the ways to group a report, the one that is asked for marked.
func (v *visit) groupings() ([]grouping, grouping) {
	all := []grouping{{ID: "feature", Name: "Feature"}, {ID: "team", Name: "Team"}, {ID: "user", Name: "Member"}, {ID: "day", Name: "Day"}}
	at := max(0, slices.IndexFunc(all, func(g grouping) bool { return g.ID == v.query("by") }))
	all[at].Current = true
	return all, all[at]
}

func (v *visit) usage() error {
	from, to := v.days()
	d := usageData{From: from.Format(time.DateOnly), Until: to.AddDate(0, 0, -1).Format(time.DateOnly)}
	d.Groupings, d.By = v.groupings()
	var daily, grouped used
	err := v.get(v.in("usage"), v.report(from, to, "day"), &daily)
	if err == nil {
		err = v.get(v.in("usage"), v.report(from, to, d.By.ID), &grouped)
	}
	if err != nil {
		no, ok := refused(err)
		if !ok || no.Code != "invalid_request" {
			return err
		}
		v.Problem, v.status = no.Detail, no.Status
		return v.render("Usage Reports", d)
	}
	d.Total = daily.Total
	d.Columns = drawDays(from, to, daily)
	names, err := v.names(d.By.ID)
	if err != nil {
		return err
	}
	d.Ranked = v.rank(grouped, d.By.ID, names)
	if d.More = len(d.Ranked) - rankedMax; d.More > 0 {
		d.Ranked = d.Ranked[:rankedMax]
	}
	return v.render("Usage Reports", d)
}

// report is what the API is asked for.
func (v *visit) report(from, to time.Time, by string) url.Values {
	return url.Values{"from": {from.Format(time.DateOnly)}, "to": {to.Format(time.DateOnly)}, "group_by": {by}}
}

// drawDays draws what was used on each day, or nothing for too many days.
func drawDays(from, to time.Time, daily used) *columns {
	sums := map[string]int64{}
	for _, item := range daily.Items {
		sums[item.Day] = max(0, item.Credits)
	}
	var labels []string
	var values []int64
	for day := from; day.Before(to); day = day.AddDate(0, 0, 1) {
		if len(values) == columnsMax {
			return nil
		}
		labels = append(labels, day.Format("2 Jan"))
		values = append(values, sums[day.Format(time.DateOnly)])
	}
	out := newColumns(labels, values)
	return &out
}

// names are what features, teams or members are called, as far as the person may know.
func (v *visit) names(by string) (map[string]string, error) {
	names := map[string]string{}
	switch by {
	case "feature":
		var prices priceList
		if err := v.get("/catalogue", url.Values{"country": {v.Org.Country}}, &prices); err != nil {
			return nil, err
		}
		for _, f := range prices.Features {
			names[f.ID] = f.Name
		}
	case "team":
		var found list[team]
		if err := v.get(v.in("teams"), url.Values{"page_size": {"200"}}, &found); err != nil {
			return nil, err
		}
		for _, t := range found.Items {
			names[t.ID] = t.Name
		}
	case "user":
		if !v.Reads() {
			return names, nil
		}
		var found list[member]
		if err := v.get(v.in("members"), url.Values{"page_size": {"200"}}, &found); err != nil {
			return nil, err
		}
		for _, m := range found.Items {
			names[m.ID] = m.called()
		}
	}
	return names, nil
}

// rank orders a report's items, days by date and everything else by what was used.
func (v *visit) rank(grouped used, by string, names map[string]string) []ranked {
	out := make([]ranked, 0, len(grouped.Items))
	most := int64(0)
	for _, item := range grouped.Items {
		id := item.Day + item.Feature + item.Team + item.User // one of them
		name := cmp.Or(names[id], id, map[string]string{"team": "No team", "user": "No member: the service itself"}[by])
		if day, err := time.Parse(time.DateOnly, id); by == "day" && err == nil {
			name = day.Format("2 January 2006")
		}
		out = append(out, ranked{Name: name, Value: item.Credits})
		most = max(most, item.Credits)
	}
	for i := range out {
		out[i].Percent, out[i].Part = v.Share(out[i].Value, most), v.Share(out[i].Value, grouped.Total)
	}
	if by != "day" {
		slices.SortStableFunc(out, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.Value, a.Value), strings.Compare(a.Name, b.Name)) })
	}
	return out
}

// usageTable is a report as a table for spreadsheets, as the API exports it.
func (v *visit) usageTable() error {
	from, to := v.days()
	_, by := v.groupings()
	q := v.report(from, to, by.ID)
	q.Set("format", "csv")
	return v.table(v.in("usage"), q)
}

// table passes on a table that the API exports.
func (v *visit) table(path string, q url.Values) error {
	a, err := v.ask(http.MethodGet, path, q, nil, "")
	if err != nil {
		return err
	}
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		v.w.Header().Set(name, a.header.Get(name))
	}
	if _, err := v.w.Write(a.body.Bytes()); err != nil {
		return fmt.Errorf("send the table %s: %w", path, err)
	}
	return nil
}

// monthsOffered is how many months back statements are offered.
const monthsOffered = 13

// statementData fills the page of a month's account.
type statementData struct {
	statement
	Month  string
	Months []grouping
}

// month is the month that is asked for, or the current one.
func (v *visit) month() time.Time {
	now := v.d.opts.Now().In(v.zone)
	current := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, v.zone)
	asked, err := time.ParseInLocation("2006-01", v.query("month"), v.zone)
	if err != nil || asked.After(current) || asked.Year() < 2000 {
		return current
	}
	return asked
}

func (v *visit) statement() error {
	month := v.month()
	d := statementData{Month: month.Format("2006-01")}
	if err := v.get(v.in("statements", d.Month), nil, &d.statement); err != nil {
		return err
	}
	newest := v.d.opts.Now().In(v.zone)
	for i := range monthsOffered {
		m := time.Date(newest.Year(), newest.Month()-time.Month(i), 1, 0, 0, 0, 0, v.zone)
		d.Months = append(d.Months, grouping{m.Format("2006-01"), m.Format("January 2006"), m.Equal(month)})
	}
	return v.render("Statement of "+month.Format("January 2006"), d)
}

func (v *visit) statementTable() error {
	return v.table(v.in("statements", v.month().Format("2006-01")), url.Values{"format": {"csv"}})
}

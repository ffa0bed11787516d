package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// monthsOffered is how many months back the reports are offered.
const monthsOffered = 13

// usageData fills the page of usage.
type usageData struct {
	statement
	Month    string
	Name     string
	Months   []monthName
	Columns  columns
	Features []ranked
	Used     int64
}

type monthName struct {
	ID, Name string
	Current  bool
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

func (v *visit) usage() error {
	month := v.month()
	d := usageData{Month: month.Format("2006-01"), Name: month.Format("January 2006")}
	if err := v.get(v.in("statements", d.Month), nil, &d.statement); err != nil {
		return err
	}
	var prices priceList
	if err := v.get("/catalogue", url.Values{"country": {v.Org.Country}}, &prices); err != nil {
		return err
	}
	d.Used = d.Totals.Used - d.Totals.Reversed
	d.Columns = v.daily(month, d.statement)
	d.Features = v.byFeature(d.ByFeature, prices)
	newest := v.d.opts.Now().In(v.zone)
	for i := range monthsOffered {
		m := time.Date(newest.Year(), newest.Month()-time.Month(i), 1, 0, 0, 0, 0, v.zone)
		d.Months = append(d.Months, monthName{m.Format("2006-01"), m.Format("January 2006"), m.Equal(month)})
	}
	return v.render("Usage Reports", d)
}

// daily draws what was used on each day of a month.
func (v *visit) daily(month time.Time, s statement) columns {
	used := map[string]int64{}
	for _, day := range s.Days {
		used[day.Day] = max(0, day.Used-day.Reversed)
	}
	var labels []string
	var values []int64
	for day := month; day.Month() == month.Month(); day = day.AddDate(0, 0, 1) {
		labels = append(labels, day.Format("2 Jan"))
		values = append(values, used[day.Format(time.DateOnly)])
	}
	return newColumns(labels, values)
}

// byFeature ranks what was used for each feature, by the features' names.
func (v *visit) byFeature(used map[string]int64, prices priceList) []ranked {
	names := map[string]string{}
	for _, f := range prices.Features {
		names[f.ID] = f.Name
	}
	var out []ranked
	var most, all int64
	for id, n := range used {
		name := names[id]
		if name == "" {
			name = v.Words(id)
		}
		out = append(out, ranked{Name: name, Value: n})
		most, all = max(most, n), all+n
	}
	for i := range out {
		out[i].Percent, out[i].Part = v.Share(out[i].Value, most), v.Share(out[i].Value, all)
	}
	slices.SortFunc(out, func(a, b ranked) int {
		if a.Value != b.Value {
			return int(min(1, max(-1, b.Value-a.Value)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// usageTable is the month as a table for spreadsheets, as the API exports it.
func (v *visit) usageTable() error {
	a, err := v.ask(http.MethodGet, v.in("statements", v.month().Format("2006-01")), url.Values{"format": {"csv"}}, nil, "")
	if err != nil {
		return err
	}
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		v.w.Header().Set(name, a.header.Get(name))
	}
	if _, err := v.w.Write(a.body.Bytes()); err != nil {
		return fmt.Errorf("send the table of usage: %w", err)
	}
	return nil
}

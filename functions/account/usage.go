package account

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/reports"
	"github.com/fluxori/ai-credits/shared/serve"
)

// usageItemsMax is how many rows a report in JSON may have; a table may have more.
const usageItemsMax = 10_000

// usageReport is the answer to GET …/usage. Days are those of the organisation's zone; all numbers are credits.
type usageReport struct {
	OrgID   string              `json:"org_id"`
	From    string              `json:"from"`
	To      string              `json:"to"`
	Zone    string              `json:"time_zone"`
	GroupBy []reports.Dimension `json:"group_by"`
	Total   int64               `json:"total"`
	Items   []usageItem         `json:"items"`
}

// usageItem has the members that the report is grouped by. A team or user that is empty stands for work that named none.
type usageItem struct {
	Day     *string `json:"day,omitempty"`
	Feature *string `json:"feature,omitempty"`
	Team    *string `json:"team,omitempty"`
	User    *string `json:"user,omitempty"`
	Credits int64   `json:"credits"`
}

func showUsed(row reports.Row, groupBy []reports.Dimension) usageItem {
	out := usageItem{Credits: row.Credits}
	for _, d := range groupBy {
		value := reports.Value(row, d)
		switch d {
		case reports.Day:
			out.Day = &value
		case reports.Feature:
			out.Feature = &value
		case reports.Team:
			out.Team = &value
		case reports.User:
			out.User = &value
		}
	}
	return out
}

func (h *handler) usage(w http.ResponseWriter, r *http.Request, c call) error {
	table, err := c.wantsTable()
	if err != nil {
		return err
	}
	filter := func(name string) *string {
		if !c.query.Has(name) {
			return nil
		}
		value := c.query.Get(name)
		return &value
	}
	query := reports.Query{Feature: filter("feature"), Team: filter("team"), User: filter("user")}
	if c.onlyOwn() { // others' is none of a member's
		if query.User != nil && *query.User != c.person.Sub {
			return errForbidden
		}
		query.User = &c.person.Sub
	}
	for d := range strings.SplitSeq(c.queryOr("group_by", string(reports.Day)), ",") {
		query.GroupBy = append(query.GroupBy, reports.Dimension(d))
	}
	report, err := reports.New(query)
	if err != nil {
		return err
	}
	from, to, err := h.usageRange(r.Context(), c)
	if err != nil {
		return err
	}
	read, err := h.ledger.Usage(r.Context(), c.org, from, to, func(u ledger.Used) error { return report.Add(reports.Use(u)) })
	if err != nil {
		return err
	}
	rows := report.Rows()
	if table {
		return sendTable(w, "usage-"+c.org+"-"+from+"-"+to, query.GroupBy, rows)
	}
	if len(rows) > usageItemsMax {
		return invalid("group_by", fmt.Sprintf("The report has more than %d rows: ask for format=csv, for fewer days, or group by less.", usageItemsMax))
	}
	out := usageReport{OrgID: c.org, From: from, To: to, Zone: read.Zone, GroupBy: query.GroupBy, Total: report.Total(), Items: make([]usageItem, len(rows))}
	for i, row := range rows {
		out.Items[i] = showUsed(row, query.GroupBy)
	}
	serve.OK(w, r, out)
	return nil
}

// usageRange is the range of days that is asked for: from the first of this month until tomorrow, unless the caller says otherwise.
func (h *handler) usageRange(ctx context.Context, c call) (from, to string, err error) {
	if c.query.Has("from") && c.query.Has("to") {
		return c.query.Get("from"), c.query.Get("to"), nil
	}
	zone, err := h.zone(ctx, c.org)
	if err != nil {
		return "", "", err
	}
	today := h.now().In(zone)
	return c.queryOr("from", today.Format("2006-01")+"-01"), c.queryOr("to", today.AddDate(0, 0, 1).Format(time.DateOnly)), nil
}

// zone is the zone that an organisation's days are of.
func (h *handler) zone(ctx context.Context, org string) (*time.Location, error) {
	o, err := h.store.Get(ctx, org)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(o.Zone)
	if err != nil {
		return time.UTC, nil //nolint:nilerr // of an organisation whose zone this machine does not know
	}
	return zone, nil
}

// queryOr is a parameter, or what stands for it when it is not given.
func (c call) queryOr(name, otherwise string) string {
	if c.query.Has(name) {
		return c.query.Get(name)
	}
	return otherwise
}

// sendTable streams rows as a table.
func sendTable(w http.ResponseWriter, name string, groupBy []reports.Dimension, rows []reports.Row) error {
	announceTable(w, name)
	return reports.WriteTable(w, groupBy, rows, http.NewResponseController(w).Flush)
}

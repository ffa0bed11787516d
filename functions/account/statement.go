package account

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/reports"
	"github.com/fluxori/ai-credits/shared/serve"
)

// statement is the answer to GET …/statements/{month}. All numbers are credits; what is taken is told as a positive number under its name.
type statement struct {
	OrgID string `json:"org_id"`
	Month string `json:"month"`
	Zone  string `json:"time_zone"`
	// From and To are the month's, half-open. Complete is false while it lasts; AsOf says until when it is told.
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	AsOf     time.Time `json:"as_of"`
	Complete bool      `json:"complete"`
	Opening  figures   `json:"opening"`
	Closing  figures   `json:"closing"`
	Totals   moved     `json:"totals"`
	// BySource has every source, ByFeature those that were charged for, Days the days on which something moved.
	BySource  map[credit.Source]moved `json:"by_source"`
	ByFeature map[string]int64        `json:"by_feature"`
	Days      []statementDay          `json:"days"`
	// Movements add up: what entries of each kind changed of available + held, and of debt, is the difference between closing and opening.
	Movements map[credit.Kind]movement `json:"movements"`
}

type statementDay struct {
	Day string `json:"day"`
	moved
}

// moved is what happened to the credits in grants.
type moved struct {
	// Granted came in: Bought of it was paid for by a purchase.
	Granted int64 `json:"granted"`
	Bought  int64 `json:"bought"`
	// Adjusted was added by hand, or taken when below zero.
	Adjusted int64 `json:"adjusted"`
	// Used was drawn on for work, or to repay debt for it; Reversed came back of that.
	Used     int64 `json:"used"`
	Reversed int64 `json:"reversed"`
	Expired  int64 `json:"expired"`
	// Refunded was clawed back after a refund or a lost dispute, less what was restored.
	Refunded int64 `json:"refunded"`
}

type movement struct {
	Usable int64 `json:"available_and_held"`
	Debt   int64 `json:"debt"`
}

// add counts what entries of a kind changed of a source's credits.
func (m *moved) add(source credit.Source, kind credit.Kind, n int64) {
	switch kind {
	case credit.KindGrant:
		m.Granted += n
		if source == credit.Purchase {
			m.Bought += n
		}
	case credit.KindAdjustment:
		m.Adjusted += n
	case credit.KindDebit, credit.KindCapture, credit.KindRepayment:
		m.Used -= n
	case credit.KindReversal:
		m.Reversed += n
	case credit.KindExpiry:
		m.Expired -= n
	case credit.KindClawback, credit.KindRestore:
		m.Refunded -= n
	case credit.KindStart, credit.KindHold, credit.KindExtend, credit.KindRelease, credit.KindFreeze, credit.KindThaw, credit.KindLimits, credit.KindGrace:
		// These move nothing in or out.
	}
}

// summed is movements as people read them, by source and in all.
func summed(m ledger.Movements) (bySource map[credit.Source]moved, total moved) {
	bySource = map[credit.Source]moved{}
	for _, source := range credit.Sources {
		var one moved
		for kind, n := range m.Sources[source] {
			one.add(source, kind, n)
			total.add(source, kind, n)
		}
		bySource[source] = one
	}
	return bySource, total
}

func showStatement(org, month string, s ledger.Statement) statement {
	out := statement{
		OrgID: org, Month: month, Zone: s.Zone, From: s.From.UTC(), To: s.To.UTC(), AsOf: s.AsOf.UTC(), Complete: s.AsOf.Equal(s.To),
		Opening: figures(s.Opening), Closing: figures(s.Closing), ByFeature: s.Moved.Features, Days: []statementDay{}, Movements: map[credit.Kind]movement{},
	}
	out.BySource, out.Totals = summed(s.Moved)
	for _, d := range s.Days {
		_, total := summed(d.Moved)
		out.Days = append(out.Days, statementDay{Day: d.Day, moved: total})
	}
	for kind, n := range s.Moved.Usable {
		m := out.Movements[kind]
		m.Usable = n
		out.Movements[kind] = m
	}
	for kind, n := range s.Moved.Debt {
		m := out.Movements[kind]
		m.Debt = n
		out.Movements[kind] = m
	}
	return out
}

func (h *handler) statement(w http.ResponseWriter, r *http.Request, c call) error {
	table, err := c.wantsTable()
	if err != nil {
		return err
	}
	month := r.PathValue("month")
	first, err := time.Parse("2006-01", month)
	if err != nil || first.Year() < 1 {
		return invalid("month", "The month must be written as 2026-11.")
	}
	found, err := h.ledger.Statement(r.Context(), c.org, first.Year(), first.Month())
	if err != nil {
		return err
	}
	out := showStatement(c.org, month, found)
	if !table {
		serve.OK(w, r, out)
		return nil
	}
	data, err := out.csv()
	if err != nil {
		return err
	}
	announceTable(w, "statement-"+c.org+"-"+month)
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write statement %s of %s: %w", month, c.org, err)
	}
	return nil
}

// csv is the statement as a table of RFC 4180: a number to a line, by section, name and measure.
func (s statement) csv() ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	var err error
	line := func(section, name, measure, value string) {
		if err == nil {
			err = w.Write([]string{section, reports.Inert(name), measure, value})
		}
	}
	number := func(section, name, measure string, n int64) { line(section, name, measure, strconv.FormatInt(n, 10)) }
	line("section", "name", "measure", "value")
	line("statement", s.OrgID, "from", s.From.Format(time.RFC3339))
	line("statement", s.OrgID, "to", s.To.Format(time.RFC3339))
	line("statement", s.OrgID, "as_of", s.AsOf.Format(time.RFC3339))
	figured := func(section string, f figures) {
		number(section, s.OrgID, "available", f.Available)
		number(section, s.OrgID, "held", f.Held)
		number(section, s.OrgID, "debt", f.Debt)
	}
	figured("opening", s.Opening)
	for _, source := range credit.Sources {
		s.BySource[source].each(func(measure string, n int64) { number("source", string(source), measure, n) })
	}
	s.Totals.each(func(measure string, n int64) { number("total", s.OrgID, measure, n) })
	for _, feature := range slices.Sorted(maps.Keys(s.ByFeature)) {
		number("feature", feature, "used", s.ByFeature[feature])
	}
	for _, d := range s.Days {
		d.each(func(measure string, n int64) { number("day", d.Day, measure, n) })
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Movements)) {
		number("movement", string(kind), "available_and_held", s.Movements[kind].Usable)
		number("movement", string(kind), "debt", s.Movements[kind].Debt)
	}
	figured("closing", s.Closing)
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("write statement %s of %s as a table: %w", s.Month, s.OrgID, err)
	}
	return out.Bytes(), nil
}

// each tells the numbers in the order of a table's lines.
func (m moved) each(tell func(measure string, n int64)) {
	tell("granted", m.Granted)
	tell("bought", m.Bought)
	tell("adjusted", m.Adjusted)
	tell("used", m.Used)
	tell("reversed", m.Reversed)
	tell("expired", m.Expired)
	tell("refunded", m.Refunded)
}

package account

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/reports"
)

const (
	// exportPage is how many entries of an export are in memory at once.
	exportPage = 500
	// exportMax bounds the entries of one answer, and exportTime how long it goes on with them: well within the request's deadline, so that it ends
	// with the line that says where to go on.
	exportMax, exportTime = 100_000, 12 * time.Second
	// exportsAtOnce is how many exports an instance writes at once: each has a page of up to some megabytes.
	exportsAtOnce = 4
	// exportsEach is how many of them one caller may have, so that nobody takes all the places.
	exportsEach = 2
	// exportWriteTime is how long a caller who does not read may hold a place after that.
	exportWriteTime = 4 * time.Second
)

// The first cell of an export's lines. An answer whose last line begins with neither complete nor more was cut off.
const (
	recordEntry    = "entry"
	recordComplete = "complete" // the last line: there are no more entries
	recordMore     = "more"     // the last line: its id is the page_token of the next answer
)

// exportHead names the cells of a line.
func exportHead() []string {
	return []string{
		"record", "id", "seq", "at", "kind", "credits", "event_id", "key", "subject", "feature", "user_id", "team_id", "units", "price_version", "occurred_at",
		"debt_change", "available", "held", "debt", "actor", "reason", "metadata",
	}
}

// cells are an entry as a line. What somebody chose is inert, numbers and times are as they are.
func (r entry) cells() []string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	units, occurred, version := "", "", ""
	if r.Units != nil {
		units = number(*r.Units)
	}
	if r.OccurredAt != nil {
		occurred = r.OccurredAt.Format(time.RFC3339Nano)
	}
	if r.PriceVersion != 0 {
		version = number(r.PriceVersion)
	}
	return []string{
		recordEntry, r.ID, number(r.Seq), r.At.Format(time.RFC3339Nano), string(r.Kind), number(r.Credits), reports.Inert(r.EventID), reports.Inert(r.Key),
		reports.Inert(r.Subject), reports.Inert(r.Feature), reports.Inert(r.UserID), reports.Inert(r.TeamID), units, version, occurred,
		number(r.DebtChange), number(r.After.Available), number(r.After.Held), number(r.After.Debt), reports.Inert(r.Actor), reports.Inert(r.Reason),
		reports.Inert(string(r.Metadata)),
	}
}

// span is a range of entries, newest first: from is the oldest moment, before the one after the newest. Zero is no bound.
type span struct{ from, before time.Time }

// span is the range of entries that a query asks for, beginning where its page does.
func (h *handler) span(ctx context.Context, c call) (out span, err error) {
	zone := time.UTC
	if c.query.Has("from") || c.query.Has("to") {
		if zone, err = h.zone(ctx, c.org); err != nil {
			return span{}, err
		}
	}
	day := func(name string) (at time.Time) {
		if err != nil || !c.query.Has(name) {
			return time.Time{}
		}
		if at, err = time.ParseInLocation(time.DateOnly, c.query.Get(name), zone); err != nil || at.Year() < 1 {
			err = invalid(name, name+" must be a day, written as 2026-11-30.")
		}
		return at
	}
	out = span{from: day("from"), before: day("to")}
	if err != nil {
		return span{}, err
	}
	p, paging, err := c.position(entriesList)
	if err != nil {
		return span{}, err
	}
	if paging && (out.before.IsZero() || p.at().Before(out.before)) {
		out.before = p.at()
	}
	return out, nil
}

// exportEntries answers a range of the ledger as a table, streamed in pages. It ends with a line that says whether that was all, or which page_token goes
// on: so an organisation with millions of entries gets them in some answers, none of which the deadline cuts, and whoever repeats the last one
// after a fault loses and repeats none.
func (h *handler) exportEntries(w http.ResponseWriter, r *http.Request, c call, s span) error {
	most := exportMax
	if c.query.Has("page_size") {
		n, err := strconv.Atoi(c.query.Get("page_size"))
		if err != nil || n < 1 || n > exportMax {
			return invalid("page_size", "page_size of a table must be a whole number from 1 to "+strconv.Itoa(exportMax)+".")
		}
		most = n
	}
	if !h.exports.begin(c.person.Sub) {
		return problem.New(problem.Unavailable, "Several exports are being written. Repeat the request.", nil)
	}
	defer h.exports.end(c.person.Sub)
	e := &export{read: h.ledger.EntriesBetween, show: c.showEntry, org: c.org, span: s, left: most, until: time.Now().Add(exportTime)}
	if err := e.next(r.Context()); err != nil {
		return err
	}
	// A caller who stops reading ends the answer. A writer without a connection, as in tests, has no deadline and needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(e.until.Add(exportWriteTime))
	announceTable(w, "entries-"+c.org)
	if err := e.write(r.Context(), w, http.NewResponseController(w).Flush); err != nil {
		return fmt.Errorf("export the entries of %s: %w", c.org, err)
	}
	return nil
}

// exporting counts the exports that are being written, by caller. It is safe for concurrent use.
type exporting struct {
	mu  sync.Mutex
	all int
	by  map[string]int
}

// begin takes a place, if there is one for a caller. It is given back by end.
func (e *exporting) begin(caller string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all >= exportsAtOnce || e.by[caller] >= exportsEach {
		return false
	}
	if e.by == nil {
		e.by = map[string]int{}
	}
	e.all++
	e.by[caller]++
	return true
}

func (e *exporting) end(caller string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all--
	if e.by[caller]--; e.by[caller] == 0 {
		delete(e.by, caller)
	}
}

// export is an export under way.
type export struct {
	read func(ctx context.Context, org string, from, before time.Time, limit int) ([]*credit.Entry, error)
	// show makes an entry what the caller may know of it.
	show func(*credit.Entry) entry
	org  string
	// span is what is still to be written, left how many entries may be, until when another page may begin.
	span  span
	left  int
	until time.Time
	// page is what was read and is not written yet, size how many were asked for.
	page []*credit.Entry
	size int
}

// next reads a page.
func (e *export) next(ctx context.Context) (err error) {
	e.size = min(exportPage, e.left)
	e.page, err = e.read(ctx, e.org, e.span.from, e.span.before, e.size)
	return err
}

// write writes the lines: those of the page that was read, then further pages, until there are no more, or no more may be.
func (e *export) write(ctx context.Context, w io.Writer, sent func() error) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	end := make([]string, len(exportHead()))
	_ = out.Write(exportHead()) // a Writer keeps its first error
	for end[0] == "" {
		for _, record := range e.page {
			_ = out.Write(e.show(record).cells())
			e.span.before = record.At
		}
		e.left -= len(e.page)
		switch {
		case len(e.page) < e.size:
			end[0] = recordComplete
		case e.left == 0 || !time.Now().Before(e.until) || e.next(ctx) != nil: // what cannot be read now can be by the next request
			token, err := position{List: entriesList, At: e.span.before.UnixMicro()}.token()
			if err != nil {
				return err
			}
			end[0], end[1] = recordMore, token
		}
		if end[0] != "" {
			_ = out.Write(end)
		}
		if out.Flush(); out.Error() != nil {
			return fmt.Errorf("write: %w", out.Error())
		}
		if err := sent(); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// wantsTable reports whether the answer is to be a table instead of JSON.
func (c call) wantsTable() (bool, error) {
	switch c.queryOr("format", "json") {
	case "json":
		return false, nil
	case "csv":
		return true, nil
	}
	return false, invalid("format", "format must be json or csv.")
}

// announceTable says that a table follows, to be kept as a file of some name.
func announceTable(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+".csv"))
}

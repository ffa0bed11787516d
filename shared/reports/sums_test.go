package reports_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/reports"
)

const (
	events = 5000
	zone   = "Africa/Johannesburg"
)

// TestFiveThousandRandomEventsAddUpInEveryGrouping debits, captures and reverses through the store over more than a year, by twos and by the
// dozen at once, and holds the reports of random ranges, in every grouping and with filters, against the entries: before months are folded,
// and after.
func TestFiveThousandRandomEventsAddUpInEveryGrouping(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	now := time.Date(2025, 11, 3, 8, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: clock, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(2026, 11))
	where := zone
	do(t, l, credit.Configure{Zone: &where})
	do(t, l, credit.NewGrant{Key: credit.SystemKey("grant", "pi"), Terms: credit.Terms{Source: credit.Purchase, Granted: 1_000_000, Payment: "pi"}})
	for n := 0; n < events; {
		together := min(1+rnd.IntN(24), events-n)
		var all sync.WaitGroup
		for range together {
			n++
			id, work, credits, kind := fmt.Sprint("e", n), randomWork(rnd), 1+rnd.Int64N(60), rnd.IntN(10)
			other := fmt.Sprint("e", 1+rnd.IntN(n))
			all.Go(func() { event(t, l, id, other, work, credits, kind) })
		}
		all.Wait()
		mu.Lock()
		now = now.Add(time.Duration(rnd.Int64N(int64(48 * time.Hour))))
		mu.Unlock()
	}
	entries := allEntries(t, l)
	compare := func(when string) {
		for i := range 60 {
			first := time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rnd.IntN(400))
			from, until := first.Format(time.DateOnly), first.AddDate(0, 0, 1+rnd.IntN(400)).Format(time.DateOnly)
			if i == 0 {
				from, until = "2025-11-01", "2027-12-01"
			}
			for _, by := range groupings() {
				q := randomFilters(rnd, reports.Query{GroupBy: by}, i)
				if diff := cmp.Diff(fromEntries(t, q, entries, from, until), fromStore(t, l, q, from, until)); diff != "" {
					t.Fatalf("%s, %+v from %s until %s: %s", when, q, from, until, diff)
				}
			}
		}
	}
	compare("by days")
	months, err := l.Fold(t.Context(), "acme")
	if err != nil || months < 5 {
		t.Fatalf("folded %d months, %v", months, err)
	}
	compare("folded")
}

func randomWork(rnd *rand.Rand) credit.Work {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	return credit.Work{
		Feature: pick("custom-query", "bulk-pricing", "competitor-analysis", "a`b\\c.d"), Team: pick("", "", "red", "blue"),
		User: pick("", "thandi", "auth0|7", "=SUM(A1)", "ünïcode"), PriceVersion: 1,
	}
}

// event is one of the random ones: mostly debits and usage, some holds captured, some earlier debits reversed. A refusal is a part of life.
func event(t *testing.T, l *ledger.Ledger, id, other string, work credit.Work, credits int64, kind int) {
	t.Helper()
	switch kind {
	case 0:
		do(t, l, credit.PlaceHold{EventID: id, Credits: credits, TTL: time.Hour, Work: work})
		do(t, l, credit.Capture{Hold: credit.HoldID("acme", id), Credits: credits / 2})
	case 1:
		do(t, l, credit.Reverse{EventID: id, Debit: other, Reason: "failed"})
	default:
		do(t, l, credit.Debit{EventID: id, Credits: credits, Usage: kind > 6, Work: work})
	}
}

func do(t *testing.T, l *ledger.Ledger, c credit.Command) {
	t.Helper()
	if _, err := l.Do(t.Context(), "acme", c); err != nil {
		if _, ok := errors.AsType[*credit.Refusal](err); !ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func allEntries(t *testing.T, l *ledger.Ledger) []*credit.Entry {
	t.Helper()
	var all []*credit.Entry
	var before time.Time
	for {
		page, err := l.Entries(t.Context(), "acme", before, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page...); len(page) < 1000 {
			return all
		}
		before = page[len(page)-1].At
	}
}

func randomFilters(rnd *rand.Rand, q reports.Query, round int) reports.Query {
	w := randomWork(rnd)
	if round%2 == 1 {
		q.Feature = &w.Feature
	}
	if round%3 == 1 {
		q.Team = &w.Team
	}
	if round%5 == 1 {
		q.User = &w.User
	}
	return q
}

// fromEntries groups entries in the plainest way there is.
func fromEntries(t *testing.T, q reports.Query, entries []*credit.Entry, from, until string) map[string]int64 {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, e := range entries {
		values := map[reports.Dimension]string{
			reports.Day: e.At.In(location).Format(time.DateOnly), reports.Feature: e.Work.Feature, reports.Team: e.Work.Team, reports.User: e.Work.User,
		}
		credits := map[credit.Kind]int64{credit.KindDebit: e.Credits, credit.KindCapture: e.Credits, credit.KindReversal: -e.Credits}[e.Kind]
		day := values[reports.Day]
		if day < from || day >= until || q.Feature != nil && *q.Feature != e.Work.Feature || q.Team != nil && *q.Team != e.Work.Team ||
			q.User != nil && *q.User != e.Work.User {
			continue
		}
		key := ""
		for _, d := range q.GroupBy {
			key += fmt.Sprintf("%s=%q ", d, values[d])
		}
		if sums[key] += credits; sums[key] == 0 {
			delete(sums, key)
		}
	}
	return sums
}

// fromStore is the report.
func fromStore(t *testing.T, l *ledger.Ledger, q reports.Query, from, until string) map[string]int64 {
	t.Helper()
	r, err := reports.New(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Usage(t.Context(), "acme", from, until, func(u ledger.Used) error { return r.Add(reports.Use(u)) }); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, row := range r.Rows() {
		key := ""
		for _, d := range q.GroupBy {
			key += fmt.Sprintf("%s=%q ", d, reports.Value(row, d))
		}
		sums[key] += row.Credits
	}
	return sums
}

package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/needs"
)

// past is a random history of a wallet over some months, through the store.
type past struct {
	*testStore
	ledger *ledger.Ledger
	rnd    *rand.Rand
	n      int
	events []string // of debits and holds
	holds  []string
	grants []string
	kinds  map[credit.Kind]bool
}

// live does so many random commands on acme, of every kind, and lets the time pass.
func (p *past) live(t *testing.T, zone string, steps int) {
	t.Helper()
	p.do(t, credit.Configure{Zone: &zone})
	for range steps {
		if p.rnd.IntN(4) > 0 {
			p.clock.Advance(time.Duration(p.rnd.Int64N(int64(20 * time.Hour))))
		}
		p.step(t)
	}
}

// do carries out a command; a refusal is a part of life.
func (p *past) do(t *testing.T, c credit.Command) bool {
	t.Helper()
	r, err := p.ledger.Do(t.Context(), "acme", c)
	if err != nil {
		if _, ok := errors.AsType[*credit.Refusal](err); !ok {
			t.Fatalf("%+v: %v", c, err)
		}
		return false
	}
	if r.Entry != nil {
		p.kinds[r.Entry.Kind] = true
	}
	return true
}

func (p *past) step(t *testing.T) {
	t.Helper()
	p.n++
	id, n := fmt.Sprint("e", p.n), 1+p.rnd.Int64N(80)
	feature := []string{"custom-query", "bulk-pricing", "a`b\\c.d"}[p.rnd.IntN(3)]
	work := credit.Work{Feature: feature, User: fmt.Sprint("u", p.rnd.IntN(3)), PriceVersion: 1}
	switch p.rnd.IntN(16) {
	case 0, 1:
		p.grant(t, credit.Terms{Source: credit.Purchase, Granted: 2 * n})
	case 2, 3:
		end := p.clock.Now().Add(time.Duration(1+p.rnd.IntN(300)) * time.Hour)
		p.grant(t, credit.Terms{Source: credit.Promotion, Granted: n, ExpiresAt: end, UsableUntil: end})
	case 4: // one that begins later, and ends
		start := p.clock.Now().Add(time.Duration(1+p.rnd.IntN(100)) * time.Hour)
		end := start.Add(time.Duration(1+p.rnd.IntN(200)) * time.Hour)
		p.grant(t, credit.Terms{Source: credit.Subscription, Granted: n, EffectiveAt: start, ExpiresAt: end, UsableUntil: end, Item: "si"})
	case 5, 6:
		if p.do(t, credit.Debit{EventID: id, Credits: n, Work: work}) {
			p.events = append(p.events, id)
		}
	case 7:
		p.do(t, credit.Debit{EventID: id, Credits: 2 * n, Usage: true, Work: work})
		p.events = append(p.events, id)
	case 8, 9:
		if p.do(t, credit.PlaceHold{EventID: id, Credits: n, TTL: time.Duration(1+p.rnd.IntN(20)) * time.Hour, Work: work}) {
			p.holds, p.events = append(p.holds, credit.HoldID("acme", id)), append(p.events, id)
		}
	case 10:
		if len(p.holds) > 0 {
			p.do(t, credit.Capture{Hold: p.holds[len(p.holds)-1], Credits: n})
		}
	case 11:
		if len(p.holds) > 0 {
			p.do(t, credit.Release{Hold: p.holds[p.rnd.IntN(len(p.holds))]})
		}
	case 12:
		if len(p.events) > 0 {
			p.do(t, credit.Reverse{EventID: id, Debit: p.events[p.rnd.IntN(len(p.events))], Reason: "failed"})
		}
	case 13:
		p.do(t, credit.Adjust{EventID: id, Credits: n - 40, Reason: "goodwill"})
	case 14:
		if len(p.grants) > 0 {
			p.do(t, credit.ClawBack{Grant: p.grants[p.rnd.IntN(len(p.grants))], Returned: p.rnd.Int64N(101), Paid: 100})
		}
	case 15:
		if len(p.grants) > 0 {
			p.do(t, credit.FreezeGrant{Grant: p.grants[p.rnd.IntN(len(p.grants))], Frozen: p.rnd.IntN(2) == 0})
		}
	}
}

func (p *past) grant(t *testing.T, terms credit.Terms) {
	t.Helper()
	key := credit.SystemKey("grant", fmt.Sprint("pi_", p.n))
	p.do(t, credit.NewGrant{Key: key, Terms: terms})
	p.grants = append(p.grants, credit.GrantID(key))
}

// entries are all of the wallet's, oldest first.
func (p *past) entries(t *testing.T) []*credit.Entry {
	t.Helper()
	var all []*credit.Entry
	var before time.Time
	for {
		page, err := p.ledger.Entries(t.Context(), "acme", before, 300)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < 300 {
			slices.Reverse(all)
			return all
		}
		before = page[len(page)-1].At
	}
}

// sum is what a statement must say, from the entries alone.
func sum(entries []*credit.Entry, zone *time.Location, prefix string) (opening, closing credit.Figures, moved ledger.Movements, days map[string]int64) {
	moved = ledger.Movements{
		Usable: map[credit.Kind]int64{}, Debt: map[credit.Kind]int64{}, Sources: map[credit.Source]map[credit.Kind]int64{}, Features: map[string]int64{},
	}
	days = map[string]int64{}
	var before credit.Figures
	for _, e := range entries {
		day := e.At.In(zone).Format(time.DateOnly)
		switch {
		case strings.HasPrefix(day, prefix):
			days[day] += e.After.Available + e.After.Held - before.Available - before.Held
			moved.Usable[e.Kind] += e.After.Available + e.After.Held - before.Available - before.Held
			moved.Debt[e.Kind] += e.After.Debt - before.Debt
			for _, c := range e.Changes {
				if moved.Sources[c.Source] == nil {
					moved.Sources[c.Source] = map[credit.Kind]int64{}
				}
				moved.Sources[c.Source][e.Kind] += c.Free + c.Held
			}
			switch e.Kind {
			case credit.KindDebit, credit.KindCapture:
				moved.Features[e.Work.Feature] += e.Credits
			case credit.KindReversal:
				moved.Features[e.Work.Feature] -= e.Credits
			default:
			}
			closing = e.After
		case day < prefix:
			opening, closing = e.After, e.After
		}
		before = e.After
	}
	return opening, closing, moved, days
}

// nonzero leaves out what a statement leaves out.
func nonzero() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreMapEntries(func(_ credit.Kind, n int64) bool { return n == 0 }),
		cmpopts.IgnoreMapEntries(func(_ string, n int64) bool { return n == 0 }),
		cmpopts.IgnoreMapEntries(func(_ credit.Source, m map[credit.Kind]int64) bool {
			return !slices.ContainsFunc(slices.Collect(func(yield func(int64) bool) {
				for _, n := range m {
					if !yield(n) {
						return
					}
				}
			}), func(n int64) bool { return n != 0 })
		}),
	}
}

// TestStatementsAndPastBalancesAreTheSumOfTheEntries holds every month's statement, and the balance at each entry's time, against the entries,
// for random histories.
func TestStatementsAndPastBalancesAreTheSumOfTheEntries(t *testing.T) {
	t.Parallel()
	histories := 12
	if needs.Thorough() {
		histories = 200
	}
	kinds := make(chan map[credit.Kind]bool, histories)
	t.Run("histories", func(t *testing.T) {
		t.Parallel()
		for i := range histories {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				p := &past{testStore: openStore(t), rnd: rand.New(rand.NewPCG(uint64(i), 7)), kinds: map[credit.Kind]bool{}}
				p.ledger = p.testStore.ledger(t, ledger.Options{})
				zone := []string{"Africa/Johannesburg", "America/New_York", "Pacific/Kiritimati"}[i%3]
				p.live(t, zone, 150)
				p.compare(t, zone)
				kinds <- p.kinds
			})
		}
	})
	t.Cleanup(func() {
		close(kinds)
		seen := map[credit.Kind]bool{}
		for k := range kinds {
			for kind := range k {
				seen[kind] = true
			}
		}
		for _, k := range []credit.Kind{credit.KindGrant, credit.KindDebit, credit.KindHold, credit.KindCapture, credit.KindRelease, credit.KindClawback,
			credit.KindRestore, credit.KindFreeze, credit.KindThaw, credit.KindReversal, credit.KindAdjustment} {
			if !seen[k] {
				t.Errorf("no history has a %s", k)
			}
		}
	})
}

func (p *past) compare(t *testing.T, zone string) {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	p.clock.Advance(time.Second) // entries of one moment are set apart by microseconds
	first, now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).In(location), p.clock.Now().In(location)
	months := map[string]ledger.Statement{}
	for m := time.Date(first.Year(), first.Month()-1, 1, 0, 0, 0, 0, location); !m.After(now); m = m.AddDate(0, 1, 0) {
		p.Hooks.Reset()
		s, err := p.ledger.Statement(t.Context(), "acme", m.Year(), m.Month())
		if err != nil {
			t.Fatal(err)
		}
		if n := p.Hooks.Counts(); n.Reads > 36 && len(months) > 0 { // the first of them may have something to journal
			t.Errorf("a statement cost %d reads", n.Reads)
		}
		months[m.Format("2006-01")] = s
	}
	entries := p.entries(t)
	for month, got := range months {
		opening, closing, moved, days := sum(entries, location, month)
		if got.Opening != opening || got.Closing != closing {
			t.Errorf("%s goes from %+v to %+v, its entries from %+v to %+v", month, got.Opening, got.Closing, opening, closing)
		}
		if diff := cmp.Diff(moved, got.Moved, nonzero()); diff != "" {
			t.Errorf("%s: %s", month, diff)
		}
		told := map[string]int64{}
		for _, d := range got.Days {
			for _, n := range d.Moved.Usable {
				told[d.Day] += n
			}
		}
		if diff := cmp.Diff(days, told, nonzero()); diff != "" {
			t.Errorf("the days of %s: %s", month, diff)
		}
	}
	for _, e := range entries {
		b, err := p.ledger.BalanceAt(t.Context(), "acme", e.At)
		if err != nil {
			t.Fatal(err)
		}
		if b.Figures != e.After {
			t.Errorf("at entry %d, %s at %v: %+v, it says %+v", e.Seq, e.Kind, e.At, b.Figures, e.After)
		}
	}
}

func TestAStatementOfAMonthToComeOrOfNobodyIsRefused(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	for name, tc := range map[string]struct {
		org   string
		month time.Month
		code  string
	}{
		"a month to come": {"acme", time.April, credit.CodeInvalid}, "nobody": {"globex", time.March, credit.CodeUnknownOrg},
	} {
		_, err := l.Statement(t.Context(), tc.org, 2026, tc.month)
		if no, ok := errors.AsType[*credit.Refusal](err); !ok || no.Code() != tc.code {
			t.Errorf("%s: %v, want %s", name, err, tc.code)
		}
	}
	if got, err := l.Statement(t.Context(), "acme", 2025, time.December); err != nil || got.Closing != (credit.Figures{}) || len(got.Days) > 0 {
		t.Errorf("before the first entry: %+v %v", got, err)
	}
}

// TestFlowsStandInTheFirstRollupHoweverManyUsersThereAre spends for so many users that a second document is begun.
func TestFlowsStandInTheFirstRollupHoweverManyUsersThereAre(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100_000)
	const users = 4100
	commands := make([]credit.Command, users)
	for i := range commands {
		d := debit(fmt.Sprint("d", i), 3)
		d.Work.User = fmt.Sprint("u", i)
		commands[i] = d
	}
	atOnce(t, l, commands)
	if s.find(t, "wallets/acme/usage/2026-03-01-1") == nil {
		t.Fatal("one document was enough")
	}
	got, err := l.Statement(t.Context(), "acme", 2026, time.March)
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Movements{
		Usable:   map[credit.Kind]int64{credit.KindGrant: 100_000, credit.KindDebit: -3 * users},
		Debt:     map[credit.Kind]int64{},
		Sources:  map[credit.Source]map[credit.Kind]int64{credit.Purchase: {credit.KindGrant: 100_000, credit.KindDebit: -3 * users}},
		Features: map[string]int64{"custom-query": 3 * users},
	}
	if diff := cmp.Diff(want, got.Moved); diff != "" {
		t.Error(diff)
	}
	if got.Closing.Available != 100_000-3*users {
		t.Errorf("%+v", got.Closing)
	}
}

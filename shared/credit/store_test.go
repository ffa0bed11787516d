package credit_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

const org = "acme"

// day is when the tests' histories begin.
var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// failer is what the harness reports to: a test, or a rapid check.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// store keeps what a database would: it learns of changes only by what a commit writes.
type store struct {
	wallet   credit.Wallet
	records  map[string]credit.Grant
	holds    map[string]credit.Hold
	counters map[credit.CounterPage]map[credit.Subject]credit.Counter
	entries  []*credit.Entry
	book     *credit.Book
}

// op is one call of the domain: a command, or nil for the journal alone.
type op struct {
	command credit.Command
	at      time.Time
}

// bank drives the domain as a service does: it loads what is asked for, gathers batches, commits, and at will forgets all it has cached.
type bank struct {
	failer
	store
	state    *credit.State
	began    *credit.State // of the batch
	batch    []*credit.Entry
	ops      []op // of the batch
	told     map[credit.EventKind]int
	ids      map[string]bool                // of events
	seen     map[*credit.Grant]credit.Grant // every grant met, as it was then
	duePage  int
	waitPage int
	rounds   int // the most that a command needed
}

func newBank(f failer) *bank {
	b := &bank{failer: f, duePage: credit.MaxJournaled, waitPage: credit.MaxLive, seen: map[*credit.Grant]credit.Grant{}}
	b.told, b.ids = map[credit.EventKind]int{}, map[string]bool{}
	b.store = store{wallet: credit.NewWallet(org, "Africa/Johannesburg"), records: map[string]credit.Grant{}, holds: map[string]credit.Hold{}, counters: map[credit.CounterPage]map[credit.Subject]credit.Counter{}, book: credit.NewBook(org)}
	b.forget()
	return b
}

func opened(t *testing.T) *bank {
	t.Helper()
	return newBank(t)
}

// forget drops the cached state and reads the wallet from the store.
func (b *bank) forget() {
	b.state = credit.NewState(stored(b.wallet))
	b.began = b.state
}

// stored copies a wallet so that nothing is shared with it.
func stored(w credit.Wallet) credit.Wallet {
	live := make([]*credit.Grant, len(w.Live))
	for i, g := range w.Live {
		copied := *g
		live[i] = &copied
	}
	w.Live = live
	return w
}

// do journals what is due, decides a command, and leaves the result in the batch.
func (b *bank) do(c credit.Command, at time.Time) (*credit.Outcome, error) {
	b.Helper()
	for round := 1; ; round++ {
		if round > 50+2*(len(b.records)+len(b.holds))/min(b.duePage, b.waitPage) {
			b.Fatalf("%T at %v: no answer after %d rounds", c, at, round)
		}
		b.rounds = max(b.rounds, round)
		next, out, err := b.twice(c, at)
		var missing *credit.Missing
		if !errors.As(err, &missing) {
			if err == nil {
				b.gather(next, out, op{c, at})
			}
			return out, err
		}
		if !missing.Due.IsZero() {
			b.journal(at)
			continue
		}
		b.load(missing)
	}
}

// must is do for a command that cannot be refused.
func (b *bank) must(c credit.Command, at time.Time) *credit.Outcome {
	b.Helper()
	out, err := b.do(c, at)
	if err != nil {
		b.Fatalf("%T at %v: %v", c, at, err)
	}
	return out
}

// journal writes down what is due, in as many commits as it takes.
func (b *bank) journal(at time.Time) {
	b.Helper()
	for round := 1; ; round++ {
		if round > 50+4*(len(b.records)+len(b.holds)+len(b.batch)) {
			b.Fatalf("journal at %v: no end after %d rounds", at, round)
		}
		next, out, more, err := credit.Journal(b.state, at)
		var missing *credit.Missing
		if errors.As(err, &missing) {
			b.load(missing)
			continue
		}
		if err != nil {
			b.Fatalf("journal at %v: %v", at, err)
		}
		if len(out.Entries) > 2*credit.MaxJournaled+credit.MaxHoldGrants+1 {
			b.Fatalf("journal wrote %d entries at once", len(out.Entries))
		}
		b.unchanged()
		b.gather(next, out, op{nil, at})
		if !more {
			return
		}
		b.commit(false)
	}
}

// twice decides a command two times on the same state: a decision that leaves a trace in it gives itself away.
func (b *bank) twice(c credit.Command, at time.Time) (*credit.State, *credit.Outcome, error) {
	b.Helper()
	s1, o1, err1 := credit.Decide(b.state, c, at)
	s2, o2, err2 := credit.Decide(b.state, c, at)
	b.unchanged()
	if fmt.Sprint(err1) != fmt.Sprint(err2) || !reflect.DeepEqual(o1, o2) {
		b.Fatalf("%T decided twice on one state: first %+v, %v; then %+v, %v", c, o1, err1, o2, err2)
	}
	if err1 == nil && (!reflect.DeepEqual(s1.Wallet, s2.Wallet) || !reflect.DeepEqual(s1.Dirty(), s2.Dirty()) || !reflect.DeepEqual(s1.DirtyHolds(), s2.DirtyHolds()) ||
		!reflect.DeepEqual(s1.DirtyCounters(), s2.DirtyCounters())) {
		b.Fatalf("%T decided twice on one state gives two states: %+v and %+v", c, s1.Wallet, s2.Wallet)
	}
	return s1, o1, err1
}

// unchanged tells whether every grant met is still as it was: grants are shared between states.
func (b *bank) unchanged() {
	b.Helper()
	for g, was := range b.seen {
		if *g != was {
			b.Fatalf("grant %s was changed in place: from %+v to %+v", g.ID, was, *g)
		}
	}
	clear(b.seen)
	for _, g := range slices.Concat(b.state.Live, b.state.Dirty()) {
		b.seen[g] = *g
	}
}

func (b *bank) gather(next *credit.State, out *credit.Outcome, o op) {
	b.state = next
	b.batch = append(b.batch, out.Entries...)
	for _, e := range out.Events {
		if b.ids[e.ID] {
			b.Fatalf("event %s was told twice", e.ID)
		}
		b.ids[e.ID] = true
		b.told[e.Kind]++
	}
	b.ops = append(b.ops, o)
}

// load answers a Missing from the store, and from the batch where the batch is newer.
func (b *bank) load(m *credit.Missing) {
	b.Helper()
	switch {
	case m.More:
		page := b.find(func(g *credit.Grant) bool {
			return g.Place == credit.Waiting && credit.OrderKey(g) > b.state.WaitingAfter()
		})
		slices.SortFunc(page, func(a, c *credit.Grant) int { return cmp.Compare(credit.OrderKey(a), credit.OrderKey(c)) })
		n := min(len(page), b.waitPage)
		b.state.LoadWaiting(n == len(page), page[:n]...)
	case !m.Due.IsZero():
		b.loadDue()
	case m.Grants != nil:
		for _, id := range m.Grants {
			if g, ok := b.records[id]; ok {
				b.state.LoadGrants(&g)
			} else {
				b.state.LoadAbsent(id)
			}
		}
	case m.Item != "":
		b.state.LoadItem(m.Item, b.find(func(g *credit.Grant) bool { return g.Item == m.Item })...)
	case m.Linked != "":
		b.state.LoadLinked(m.Linked, b.find(func(g *credit.Grant) bool { return g.LinkedTo == m.Linked })...)
	case m.Debit != "":
		b.state.LoadDebit(m.Debit, b.debit(m.Debit))
	case m.Hold != "":
		if h, ok := b.holds[m.Hold]; ok {
			b.state.LoadHold(m.Hold, &h)
		} else {
			b.state.LoadHold(m.Hold, nil)
		}
	case !m.DueHolds.IsZero():
		b.loadDueHolds()
	case m.Counters != nil:
		for _, p := range m.Counters {
			b.state.LoadCounters(p, maps.Clone(b.counters[p]))
		}
	case m.Usage != "":
		b.state.LoadUsage(m.Usage, b.usage(m.Usage))
	default:
		b.Fatalf("nothing is asked for: %v", m)
	}
}

// loadDue answers with the first that are due. Of those due at one moment starts come first, then the burn-down order, as in the model.
func (b *bank) loadDue() {
	due := b.find(func(g *credit.Grant) bool {
		_, ok := g.DueAt()
		return ok && g.Place != credit.InWallet && g.Place != credit.Gone
	})
	slices.SortFunc(due, func(a, c *credit.Grant) int {
		x, _ := a.DueAt()
		y, _ := c.DueAt()
		return cmp.Or(x.Compare(y), cmp.Compare(turn(a), turn(c)), credit.Compare(a, c))
	})
	n := min(len(due), b.duePage)
	var next time.Time
	if n < len(due) {
		next, _ = due[n].DueAt()
	}
	b.state.LoadDue(next, due[:n]...)
}

// loadDueHolds answers with the first open holds that time out.
func (b *bank) loadDueHolds() {
	var due []*credit.Hold
	for _, h := range b.holds {
		if h.State == credit.HoldOpen {
			due = append(due, &h)
		}
	}
	slices.SortFunc(due, func(a, c *credit.Hold) int {
		return cmp.Or(a.ExpiresAt.Compare(c.ExpiresAt), a.PlacedAt.Compare(c.PlacedAt))
	})
	n := min(len(due), b.duePage)
	var next time.Time
	if n < len(due) {
		next = due[n].ExpiresAt
	}
	b.state.LoadDueHolds(next, due[:n]...)
}

// turn is 0 for a start, 1 for an end.
func turn(g *credit.Grant) int {
	if g.Place == credit.Pending {
		return 0
	}
	return 1
}

func (b *bank) find(match func(*credit.Grant) bool) []*credit.Grant {
	var out []*credit.Grant
	for _, id := range slices.Sorted(maps.Keys(b.records)) {
		if g := b.records[id]; match(&g) {
			out = append(out, &g)
		}
	}
	return out
}

func (b *bank) debit(event string) credit.Debited {
	var d credit.Debited
	for _, e := range slices.Concat(b.entries, b.batch) {
		switch {
		case e.Key == credit.CallerKey(event) && d.Entry == nil || e.Key == credit.CaptureKey(credit.HoldID(org, event)):
			d.Entry = e
		case e.Kind == credit.KindReversal && e.Subject == event:
			d.Reversed += e.Credits
		}
	}
	return d
}

// commit writes the batch, checks all that must hold after it, and goes on with the cached state or, when cold, with what the store holds.
func (b *bank) commit(cold bool) {
	b.Helper()
	for _, g := range b.state.Dirty() {
		b.records[g.ID] = *g
	}
	for _, h := range b.state.DirtyHolds() {
		b.holds[h.ID] = *h
	}
	for _, c := range b.state.DirtyCounters() {
		if c.Whole || b.counters[c.CounterPage] == nil {
			b.counters[c.CounterPage] = map[credit.Subject]credit.Counter{}
		}
		maps.Copy(b.counters[c.CounterPage], c.By)
	}
	b.wallet = stored(b.state.Wallet)
	b.entries = append(b.entries, b.batch...)
	for _, e := range b.batch {
		if err := b.book.Add(e); err != nil {
			b.Fatalf("replay: %v", err)
		}
	}
	b.batch, b.ops = nil, nil
	b.verify()
	b.state = b.state.Forget()
	b.began = b.state
	if cold {
		b.forget()
	}
}

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// lot is a grant as the judge has it from entries alone.
type lot struct {
	grantDoc
	born    int64 // seq of its entry
	started bool
	closing time.Time // until when it can be used
	gone    int64     // taken by expiry
	moved   int64     // what clawbacks moved, less what was restored
}

// reserve is a hold.
type reserve struct {
	credits int64
	parts   []changeDoc // in the order of drawing
	until   time.Time
	settled bool
}

// judge replays a ledger by the rules of DESIGN §4, written down again, and names the first entry that breaks one.
type judge struct {
	org    string
	lots   map[string]*lot
	holds  map[string]*reserve // by their ids
	events map[string]string   // the event ids that placed them
	debits map[string]int64    // what was charged and not given back, by event id
	debt   int64
	frozen bool
	seen   map[string]bool
	counts map[string]int64 // what limited subjects used, by subject and window
	last   *entryDoc
	low    crossings
}

// verdict is a rule that was broken.
type verdict struct {
	org, rule string
	entry     *entryDoc // if it is about one
}

func (v *verdict) Error() string {
	if v.entry == nil {
		return fmt.Sprintf("%s: %s", v.org, v.rule)
	}
	return fmt.Sprintf("%s: entry %d, %s %s at %s: %s", v.org, v.entry.Seq, v.entry.Kind, v.entry.Key, v.entry.At.Format(time.RFC3339Nano), v.rule)
}

// replay judges a whole ledger.
func replay(l *ledger) (*judge, error) {
	j := &judge{
		org: l.org, lots: map[string]*lot{}, holds: map[string]*reserve{}, events: map[string]string{}, debits: map[string]int64{}, seen: map[string]bool{}, counts: map[string]int64{},
		low: crossings{on: l.wallet.Low.On, threshold: l.wallet.Low.Threshold},
	}
	for i := range l.entries {
		e := &l.entries[i]
		if rule := j.next(e, l.entries[i+1:]); rule != "" {
			return j, &verdict{l.org, rule, e}
		}
	}
	if rule := j.stored(l); rule != "" {
		return j, &verdict{l.org, rule, nil}
	}
	return j, nil
}

// next applies an entry, and names the rule that it breaks; empty for none.
func (j *judge) next(e *entryDoc, rest []entryDoc) string {
	for _, step := range []func(*entryDoc) string{j.identity, j.birth, j.legal, j.apply, j.figures, j.counted} {
		if broken := step(e); broken != "" {
			return broken
		}
	}
	if j.debt > 0 && e.After.Available > 0 && (len(rest) == 0 || rest[0].Kind != "repayment") {
		return fmt.Sprintf("a debt of %d stands while %d are available", j.debt, e.After.Available)
	}
	j.low.entry(e, j.last, j.lots)
	j.last = e
	return ""
}

func (j *judge) identity(e *entryDoc) string {
	key := fmt.Sprint(e.System, " ", e.Key)
	switch {
	case e.Org != j.org:
		return "it is of organisation " + e.Org
	case j.last == nil && e.Seq != 1, j.last != nil && e.Seq != j.last.Seq+1:
		return "seq has a gap"
	case j.last != nil && !e.At.After(j.last.At):
		return "at does not rise"
	case j.seen[key]:
		return "its key was there before"
	}
	j.seen[key] = true
	return ""
}

// birth takes in a grant that the entry makes.
func (j *judge) birth(e *entryDoc) string {
	if e.Born == nil {
		return ""
	}
	if j.lots[e.Born.ID] != nil {
		return "it makes a grant that there is"
	}
	g := &lot{grantDoc: *e.Born, born: e.Seq, started: !e.At.Before(e.Born.EffectiveAt), closing: e.Born.UsableUntil}
	if g.Source == "purchase" && !g.ExpiresAt.IsZero() {
		return "a purchase that expires"
	}
	if g.closing.IsZero() {
		g.closing = g.ExpiresAt
	}
	j.lots[g.ID] = g
	return ""
}

// ready tells whether a lot can be drawn on: journaled as begun, not frozen, not over.
func (g *lot) ready() bool { return g.started && !g.Frozen }

// order is the burn-down order.
func order(a, b *lot) int {
	end := func(g *lot) int64 {
		if g.ExpiresAt.IsZero() {
			return 1<<63 - 1
		}
		return g.ExpiresAt.UnixMicro()
	}
	bought := func(g *lot) int {
		if g.Source == "purchase" {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(a.Priority, b.Priority), cmp.Compare(end(a), end(b)), cmp.Compare(bought(a), bought(b)),
		a.EffectiveAt.Compare(b.EffectiveAt), cmp.Compare(a.born, b.born), cmp.Compare(a.ID, b.ID),
	)
}

// draw is what taking n credits should take from which lot, and what is missing.
func (j *judge) draw(n int64) (from []changeDoc, missing int64) {
	for _, g := range slices.SortedFunc(maps.Values(j.lots), order) {
		if take := min(n, g.Free); take > 0 && g.ready() {
			from = append(from, changeDoc{Grant: g.ID, Free: -take})
			n -= take
		}
	}
	return from, n
}

// legal tells whether an entry may follow what is there.
func (j *judge) legal(e *entryDoc) string {
	switch e.Kind {
	case "debit":
		return j.legalDebit(e)
	case "hold":
		return j.legalHold(e)
	case "capture", "release", "extend":
		return j.legalSettlement(e)
	case "expiry":
		return j.legalExpiry(e)
	case "reversal":
		return j.legalReversal(e)
	case "clawback", "restore":
		return j.legalMove(e)
	case "repayment":
		have := j.available()
		if e.Debt >= 0 || -e.Debt != min(j.debt, have) {
			return fmt.Sprintf("it repays %d of a debt of %d with %d available", -e.Debt, j.debt, have)
		}
		from, _ := j.draw(-e.Debt)
		return same(from, e.Changes)
	}
	return ""
}

func (j *judge) available() int64 {
	var n int64
	for _, g := range j.lots {
		if g.ready() {
			n += g.Free
		}
	}
	return n
}

// same tells whether changes are those that should be.
func same(want, got []changeDoc) string {
	if len(want) != len(got) {
		return fmt.Sprintf("it changes %v; the rules say %v", got, want)
	}
	for i := range want {
		if want[i] != got[i] {
			return fmt.Sprintf("it changes %v; the rules say %v", got, want)
		}
	}
	return ""
}

// reported tells whether a debit is of work already done.
func reported(e *entryDoc) bool { return strings.HasPrefix(e.Actor, "pubsub:") }

func (j *judge) legalDebit(e *entryDoc) string {
	from, missing := j.draw(e.Credits)
	switch {
	case reported(e):
		if e.Debt != missing {
			return fmt.Sprintf("usage becomes a debt of %d; %d were missing", e.Debt, missing)
		}
	case j.frozen:
		return "a debit of a frozen wallet"
	case j.debt > 0:
		return "a debit while there is debt"
	case missing > 0 || e.Debt != 0:
		return fmt.Sprintf("a debit of %d, of which %d were missing", e.Credits, missing)
	}
	return same(from, e.Changes)
}

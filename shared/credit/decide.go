package credit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Outcome is what a command did.
type Outcome struct {
	// Entries are to be added to the ledger, in order; the command's own is Entries[Own].
	Entries []*Entry
	// Own is the index of the command's own entry, -1 when it changed nothing.
	Own int
	// Events are to be told to others after the commit.
	Events []Event
}

// Decide is what a command does to a wallet at t. It returns the state after it, or a *Refusal, which changes nothing, or a *Missing,
// which says what to load before asking again. Whatever is due at t must have been journaled first: see [Journal].
//
// The decision is made at t, or just after the wallet's last entry when that is later, so that a wallet's time never goes back.
func Decide(s *State, c Command, t time.Time) (*State, *Outcome, error) {
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	w := begin(s, t)
	if w.dueAt(w.t) {
		return nil, nil, &Missing{Due: w.t}
	}
	if len(w.Live) == 0 && w.Waiting.Count > 0 {
		return nil, nil, &Missing{More: true}
	}
	if err := w.do(c); err != nil {
		return nil, nil, err
	}
	if err := w.finish(isGrant(c)); err != nil {
		return nil, nil, err
	}
	return &w.State, w.out, nil
}

// isGrant tells whether a command is a top-up, which counts as a new crossing when it leaves the balance low.
func isGrant(c Command) bool {
	_, ok := c.(NewGrant)
	return ok
}

func (w *work) do(c Command) error {
	switch c := c.(type) {
	case Debit:
		return w.debit(c)
	case NewGrant:
		return w.newGrant(c)
	case Adjust:
		return w.adjust(c)
	case Reverse:
		return w.reverse(c)
	case ClawBack:
		return w.clawBack(c)
	case FreezeGrant:
		return w.freezeGrant(c)
	case FreezeWallet:
		return w.freezeWallet(c)
	case Configure:
		return w.configure(c)
	}
	return fmt.Errorf("command %T is not known", c)
}

// work is a state being changed: a copy that shares with the original whatever is not yet touched.
type work struct {
	State
	t           time.Time // the moment of decision
	out         *Outcome
	owed        int64 // debt before the item at hand
	ownsLive    bool
	ownsOutside bool
	ownsDirty   bool
}

func begin(s *State, t time.Time) *work {
	w := &work{State: *s, out: &Outcome{Own: -1}, owed: s.Debt}
	w.t = w.notBefore(t)
	return w
}

// notBefore is t in the wallet's precision, or the first moment after its last entry.
func (w *work) notBefore(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	if !t.After(w.LastAt) {
		t = w.LastAt.Add(time.Microsecond)
	}
	return t
}

// dueAt tells whether the clock has decided something at t that is not journaled yet.
func (w *work) dueAt(t time.Time) bool { return !w.NextDueAt.IsZero() && !t.Before(w.NextDueAt) }

// finish ends a command or a journaled item: debt is repaid, the wallet document kept small, alerts raised.
func (w *work) finish(topUp bool) error {
	if err := w.repay(); err != nil {
		return err
	}
	w.evict()
	w.watch(topUp)
	return nil
}

// record adds an entry at the next moment, with the figures after it. The changes are already made.
func (w *work) record(e *Entry) *Entry {
	return w.recordAt(w.t, e)
}

func (w *work) recordAt(t time.Time, e *Entry) *Entry {
	w.Seq++
	e.Seq, e.At, e.After = w.Seq, w.notBefore(t), w.Figures
	w.LastAt = e.At
	w.out.Entries = append(w.out.Entries, e)
	return e
}

// own records the command's own entry.
func (w *work) own(e *Entry) *Entry {
	w.out.Own = len(w.out.Entries)
	return w.record(e)
}

// find gets a grant, or asks for its record.
func (w *work) find(id string) (*Grant, error) {
	g, known := w.grant(id)
	if !known {
		return nil, &Missing{Grant: id}
	}
	if g == nil {
		return nil, Refuse(CodeNotFound, "there is no such grant", map[string]any{"grant_id": id})
	}
	return g, nil
}

// change replaces a grant by one with free and held moved and edit applied, keeps every sum true, and returns it.
func (w *work) change(g *Grant, free, held int64, edit func(*Grant)) *Grant {
	n := *g
	n.Free += free
	n.Held += held
	if edit != nil {
		edit(&n)
	}
	w.count(g, -1)
	w.place(&n)
	w.count(&n, 1)
	w.put(g, &n)
	if n.Place != InWallet || g.Place != InWallet || edit != nil {
		w.markDirty(n.ID)
	}
	if at, ok := n.DueAt(); ok && (w.NextDueAt.IsZero() || at.Before(w.NextDueAt)) {
		w.NextDueAt = at
	}
	return &n
}

// count adds a grant to, or takes it from, the running figures and the sums of its place.
func (w *work) count(g *Grant, sign int64) {
	if g.Place == InWallet || g.Place == Waiting {
		w.Available += sign * g.Free
	}
	w.Held += sign * g.Held
	switch g.Place {
	case Waiting:
		w.Waiting.add(g, sign)
	case Pending:
		w.Pending.add(g, sign)
	case Aside:
		w.Aside.add(g, sign)
	case InWallet, Gone, "":
	}
}

// place settles where a grant is kept.
func (w *work) place(n *Grant) {
	switch {
	case n.Free+n.Held == 0:
		n.Place = Gone
	case n.Frozen:
		n.Place = Aside
	case !n.Started:
		n.Place = Pending
	case n.Place == InWallet || n.Place == Waiting:
	case w.Waiting.Count > 0 && (len(w.Live) == 0 || Compare(n, w.Live[len(w.Live)-1]) > 0):
		n.Place = Waiting
	default:
		n.Place = InWallet
	}
}

// put stores the new value of a grant where its place says.
func (w *work) put(old, n *Grant) {
	if !w.ownsLive {
		w.Live, w.ownsLive = slices.Clone(w.Live), true
	}
	i := -1
	if old.Place == InWallet {
		i = w.liveIndex(old.ID)
	}
	switch {
	case i >= 0 && n.Place == InWallet:
		w.Live[i] = n
		return
	case i >= 0:
		w.Live = slices.Delete(w.Live, i, i+1)
	case n.Place == InWallet:
		at, _ := slices.BinarySearchFunc(w.Live, n, Compare)
		w.Live = slices.Insert(w.Live, at, n)
	}
	if !w.ownsOutside {
		w.outside, w.ownsOutside = maps.Clone(w.outside), true
		if w.outside == nil {
			w.outside = map[string]*Grant{}
		}
	}
	if n.Place == InWallet {
		delete(w.outside, n.ID)
	} else {
		w.outside[n.ID] = n
	}
}

func (w *work) markDirty(id string) {
	if w.dirty[id] {
		return
	}
	if !w.ownsDirty {
		w.dirty, w.ownsDirty = maps.Clone(w.dirty), true
		if w.dirty == nil {
			w.dirty = map[string]bool{}
		}
	}
	w.dirty[id] = true
}

// evict keeps the wallet document small: what is beyond its bound waits outside.
func (w *work) evict() {
	for len(w.Live) > MaxLive {
		last := w.Live[len(w.Live)-1]
		w.change(last, 0, 0, func(n *Grant) { n.Place = Waiting })
	}
}

// draw takes n credits from the grants in burn-down order, passing over the one called except. Credits must be there.
func (w *work) draw(n int64, except string) ([]Change, error) {
	var changes []Change
	for _, g := range slices.Clone(w.Live) {
		if n == 0 {
			break
		}
		if g.Free == 0 || g.ID == except {
			continue
		}
		if !g.Eligible(w.t) {
			return nil, fmt.Errorf("grant %s stands in the wallet of %s but cannot be drawn on at %v", g.ID, w.Org, w.t)
		}
		take := min(n, g.Free)
		w.change(g, -take, 0, nil)
		changes = append(changes, Change{Grant: g.ID, Source: g.Source, Free: -take})
		n -= take
	}
	switch {
	case n > 0 && w.Waiting.Free > 0:
		return nil, &Missing{More: true}
	case n > 0:
		return nil, errors.New("drew more credits than there are")
	case len(changes) > MaxDrawn:
		return nil, invalid("this would draw on %d grants; at most %d at once: ask for less", len(changes), MaxDrawn)
	}
	return changes, nil
}

// drawable is what draw could take when it passes over the grant called except.
func (w *work) drawable(except string) int64 {
	n := w.Available
	if g, _ := w.grant(except); g != nil && (g.Place == InWallet || g.Place == Waiting) {
		n -= g.Free
	}
	return n
}

// repay draws what is available against standing debt: debt stands only while nothing is available.
func (w *work) repay() error {
	n := min(w.Debt, w.Available)
	if n == 0 {
		return nil
	}
	changes, err := w.draw(n, "")
	if err != nil {
		return err
	}
	w.Debt -= n
	w.Repayments++
	w.record(&Entry{Key: numbered(KindRepayment, w.Org, w.Repayments), Kind: KindRepayment, Credits: n, Changes: changes, Debt: -n})
	return nil
}

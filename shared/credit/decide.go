package credit

import (
	"fmt"
	"slices"
	"time"
)

// Outcome is what a command did.
type Outcome struct {
	// Entries are to be added to the ledger, in order; the command's own is Entries[Own].
	Entries []*Entry
	// Own is the index of the command's own entry, -1 when it changed nothing.
	Own int
	// Hold is the hold that the command was about, as it left it; nil for other commands.
	Hold *Hold
	// Events are to be told to others after the commit.
	Events []Event
}

// Decide is what a command does to a wallet at t. It returns the state after it, or a *Refusal, which changes nothing, or a *Missing,
// which says what to load before asking again. Whatever is due at t must have been journaled first: see [Journal].
//
// The decision is made at t, or just after the wallet's last entry when that is later, so that a wallet's time never goes back. That one
// moment settles eligibility for all that the command does, though its entries follow each other by a microsecond.
func Decide(s *State, c Command, t time.Time) (*State, *Outcome, error) {
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	w := begin(s, t)
	if w.dueAt(w.t) {
		return nil, nil, &Missing{Due: w.t}
	}
	if err := w.do(c); err != nil {
		return nil, nil, err
	}
	if err := w.finish(); err != nil {
		return nil, nil, err
	}
	if w.Available+w.Held+w.Debt+w.Pending.Free+w.Aside.Free > MaxBalance {
		return nil, nil, invalid("the wallet would hold or owe more than %d credits", MaxBalance)
	}
	w.usage, w.usageOf = nil, "" // may have become more
	return &w.State, w.out, nil
}

func (w *work) do(c Command) error {
	switch c.(type) {
	case ClawBack, SetAside, FreezeGrant:
		w.back = true
	}
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
	case SetAside:
		return w.setAside(c)
	case FreezeGrant:
		return w.freezeGrant(c)
	case FreezeWallet:
		return w.freezeWallet(c)
	case AwaitRenewal:
		return w.awaitRenewal(c)
	case Configure:
		return w.configure(c)
	case SetLimits:
		return w.setLimits(c)
	case PlaceHold:
		return w.placeHold(c)
	case Extend:
		return w.extend(c)
	case Capture:
		return w.capture(c)
	case Release:
		return w.release(c)
	}
	return fmt.Errorf("command %T is not known", c)
}

// work is a state being changed: a copy that shares with the original whatever is not yet touched.
type work struct {
	State
	t           time.Time // the moment of decision
	out         *Outcome
	owed        int64         // debt before the item at hand
	topUp       bool          // the item at hand is a top-up
	back        bool          // the item at hand follows money that goes back
	armed       bool          // the item at hand arms auto top-up anew
	had         int64         // net before the item at hand
	crossed     []LimitNotice // by the item at hand
	ownsLive    bool
	ownsOutside bool
	ownsDirty   bool
	ownsHolds   bool
}

func begin(s *State, t time.Time) *work {
	w := &work{State: *s, out: &Outcome{Own: -1}, owed: s.Debt, had: s.net()}
	w.t = w.notBefore(t)
	return w
}

// exact is a time as it is stored: UTC, in whole microseconds.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// notBefore is t as it is stored, or the first moment after the wallet's last entry.
func (w *work) notBefore(t time.Time) time.Time {
	if t = exact(t); !t.After(w.LastAt) {
		t = w.LastAt.Add(time.Microsecond)
	}
	return t
}

// dueAt tells whether the clock has decided something at t that is not journaled yet.
func (w *work) dueAt(t time.Time) bool { return !w.NextDueAt.IsZero() && !t.Before(w.NextDueAt) }

// finish ends a command or a journaled item: debt is repaid, the wallet document kept within its bounds, alerts raised.
func (w *work) finish() error {
	if err := w.repay(); err != nil {
		return err
	}
	w.evict()
	w.refill()
	w.watch()
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
		return nil, &Missing{Grants: []string{id}}
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
	case InWallet, Reserved, Gone, "":
	}
}

// place settles where a grant is kept.
func (w *work) place(n *Grant) {
	switch {
	case n.Free+n.Held == 0:
		n.Place = Gone
	case n.Free == 0:
		n.Place = Reserved
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

// put stores the new value of a grant where its place says. Nothing in a grant that the burn-down order looks at ever changes.
func (w *work) put(old, n *Grant) {
	if !w.ownsLive {
		w.Live, w.ownsLive = slices.Clone(w.Live), true
	}
	i, _ := slices.BinarySearchFunc(w.Live, n, Compare)
	switch {
	case old.Place == InWallet && n.Place == InWallet:
		w.Live[i] = n
		return
	case old.Place == InWallet:
		w.Live = slices.Delete(w.Live, i, i+1)
	case n.Place == InWallet:
		w.Live = slices.Insert(w.Live, i, n)
	}
	if !w.ownsOutside {
		w.outside, w.ownsOutside = cloned(w.outside), true
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
		w.dirty, w.ownsDirty = cloned(w.dirty), true
	}
	w.dirty[id] = true
}

// evict keeps the wallet document small: what is beyond its bound waits outside.
func (w *work) evict() {
	for len(w.Live) > MaxLive {
		w.change(w.Live[len(w.Live)-1], 0, 0, func(n *Grant) { n.Place = Waiting })
	}
}

// refill takes the next waiting grants, as far as they are loaded, into a wallet document that has become short of them.
func (w *work) refill() {
	if len(w.Live) >= MinLive || w.Waiting.Count == 0 {
		return
	}
	next := w.knownWaiting()
	for _, g := range next[:min(len(next), MaxLive-len(w.Live))] {
		w.change(g, 0, 0, func(n *Grant) { n.Place = InWallet })
	}
}

// draw takes n credits, which must be available, from the grants in burn-down order. It takes fewer when they lie in more than MaxDrawn
// grants.
func (w *work) draw(n int64) (changes []Change, drawn int64, err error) {
	return w.drawInto(n, MaxDrawn, false)
}

// drawInto draws on at most so many grants, and takes the credits away or, for a hold, sets them aside.
func (w *work) drawInto(n int64, grants int, hold bool) (changes []Change, drawn int64, err error) {
	more := func() bool { return drawn < n && len(changes) < grants }
	take := func(g *Grant) (*Grant, error) {
		if !g.Eligible(w.t) {
			return nil, fmt.Errorf("grant %s counts as available to %s but cannot be drawn on at %v", g.ID, w.Org, w.t)
		}
		credits := min(n-drawn, g.Free)
		c := Change{Grant: g.ID, Source: g.Source, Free: -credits}
		if hold {
			c.Held = credits
		}
		drawn += credits
		changes = append(changes, c)
		return w.change(g, c.Free, c.Held, nil), nil
	}
	for i := 0; i < len(w.Live) && more(); {
		g, err := take(w.Live[i])
		if err != nil {
			return nil, 0, err
		}
		if g.Place == InWallet {
			i++
		}
	}
	if !more() {
		return changes, drawn, nil
	}
	for _, g := range w.knownWaiting() {
		if _, err := take(g); err != nil {
			return nil, 0, err
		}
		if !more() {
			return changes, drawn, nil
		}
	}
	if !w.waitingAll && w.Waiting.Free > 0 {
		return nil, 0, &Missing{More: true}
	}
	return nil, 0, fmt.Errorf("wallet %s has %d credits available, but %d cannot be found in its grants", w.Org, w.Available, n-drawn)
}

// repay draws what is available against standing debt: debt stands only while nothing is available.
func (w *work) repay() error {
	for w.Debt > 0 && w.Available > 0 { // each round empties MaxDrawn grants, or is the last
		changes, n, err := w.draw(min(w.Debt, w.Available))
		if err != nil {
			return err
		}
		w.Debt -= n
		w.Repayments++
		w.record(&Entry{Key: numbered(KindRepayment, w.Org, w.Repayments), Kind: KindRepayment, Credits: n, Changes: changes, Debt: -n})
	}
	return nil
}

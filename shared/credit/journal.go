package credit

import "time"

// Journal writes down what the clock has decided by t: ends and starts, oldest first, at most MaxJournaled. Each is decided at and bears
// the clock's own moment, so that a balance asked for later is right at any moment in between. more is true when others are due still:
// then this must be committed, and what was loaded forgotten, before Journal is asked again. A *Missing asks for what is due outside the
// wallet.
func Journal(s *State, t time.Time) (next *State, out *Outcome, more bool, err error) {
	w := begin(s, t)
	now := w.t
	if !w.dueAt(now) {
		return s, w.out, false, nil
	}
	if !w.dueLoaded && w.Waiting.Count+w.Pending.Count+w.Aside.Count > 0 {
		return nil, nil, false, &Missing{Due: now}
	}
	journaled := 0
	for ; journaled < MaxJournaled; journaled++ {
		g, at := w.oldestDue(now)
		if g == nil {
			break
		}
		w.t = at
		if g.starts() {
			w.start(g)
		} else {
			w.expire(g)
		}
		if err := w.finish(); err != nil {
			return nil, nil, false, err
		}
	}
	w.NextDueAt = w.nextDue()
	more = w.dueAt(now)
	if more && journaled == 0 && len(w.dirty) == 0 { // what was loaded is used up, and there is nothing to commit
		return nil, nil, false, &Missing{Due: now}
	}
	return &w.State, w.out, more, nil
}

// oldestDue is the grant about which the clock decided first, of those due by now, and when; nil when none is known. Of what is due at
// one moment starts come first: credits that follow on others leave no gap.
func (w *work) oldestDue(now time.Time) (oldest *Grant, oldestAt time.Time) {
	// Grants that are not loaded may be due from dueNext on. Of what is due just then only what was loaded as due has its turn: an end in the
	// wallet must wait for their starts, and so must a grant that is known by chance.
	unknown := func(g *Grant, at time.Time) bool {
		return !w.dueNext.IsZero() && (at.After(w.dueNext) || at.Equal(w.dueNext) && !w.dueLast[g.ID])
	}
	consider := func(g *Grant) {
		at, ok := g.DueAt()
		switch {
		case !ok || at.After(now) || unknown(g, at):
		case oldest == nil || at.Before(oldestAt) || at.Equal(oldestAt) && before(g, oldest):
			oldest, oldestAt = g, at
		}
	}
	for _, g := range w.Live {
		consider(g)
	}
	for _, g := range w.outside {
		if g != nil {
			consider(g)
		}
	}
	return oldest, oldestAt
}

// before orders what is due at the same moment.
func before(a, b *Grant) bool {
	if a.starts() != b.starts() {
		return a.starts()
	}
	return Compare(a, b) < 0 // what repays debt is drawn in burn-down order
}

// nextDue is the earliest moment at which the clock decides something about the grants known, or may about those that are not.
func (w *work) nextDue() time.Time {
	next := w.dueNext
	for _, g := range w.known(func(g *Grant) bool { _, ok := g.DueAt(); return ok }) {
		if at, _ := g.DueAt(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

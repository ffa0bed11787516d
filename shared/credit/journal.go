package credit

import "time"

// Journal writes down what the clock has decided by t: starts, time-outs of holds and ends, oldest first, at most MaxJournaled. Each is
// decided at and bears the clock's own moment, so that a balance asked for later is right at any moment in between. more is true when others
// are due still: then this must be committed, and what was loaded forgotten, before Journal is asked again. Only who commits nothing, and has
// loaded all that is due, may go on with the state at once. A *Missing asks for what is due outside the wallet, or for the grants of a hold that
// is due.
func Journal(s *State, t time.Time) (next *State, out *Outcome, more bool, err error) {
	w := begin(s, t)
	now := w.t
	if !w.dueAt(now) {
		return s, w.out, false, nil
	}
	if !w.dueLoaded && w.Waiting.Count+w.Pending.Count+w.Aside.Count > 0 {
		return nil, nil, false, &Missing{Due: now}
	}
	if !w.dueHoldsLoaded && w.OpenHolds > 0 {
		return nil, nil, false, &Missing{DueHolds: now}
	}
	journaled := 0
	for journaled < MaxJournaled && len(w.out.Entries) < 2*MaxJournaled { // a time-out may lapse in many grants
		found, err := w.journalOldest(now, journaled == 0)
		if err != nil {
			return nil, nil, false, err
		}
		if !found {
			break
		}
		journaled++
	}
	w.out.Own, w.out.Hold = -1, nil // those of a time-out are nobody's
	w.NextDueAt = w.nextDue()
	more = w.dueAt(now)
	if more && journaled == 0 && len(w.dirty)+len(w.dirtyHolds) == 0 { // what was loaded is used up, and there is nothing to commit
		if w.dueNext.IsZero() || !w.dueHoldsNext.IsZero() && w.dueHoldsNext.Before(w.dueNext) {
			return nil, nil, false, &Missing{DueHolds: now}
		}
		return nil, nil, false, &Missing{Due: now}
	}
	return &w.State, w.out, more, nil
}

// journalOldest journals what is due first, of what is known to be due by now. found is false when that is nothing, or a hold whose grants
// or counters are not loaded: unless it is the first of the journal, and then it asks for them, there is something to commit before that.
func (w *work) journalOldest(now time.Time, isFirst bool) (found bool, err error) {
	g, at := w.oldestDue(now)
	h := w.oldestHold(now)
	switch {
	case h != nil && (g == nil || h.ExpiresAt.Before(at) || h.ExpiresAt.Equal(at) && !g.starts()):
		if unknown := w.UnknownGrants([]string{h.ID}); unknown != nil {
			if !isFirst {
				return false, nil
			}
			return false, &Missing{Grants: w.UnknownGrants(w.dueHoldIDs(now))}
		}
		if w.askFor(h.parts(0)) != nil {
			if !isFirst {
				return false, nil
			}
			return false, w.askForHolds(w.dueHoldIDs(now))
		}
		w.t = h.ExpiresAt
		if err := w.timeOut(h); err != nil {
			return false, err
		}
	case g == nil:
		return false, nil
	case g.starts():
		w.t = at
		w.start(g)
	default:
		w.t = at
		w.expire(g)
	}
	return true, w.finish()
}

// oldestDue is the grant about which the clock decided first, of those due by now, and when; nil when none is known. Of what is due at
// one moment starts come first: credits that follow on others leave no gap.
func (w *work) oldestDue(now time.Time) (oldest *Grant, oldestAt time.Time) {
	// Grants that are not loaded may be due from dueNext on. Of what is due just then only what was loaded as due has its turn: an end in the
	// wallet must wait for their starts, and so must a grant that is known by chance. What comes after the time-out of a hold that is not
	// loaded waits for that.
	unknown := func(g *Grant, at time.Time) bool {
		return !w.dueNext.IsZero() && (at.After(w.dueNext) || at.Equal(w.dueNext) && !w.dueLast[g.ID]) ||
			!w.dueHoldsNext.IsZero() && at.After(w.dueHoldsNext)
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

// oldestHold is the hold that timed out first, of those due by now; nil when none is known, or others that are not known may come first.
func (w *work) oldestHold(now time.Time) *Hold {
	h := w.dueHold(now)
	switch {
	case h == nil:
	case !w.dueNext.IsZero() && !h.ExpiresAt.Before(w.dueNext): // a grant may start then
		return nil
	case !w.dueHoldsNext.IsZero() && h.ExpiresAt.After(w.dueHoldsNext):
		return nil
	}
	return h
}

// before orders what is due at the same moment.
func before(a, b *Grant) bool {
	if a.starts() != b.starts() {
		return a.starts()
	}
	return Compare(a, b) < 0 // what repays debt is drawn in burn-down order
}

// nextDue is the earliest moment at which the clock decides something about what is known, or may about what is not.
func (w *work) nextDue() time.Time {
	next := earlier(w.dueNext, w.dueHoldsNext)
	for _, g := range w.known(func(g *Grant) bool { _, ok := g.DueAt(); return ok }) {
		at, _ := g.DueAt()
		next = earlier(next, at)
	}
	for _, h := range w.holds {
		if h != nil && h.State == HoldOpen {
			next = earlier(next, h.ExpiresAt)
		}
	}
	return next
}

// earlier is the earlier of two moments, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

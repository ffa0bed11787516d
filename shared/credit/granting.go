package credit

import (
	"maps"
	"slices"
	"time"
)

// newGrant adds credits. A paid line of a subscription item that starts at or after the end of that item's earlier grants ends their grace
// at once: nothing rolls over.
func (w *work) newGrant(c NewGrant) error {
	terms := c.Terms
	terms.ID = GrantID(c.Key)
	var closed []string
	if terms.Source == Subscription && terms.Item != "" {
		if !w.items[terms.Item] {
			return &Missing{Item: terms.Item}
		}
		closed = w.closeGrace(terms)
	}
	g := w.bear(terms)
	w.own(&Entry{Key: c.Key, Kind: KindGrant, Credits: terms.Granted, Changes: born(g), Actor: c.Actor, Reason: c.Reason, Born: &g.Terms, Closed: closed})
	w.tell(Event{Kind: EventGranted, Grant: g.ID, Source: g.Source, Credits: terms.Granted, Reason: c.Reason})
	for _, id := range append(slices.Clone(closed), g.ID) { // a late grant may have ended already
		if old, _ := w.grant(id); old != nil && old.ended(w.t) && old.Free > 0 {
			w.expire(old)
		}
	}
	return nil
}

// bear makes a grant of terms.
func (w *work) bear(terms Terms) *Grant {
	g := &Grant{Terms: terms, CreatedAt: w.t, Started: !w.t.Before(terms.EffectiveAt)}
	return w.change(g, terms.Granted, 0, func(*Grant) {})
}

// born is the change that a grant's birth makes.
func born(g *Grant) []Change { return []Change{{Grant: g.ID, Source: g.Source, Free: g.Free}} }

// closeGrace ends the grace of the item's grants whose period is over when the new one starts, and lists them.
func (w *work) closeGrace(next Terms) []string {
	var closed []string
	for _, g := range w.ofItem(next.Item) {
		if g.ends() && !g.ExpiresAt.After(next.EffectiveAt) && g.UsableUntil.After(g.ExpiresAt) && !g.ended(w.t) {
			w.change(g, 0, 0, func(n *Grant) { n.UsableUntil = n.ExpiresAt })
			closed = append(closed, g.ID)
		}
	}
	return closed
}

// ofItem lists the loaded grants of a subscription item in a fixed order.
func (w *work) ofItem(item string) []*Grant {
	return w.loaded(func(g *Grant) bool { return g.Item == item })
}

// loaded lists the known grants that match, in the order of their ids.
func (w *work) loaded(match func(*Grant) bool) []*Grant {
	all := map[string]*Grant{}
	for id, g := range w.outside {
		if g != nil && match(g) {
			all[id] = g
		}
	}
	for _, g := range w.Live {
		if match(g) {
			all[g.ID] = g
		}
	}
	out := make([]*Grant, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[id])
	}
	return out
}

// Journal writes down what the clock has decided by t: ends and starts, oldest first, at most MaxJournaled. Each bears the clock's own
// moment, so that a balance asked for later is right at any moment in between. more is true when others are due still: they need a
// commit of their own. A *Missing asks for what is due outside the wallet.
func Journal(s *State, t time.Time) (next *State, out *Outcome, more bool, err error) {
	w := begin(s, t)
	if !w.dueAt(w.t) {
		return s, w.out, false, nil
	}
	if w.Waiting.Count+w.Pending.Count+w.Aside.Count > 0 && (!w.dueLoaded || w.dueThrough.Before(w.t)) && !w.stopsBefore() {
		return nil, nil, false, &Missing{Due: w.t}
	}
	for range MaxJournaled {
		g := w.oldestDue()
		if g == nil {
			break
		}
		if g.Started || g.Frozen {
			w.expire(g)
		} else {
			w.start(g)
		}
		if err := w.finish(false); err != nil {
			return nil, nil, false, err
		}
	}
	w.NextDueAt = w.nextDue()
	return &w.State, w.out, w.dueAt(w.t), nil
}

// stopsBefore tells whether what is loaded ends before the wallet's time: then that part is journaled and the rest comes later.
func (w *work) stopsBefore() bool {
	return w.dueLoaded && !w.dueAfter.IsZero() && !w.dueAfter.After(w.t)
}

// oldestDue is the grant about which the clock decided first, of those due by now, or nil.
func (w *work) oldestDue() *Grant {
	var oldest *Grant
	var oldestAt time.Time
	for _, g := range w.loaded(func(g *Grant) bool { at, ok := g.DueAt(); return ok && !at.After(w.t) }) {
		at, _ := g.DueAt()
		if w.stopsBefore() && !at.Before(w.dueAfter) && g.Place != InWallet {
			continue
		}
		if oldest == nil || at.Before(oldestAt) {
			oldest, oldestAt = g, at
		}
	}
	return oldest
}

// nextDue is the earliest moment at which the clock decides something about the grants known, or about those known to be outside.
func (w *work) nextDue() time.Time {
	next := w.dueAfter
	for _, g := range w.loaded(func(g *Grant) bool { _, ok := g.DueAt(); return ok }) {
		if at, _ := g.DueAt(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// expire journals that a grant's free credits have lapsed. What is held stays with its hold.
func (w *work) expire(g *Grant) {
	n := g.Free
	g = w.change(g, -n, 0, func(x *Grant) { x.Expired += n; x.Moves++ })
	w.recordAt(g.UsableUntil, &Entry{
		Key: numbered(KindExpiry, g.ID, g.Moves), Kind: KindExpiry, Subject: g.ID, Credits: n,
		Changes: []Change{{Grant: g.ID, Source: g.Source, Free: -n}},
	})
	w.tell(Event{Kind: EventExpired, Grant: g.ID, Source: g.Source, Credits: n})
}

// start journals that a grant can be drawn on from now.
func (w *work) start(g *Grant) {
	g = w.change(g, 0, 0, func(x *Grant) { x.Started = true; x.Moves++ })
	w.recordAt(g.EffectiveAt, &Entry{Key: numbered(KindStart, g.ID, g.Moves), Kind: KindStart, Subject: g.ID, Credits: g.Free})
}

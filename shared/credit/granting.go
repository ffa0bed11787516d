package credit

import (
	"fmt"
	"slices"
)

// newGrant adds credits. A paid line of a subscription item that starts at or after the end of that item's earlier grants ends their grace
// at once: nothing rolls over. So it does for items that the subscription no longer has. An upgrade's line ends no grace: it pays for no period.
func (w *work) newGrant(c NewGrant) error {
	terms, err := w.settle(c)
	if err != nil {
		return err
	}
	var closed []string
	if terms.Source == Subscription && terms.Item != "" {
		items := append([]string{terms.Item}, c.Follows...)
		for _, item := range items {
			if !w.items[item] {
				return &Missing{Item: item}
			}
		}
		closed = w.closeGrace(&terms, items, c.Prorated)
	}
	g := w.bear(terms)
	w.own(&Entry{Key: c.Key, Kind: KindGrant, Credits: terms.Granted, Changes: born(g), Actor: c.Actor, Reason: c.Reason, Born: termsOf(g), Closed: closed})
	w.tell(Event{Kind: EventGranted, Grant: g.ID, Source: g.Source, Credits: terms.Granted, Reason: c.Reason})
	paidFor := g.Source == Purchase || g.Source == Subscription
	w.topUp = paidFor && g.Eligible(w.t)
	for _, id := range append(slices.Clone(closed), g.ID) { // a late grant may have ended already
		w.lapse(id)
	}
	return nil
}

// settle gives a new grant's terms their id and their stored precision. A start left open is the moment of decision.
func (w *work) settle(c NewGrant) (Terms, error) {
	t := c.Terms
	t.ID = GrantID(c.Key)
	t.EffectiveAt, t.ExpiresAt, t.UsableUntil = exact(t.EffectiveAt), exact(t.ExpiresAt), exact(t.UsableUntil)
	start := t.EffectiveAt
	if start.IsZero() {
		start = w.t
	}
	if !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(start) {
		return Terms{}, fmt.Errorf("grant %s: ends at %v, not after its start at %v", c.Key.ID, t.ExpiresAt, start)
	}
	return t, nil
}

// bear makes a grant of terms, for the entry that is recorded next. A start left open is the moment of decision.
func (w *work) bear(terms Terms) *Grant {
	if terms.EffectiveAt.IsZero() {
		terms.EffectiveAt = w.t
	}
	return w.change(&Grant{Terms: terms, CreatedAt: w.notBefore(w.t), Started: !w.t.Before(terms.EffectiveAt)}, terms.Granted, 0, nil)
}

// born is the change that a grant's birth makes.
func born(g *Grant) []Change { return []Change{{Grant: g.ID, Source: g.Source, Free: g.Free}} }

// termsOf copies a grant's terms, so that an entry shares no memory with the state.
func termsOf(g *Grant) *Terms {
	terms := g.Terms
	return &terms
}

// closeGrace ends the grace of the items' grants whose period is over when the new one starts, and lists them. A line that comes after
// the next period's has no grace left from birth, so that the order in which lines come does not matter.
func (w *work) closeGrace(next *Terms, items []string, prorated bool) []string {
	var closed []string
	for _, g := range w.known(func(g *Grant) bool { return slices.Contains(items, g.Item) }) {
		if !prorated && g.ends() && !g.ExpiresAt.After(next.EffectiveAt) && g.UsableUntil.After(g.ExpiresAt) && !g.ended(w.t) {
			w.change(g, 0, 0, func(n *Grant) { n.UsableUntil = n.ExpiresAt })
			closed = append(closed, g.ID)
		}
		if !next.ExpiresAt.IsZero() && !next.ExpiresAt.After(g.EffectiveAt) {
			next.UsableUntil = next.ExpiresAt
		}
	}
	return closed
}

// lapse journals a grant as expired if its time has passed: what has just come back to it, or come late, or lost its grace.
func (w *work) lapse(id string) {
	if g, _ := w.grant(id); g != nil && g.ended(w.t) && g.Free > 0 {
		w.expire(g)
	}
}

// expire journals that a grant's free credits have lapsed, at the moment its time ended. What is held stays with its hold.
func (w *work) expire(g *Grant) {
	n := g.Free
	g = w.change(g, -n, 0, func(x *Grant) { x.Expired += n; x.Moves++ })
	w.recordAt(g.UsableUntil, &Entry{
		Key: numbered(KindExpiry, g.ID, g.Moves), Kind: KindExpiry, Subject: g.ID, Credits: n,
		Changes: []Change{{Grant: g.ID, Source: g.Source, Free: -n}},
	})
	w.tell(Event{Kind: EventExpired, Grant: g.ID, Source: g.Source, Credits: n})
}

// start journals that a grant can be drawn on from its start.
func (w *work) start(g *Grant) {
	g = w.change(g, 0, 0, func(x *Grant) { x.Started = true; x.Moves++ })
	w.recordAt(g.EffectiveAt, &Entry{Key: numbered(KindStart, g.ID, g.Moves), Kind: KindStart, Subject: g.ID, Credits: g.Free})
}

package credit

import (
	"math/bits"
)

// Target is how many of granted credits should be clawed back when returned of paid was given back:
// min(granted, floor(returned × granted ÷ paid)), and 0 when nothing was paid.
func Target(granted, returned, paid int64) int64 {
	if paid <= 0 || returned <= 0 {
		return 0
	}
	if returned >= paid {
		return granted
	}
	hi, lo := bits.Mul64(uint64(returned), uint64(granted))
	q, _ := bits.Div64(hi, lo, uint64(paid)) // hi < paid, because returned < paid and granted < 2^63
	return int64(q)
}

// withBonuses lists the ids of a payment's grant and of the bonuses that are linked to it, the grant first.
func (w *work) withBonuses(grant string) ([]string, error) {
	g, err := w.find(grant)
	if err != nil {
		return nil, err
	}
	if !w.linked[g.ID] {
		return nil, &Missing{Linked: g.ID}
	}
	ids := []string{g.ID}
	for _, b := range w.known(func(b *Grant) bool { return b.LinkedTo == g.ID }) {
		ids = append(ids, b.ID)
	}
	return ids, nil
}

// clawBack moves a payment's grant and its bonuses to their targets.
func (w *work) clawBack(c ClawBack) error {
	ids, err := w.withBonuses(c.Grant)
	if err != nil {
		return err
	}
	for _, id := range ids {
		g, err := w.find(id) // as the one before has left it
		if err != nil {
			return err
		}
		switch target := Target(g.Granted, c.Returned, c.Paid); {
		case target > g.ClawedBack:
			if err := w.take(g, target, c, w.anywhere); err != nil {
				return err
			}
		case target < g.ClawedBack:
			w.restore(g, target, c)
		}
	}
	return nil
}

// anywhere draws what others have in burn-down order; what they do not have becomes debt.
func (w *work) anywhere(credits int64) (changes []Change, drawn int64, err error) {
	return w.draw(min(credits, w.Available))
}

// parts splits what a rise to target takes: the grant's own free credits, then, for what was spent or is held, others'. Never anything for
// what expired, and of a referral reward only what is unspent.
func (g *Grant) parts(target int64) (own, elsewhere int64) {
	delta := max(0, target-g.ClawedBack)
	own = min(delta, g.Free)
	if g.Source == Referral {
		return own, 0
	}
	return own, min(delta-own, max(0, g.room()+g.Held-g.TakenElsewhere))
}

// take claws a grant back up to target: its own free credits, then those that others draws, then debt.
func (w *work) take(g *Grant, target int64, c ClawBack, others func(int64) ([]Change, int64, error)) error {
	delta := target - g.ClawedBack
	own, elsewhere := g.parts(target)
	g = w.change(g, -own, 0, func(n *Grant) {
		n.ClawedBack = target
		n.TakenOwn += own
		n.TakenElsewhere += elsewhere
		n.Moves++
	})
	drawn, n, err := others(elsewhere)
	if err != nil {
		return err
	}
	e := &Entry{
		Key: numbered(KindClawback, g.ID, g.Moves), Kind: KindClawback, Subject: g.ID, Credits: delta, Debt: elsewhere - n,
		Actor: c.Actor, Reason: c.Reason,
	}
	if own > 0 {
		e.Changes = append(e.Changes, Change{Grant: g.ID, Source: g.Source, Free: -own})
	}
	e.Changes = append(e.Changes, drawn...)
	w.Debt += e.Debt
	w.own(e)
	w.tell(Event{Kind: EventClawedBack, Grant: g.ID, Source: g.Source, Credits: own + elsewhere, Reason: c.Reason})
	w.tellPeople(EventTakenBack, g, own+elsewhere, c.Reason)
	return nil
}

// untaken splits what a restore of n credits undoes: first that for which nothing was taken, then what was taken elsewhere, at last what
// was the grant's own. That is the reverse of the order of taking, so that a path of targets ends as its last target alone would.
func (g *Grant) untaken(n int64) (elsewhere, own int64) {
	n -= min(n, g.ClawedBack-g.TakenOwn-g.TakenElsewhere)
	elsewhere = min(n, g.TakenElsewhere)
	return elsewhere, n - elsewhere
}

// restore gives back down to target. What the grant itself lost returns to it, and is journaled as expired if its time has passed. What
// was taken elsewhere returns to it as far as it has room and time, the rest as an adjustment.
func (w *work) restore(g *Grant, target int64, c ClawBack) {
	delta := g.ClawedBack - target
	elsewhere, own := g.untaken(delta)
	back := own
	if !g.ended(w.t) {
		back += min(elsewhere, g.room())
	}
	g = w.change(g, back, 0, func(n *Grant) {
		n.ClawedBack = target
		n.TakenOwn -= own
		n.TakenElsewhere -= elsewhere
		n.Started = n.Started || !w.t.Before(n.EffectiveAt)
		n.Moves++
	})
	e := &Entry{
		Key: numbered(KindRestore, g.ID, g.Moves), Kind: KindRestore, Subject: g.ID, Credits: delta,
		Actor: c.Actor, Reason: c.Reason,
	}
	if back > 0 {
		e.Changes = append(e.Changes, Change{Grant: g.ID, Source: g.Source, Free: back})
	}
	if rest := elsewhere + own - back; rest > 0 {
		extra := w.bear(Terms{ID: GrantID(e.Key), Source: Adjustment, Granted: rest, Payment: g.Payment})
		e.Changes = append(e.Changes, born(extra)...)
		e.Born = termsOf(extra)
	}
	w.own(e)
	w.tell(Event{Kind: EventRestored, Grant: g.ID, Source: g.Source, Credits: elsewhere + own, Reason: c.Reason})
	w.tellPeople(EventGivenBack, g, elsewhere+own, c.Reason)
	w.lapse(g.ID)
}

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

// clawBack moves a payment's grant and its bonuses to their targets.
func (w *work) clawBack(c ClawBack) error {
	g, err := w.find(c.Grant)
	if err != nil {
		return err
	}
	if !w.linked[g.ID] {
		return &Missing{Linked: g.ID}
	}
	grants := []*Grant{g}
	grants = append(grants, w.loaded(func(b *Grant) bool { return b.LinkedTo == g.ID })...)
	for _, g := range grants {
		if g, err = w.find(g.ID); err != nil {
			return err
		}
		switch target := Target(g.Granted, c.Returned, c.Paid); {
		case target > g.ClawedBack:
			err = w.take(g, target, c)
		case target < g.ClawedBack:
			w.restore(g, target, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take claws a grant back up to target: its own free credits, then, for what was spent or is held, others in burn-down order, then debt.
// Never anything for what expired.
func (w *work) take(g *Grant, target int64, c ClawBack) error {
	delta := target - g.ClawedBack
	own := min(delta, g.Free)
	others := min(delta, g.Granted-g.Expired-g.ClawedBack) - own
	others = max(0, others)
	if own > 0 || delta > 0 {
		g = w.change(g, -own, 0, func(n *Grant) { n.ClawedBack = target; n.Moves++ })
	}
	var changes []Change
	if own > 0 {
		changes = append(changes, Change{Grant: g.ID, Source: g.Source, Free: -own})
	}
	covered := min(others, w.drawable(g.ID))
	drawn, err := w.draw(covered, g.ID)
	if err != nil {
		return err
	}
	debt := others - covered
	w.Debt += debt
	w.own(&Entry{
		Key: numbered(KindClawback, g.ID, g.Moves), Kind: KindClawback, Subject: g.ID, Credits: delta,
		Changes: append(changes, drawn...), Debt: debt, Actor: c.Actor, Reason: c.Reason,
	})
	w.tell(Event{Kind: EventClawedBack, Grant: g.ID, Source: g.Source, Credits: delta, Reason: c.Reason})
	return nil
}

// restore gives back down to target: to the grant as far as it has room, the rest as an adjustment. What goes to a grant whose time has
// passed is journaled as expired.
func (w *work) restore(g *Grant, target int64, c ClawBack) {
	delta := g.ClawedBack - target
	own := min(delta, g.room())
	g = w.change(g, own, 0, func(n *Grant) { n.ClawedBack = target; n.Moves++ })
	e := &Entry{
		Key: numbered(KindRestore, g.ID, g.Moves), Kind: KindRestore, Subject: g.ID, Credits: delta,
		Actor: c.Actor, Reason: c.Reason,
	}
	if own > 0 {
		e.Changes = append(e.Changes, Change{Grant: g.ID, Source: g.Source, Free: own})
	}
	if rest := delta - own; rest > 0 {
		extra := w.bear(Terms{ID: GrantID(e.Key), Source: Adjustment, Granted: rest, EffectiveAt: w.t, Payment: g.Payment})
		e.Changes = append(e.Changes, born(extra)...)
		e.Born = &extra.Terms
	}
	w.own(e)
	w.tell(Event{Kind: EventRestored, Grant: g.ID, Source: g.Source, Credits: delta, Reason: c.Reason})
	if g.ended(w.t) && g.Free > 0 {
		w.expire(g)
	}
}

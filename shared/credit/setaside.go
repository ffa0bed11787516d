package credit

import (
	"fmt"
	"math/bits"
	"sort"
)

// SetAside claws back for a refund that is about to be asked for: as [ClawBack] does, but only from the grant's own free credits and those
// of its bonuses, or not at all. A clawback to a lower target gives back what the refund did not come to.
type SetAside struct {
	// Key is one of the system's own, refund:{reference}:{n}. The first entry bears it.
	Key Key
	// ClawBack is the target, with the refund.
	ClawBack
}

func (c SetAside) key() Key { return c.Key }

func (c SetAside) check() error {
	if !c.Key.System || c.Key.ID == "" {
		return fmt.Errorf("setting credits aside needs a key of the system's own, has %q", c.Key.ID)
	}
	return c.ClawBack.check()
}

// setAside claws back from a payment's own credits alone. What is at its target already changes nothing.
func (w *work) setAside(c SetAside) error {
	p, err := w.paidGrants(c.Grant)
	if err != nil {
		return err
	}
	g := p.grants[0]
	if g.Frozen || !p.cover(c.Returned, c.Paid) {
		return Refuse(CodeInsufficient, "the purchase's own credits do not cover this refund", map[string]any{"free": p.free()})
	}
	for _, g := range p.grants {
		target := Target(g.Granted, c.Returned, c.Paid)
		if g, err = w.find(g.ID); err != nil { // as the one before has left it
			return err
		}
		if target <= g.ClawedBack { // others have moved it further
			continue
		}
		if err := w.take(g, target, c.ClawBack, w.fromGrant(c.Grant)); err != nil {
			return err
		}
	}
	if len(w.out.Entries) == 0 {
		return nil
	}
	w.out.Own = 0
	w.out.Entries[0].Key = c.Key
	return nil
}

// fromGrant draws on one grant alone, which has the credits.
func (w *work) fromGrant(id string) func(credits int64) ([]Change, int64, error) {
	return func(credits int64) ([]Change, int64, error) {
		if credits == 0 {
			return nil, 0, nil
		}
		g, err := w.find(id)
		if err != nil {
			return nil, 0, err
		}
		w.change(g, -credits, 0, nil)
		return []Change{{Grant: g.ID, Source: g.Source, Free: -credits}}, credits, nil
	}
}

// Cover is what a payment's own free credits are worth: the most money that they cover, and what a refund of it takes.
type Cover struct {
	// Returned is all that can have been returned then, in minor units, with what was returned before.
	Returned int64
	// Credits are taken of the grant and its bonuses together.
	Credits int64
}

// Covered tells how far a payment's own free credits, and those of its bonuses, cover its refund, when returned of paid was given back before,
// both in minor units, and at most so much more is to be. Money is a share of what was paid as its credits are of those granted, rounded down, or up by one unit when that takes
// one credit more which is there. The error is a *Missing, or a *Refusal when there is no such grant.
func Covered(s *State, grant string, returned, paid, most int64) (Cover, error) {
	w := begin(s, s.LastAt)
	p, err := w.paidGrants(grant)
	if err != nil {
		return Cover{}, err
	}
	none := Cover{Returned: returned}
	most = min(most, paid-returned)
	if p.grants[0].Frozen || most <= 0 {
		return none, nil
	}
	// The shares of what is given back, rounded up, must be there: then no credit is paid for that was used.
	n := sort.Search(int(most), func(i int) bool { return !p.coverExactly(returned+int64(i)+1, paid) })
	money := returned + int64(n)
	if up := money + 1; up <= returned+most && p.cover(up, paid) && p.taken(up, paid) > p.taken(money, paid) {
		money = up
	}
	out := Cover{Returned: money, Credits: p.taken(money, paid)}
	if out.Credits == 0 {
		return none, nil
	}
	return out, nil
}

// paidGrants are a payment's grant, first, and its bonuses.
type paidGrants struct{ grants []*Grant }

func (w *work) paidGrants(grant string) (paidGrants, error) {
	ids, err := w.withBonuses(grant)
	if err != nil {
		return paidGrants{}, err
	}
	var p paidGrants
	for _, id := range ids {
		g, err := w.find(id)
		if err != nil {
			return paidGrants{}, err
		}
		p.grants = append(p.grants, g)
	}
	return p, nil
}

// free are the payment's own free credits.
func (p paidGrants) free() (credits int64) {
	for _, g := range p.grants {
		credits += g.Free
	}
	return credits
}

// taken are the credits that clawbacks to the targets take.
func (p paidGrants) taken(returned, paid int64) (credits int64) {
	for _, g := range p.grants {
		own, elsewhere := g.parts(Target(g.Granted, returned, paid))
		credits += own + elsewhere
	}
	return credits
}

// cover reports whether the payment's own free credits suffice for clawbacks to the targets: what a bonus lacks, its grant may have left.
func (p paidGrants) cover(returned, paid int64) bool {
	return p.suffice(func(g *Grant) int64 { return Target(g.Granted, returned, paid) })
}

// coverExactly is cover with targets that are rounded up.
func (p paidGrants) coverExactly(returned, paid int64) bool {
	return p.suffice(func(g *Grant) int64 {
		target := Target(g.Granted, returned, paid)
		high, low := bits.Mul64(uint64(min(returned, paid)), uint64(g.Granted))
		if _, rest := bits.Div64(high, low, uint64(paid)); rest > 0 { // high < paid, as in Target
			target++
		}
		return target
	})
}

func (p paidGrants) suffice(target func(*Grant) int64) bool {
	var left int64
	for i, g := range p.grants {
		own, elsewhere := g.parts(target(g))
		if i == 0 {
			left = g.Free - own
		}
		if left -= elsewhere; left < 0 || elsewhere > 0 && !p.grants[0].Started { // one that begins later cannot be drawn on
			return false
		}
	}
	return true
}

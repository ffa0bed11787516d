package credit

import (
	"fmt"
	"reflect"
)

// Verify compares a wallet as stored, the grants outside it, all its holds, and all documents of counters, with the book, and tells the first
// difference.
func (b *Book) Verify(w *Wallet, outside []*Grant, holds []*Hold, pages []Counters) error {
	if w.Seq != b.Seq || !w.LastAt.Equal(b.LastAt) || w.Figures != b.Figures || w.Repayments != b.Repayments || w.Moves != b.Moves || w.LimitChanges != b.LimitChanges ||
		w.Frozen != b.Frozen || w.FrozenReason != b.FrozenReason {
		return fmt.Errorf("wallet %s stands at entry %d with %+v; its entries end at %d with %+v", w.Org, w.Seq, w.Figures, b.Seq, b.Figures)
	}
	if w.Available < 0 || w.Debt < 0 || w.Debt > 0 && w.Available > 0 {
		return fmt.Errorf("wallet %s owes %d while %d is available", w.Org, w.Debt, w.Available)
	}
	if err := checkLive(w); err != nil {
		return err
	}
	seen := map[string]bool{}
	sums := map[Place]Sum{}
	for i, g := range append(w.Live[:len(w.Live):len(w.Live)], outside...) {
		if seen[g.ID] {
			return fmt.Errorf("grant %s of %s stands twice", g.ID, w.Org)
		}
		seen[g.ID] = true
		if err := b.check(w, g, i < len(w.Live)); err != nil {
			return err
		}
		s := sums[g.Place]
		s.add(g, 1)
		sums[g.Place] = s
	}
	if len(seen) != len(b.Grants) {
		return fmt.Errorf("wallet %s has %d grants; its entries make %d", w.Org, len(seen), len(b.Grants))
	}
	if sums[Waiting] != w.Waiting || sums[Pending] != w.Pending || sums[Aside] != w.Aside {
		return fmt.Errorf("wallet %s sums %+v waiting, %+v pending, %+v aside; its grants give %+v", w.Org, w.Waiting, w.Pending, w.Aside, sums)
	}
	if err := b.verifyHolds(w, holds); err != nil {
		return err
	}
	return b.verifyCounters(w, pages)
}

// verifyHolds compares the holds with the book, with what the wallet counts of them, and with what stands in the grants.
func (b *Book) verifyHolds(w *Wallet, holds []*Hold) error {
	seen := map[string]bool{}
	held := map[string]int64{}
	var opened int64
	for _, h := range holds {
		want := b.Holds[h.ID]
		switch {
		case seen[h.ID]:
			return fmt.Errorf("hold %s stands twice", h.ID)
		case want == nil:
			return fmt.Errorf("hold %s is not in the entries of %s", h.ID, w.Org)
		case !sameHold(h, want):
			return fmt.Errorf("hold %s is %+v; its entries make it %+v", h.ID, *h, *want)
		}
		seen[h.ID] = true
		if h.State != HoldOpen {
			continue
		}
		opened++
		for _, a := range h.Allocations {
			held[a.Grant] += a.Credits
		}
		if w.NextDueAt.IsZero() || h.ExpiresAt.Before(w.NextDueAt) {
			return fmt.Errorf("hold %s times out at %v; the wallet says that nothing is before %v", h.ID, h.ExpiresAt, w.NextDueAt)
		}
	}
	if len(holds) != len(b.Holds) || opened != w.OpenHolds {
		return fmt.Errorf("wallet %s has %d holds, of which %d are open and %d are counted; its entries make %d", w.Org, len(holds), opened, w.OpenHolds, len(b.Holds))
	}
	for id, g := range b.Grants {
		if g.Held != held[id] {
			return fmt.Errorf("grant %s of %s has %d held; its holds set %d aside", id, w.Org, g.Held, held[id])
		}
	}
	return nil
}

// sameHold compares two holds: equal moments, whatever their location, and equal units, wherever they are kept.
func sameHold(a, b *Hold) bool {
	x, y := *a, *b
	for _, h := range []*Hold{&x, &y} {
		h.PlacedAt, h.ExpiresAt, h.Work.OccurredAt = exact(h.PlacedAt), exact(h.ExpiresAt), exact(h.Work.OccurredAt)
	}
	return reflect.DeepEqual(x, y)
}

// checkLive tells whether the wallet document holds its grants in order and within its bound.
func checkLive(w *Wallet) error {
	if len(w.Live) > MaxLive {
		return fmt.Errorf("wallet %s holds %d grants; at most %d belong in it", w.Org, len(w.Live), MaxLive)
	}
	for i := 1; i < len(w.Live); i++ {
		if Compare(w.Live[i-1], w.Live[i]) >= 0 {
			return fmt.Errorf("wallet %s holds grant %s out of order", w.Org, w.Live[i].ID)
		}
	}
	return nil
}

// check compares a grant with the book, and its place with its state.
func (b *Book) check(w *Wallet, g *Grant, live bool) error {
	want := b.Grants[g.ID]
	if want == nil {
		return fmt.Errorf("grant %s of %s is not in its entries", g.ID, w.Org)
	}
	if !same(g, want) {
		return fmt.Errorf("grant %s of %s is %+v; its entries make it %+v", g.ID, w.Org, *g, *want)
	}
	if at, ok := g.DueAt(); ok && (w.NextDueAt.IsZero() || at.Before(w.NextDueAt)) {
		return fmt.Errorf("grant %s of %s is due at %v; the wallet says that nothing is before %v", g.ID, w.Org, at, w.NextDueAt)
	}
	place := Waiting
	switch {
	case g.Free+g.Held == 0:
		place = Gone
	case g.Free == 0:
		place = Reserved
	case g.Frozen:
		place = Aside
	case !g.Started:
		place = Pending
	case live:
		place = InWallet
	}
	switch {
	case g.Place != place || live != (place == InWallet):
		return fmt.Errorf("grant %s of %s is kept as %q; its state makes it %q", g.ID, w.Org, g.Place, place)
	case place == Waiting && len(w.Live) > 0 && Compare(g, w.Live[len(w.Live)-1]) < 0:
		return fmt.Errorf("grant %s of %s waits, though it comes before others in the wallet", g.ID, w.Org)
	}
	return nil
}

// same compares two grants in all but their places.
func same(a, b *Grant) bool {
	x, y := *a, *b
	x.Place, y.Place = "", ""
	for _, g := range []*Grant{&x, &y} { // equal moments, whatever their location
		g.EffectiveAt, g.ExpiresAt, g.UsableUntil, g.CreatedAt = exact(g.EffectiveAt), exact(g.ExpiresAt), exact(g.UsableUntil), exact(g.CreatedAt)
	}
	return x == y
}

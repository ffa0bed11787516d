package audit

import (
	"context"
	"maps"
	"slices"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// compare compares what the entries come to with a wallet, and all beneath it, at the moment of its last entry.
func (p *pass) compare(ctx context.Context, s *ledger.Snapshot) error {
	for _, step := range []func(context.Context, *ledger.Snapshot) error{
		p.noneBeyond, p.wallet, p.grants, p.openHolds, p.counters, p.recentDays, p.complete,
	} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// noneBeyond looks for entries that the wallet knows nothing of.
func (p *pass) noneBeyond(ctx context.Context, s *ledger.Snapshot) error {
	e, ok, err := s.Beyond(ctx)
	if err != nil || !ok {
		return err
	}
	f := differ("entry", "seq", "none after "+text(p.book.Seq), e.Value.Seq)
	f.Seq, f.Entry = e.Value.Seq, e.Doc
	return p.found(f)
}

// standing is what a wallet's document says that entries say too.
type standing struct {
	Seq          int64
	At           string
	Available    int64
	Held         int64
	Debt         int64
	Frozen       bool
	Repayments   int64
	Moves        int64
	LimitChanges int64
	OpenHolds    int64
}

func (p *pass) wallet(_ context.Context, s *ledger.Snapshot) error {
	w, b := s.Wallet(), p.book
	if s.Org() != p.org {
		return p.found(differ("wallet", "org", p.org, s.Org()))
	}
	var open int64
	for _, h := range b.Holds {
		if h.State == credit.HoldOpen {
			open++
		}
	}
	want := standing{b.Seq, text(b.LastAt), b.Available, b.Held, b.Debt, b.Frozen, b.Repayments, b.Moves, b.LimitChanges, open}
	got := standing{w.Seq, text(w.LastAt), w.Available, w.Held, w.Debt, w.Frozen, w.Repayments, w.Moves, w.LimitChanges, w.OpenHolds}
	if d := compare("wallet", want, got); d != nil {
		return p.found(d)
	}
	if w.Debt > 0 && w.Available > 0 {
		return p.found(differ("wallet", "debt", "0 while credits are available", w.Debt))
	}
	var available, held int64
	for _, g := range b.Grants {
		if held += g.Held; g.Started && !g.Frozen {
			available += g.Free
		}
	}
	if available != w.Available || held != w.Held {
		return p.found(differ("wallet", "sum of its grants", credit.Figures{Available: available, Held: held}, credit.Figures{Available: w.Available, Held: w.Held}))
	}
	return nil
}

// placeOf is where a grant must be kept, by its state; live says that the wallet's document holds it.
func placeOf(g *credit.Grant, live bool) credit.Place {
	switch {
	case g.Free == 0 && g.Held == 0:
		return credit.Gone
	case g.Free == 0:
		return credit.Reserved
	case g.Frozen:
		return credit.Aside
	case !g.Started:
		return credit.Pending
	case live:
		return credit.InWallet
	default:
		return credit.Waiting
	}
}

// grants compares the grants in the wallet, and the records of those outside: of all, or of those that hold credits or were moved.
func (p *pass) grants(ctx context.Context, s *ledger.Snapshot) error {
	w := s.Wallet()
	live, err := p.live(w)
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	sums := map[credit.Place]credit.Sum{}
	for id, g := range p.book.Grants {
		if live[id] {
			continue
		}
		place := placeOf(g, false)
		if s := sums[place]; place != credit.Gone && place != credit.Reserved {
			sums[place] = credit.Sum{Count: s.Count + 1, Free: s.Free + g.Free, Held: s.Held + g.Held}
		}
		if p.all || p.touched[id] || place != credit.Gone {
			missing[id] = true
		}
	}
	each := func(f ledger.Found[*credit.Grant]) error {
		delete(missing, f.Value.ID)
		return p.record(w, live, f)
	}
	if p.all {
		err = s.AllGrants(ctx, each)
	} else {
		err = s.Grants(ctx, slices.Sorted(maps.Keys(missing)), each)
	}
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		return p.found(differ("grant "+id, "record", "one, "+text(*p.book.Grants[id]), none))
	}
	for _, sum := range []struct {
		name  string
		place credit.Place
		got   credit.Sum
	}{{"waiting", credit.Waiting, w.Waiting}, {"pending", credit.Pending, w.Pending}, {"aside", credit.Aside, w.Aside}} {
		if sums[sum.place] != sum.got {
			return p.found(differ("wallet", sum.name, sums[sum.place], sum.got))
		}
	}
	return nil
}

// live compares the grants in the wallet's document, and lists them.
func (p *pass) live(w credit.Wallet) (map[string]bool, error) {
	live := map[string]bool{}
	if len(w.Live) > credit.MaxLive {
		return nil, p.found(differ("wallet", "grants", "at most "+text(credit.MaxLive), len(w.Live)))
	}
	for i, g := range w.Live {
		if i > 0 && credit.Compare(w.Live[i-1], g) >= 0 {
			return nil, p.found(differ("grant "+g.ID, "order", "after "+w.Live[i-1].ID, "before it"))
		}
		live[g.ID] = true
		if err := p.grant(w, g, true); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// record compares a grant's own record. That of a grant in the wallet is older than what the wallet says, and is only to be the
// organisation's own.
func (p *pass) record(w credit.Wallet, live map[string]bool, f ledger.Found[*credit.Grant]) error {
	g := f.Value
	switch {
	case f.Org != p.org:
		return p.found(differ("grant "+g.ID, "org", p.org, f.Org))
	case f.Doc != g.ID:
		return p.found(differ("grant "+g.ID, "id", g.ID, f.Doc))
	case live[g.ID] && p.book.Grants[g.ID] != nil:
		return nil
	}
	if err := p.grant(w, g, false); err != nil {
		return err
	}
	if n := len(w.Live); g.Place == credit.Waiting && n > 0 && credit.Compare(g, w.Live[n-1]) < 0 {
		return p.found(differ("grant "+g.ID, "order", "behind those in the wallet", "before "+w.Live[n-1].ID))
	}
	return nil
}

func (p *pass) grant(w credit.Wallet, g *credit.Grant, live bool) error {
	where := "grant " + g.ID
	want := p.book.Grants[g.ID]
	if want == nil {
		return p.found(differ(where, "record", none, text(*g)))
	}
	if d := compare(where, *want, *g, "place"); d != nil {
		return p.found(d)
	}
	if place := placeOf(want, live); g.Place != place {
		return p.found(differ(where, "place", place, g.Place))
	}
	if at, due := want.DueAt(); due && (w.NextDueAt.IsZero() || at.Before(w.NextDueAt)) {
		return p.found(differ("wallet", "next_due_at", "not after "+text(at)+" of "+g.ID, w.NextDueAt))
	}
	return nil
}

// openHolds compares the records of the holds that are open, or that timed out and have not been compared, and what grants have set aside
// with them.
func (p *pass) openHolds(ctx context.Context, s *ledger.Snapshot) error {
	w := s.Wallet()
	ids := slices.Sorted(maps.Keys(p.book.Holds))
	missing := map[string]bool{}
	held := map[string]int64{}
	for _, id := range ids {
		h := p.book.Holds[id]
		missing[id] = true
		if h.State != credit.HoldOpen {
			continue
		}
		for _, a := range h.Allocations {
			held[a.Grant] += a.Credits
		}
		if w.NextDueAt.IsZero() || h.ExpiresAt.Before(w.NextDueAt) {
			return p.found(differ("wallet", "next_due_at", "not after "+text(h.ExpiresAt)+" of hold "+id, w.NextDueAt))
		}
	}
	err := s.Holds(ctx, ids, func(f ledger.Found[*credit.Hold]) error {
		delete(missing, f.Value.ID)
		if want := p.book.Holds[f.Value.ID]; want != nil {
			return p.hold(want, f)
		}
		return p.found(differ("hold "+f.Value.ID, "id", f.Doc, f.Value.ID))
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		return p.found(differ("hold "+id, "record", "one, "+text(p.book.Holds[id].State), none))
	}
	for _, id := range slices.Sorted(maps.Keys(p.book.Grants)) {
		if g := p.book.Grants[id]; g.Held != held[id] {
			return p.found(differ("grant "+id, "held", text(held[id])+" in its holds", g.Held))
		}
	}
	return nil
}

// counters compares the counters of the windows that were moved, and of the latest; or of all that are kept true.
func (p *pass) counters(ctx context.Context, s *ledger.Snapshot) error {
	windows := s.Wallet().Windows
	for i, window := range windows {
		if !p.all && !p.windows[window.Key] && i < len(windows)-1 {
			continue
		}
		want := maps.Clone(p.book.Counters[window.Key])
		err := s.Counters(ctx, window, func(f ledger.Found[credit.Counters]) error {
			if f.Org != p.org {
				return p.found(differ("counters "+f.Doc, "org", p.org, f.Org))
			}
			for subject, got := range f.Value.By {
				n, counted := want[subject]
				where := counterName(window.Key, subject)
				if !counted {
					return p.found(differ(where, "used", none, got.Used))
				}
				if d := compare(where, n, got); d != nil {
					return p.found(d)
				}
				delete(want, subject)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for subject, n := range want {
			return p.found(differ(counterName(window.Key, subject), "used", n.Used, none))
		}
	}
	return nil
}

// recentDays compares the roll-ups of the days that may yet be written to.
func (p *pass) recentDays(ctx context.Context, s *ledger.Snapshot) error {
	return p.compareDays(ctx, lastDay, s.Days)
}

// complete looks for documents that no entry speaks of, when all is compared.
func (p *pass) complete(ctx context.Context, s *ledger.Snapshot) error {
	if !p.all {
		return nil
	}
	for _, c := range []struct {
		collection string
		want       int64
	}{{"entries", p.book.Seq}, {"holds", p.placed}} {
		n, err := s.Count(ctx, c.collection)
		if err != nil {
			return err
		}
		if n != c.want {
			return p.found(differ(c.collection, "number", c.want, n))
		}
	}
	return nil
}

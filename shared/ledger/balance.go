package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Bounds of what a balance reads and tells.
const (
	balancePage     = 1000 // waiting grants read at once
	balanceWaiting  = 5000 // waiting grants read in all
	balanceTries    = 3    // reads of a wallet whose grants move meanwhile
	balanceExpiring = 100  // moments told, the soonest
)

// Balance is a wallet as its people see it.
type Balance struct {
	credit.Figures
	// AsOf is the moment that the figures are of; asked for again later, it has the same.
	AsOf time.Time
	// Frozen is what stands in frozen grants, in credits; it is not part of what is available.
	Frozen int64
	// WalletFrozen says that the wallet refuses debits and holds.
	WalletFrozen bool
	// Itemised says that BySource and Expiring are there. They are not for a past moment, nor for a wallet with more than 5,000 grants
	// beyond those in its document.
	Itemised bool
	// BySource are the available credits by source, those above zero; their sum is Available.
	BySource map[credit.Source]int64
	// Expiring are the available credits that end, by the end that people are shown, soonest first, at most 100 ends.
	Expiring []Expiring
}

// Expiring are credits that end at one moment.
type Expiring struct {
	At      time.Time
	Credits int64
}

// Balance is a wallet now: what the clock has decided by now is counted, though it may not be journaled yet. It costs what View does, and
// for a wallet with more grants than its document holds a read for each of the others; nothing is written.
func (l *Ledger) Balance(ctx context.Context, org string) (Balance, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	b, _, err := l.balance(ctx, org)
	return b, err
}

// balance is Balance, with the round that found it.
func (l *Ledger) balance(ctx context.Context, org string) (Balance, *round, error) {
	for range balanceTries {
		now := l.opts.Now().UTC().Truncate(time.Microsecond)
		r, err := l.view(ctx, org, now)
		if err != nil {
			return Balance{}, nil, err
		}
		w := &r.state.Wallet
		if now.Before(w.LastAt) { // entries of one moment are set apart by a microsecond each
			now = w.LastAt
		}
		b := Balance{Figures: w.Figures, AsOf: now, Frozen: w.Aside.Free, WalletFrozen: w.Frozen}
		if w.Waiting.Count > balanceWaiting {
			return b, r, nil
		}
		grants, consistent, err := r.drawable(ctx)
		if err != nil {
			return Balance{}, nil, err
		}
		if consistent {
			b.itemise(grants)
			return b, r, nil
		}
	}
	return Balance{}, nil, unavailable(fmt.Errorf("the waiting grants of %s moved during %d reads", org, balanceTries))
}

// BalanceAt is a wallet at a past moment: what its last entry at or before it says, or, past the last entry, what the clock has decided
// since. One read, and one query when the moment is before the last entry. A moment before the first entry has nothing.
func (l *Ledger) BalanceAt(ctx context.Context, org string, at time.Time) (Balance, error) {
	at = at.UTC().Truncate(time.Microsecond)
	if now := l.opts.Now(); at.After(now) {
		return Balance{}, credit.Refuse(credit.CodeInvalid, "at lies in the future", map[string]any{"field": "at"})
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	r, err := l.view(ctx, org, at)
	if err != nil {
		return Balance{}, err
	}
	if at.Before(r.state.LastAt) {
		f, _, err := l.At(ctx, org, at)
		return Balance{Figures: f, AsOf: at}, err
	}
	return Balance{Figures: r.state.Figures, AsOf: at}, nil
}

// itemise tells available credits by source and by end.
func (b *Balance) itemise(grants []*credit.Grant) {
	b.Itemised, b.BySource = true, map[credit.Source]int64{}
	ends := map[int64]int64{}
	for _, g := range grants {
		if g.Free == 0 {
			continue
		}
		b.BySource[g.Source] += g.Free
		if !g.ExpiresAt.IsZero() {
			ends[g.ExpiresAt.UnixMicro()] += g.Free
		}
	}
	for at, credits := range ends {
		b.Expiring = append(b.Expiring, Expiring{At: time.UnixMicro(at).UTC(), Credits: credits})
	}
	slices.SortFunc(b.Expiring, func(x, y Expiring) int { return x.At.Compare(y.At) })
	b.Expiring = b.Expiring[:min(len(b.Expiring), balanceExpiring)]
}

// drawable lists the grants that available credits stand in. consistent is false if those outside the wallet were not read as the wallet
// has them, because it was written to in between.
func (r *round) drawable(ctx context.Context) (grants []*credit.Grant, consistent bool, err error) {
	grants = slices.Clone(r.state.Live)
	if r.state.Waiting.Count == 0 {
		return grants, true, nil
	}
	waiting, err := r.waiting(ctx)
	if err != nil {
		return nil, false, err
	}
	// What the clock has decided is newer than the store.
	for _, g := range r.state.Dirty() {
		waiting[g.ID] = g
	}
	var sum credit.Sum
	for _, g := range waiting {
		if g.Place != credit.Waiting {
			continue
		}
		sum.Count, sum.Free, sum.Held = sum.Count+1, sum.Free+g.Free, sum.Held+g.Held
		grants = append(grants, g)
	}
	return grants, sum == r.state.Waiting, nil
}

// waiting reads the stored records of waiting grants, in the burn-down order by which they are indexed.
func (r *round) waiting(ctx context.Context) (map[string]*credit.Grant, error) {
	out := map[string]*credit.Grant{}
	after := ""
	for len(out) <= balanceWaiting {
		q := from("grants", balancePage)
		q.Where = where("order", pb.StructuredQuery_FieldFilter_GREATER_THAN, stringValue(after))
		q.OrderBy = []*pb.StructuredQuery_Order{order("order", pb.StructuredQuery_ASCENDING)}
		page, _, err := r.queryGrants(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, g := range page {
			out[g.ID] = g
			after = credit.OrderKey(g)
		}
		if len(page) < balancePage {
			break
		}
	}
	return out, nil
}

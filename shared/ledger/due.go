package ledger

import (
	"context"
	"maps"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// lapsingGrants is how many waiting grants are looked at for what lapses, those that end soonest.
const lapsingGrants = 1000

// Due is a wallet about which the clock decides something at a moment or later.
type Due struct {
	Org string
	At  time.Time
}

// DueWallets lists wallets that have something due at or before a moment, the longest due first, at most limit of those that come after
// another; the zero Due begins. A wallet's moment is a lower bound, so one that is listed may have nothing due after all.
func (l *Ledger) DueWallets(ctx context.Context, at time.Time, after Due, limit int) ([]Due, error) {
	q := from("wallets", int32(limit))
	q.Where = where("next_due_at", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, timeValue(at))
	q.OrderBy = []*pb.StructuredQuery_Order{
		order("next_due_at", pb.StructuredQuery_ASCENDING), order("__name__", pb.StructuredQuery_ASCENDING),
	}
	q.Select = &pb.StructuredQuery_Projection{Fields: []*pb.StructuredQuery_FieldReference{{FieldPath: "next_due_at"}}}
	if after.Org != "" {
		name := &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: l.store.walletName(after.Org)}}
		q.StartAt = &pb.Cursor{Values: []*pb.Value{timeValue(after.At), name}}
	}
	docs, err := l.store.query(ctx, l.store.documents(), q)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Due, len(docs))
	for i, d := range docs {
		r := readDocument(d)
		out[i] = Due{Org: lastSegment(d.GetName()), At: r.time("next_due_at")}
		if *r.err != nil {
			return nil, *r.err
		}
	}
	return out, nil
}

// Lapsing is a wallet now, with its started grants whose end comes by a moment: those in its document, and of those that wait outside the
// 1,000 that end soonest. It costs what View does, and two queries when grants wait.
func (l *Ledger) Lapsing(ctx context.Context, org string, by time.Time) (credit.Wallet, []*credit.Grant, error) {
	w, err := l.View(ctx, org)
	if err != nil {
		return credit.Wallet{}, nil, err
	}
	found := map[string]*credit.Grant{}
	if w.Waiting.Count > 0 {
		// A grant may move between the wallet and its own record meanwhile: looked for before and after the wallet, it is seen.
		if err := l.waitingUntil(ctx, org, by, found); err != nil {
			return credit.Wallet{}, nil, err
		}
		if w, err = l.View(ctx, org); err != nil {
			return credit.Wallet{}, nil, err
		}
		if err := l.waitingUntil(ctx, org, by, found); err != nil {
			return credit.Wallet{}, nil, err
		}
	}
	for _, g := range w.Live {
		if at, ok := g.DueAt(); ok && !at.After(by) {
			found[g.ID] = g
		}
	}
	out := make([]*credit.Grant, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[id])
	}
	return w, out, nil
}

// waitingUntil adds the waiting grants that end by a moment.
func (l *Ledger) waitingUntil(ctx context.Context, org string, by time.Time, found map[string]*credit.Grant) error {
	q := from("grants", lapsingGrants)
	q.Where = where("due_at", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, timeValue(by))
	q.OrderBy = []*pb.StructuredQuery_Order{order("due_at", pb.StructuredQuery_ASCENDING)}
	docs, err := l.store.query(ctx, l.store.walletName(org), q)
	if err != nil {
		return unavailable(err)
	}
	for _, d := range docs {
		g, err := decodeGrantRecord(d)
		if err != nil {
			return err
		}
		if g.Place == credit.Waiting {
			found[g.ID] = g
		}
	}
	return nil
}

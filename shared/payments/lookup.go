package payments

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/coded"
)

// unknownPurchase says that there is no purchase, or none that the caller may see.
func unknownPurchase() error {
	return &Error{coded.Reason{Is: "not_found", Says: "There is no such purchase."}}
}

// Purchase returns an organisation's purchase by its reference, whose case, spaces and dashes do not matter. Errors are an *Error: `not_found`
// when the organisation has no purchase of this reference, whoever else may have; `unavailable`.
func (s *Shop) Purchase(ctx context.Context, org, reference string) (Purchase, error) {
	p, err := s.store.find(ctx, reference)
	if err == nil && p.Org != org {
		return Purchase{}, unknownPurchase()
	}
	return p, err
}

// FindPurchase is Purchase for those who may see every organisation's.
func (s *Shop) FindPurchase(ctx context.Context, reference string) (Purchase, error) {
	return s.store.find(ctx, reference)
}

// find reads a purchase by what somebody wrote for its reference.
func (s store) find(ctx context.Context, written string) (Purchase, error) {
	reference, ok := NormalReference(written)
	if !ok {
		return Purchase{}, unknownPurchase()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := s.load(ctx, reference, "")
	if err != nil {
		return Purchase{}, fmt.Errorf("look up purchase %s: %w", reference, err)
	}
	if r.purchase == nil {
		return Purchase{}, unknownPurchase()
	}
	return *r.purchase, nil
}

// Place is where in a list a page ended: after this one. The zero Place is before the newest.
type Place struct {
	At time.Time
	ID string
}

// Purchases returns at most n of an organisation's purchases, the newest first, from what comes after a place, which is told by when a purchase
// was made and its reference. A read for each. The error is an *Error, `unavailable`.
func (s *Shop) Purchases(ctx context.Context, org string, after Place, n int) ([]Purchase, error) {
	all := s.store.purchases()
	query := all.Where("org", "==", org).OrderBy("created_at", firestore.Desc)
	return newest(ctx, all, query, after, n, func(d purchaseDocument) Purchase { return d.Purchase })
}

// Cycles returns at most n of an organisation's cycles that were paid for and have begun by a moment, the newest first, from what comes after a
// place, which is told by a cycle's start and its id. A read for each. The error is an *Error, `unavailable`.
func (p *Plans) Cycles(ctx context.Context, org string, by time.Time, after Place, n int) ([]Cycle, error) {
	all := p.receiver.store.cycles()
	query := all.Where("org", "==", org).Where("period.start", "<=", by).OrderBy("period.start", firestore.Desc)
	return newest(ctx, all, query, after, n, func(d cycleDocument) Cycle { return d.Cycle })
}

// newest reads a page of a list that is ordered by a time, newest first.
func newest[D, T any](ctx context.Context, all *firestore.CollectionRef, query firestore.Query, after Place, n int, of func(D) T) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	query = query.OrderBy(firestore.DocumentID, firestore.Desc).Limit(n)
	if !after.At.IsZero() && validObjectID(strings.ReplaceAll(after.ID, "-", "")) { // a reference has dashes
		query = query.StartAfter(after.At, all.Doc(after.ID))
	}
	snapshots, err := query.Documents(ctx).GetAll()
	if err != nil {
		return nil, storeDown(fmt.Errorf("list %s: %w", all.ID, err))
	}
	out := make([]T, len(snapshots))
	for i, snapshot := range snapshots {
		var d D
		if err := decode(snapshot, &d); err != nil {
			return nil, err
		}
		out[i] = of(d)
	}
	return out, nil
}

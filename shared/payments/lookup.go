package payments

import (
	"context"
	"fmt"
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

// Place is where in an organisation's purchases a page ended: after this one. The zero Place is before the newest.
type Place struct {
	At        time.Time
	Reference string
}

// Purchases returns at most n of an organisation's purchases, the newest first, from what comes after a place. A read for each. The error is
// an *Error, `unavailable`.
func (s *Shop) Purchases(ctx context.Context, org string, after Place, n int) ([]Purchase, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	query := s.store.purchases().Where("org", "==", org).OrderBy("created_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc).Limit(n)
	if !after.At.IsZero() && ValidReference(after.Reference) {
		query = query.StartAfter(after.At, s.store.purchases().Doc(after.Reference))
	}
	snapshots, err := query.Documents(ctx).GetAll()
	if err != nil {
		return nil, storeDown(fmt.Errorf("list the purchases of %s: %w", org, err))
	}
	out := make([]Purchase, len(snapshots))
	for i, snapshot := range snapshots {
		var d purchaseDocument
		if err := decode(snapshot, &d); err != nil {
			return nil, err
		}
		out[i] = d.Purchase
	}
	return out, nil
}

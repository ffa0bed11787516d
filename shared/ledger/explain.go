package ledger

import (
	"context"
	"fmt"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Bounds of what explains an entry.
const (
	explainReversals = 100
	// ExplainGrants is how many grants' terms are read at once, at most.
	ExplainGrants = 100
)

// ChargeDoc is the id by which the reversals of a charge are found: that of the debit's own entry, or, for a capture, of the hold's placing.
// ok is false for an entry that charges nothing.
func ChargeDoc(e *credit.Entry) (doc string, ok bool) {
	switch e.Kind {
	case credit.KindDebit:
		return e.Key.Doc(), true
	case credit.KindCapture:
		_, hash, err := credit.ParseHoldID(e.Subject)
		return credit.CallerDoc(hash), err == nil
	default:
		return "", false
	}
}

// Reversals lists the entries that give back what a debit or a capture charged, at most 100, in no order; none for other entries. A read for
// each.
func (l *Ledger) Reversals(ctx context.Context, org string, e *credit.Entry) ([]*credit.Entry, error) {
	doc, ok := ChargeDoc(e)
	if !ok {
		return nil, nil
	}
	q := from("entries", explainReversals)
	q.Where = where("reverses", pb.StructuredQuery_FieldFilter_EQUAL, stringValue(doc))
	found, err := l.store.query(ctx, l.store.walletName(org), q)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]*credit.Entry, len(found))
	for i, d := range found {
		if out[i], _, err = decodeEntry(d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// GrantTerms are what the first of an entry's grants were born with, by id, at most [ExplainGrants] of them. A read for each. Terms never
// change, but for the end of a subscription's grace.
func (l *Ledger) GrantTerms(ctx context.Context, org string, e *credit.Entry) (map[string]credit.Terms, error) {
	names := map[string]string{}
	for _, c := range e.Changes {
		if len(names) == ExplainGrants {
			break
		}
		names[l.store.grantName(org, c.Grant)] = c.Grant
	}
	out := make(map[string]credit.Terms, len(names))
	if len(names) == 0 {
		return out, nil
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	got, err := l.store.get(ctx, list...)
	if err != nil {
		return nil, unavailable(fmt.Errorf("the grants of entry %d: %w", e.Seq, err))
	}
	for name, d := range got {
		g, err := decodeGrantRecord(d)
		if err != nil {
			return nil, err
		}
		out[names[name]] = g.Terms
	}
	return out, nil
}

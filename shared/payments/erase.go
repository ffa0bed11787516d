package payments

import (
	"context"
	"fmt"

	"cloud.google.com/go/firestore"
)

const (
	// erasedText stands where a text was that had to go.
	erasedText = "[erased]"
	// erasePage is how many documents an erasure reads at once, maxErasePages how many pages it looks through.
	erasePage, maxErasePages = 200, 500
)

// EraseTexts takes the reasons of refunds out of an organisation's payments, and the words by which a person resolved what was put aside for it,
// where sub wrote them or they hold what holds says. Neither decides anything. It returns how many documents it changed, and may be repeated.
// The error is an *Error, `unavailable`: repeat it.
func (r *Receiver) EraseTexts(ctx context.Context, org, sub string, holds func(text string) bool) (changed int, err error) {
	goes := func(text, by string) bool { return text != "" && text != erasedText && (by == sub || holds(text)) }
	refunds := func(snapshot *firestore.DocumentSnapshot) ([]firestore.Update, error) {
		var d paymentDocument
		if err := decode(snapshot, &d); err != nil {
			return nil, err
		}
		var updates []firestore.Update
		for i, own := range d.Refunds {
			if goes(own.Reason, own.By) {
				d.Refunds[i].Reason = erasedText
				updates = []firestore.Update{{Path: "own_refunds", Value: d.Refunds}}
			}
		}
		return updates, nil
	}
	resolutions := func(snapshot *firestore.DocumentSnapshot) ([]firestore.Update, error) {
		var d asideDocument
		if err := decode(snapshot, &d); err != nil || d.Org != "" && d.Org != org || !goes(d.Resolution, d.ResolvedBy) {
			return nil, err
		}
		return []firestore.Update{{Path: "resolution", Value: erasedText}}, nil
	}
	n, err := r.store.erase(ctx, r.store.payments().Where("org", "==", org), refunds)
	if err != nil {
		return n, err
	}
	m, err := r.store.erase(ctx, r.store.asides().Query, resolutions)
	return n + m, err
}

// erase changes the documents of a query as updates says, unless they have changed meanwhile: then all of it is to be repeated.
func (s store) erase(ctx context.Context, q firestore.Query, updates func(*firestore.DocumentSnapshot) ([]firestore.Update, error)) (changed int, err error) {
	q = q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(erasePage)
	for range maxErasePages {
		page, err := q.Documents(ctx).GetAll()
		if err != nil {
			return changed, storeDown(fmt.Errorf("read what may hold a text: %w", err))
		}
		for _, snapshot := range page {
			u, err := updates(snapshot)
			if err != nil {
				return changed, err
			}
			if len(u) == 0 {
				continue
			}
			if _, err := snapshot.Ref.Update(ctx, u, firestore.LastUpdateTime(snapshot.UpdateTime)); err != nil {
				return changed, storeDown(fmt.Errorf("erase a text of %s: %w", snapshot.Ref.Path, err))
			}
			changed++
		}
		if len(page) < erasePage {
			break
		}
		q = q.StartAfter(page[len(page)-1].Ref.ID)
	}
	return changed, nil
}

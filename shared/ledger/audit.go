package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// auditPage is how many documents an audit reads at once.
const auditPage = 1000

// Audit compares a wallet with its entries: it replays them, and tells the first thing that does not agree. It reads at one moment of the
// wallet only if nobody writes meanwhile: an Unavailable error says that somebody did.
func (l *Ledger) Audit(ctx context.Context, org string) error {
	before, err := l.walletAt(ctx, org)
	if err != nil {
		return err
	}
	var entries []*credit.Entry
	var last time.Time
	for {
		page, err := l.Entries(ctx, org, last, auditPage)
		if err != nil {
			return err
		}
		entries = append(entries, page...)
		if len(page) < auditPage {
			break
		}
		last = page[len(page)-1].At
	}
	slices.Reverse(entries)
	outside, err := l.outside(ctx, org)
	if err != nil {
		return err
	}
	holds, err := l.allHolds(ctx, org)
	if err != nil {
		return err
	}
	after, err := l.walletAt(ctx, org)
	if err != nil {
		return err
	}
	if after.batch != before.batch {
		return unavailable(fmt.Errorf("wallet %s was written to during its audit", org))
	}
	book, err := credit.Replay(org, entries)
	if err != nil {
		return err
	}
	return book.Verify(&after.wallet, outside, holds)
}

func (l *Ledger) walletAt(ctx context.Context, org string) (*stored, error) {
	name := l.store.walletName(org)
	got, err := l.store.get(ctx, name)
	if err != nil {
		return nil, unavailable(err)
	}
	if got[name] == nil {
		return nil, credit.Refuse(credit.CodeUnknownOrg, "there is no such organisation", map[string]any{"org_id": org})
	}
	return decodeWallet(got[name])
}

// outside reads the records of all grants that are not in the wallet document.
func (l *Ledger) outside(ctx context.Context, org string) ([]*credit.Grant, error) {
	var out []*credit.Grant
	var after string
	for {
		q := from("grants", auditPage)
		q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
		if after != "" {
			q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: after}}}}
		}
		docs, err := l.store.query(ctx, l.store.walletName(org), q)
		if err != nil {
			return nil, unavailable(err)
		}
		for _, d := range docs {
			g, err := decodeGrantRecord(d)
			if err != nil {
				return nil, err
			}
			if g.Place != credit.InWallet {
				out = append(out, g)
			}
		}
		if len(docs) < auditPage {
			return out, nil
		}
		after = docs[len(docs)-1].GetName()
	}
}

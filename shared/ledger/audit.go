package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// auditPage is how many documents an audit reads at once.
const auditPage = 1000

// Audit compares a wallet with its entries: it replays them, and tells the first thing that does not agree. It reads at one moment of the
// wallet only if nobody writes meanwhile: an Unavailable error says that somebody did.
func (l *Ledger) Audit(ctx context.Context, org string) error {
	before, err := l.store.walletAt(ctx, org)
	if err != nil {
		return err
	}
	var entries []*credit.Entry
	if err := l.store.walk(ctx, org, "entries", func(d *pb.Document) error {
		e, _, err := decodeEntry(d)
		entries = append(entries, e)
		return err
	}); err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b *credit.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	outside, err := l.outside(ctx, org)
	if err != nil {
		return err
	}
	holds, err := l.allHolds(ctx, org)
	if err != nil {
		return err
	}
	pages, err := l.allCounters(ctx, org)
	if err != nil {
		return err
	}
	after, err := l.store.walletAt(ctx, org)
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
	return book.Verify(&after.wallet, outside, holds, pages)
}

func (s *store) walletAt(ctx context.Context, org string) (*stored, error) {
	name := s.walletName(org)
	got, err := s.get(ctx, name)
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
	err := l.store.walk(ctx, org, "grants", func(d *pb.Document) error {
		g, err := decodeGrantRecord(d)
		if err == nil && g.Place != credit.InWallet {
			out = append(out, g)
		}
		return err
	})
	return out, err
}

// walk reads the documents of a collection beneath a wallet, page by page in the order of their names, which needs no index and does not
// begin anew with each page.
func (s *store) walk(ctx context.Context, org, collection string, each func(*pb.Document) error) error {
	var after string
	for {
		q := from(collection, auditPage)
		q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
		if after != "" {
			q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: after}}}}
		}
		docs, err := s.query(ctx, s.walletName(org), q)
		if err != nil {
			return unavailable(err)
		}
		for _, d := range docs {
			if err := each(d); err != nil {
				return err
			}
		}
		if len(docs) < auditPage {
			return nil
		}
		after = docs[len(docs)-1].GetName()
	}
}

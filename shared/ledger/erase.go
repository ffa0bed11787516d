package ledger

import (
	"context"
	"fmt"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

const (
	// erasePage is how many entries are looked through at once; all of them may be written to in one commit.
	erasePage = 300
	// Erased stands where a reason was that had to go.
	Erased = "[erased]"
)

// Text is what an entry holds of free text: neither decides anything, and neither is part of what makes a command the same.
type Text struct {
	// User is the user whom the entry is about; Kind is the entry's.
	User string
	Kind credit.Kind
	// Metadata is a caller's JSON; Reason a person's words.
	Metadata, Reason string
}

// Erasing says what of an entry's free text is to go.
type Erasing func(Text) (metadata, reason bool)

// EraseTexts takes free text out of a wallet's entries, a page of them: metadata goes, a reason becomes Erased. Nothing else of an entry ever
// changes, so that figures, replays and the audit stay what they were. It begins after the entry named, empty for the first, and returns
// how many entries it changed, and the last it looked at, empty when there are no more. It may be repeated. Entries that are remembered by
// running processes are forgotten with them; none of what they answer holds these texts but lists of entries, which are read from the store.
// Errors are a Refusal, `unknown_org` or `not_found`, or an *Unavailable.
func (l *Ledger) EraseTexts(ctx context.Context, org, after string, erasing Erasing) (changed int, last string, err error) {
	if err := credit.CheckOrg(org); err != nil {
		return 0, "", err
	}
	q := from("entries", erasePage)
	q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
	if after != "" {
		if err := checkEntryDoc(after); err != nil {
			return 0, "", err
		}
		q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: l.store.entryName(org, after)}}}}
	}
	docs, err := l.store.query(ctx, l.store.walletName(org), q)
	if err != nil {
		return 0, "", unavailable(err)
	}
	gone := &erasure{frozen: map[string]bool{}}
	for _, d := range docs {
		e, _, err := decodeEntry(d)
		if err != nil {
			return 0, "", err
		}
		gone.add(d.GetName(), e, erasing)
	}
	if len(gone.writes) > 0 {
		if _, err := l.submit(ctx, org, &item{erase: gone}); err != nil {
			return 0, "", fmt.Errorf("erase texts of %d entries: %w", len(gone.writes), err)
		}
	}
	if len(docs) == erasePage {
		last = lastSegment(docs[len(docs)-1].GetName())
	}
	return len(gone.writes), last, nil
}

// erasure is what a commit takes out of entries.
type erasure struct {
	writes []*pb.Write
	frozen map[string]bool // the reasons of freezes that go: one of them may stand in the wallet
}

// from is a wallet as it is stored after an erasure, of which there may be none.
func (x *erasure) from(w credit.Wallet) credit.Wallet {
	if x != nil && x.frozen[w.FrozenReason] {
		w.FrozenReason = Erased
	}
	return w
}

// add takes out of an entry what is to go.
func (x *erasure) add(name string, e *credit.Entry, erasing Erasing) {
	metadata, reason := erasing(Text{User: e.Work.User, Kind: e.Kind, Metadata: e.Metadata, Reason: e.Reason})
	w, mask := setWrite(name, fields{}), &pb.DocumentMask{}
	if metadata && e.Metadata != "" {
		mask.FieldPaths = append(mask.FieldPaths, "metadata")
	}
	if reason && e.Reason != "" && e.Reason != Erased {
		mask.FieldPaths = append(mask.FieldPaths, "reason")
		w.GetUpdate().Fields = fields{}.str("reason", Erased)
		if e.Kind == credit.KindFreeze {
			x.frozen[e.Reason] = true
		}
	}
	if len(mask.FieldPaths) == 0 {
		return
	}
	w.UpdateMask = mask
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: true}}
	x.writes = append(x.writes, w)
}

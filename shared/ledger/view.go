package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Bounds of what a question decides in memory.
const (
	// deepDue is how many grants, and how many holds, may be due for a question to be answered without anything being journaled.
	deepDue = 2000
	// deepAtOnce is how many questions look at more than [loadDue] of each at once: each may take some megabytes.
	deepAtOnce = 4
	// viewTries bounds how often a question has journaled what is more than that.
	viewTries = 3
)

// errMuchDue says that more is due than a question decides in memory.
var errMuchDue = errors.New("more is due than can be looked at without journaling it")

// View is a wallet as it is at a moment: what the clock has decided by then is counted, though it may not be journaled yet. One read
// warm, two queries more when something is due; never a write, unless more than 2,000 grants or holds are due.
func (l *Ledger) View(ctx context.Context, org string) (credit.Wallet, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	r, err := l.view(ctx, org, l.opts.Now())
	if err != nil {
		return credit.Wallet{}, err
	}
	return r.state.Wallet, nil
}

// view is what glance is, and journals first what is too much for that.
func (l *Ledger) view(ctx context.Context, org string, at time.Time) (*round, error) {
	for range viewTries {
		r, err := l.glance(ctx, org, at)
		if !errors.Is(err, errMuchDue) {
			return r, err
		}
		if err := l.Settle(ctx, org); err != nil {
			return nil, err
		}
	}
	return nil, unavailable(fmt.Errorf("%s: not settled after %d tries", org, viewTries))
}

// glance reads a wallet and journals in memory what is due at a moment: the round that it returns is never committed, and nothing is written.
// The error is errMuchDue when more is due than [deepDue].
func (l *Ledger) glance(ctx context.Context, org string, at time.Time) (*round, error) {
	if err := credit.CheckOrg(org); err != nil {
		return nil, err
	}
	// The round's actor is nobody's.
	r := &round{actor: &actor{ledger: l, org: org}, usage: usage{}, flows: flows{}, pending: map[string]*credit.Entry{}}
	all, err := r.ahead(ctx, at)
	if err != nil || all {
		return r, err
	}
	select {
	case l.deep <- struct{}{}:
		defer func() { <-l.deep }()
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	r.deep = true
	_, err = r.ahead(ctx, at)
	return r, err
}

// ahead makes a question's state the wallet as it is at a moment. all is false when one commit would not journal what is due by then, and the
// round is not to look deeper than one does.
func (r *round) ahead(ctx context.Context, at time.Time) (all bool, err error) {
	if err := r.read(ctx, nil, nil); err != nil {
		return false, err
	}
	if r.state = r.actor.state; r.state == nil {
		return false, credit.Refuse(credit.CodeUnknownOrg, "there is no such organisation", map[string]any{"org_id": r.org})
	}
	for range maxLoads + 2*deepDue/credit.MaxJournaled {
		next, _, more, err := credit.Journal(r.state, at)
		var missing *credit.Missing
		switch {
		case errors.As(err, &missing):
			if err := r.supply(ctx, missing); err != nil {
				return false, err
			}
		case err != nil:
			return false, err
		case !more || r.deep: // all that is due is loaded then, and can be gone on with before it is committed
			if r.state = next; !more {
				return true, nil
			}
		default:
			return false, nil
		}
	}
	return false, unavailable(fmt.Errorf("%s: not looked at after so many loads", r.org))
}

// mostDue is how many grants, and holds, that are due are loaded at once.
func (r *round) mostDue() int {
	if r.deep {
		return deepDue
	}
	return loadDue
}

// Entry finds an entry by its key; a Refusal with not_found says that there is none.
func (l *Ledger) Entry(ctx context.Context, org string, key credit.Key) (*credit.Entry, error) {
	if err := credit.CheckOrg(org); err != nil {
		return nil, err
	}
	return l.EntryByDoc(ctx, org, key.Doc())
}

// Earlier is the result of a command that was carried out before; found is false when it was not. Like Do, it answers other content under
// the same id with a conflict.
func (l *Ledger) Earlier(ctx context.Context, org string, c credit.Command) (r Result, found bool, err error) {
	key, hash, keyed := credit.KeyOf(c)
	if !keyed {
		return Result{}, false, nil
	}
	e, err := l.Entry(ctx, org, key)
	var none *credit.Refusal
	if errors.As(err, &none) && none.Code() == credit.CodeNotFound {
		return Result{}, false, nil
	}
	if err != nil {
		return Result{}, false, err
	}
	r, err = replay(e, hash)
	return r, true, err
}

// EntryByDoc finds an entry by the id of its document; a Refusal with not_found says that there is none.
func (l *Ledger) EntryByDoc(ctx context.Context, org, doc string) (*credit.Entry, error) {
	if err := errors.Join(credit.CheckOrg(org), checkEntryDoc(doc)); err != nil {
		return nil, err
	}
	name := l.store.entryName(org, doc)
	got, err := l.store.get(ctx, name)
	if err != nil {
		return nil, unavailable(err)
	}
	if got[name] == nil {
		return nil, credit.Refuse(credit.CodeNotFound, "there is no such entry", nil)
	}
	e, _, err := decodeEntry(got[name])
	return e, err
}

// checkEntryDoc keeps what a caller names from being any other document's path.
func checkEntryDoc(doc string) error {
	rest, ok := strings.CutPrefix(doc, "c_")
	if !ok {
		rest, ok = strings.CutPrefix(doc, "s_")
	}
	if !ok || len(rest) != 40 || strings.Trim(rest, "0123456789abcdef") != "" {
		return credit.Refuse(credit.CodeNotFound, "there is no such entry", nil)
	}
	return nil
}

// Entries lists a wallet's entries, newest first, those before a moment (the zero time for the newest), at most limit. The lanes of the
// index are merged by the store.
func (l *Ledger) Entries(ctx context.Context, org string, before time.Time, limit int) ([]*credit.Entry, error) {
	return l.EntriesBetween(ctx, org, time.Time{}, before, limit)
}

// EntriesBetween is Entries for those at or after a moment too; the zero time for all.
func (l *Ledger) EntriesBetween(ctx context.Context, org string, since, before time.Time, limit int) ([]*credit.Entry, error) {
	if err := credit.CheckOrg(org); err != nil {
		return nil, err
	}
	q := from("entries", int32(limit))
	q.Where = inAnyLane()
	if !since.IsZero() {
		q.Where = both(q.Where, where("at", pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL, timeValue(since)))
	}
	if !before.IsZero() {
		q.Where = both(q.Where, where("at", pb.StructuredQuery_FieldFilter_LESS_THAN, timeValue(before)))
	}
	q.OrderBy = []*pb.StructuredQuery_Order{order("at", pb.StructuredQuery_DESCENDING)}
	docs, err := l.store.query(ctx, l.store.walletName(org), q)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]*credit.Entry, len(docs))
	for i, d := range docs {
		if out[i], _, err = decodeEntry(d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// At are a wallet's figures as its entries state them at a past moment; ok is false when it had no entry yet.
func (l *Ledger) At(ctx context.Context, org string, at time.Time) (f credit.Figures, ok bool, err error) {
	es, err := l.Entries(ctx, org, at.Truncate(time.Microsecond).Add(time.Microsecond), 1)
	if err != nil || len(es) == 0 {
		return credit.Figures{}, false, err
	}
	return es[0].After, true, nil
}

// inAnyLane merges the lanes that an index is spread over.
func inAnyLane() *pb.StructuredQuery_Filter {
	in := &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{}}}
	for lane := range int64(lanes) {
		in.GetArrayValue().Values = append(in.GetArrayValue().Values, intValue(lane))
	}
	return where("lane", pb.StructuredQuery_FieldFilter_IN, in)
}

func both(a, b *pb.StructuredQuery_Filter) *pb.StructuredQuery_Filter {
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{CompositeFilter: &pb.StructuredQuery_CompositeFilter{
		Op: pb.StructuredQuery_CompositeFilter_AND, Filters: []*pb.StructuredQuery_Filter{a, b},
	}}}
}

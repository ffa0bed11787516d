package ledger

import (
	"context"
	"errors"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Mark is a place among a wallet's entries: after the entry of this number and moment.
type Mark struct {
	Seq int64
	At  time.Time
}

// recordsPage is how many entries are decoded at once: some 20 MiB. likely is for how many a span is chosen, so that few hold more.
const (
	recordsPage = 4000
	likely      = 3000
)

// errCrowded says that more entries bear one moment than there can be.
var errCrowded = errors.New("more entries bear one moment than can be")

// Records reads a wallet's entries after a mark and up to another, in the order of their moments, some thousands at a time. Entries never
// change, so that they need no snapshot; what is up to the wallet's last entry is complete. The index goes from the latest back, so it is
// read by spans of time, each as long as is likely to hold a page: where one holds more, that read is wasted.
func (l *Ledger) Records(ctx context.Context, org string, from, to Mark, each func([]Found[*credit.Entry]) error) error {
	low, seq, span := from.At, from.Seq, to.At.Sub(from.At)
	if from.At.IsZero() {
		var err error
		if low, err = l.store.beforeAll(ctx, org, to.At); err != nil {
			return err
		}
		span = to.At.Sub(low)
	}
	if n := to.Seq - from.Seq; n > likely {
		span = holding(span, n)
	}
	for low.Before(to.At) {
		span = max(span, time.Microsecond)
		high := low.Add(span)
		if high.After(to.At) || high.Before(low) {
			high = to.At
		}
		page, err := l.store.recordsBetween(ctx, org, low, high)
		switch {
		case err != nil:
			return err
		case len(page) > recordsPage && !high.After(low.Add(time.Microsecond)):
			return errCrowded
		case len(page) > recordsPage:
			// Their numbers tell about how many there are.
			there := max(page[len(page)-1].Value.Seq-seq, 2*likely)
			span = holding(high.Sub(low), there)
			continue
		}
		if len(page) > 0 {
			seq = page[len(page)-1].Value.Seq
			if err := each(page); err != nil {
				return err
			}
		}
		// The next is as long as would have held what is likely to fit, or twice as long as this at most.
		low = high
		span = min(holding(span, max(int64(len(page)), likely/2)), maxSpan)
	}
	return nil
}

// holding is the part of a span with n entries, or its multiple, that holds what is likely. n is at least half of that.
func holding(span time.Duration, n int64) time.Duration { return span / time.Duration(n) * likely }

// maxSpan keeps doubled spans from overflowing.
const maxSpan = 100 * 365 * 24 * time.Hour

// recordsBetween reads the entries after a moment and up to another; one more than a page when they are more.
func (s *store) recordsBetween(ctx context.Context, org string, after, until time.Time) ([]Found[*credit.Entry], error) {
	q := from("entries", recordsPage+1)
	span := both(where("at", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, timeValue(until)),
		where("at", pb.StructuredQuery_FieldFilter_GREATER_THAN, timeValue(after)))
	q.Where = both(span, inAnyLane()) // an engine without an index looks at the conditions in their order
	q.OrderBy = []*pb.StructuredQuery_Order{order("at", pb.StructuredQuery_DESCENDING)}
	docs, err := s.query(ctx, s.walletName(org), q)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Found[*credit.Entry], len(docs))
	for i, d := range docs {
		if out[len(docs)-1-i], err = foundEntry(d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// beforeAll is a moment before a wallet's first entry, by less than an hour: it is looked for in halves, a read each, until a moment that has
// an entry.
func (s *store) beforeAll(ctx context.Context, org string, until time.Time) (time.Time, error) {
	low := time.Unix(0, 0).UTC()
	for until.Sub(low) > time.Hour {
		middle := low.Add(until.Sub(low) / 2)
		q := from("entries", 1)
		q.Where = both(inAnyLane(), where("at", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, timeValue(middle)))
		q.OrderBy = []*pb.StructuredQuery_Order{order("at", pb.StructuredQuery_DESCENDING)}
		docs, err := s.query(ctx, s.walletName(org), q)
		switch {
		case err != nil:
			return time.Time{}, unavailable(err)
		case len(docs) == 0:
			low = middle
		default:
			until = middle
		}
	}
	return low, nil
}

// Head is a wallet with its last entry.
type Head struct {
	Org string
	Mark
}

// Head is where a wallet's entries end now. The error is a Refusal, `unknown_org`, when there is no wallet, or an *Unavailable.
func (l *Ledger) Head(ctx context.Context, org string) (Head, error) {
	if err := credit.CheckOrg(org); err != nil {
		return Head{}, err
	}
	w, err := l.store.walletAt(ctx, org)
	if err != nil {
		return Head{}, err
	}
	return Head{Org: org, Mark: Mark{Seq: w.wallet.Seq, At: w.wallet.LastAt}}, nil
}

// Heads lists wallets in the order of their organisations' ids, those after another, at most limit; an empty after begins.
func (l *Ledger) Heads(ctx context.Context, after string, limit int) ([]Head, error) {
	q := from("wallets", int32(limit)) //nolint:gosec // a page
	q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
	q.Select = &pb.StructuredQuery_Projection{Fields: []*pb.StructuredQuery_FieldReference{{FieldPath: "seq"}, {FieldPath: "at"}}}
	if after != "" {
		q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: l.store.walletName(after)}}}}
	}
	docs, err := l.store.query(ctx, l.store.documents(), q)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Head, len(docs))
	for i, d := range docs {
		r := readDocument(d)
		out[i] = Head{Org: lastSegment(d.GetName()), Mark: Mark{Seq: r.num("seq"), At: r.time("at")}}
		if *r.err != nil { // it is listed all the same: who looks at it finds what is wrong
			out[i].Mark = Mark{}
		}
	}
	return out, nil
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

const (
	// foldAfter is how long after a month's end, in UTC, the month is closed: no zone's day of it can be written to any more, even if an
	// organisation moves from the first zone to the last, and no clock is so far behind.
	foldAfter = 3 * 24 * time.Hour
	// foldBytes is how much of a month one commit takes, beside the batch: some 25,000 combinations of feature, team and user.
	foldBytes = 3 << 20
	// foldsAtOnce bounds the months that one call folds.
	foldsAtOnce = 24
)

// openMonth is the first month that is not closed at a moment.
func openMonth(now time.Time) string { return now.UTC().Add(-foldAfter).Format("2006-01") }

// nextMonth is the month after another.
func nextMonth(month string) (string, error) {
	first, err := time.Parse("2006-01", month)
	if err != nil {
		return "", fmt.Errorf("month %q: %w", month, err)
	}
	return first.AddDate(0, 1, 0).Format("2006-01"), nil
}

// UnfoldedWallets lists wallets that have closed months to be folded, those with the earliest first, at most limit of those that come after
// another; an empty after begins. It returns the position of the last.
func (l *Ledger) UnfoldedWallets(ctx context.Context, after Unfolded, limit int) ([]Unfolded, error) {
	q := from("wallets", int32(limit)) //nolint:gosec // a page
	q.Where = where("unfolded", pb.StructuredQuery_FieldFilter_LESS_THAN, stringValue(openMonth(l.opts.Now())))
	q.OrderBy = []*pb.StructuredQuery_Order{
		order("unfolded", pb.StructuredQuery_ASCENDING), order("__name__", pb.StructuredQuery_ASCENDING),
	}
	q.Select = &pb.StructuredQuery_Projection{Fields: []*pb.StructuredQuery_FieldReference{{FieldPath: "unfolded"}}}
	if after.Org != "" {
		name := &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: l.store.walletName(after.Org)}}
		q.StartAt = &pb.Cursor{Values: []*pb.Value{stringValue(after.Month), name}}
	}
	docs, err := l.store.query(ctx, l.store.documents(), q)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Unfolded, len(docs))
	for i, d := range docs {
		r := readDocument(d)
		out[i] = Unfolded{Org: lastSegment(d.GetName()), Month: r.str("unfolded")}
		if *r.err != nil {
			return nil, *r.err
		}
	}
	return out, nil
}

// Unfolded is a wallet with the earliest of its months, 2006-01, that is to be folded.
type Unfolded struct{ Org, Month string }

// Fold sums the days of a wallet's closed months into documents of months, from which reports are read, and returns how many months it folded.
// A month is closed three days after its end, when nothing can be added to it any more. What is folded is what the days say, and the days stay:
// folding twice, or never, changes no report. The error is a Refusal, `unknown_org`, or `invalid_request` for a month that is too large to be
// folded, or an *Unavailable.
func (l *Ledger) Fold(ctx context.Context, org string) (months int, err error) {
	if err := credit.CheckOrg(org); err != nil {
		return 0, err
	}
	for range foldsAtOnce {
		w, err := l.store.walletAt(ctx, org)
		if err != nil {
			return months, err
		}
		f := &fold{month: w.usage.unfolded, open: openMonth(l.opts.Now())}
		if f.month == "" || f.month >= f.open {
			return months, nil
		}
		if err := l.prepareFold(ctx, org, f); err != nil {
			return months, err
		}
		if _, err := l.submit(ctx, org, &item{fold: f}); err != nil {
			return months, err
		}
		months++
	}
	return months, nil
}

// prepareFold sums a closed month, and looks for the next one.
func (l *Ledger) prepareFold(ctx context.Context, org string, f *fold) error {
	used := monthUsage{}
	until, err := nextMonth(f.month)
	if err != nil {
		return err
	}
	_, err = l.store.eachDayDocument(ctx, org, f.month+"-", until+"-", maxRollups, used.add)
	if errors.Is(err, errTooManyDays) {
		return tooLarge(org, f.month)
	}
	if err != nil {
		return err
	}
	for part, doc := range encodeMonth(org, f.month, used) {
		w := setWrite(l.store.monthName(org, f.month, int64(part)), doc)
		for cell, v := range doc["cells"].GetMapValue().GetFields() {
			f.bytes += len(cell) + len(v.GetBytesValue()) + 20
		}
		f.writes = append(f.writes, w)
	}
	if f.bytes > foldBytes {
		return tooLarge(org, f.month)
	}
	q := from("usage", 1)
	q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
	q.StartAt = l.store.usageCursor(org, until+"-")
	docs, err := l.store.query(ctx, l.store.walletName(org), q)
	if err != nil {
		return unavailable(err)
	}
	if len(docs) > 0 {
		f.next = min(monthOf(lastSegment(docs[0].GetName())), f.open)
	}
	return nil
}

// errTooManyDays says that there are more documents of days than are to be read.
var errTooManyDays = errors.New("too many documents of days")

// usageCursor is where the day documents from a prefix of their names on begin.
func (s *store) usageCursor(org, prefix string) *pb.Cursor {
	name := s.walletName(org) + "/usage/" + prefix
	return &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: name}}}, Before: true}
}

// eachDayDocument reads the roll-up documents whose names are at least from and below until, in the order of their names, at most so many, and
// tells how many it read. The error is errTooManyDays when there are more, an *Unavailable, or what each returned.
func (s *store) eachDayDocument(ctx context.Context, org, first, until string, most int, each func(*pb.Document) error) (read int, err error) {
	start := s.usageCursor(org, first)
	for {
		q := from("usage", rollupPage)
		q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
		q.StartAt, q.EndAt = start, s.usageCursor(org, until)
		docs, err := s.query(ctx, s.walletName(org), q)
		if err != nil {
			return read, unavailable(err)
		}
		for _, d := range docs {
			if err := each(d); err != nil {
				return read, err
			}
		}
		if read += len(docs); len(docs) < rollupPage {
			return read, nil
		}
		if read >= most {
			return read, errTooManyDays
		}
		start = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: docs[len(docs)-1].GetName()}}}}
	}
}

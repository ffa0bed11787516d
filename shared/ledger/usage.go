package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

const (
	// usageMonths is how many calendar months a report may touch.
	usageMonths = 37
	// usageDocuments is how many documents of days it may read.
	usageDocuments = 800
	// monthsAtOnce is how many documents of months are read at once: each may have 600 KiB.
	monthsAtOnce = 6
)

// UsageRead says what Usage read.
type UsageRead struct {
	// Zone is the wallet's time zone, in which days are counted.
	Zone string
	// Documents is how many were read, or looked for.
	Documents int
}

// Usage tells what was used on the days from one until another, 2006-01-02, half-open, in no order: each day, feature, team and user once or
// more. Its sums are those of the entries of kind debit, capture and, taken away, reversal, booked on those days.
//
// It reads the wallet, a document for each folded month, or a few where very many people work, and for the others a document for each day with
// usage. Each call of each precedes the next read, so that what it holds at once is bounded. Errors are a Refusal, `unknown_org`, or
// `invalid_request` for what is no range, or more than is read at once; an *Unavailable; or what each returned.
func (l *Ledger) Usage(ctx context.Context, org, from, until string, each func(Used) error) (UsageRead, error) {
	if err := credit.CheckOrg(org); err != nil {
		return UsageRead{}, err
	}
	months, err := monthsOf(from, until)
	if err != nil {
		return UsageRead{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	within := func(u Used) error {
		if u.Day < from || u.Day >= until {
			return nil
		}
		return each(u)
	}
	w, err := l.store.walletAt(ctx, org)
	if err != nil {
		return UsageRead{}, err
	}
	out := UsageRead{Zone: w.wallet.Zone, Documents: 1}
	open := openMonth(l.opts.Now())
	for batch := range slices.Chunk(months, monthsAtOnce) {
		closed := slices.DeleteFunc(slices.Clone(batch), func(m string) bool { return m >= open })
		folded, read, err := l.eachFolded(ctx, org, closed, within)
		if out.Documents += read; err != nil {
			return out, err
		}
		for _, m := range batch {
			if folded[m] {
				continue
			}
			next, err := nextMonth(m)
			if err != nil {
				return out, err
			}
			// A document's name is its day's and a part's: no day's name is below another's part.
			read, err := l.store.eachDayDocument(ctx, org, max(m+"-", from), min(next+"-", until), usageDocuments-out.Documents,
				func(d *pb.Document) error { return eachOfDay(d, within) })
			out.Documents += max(read, 1) // a query that finds nothing costs a read
			if errors.Is(err, errTooManyDays) {
				return out, credit.Refuse(credit.CodeInvalid, "there is more usage than can be summed at once; ask for fewer days", map[string]any{"field": "from"})
			}
			if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// eachFolded reads those of some months that are folded, and tells which they were.
func (l *Ledger) eachFolded(ctx context.Context, org string, months []string, each func(Used) error) (folded map[string]bool, read int, err error) {
	if len(months) == 0 {
		return nil, 0, nil
	}
	names := make([]string, len(months))
	for i, m := range months {
		names[i] = l.store.monthName(org, m, 0)
	}
	got, err := l.store.get(ctx, names...)
	if err != nil {
		return nil, 0, unavailable(err)
	}
	read, folded = len(names), map[string]bool{}
	var more []string
	for i, m := range months {
		d := got[names[i]]
		if d == nil {
			continue
		}
		folded[m] = true
		for part := int64(1); part < readDocument(d).num("parts"); part++ {
			more = append(more, l.store.monthName(org, m, part))
		}
		if err := eachOfMonth(d, each); err != nil {
			return nil, read, err
		}
	}
	for names := range slices.Chunk(more, monthsAtOnce) {
		got, err := l.store.get(ctx, names...)
		if err != nil {
			return nil, read, unavailable(err)
		}
		read += len(names)
		for _, d := range got {
			if err := eachOfMonth(d, each); err != nil {
				return nil, read, err
			}
		}
	}
	return folded, read, nil
}

// monthsOf lists the calendar months that a half-open range of days touches.
func monthsOf(from, until string) ([]string, error) {
	first, err1 := time.Parse(time.DateOnly, from)
	end, err2 := time.Parse(time.DateOnly, until)
	switch {
	case err1 != nil:
		return nil, credit.Refuse(credit.CodeInvalid, "the first day must be written as 2026-11-22", map[string]any{"field": "from"})
	case err2 != nil:
		return nil, credit.Refuse(credit.CodeInvalid, "the day after the last must be written as 2026-11-22", map[string]any{"field": "to"})
	case !first.Before(end):
		return nil, credit.Refuse(credit.CodeInvalid, "the range has no day: it ends before the day named last", map[string]any{"field": "to"})
	}
	var out []string
	for m := time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC); m.Before(end); m = m.AddDate(0, 1, 0) {
		if out = append(out, m.Format("2006-01")); len(out) > usageMonths {
			return nil, credit.Refuse(credit.CodeInvalid, "a report covers three years at most", map[string]any{"field": "from"})
		}
	}
	return out, nil
}

package ledger

import (
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// statementTries bounds reads of a wallet about which the clock decides something meanwhile.
const statementTries = 3

// Statement is what happened to a wallet in a calendar month of its time zone.
type Statement struct {
	Zone string
	// From and To are the month's, half-open; AsOf is To, or the moment of asking while the month lasts.
	From, To, AsOf time.Time
	// Opening and Closing are the figures just before From and To, or at AsOf.
	Opening, Closing credit.Figures
	// Moved is what the month moved; Days are the days that moved something, in order.
	Moved Movements
	Days  []StatementDay
}

// StatementDay is one day of a statement.
type StatementDay struct {
	Day   string // 2006-01-02 in the wallet's time zone
	Moved Movements
}

// Movements are sums over entries, in credits. Zero is left out.
type Movements struct {
	// Usable is how entries of each kind changed available and held together, Debt how they changed debt. So a month's Usable adds up to the
	// difference between its closing and opening available + held, and its Debt to that of debt.
	Usable, Debt map[credit.Kind]int64
	// Sources is how entries of each kind changed the credits in grants of each source. Credits count from when they are granted until they
	// are gone, whether they can be drawn on or not: a grant that begins later, or is frozen, is in Sources and not in Usable.
	Sources map[credit.Source]map[credit.Kind]int64
	// Features is what was charged for each feature, less what was reversed, whatever paid for it.
	Features map[string]int64
}

func newMovements() Movements {
	return Movements{
		Usable: map[credit.Kind]int64{}, Debt: map[credit.Kind]int64{}, Sources: map[credit.Source]map[credit.Kind]int64{}, Features: map[string]int64{},
	}
}

// add counts a flow.
func (m Movements) add(f flow, n int64) {
	if n == 0 {
		return
	}
	switch f.measure {
	case usable:
		bump(m.Usable, f.kind, n)
	case owed:
		bump(m.Debt, f.kind, n)
	case inSource:
		source := credit.Source(f.name)
		if m.Sources[source] == nil {
			m.Sources[source] = map[credit.Kind]int64{}
		}
		bump(m.Sources[source], f.kind, n)
	case ofFeature:
		bump(m.Features, f.name, n)
	}
}

// bump adds to a sum, and drops one that becomes zero.
func bump[K comparable](sums map[K]int64, k K, n int64) {
	if sums[k] += n; sums[k] == 0 {
		delete(sums, k)
	}
}

// Statement is the month that begins at midnight of its first day in the wallet's time zone. It reads the wallet, the day's first roll-up of each
// day, all at one moment, and the last entries before the month's ends: at most 36 reads, however much happened. What the clock has decided
// and is not journaled yet is journaled first.
//
// Days are those on which entries were booked, by the zone of then: where an organisation has moved to another zone, a few hours at the ends
// of that month may be counted with the neighbouring day.
func (l *Ledger) Statement(ctx context.Context, org string, year int, month time.Month) (Statement, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	for range statementTries {
		now := l.opts.Now().UTC().Truncate(time.Microsecond)
		r, err := l.view(ctx, org, now)
		if err != nil {
			return Statement{}, err
		}
		zone := r.location(r.state.Zone)
		s := Statement{Zone: r.state.Zone, From: time.Date(year, month, 1, 0, 0, 0, 0, zone), To: time.Date(year, month+1, 1, 0, 0, 0, 0, zone)}
		if s.From.After(now) {
			return Statement{}, credit.Refuse(credit.CodeInvalid, "the month has not begun", map[string]any{"field": "month"})
		}
		if r.state != r.actor.state { // something is due
			if err := l.Settle(ctx, org); err != nil {
				return Statement{}, err
			}
		}
		if s.AsOf = s.To; now.Before(s.To) {
			s.AsOf = now
		}
		settled, err := l.readStatement(ctx, org, &s, now)
		if err != nil {
			return Statement{}, err
		}
		if settled {
			return s, nil
		}
	}
	return Statement{}, unavailable(fmt.Errorf("%s: not settled after %d reads", org, statementTries))
}

// readStatement fills in what moved, and the figures at the month's ends. settled is false if the clock has decided something that is not
// journaled.
func (l *Ledger) readStatement(ctx context.Context, org string, s *Statement, now time.Time) (settled bool, err error) {
	wallet := l.store.walletName(org)
	names, days := []string{wallet}, []string{}
	// A day more than has begun: what another process has just written may bear a later moment.
	for d := s.From; d.Before(s.To) && d.Before(s.AsOf.AddDate(0, 0, 1)); d = d.AddDate(0, 0, 1) {
		day := d.Format(time.DateOnly)
		days = append(days, day)
		names = append(names, l.store.rollupName(org, day, 0))
	}
	got, err := l.store.getFields(ctx, &pb.DocumentMask{FieldPaths: []string{"v", "flows", "available", "held", "debt", "at", "next_due_at"}}, names...)
	if err != nil {
		return false, unavailable(err)
	}
	w := readDocument(got[wallet])
	if err := checkVersion(w); err != nil {
		return false, err
	}
	if due := w.time("next_due_at"); !due.IsZero() && !due.After(now) {
		return false, *w.err
	}
	s.Closing = credit.Figures{Available: w.num("available"), Held: w.num("held"), Debt: w.num("debt")}
	last := w.time("at")
	if !last.Before(s.To) { // the month is over by the wallet's own time
		s.AsOf = s.To
	}
	if s.AsOf.Equal(s.To) {
		if s.Closing, _, err = l.At(ctx, org, s.To.Add(-time.Microsecond)); err != nil {
			return false, err
		}
	} else if last.After(s.AsOf) {
		s.AsOf = last
	}
	if s.Opening, _, err = l.At(ctx, org, s.From.Add(-time.Microsecond)); err != nil {
		return false, err
	}
	s.Moved = newMovements()
	for i, day := range days {
		d := got[names[i+1]]
		if d == nil {
			continue
		}
		moved, err := decodeFlows(d, s.Moved)
		if err != nil {
			return false, err
		}
		s.Days = append(s.Days, StatementDay{Day: day, Moved: moved})
	}
	return true, *w.err
}

// decodeFlows reads what a day moved, and adds it to the month.
func decodeFlows(d *pb.Document, month Movements) (Movements, error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return Movements{}, err
	}
	day, fs := newMovements(), r.group("flows")
	for field := range fs.m {
		f, ok := parseFlow(field)
		if !ok {
			return Movements{}, fmt.Errorf("%s: flow %q is not known", d.GetName(), field)
		}
		n := fs.num(field)
		day.add(f, n)
		month.add(f, n)
	}
	return day, *r.err
}

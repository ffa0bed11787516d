package ledger

import (
	"context"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// What an overview tells, beside what there is one of.
const (
	overviewDays    = 14
	overviewEntries = 5
)

// Overview is what people want to see of a wallet first.
type Overview struct {
	Balance
	Window credit.Window
	// Organisation is what all of the organisation used in the current window; User what the user used who was asked about, or nil where no limit
	// binds that user.
	Organisation LimitUse
	User         *LimitUse
	// Days are the last 14 days of the wallet's zone, today the last of them.
	Days []DayUse
	// Recent are the newest entries, newest first, at most 5.
	Recent []*credit.Entry
}

// DayUse is what was charged on a day, less what was reversed on it, in credits.
type DayUse struct {
	Day     string // 2006-01-02 in the wallet's time zone
	Credits int64
}

// Overview is a wallet now, with what is used of its limits, how it was used lately, and its newest entries. In one call each it reads the wallet,
// its counters if something is counted, the first roll-up of each day and the entries: with an organisation that has no limit and whose month is
// all but over 37 documents, else 21; a wallet of which much is due, or with more grants than its document holds, costs what Balance does beside. The
// user may be empty.
// Errors are a Refusal, `unknown_org`; or an *Unavailable.
func (l *Ledger) Overview(ctx context.Context, org, user string) (Overview, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	b, r, err := l.balance(ctx, org)
	if err != nil {
		return Overview{}, err
	}
	out := Overview{Balance: b}
	uncounted, err := r.overviewLimits(ctx, user, &out)
	if err != nil {
		return Overview{}, err
	}
	today := l.opts.Now().In(r.location(r.state.Zone))
	first := today.AddDate(0, 0, 1-overviewDays)
	if uncounted && out.Window.Start.Before(first) {
		first = today.AddDate(0, 0, 1-today.Day())
	}
	days, err := r.dayUses(ctx, first, today)
	if err != nil {
		return Overview{}, err
	}
	out.Days = days[len(days)-overviewDays:]
	if uncounted {
		for _, d := range days {
			if d.Day[:len(out.Window.Key)] == out.Window.Key {
				out.Organisation.Used += d.Credits
			}
		}
		out.Organisation.Used = max(0, out.Organisation.Used)
	}
	out.Recent, err = l.Entries(ctx, org, time.Time{}, overviewEntries)
	return out, err
}

// overviewLimits fills in the limits. uncounted says that no counter knows what the organisation used in this window.
func (r *round) overviewLimits(ctx context.Context, user string, out *Overview) (uncounted bool, err error) {
	subjects := []credit.Subject{{Scope: credit.ScopeOrganisation}}
	if user != "" {
		subjects = append(subjects, credit.Subject{Scope: credit.ScopeUser, ID: user})
	}
	var uses []credit.LimitUse
	err = r.asking(ctx, func() (err error) {
		out.Window, uses, err = credit.LimitUses(r.state, r.ledger.opts.Now(), subjects...)
		return err
	})
	if err != nil {
		return false, err
	}
	for i, u := range uses {
		use := LimitUse{Subject: u.Subject, Used: u.Used}
		if u.Limited {
			use.Limit = &u.Limit
		}
		switch {
		case i == 0:
			out.Organisation = use
		case u.Limited:
			out.User = &use
		}
	}
	return !uses[0].Limited && !uses[0].Counted, nil
}

// dayUses are what was used on each day from one until another, both of them included, in the wallet's zone.
func (r *round) dayUses(ctx context.Context, first, last time.Time) ([]DayUse, error) {
	var out []DayUse
	var names []string
	for d := first; !d.After(last); d = d.AddDate(0, 0, 1) {
		day := d.Format(time.DateOnly)
		out = append(out, DayUse{Day: day})
		names = append(names, r.ledger.store.rollupName(r.org, day, 0))
	}
	got, err := r.ledger.store.getFields(ctx, &pb.DocumentMask{FieldPaths: []string{"v", "flows"}}, names...)
	if err != nil {
		return nil, unavailable(err)
	}
	for i, name := range names {
		if got[name] == nil {
			continue
		}
		moved, err := decodeFlows(got[name], newMovements())
		if err != nil {
			return nil, err
		}
		for _, n := range moved.Features {
			out[i].Credits += n
		}
	}
	return out, nil
}

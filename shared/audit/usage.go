package audit

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

const (
	// firstDay and lastDay lie before and after every day.
	firstDay, lastDay = "0", "9999-12-31"
	// openDays are those that may yet be written to: the latest entry's, and as many before it as a change of zone can go back.
	openDays = 2
	// separator joins the parts of a field's name.
	separator = "\x1f"
)

// use remembers what an entry moved on its day: of usage by feature, team and user, and of the flows that statements are made of. This is
// counted anew here, from what the entry states.
func (p *pass) use(c cause, before credit.Figures, e *credit.Entry) {
	day := e.At.In(p.zone).Format(time.DateOnly)
	m := p.days[day]
	if m == nil {
		m = moved{}
		p.days[day] = m
	}
	p.latest["usage "+day] = c
	var used int64
	switch e.Kind {
	case credit.KindDebit, credit.KindCapture:
		used = e.Credits
	case credit.KindReversal:
		used = -e.Credits
	default:
	}
	kind := string(e.Kind)
	m.add("cells "+strings.Join([]string{e.Work.Feature, e.Work.Team, e.Work.User}, separator), used)
	m.add("flows "+strings.Join([]string{"feature", "", e.Work.Feature}, separator), used)
	m.add("flows "+strings.Join([]string{"usable", kind, ""}, separator), e.After.Available+e.After.Held-before.Available-before.Held)
	m.add("flows "+strings.Join([]string{"debt", kind, ""}, separator), e.Debt)
	for _, change := range e.Changes {
		m.add("flows "+strings.Join([]string{"source", kind, string(change.Source)}, separator), change.Free+change.Held)
	}
}

// closeDays compares the days that no later entry can be on.
func (p *pass) closeDays(ctx context.Context) error {
	until, more := p.closable()
	if !more {
		return nil
	}
	err := p.compareDays(ctx, until, func(ctx context.Context, from, until string, each func(ledger.Found[ledger.Day]) error) error {
		return p.ledger.DayRecords(ctx, p.org, from, until, each)
	})
	if err == nil {
		p.forgetDays()
	}
	return err
}

// closable is the first day that is not to be compared for good yet; more is false when there is none before it. While usage of some stands on
// the days of another zone, these are compared together.
func (p *pass) closable() (until string, more bool) {
	until = p.closed()
	return until, until > p.compared && (p.compared >= p.mixed || until >= p.mixed)
}

// forgetDays forgets the days that have been compared for good.
func (p *pass) forgetDays() {
	until, more := p.closable()
	if !more {
		return
	}
	p.compared = until
	for day := range p.days {
		if day < until {
			delete(p.days, day)
		}
	}
}

// closed is the first day that a later entry can be on.
func (p *pass) closed() string {
	if p.book.Seq == 0 {
		return firstDay
	}
	return p.book.LastAt.In(p.zone).AddDate(0, 0, -openDays).Format(time.DateOnly)
}

// mixedUntil is the first day from which on usage stands on the days of the present zone. The change was on a day in UTC; no zone's day is more
// than one ahead of it.
func mixedUntil(zoned string) string {
	day, err := time.Parse(time.DateOnly, zoned)
	if err != nil {
		return ""
	}
	return day.AddDate(0, 0, 2).Format(time.DateOnly)
}

type readDays func(ctx context.Context, from, until string, each func(ledger.Found[ledger.Day]) error) error

// compareDays compares the roll-ups of the days that are not compared for good, up to one, with what the entries moved on them. The days about
// which the zone was another are compared by their sum.
func (p *pass) compareDays(ctx context.Context, until string, read readDays) error {
	merged := func(day string) string {
		if day < p.mixed && p.compared < p.mixed {
			return "until " + p.mixed
		}
		return day
	}
	want := map[string]moved{}
	for day, m := range p.days {
		if day < until {
			sum(want, merged(day), m)
		}
	}
	// Days that come in order are compared as soon as the next begins, so that a year of them is not held at once.
	current := ""
	got := map[string]moved{}
	done := func() error {
		if current == "" {
			return nil
		}
		err := p.day(current, want[current], got[current])
		delete(want, current)
		delete(got, current)
		return err
	}
	err := read(ctx, p.compared, until, func(f ledger.Found[ledger.Day]) error {
		name := merged(f.Value.Day)
		if f.Org != p.org {
			return p.found(differ("usage "+f.Value.Day, "org", p.org, f.Org))
		}
		if name != current {
			if err := done(); err != nil {
				return err
			}
			current = name
		}
		sum(got, name, flatten(f.Value))
		return nil
	})
	if err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	for _, day := range slices.Sorted(maps.Keys(want)) {
		if err := p.day(day, want[day], nil); err != nil {
			return err
		}
	}
	return nil
}

func sum(days map[string]moved, day string, m moved) {
	if days[day] == nil {
		days[day] = moved{}
	}
	for field, n := range m {
		days[day].add(field, n)
	}
}

// day compares what stands on a day with what entries moved on it.
func (p *pass) day(day string, want, got moved) error {
	fields := slices.Collect(maps.Keys(want))
	for field := range got {
		if _, known := want[field]; !known {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	for _, field := range fields {
		if want[field] != got[field] {
			return p.found(differ("usage "+day, strings.ReplaceAll(field, separator, "/"), want[field], got[field]))
		}
	}
	return nil
}

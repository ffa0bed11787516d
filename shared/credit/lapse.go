package credit

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The distances at which people are warned of credits that lapse, in calendar days of the organisation's zone.
const (
	WarnEarlyDays = 7
	WarnLateDays  = 1
)

// Lapse is what a wallet loses on one calendar day unless it is used before.
type Lapse struct {
	Day      time.Time // midnight UTC of the day's date in the organisation's zone
	At       time.Time // the first end on that day, as people are shown it
	Credits  int64
	Distance int // WarnEarlyDays or WarnLateDays, whichever the day is within
}

// Lapses are the days within WarnEarlyDays of now on which free credits end, soonest first: what an expiry warning says. All that ends on
// one day is one warning, so that it enters a distance as a whole. What is spent, held, frozen, not begun or past its end is left out.
func Lapses(grants []*Grant, zone *time.Location, now time.Time) []Lapse {
	today := dateOf(now, zone)
	days := map[time.Time]*Lapse{}
	for _, g := range grants {
		if g.Free == 0 || g.ExpiresAt.IsZero() || !g.ExpiresAt.After(now) || !g.Eligible(now) {
			continue
		}
		day := dateOf(g.ExpiresAt, zone)
		left := int(day.Sub(today) / (24 * time.Hour)) // both are midnights of UTC, which has no summer time
		if left > WarnEarlyDays {
			continue
		}
		l := days[day]
		if l == nil {
			l = &Lapse{Day: day, At: g.ExpiresAt, Distance: WarnEarlyDays}
			days[day] = l
		}
		if left <= WarnLateDays {
			l.Distance = WarnLateDays
		}
		if g.ExpiresAt.Before(l.At) {
			l.At = g.ExpiresAt
		}
		l.Credits += g.Free
	}
	out := make([]Lapse, 0, len(days))
	for _, l := range days {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Lapse) int { return cmp.Compare(a.Day.Unix(), b.Day.Unix()) })
	return out
}

// Warning is the alert that a lapse calls for. Its id, expiring:{org}:{day}:{distance}, is the same however often it is raised.
func (l Lapse) Warning(org string, now time.Time, f Figures) Event {
	return Event{
		ID:   strings.Join([]string{string(EventExpiring), org, l.Day.Format(time.DateOnly), strconv.Itoa(l.Distance)}, ":"),
		Kind: EventExpiring, Org: org, At: now, Credits: l.Credits, ExpiresAt: l.At, After: f,
	}
}

// dateOf is midnight UTC of a moment's date in a zone.
func dateOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

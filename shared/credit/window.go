package credit

import (
	"strconv"
	"time"
)

// Window is what limits are counted in: a calendar month in an organisation's zone, [Start, End). Its key names it, whatever becomes of the
// zone.
type Window struct {
	Key        string // 2006-01
	Start, End time.Time
}

// WindowAt is the window of a moment in a zone.
func WindowAt(t time.Time, zone *time.Location) Window {
	y, m, _ := t.In(zone).Date()
	key := strconv.Itoa(y) + "-" + strconv.Itoa(int(m))
	if m < time.October {
		key = strconv.Itoa(y) + "-0" + strconv.Itoa(int(m))
	}
	return Window{Key: key, Start: monthStart(y, m, zone), End: monthStart(y, m+1, zone)}
}

// monthStart is the first moment of a month in a zone, in UTC. Where the clocks go forward over its midnight, that is when they do.
func monthStart(y int, m time.Month, zone *time.Location) time.Time {
	at := time.Date(y, m, 1, 0, 0, 0, 0, zone)
	if at.Day() != 1 { // no such time: this is the evening before
		_, at = at.ZoneBounds()
	}
	return at.UTC()
}

// zoneOf is a zone by its name; UTC for one that this machine does not know, which Configure refuses.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

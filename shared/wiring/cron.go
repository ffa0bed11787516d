package wiring

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// searchDays is how far ahead a time is looked for: a 29 February is at most eight years away.
const searchDays = 8*366 + 1

// times are the moments that a cron expression in a zone names.
type times struct {
	zone *time.Location
	// A bit for each value that matches.
	minutes, hours, days, months, weekdays uint64
	// anyDay and anyWeekday say that the field is *. When neither is, a day need match one of the two only.
	anyDay, anyWeekday bool
}

// parseTimes reads an expression of five fields. Each is a list of values, ranges and steps: 5, 1-5, */15, 8-18/2.
func parseTimes(expression, zone string) (times, error) {
	var t times
	var err error
	if t.zone, err = time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return t, errors.Join(fmt.Errorf("time zone %q is not known", zone), err)
	}
	parts := strings.Fields(expression)
	if len(parts) != 5 {
		return t, fmt.Errorf("cron %q has %d fields, not 5", expression, len(parts))
	}
	fields := []struct {
		set         *uint64
		least, most int
	}{{&t.minutes, 0, 59}, {&t.hours, 0, 23}, {&t.days, 1, 31}, {&t.months, 1, 12}, {&t.weekdays, 0, 6}}
	for i, f := range fields {
		if *f.set, err = parseField(parts[i], f.least, f.most); err != nil {
			return t, fmt.Errorf("cron %q: %w", expression, err)
		}
	}
	t.anyDay, t.anyWeekday = parts[2] == "*", parts[4] == "*"
	return t, nil
}

func parseField(field string, least, most int) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(field, ",") {
		span, step, stepped := strings.Cut(part, "/")
		every := 1
		var err error
		if stepped {
			if every, err = strconv.Atoi(step); err != nil || every < 1 {
				return 0, fmt.Errorf("%q is no step", part)
			}
		}
		from, to := least, most
		if span != "*" {
			low, high, ranged := strings.Cut(span, "-")
			if from, err = strconv.Atoi(low); err != nil {
				return 0, fmt.Errorf("%q is no number", part)
			}
			switch {
			case ranged:
				if to, err = strconv.Atoi(high); err != nil {
					return 0, fmt.Errorf("%q is no range", part)
				}
			case !stepped:
				to = from
			}
		}
		if from < least || to > most || from > to {
			return 0, fmt.Errorf("%q is not within %d and %d", part, least, most)
		}
		for n := from; n <= to; n += every {
			set |= 1 << n
		}
	}
	return set, nil
}

func has(set uint64, n int) bool { return set&(1<<n) != 0 }

// next is the first matching moment after another; zero when there is none within eight years. A time that summer time skips does not
// come; one that it repeats comes once.
func (t times) next(after time.Time) time.Time {
	if t.zone == nil {
		return time.Time{}
	}
	year, month, day := after.In(t.zone).Date()
	for i := range searchDays {
		noon := time.Date(year, month, day+i, 12, 0, 0, 0, t.zone)
		if !t.onDay(noon) {
			continue
		}
		if at := t.within(noon, after); !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

func (t times) onDay(d time.Time) bool {
	if !has(t.months, int(d.Month())) {
		return false
	}
	day, weekday := has(t.days, d.Day()), has(t.weekdays, int(d.Weekday()))
	if t.anyDay || t.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// within is the first matching moment of a day that comes after another, or zero.
func (t times) within(day, after time.Time) time.Time {
	for hour := range 24 {
		if !has(t.hours, hour) {
			continue
		}
		for minute := range 60 {
			if !has(t.minutes, minute) {
				continue
			}
			at := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, t.zone)
			if at.After(after) && at.Hour() == hour && at.Minute() == minute {
				return at.UTC()
			}
		}
	}
	return time.Time{}
}

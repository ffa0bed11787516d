package stripestand

import "time"

const daySeconds = 24 * 3600

// nextAnchor returns the first moment after a given one at which a billing
// period turns: the anchor itself, or a whole number of intervals after it.
// Months are counted from the anchor and clamped to their last day, as Stripe
// does in UTC: an anchor on 31 January turns on 28 February and 31 March.
func nextAnchor(anchor, after int64, every recurring) int64 {
	if anchor > after {
		return anchor
	}
	count := max(every.IntervalCount, 1)
	step := map[string]int64{"day": daySeconds, "week": 7 * daySeconds}[every.Interval]
	if step > 0 {
		step *= count
		return anchor + ((after-anchor)/step+1)*step
	}
	if every.Interval == "year" {
		count *= 12
	}
	from, to := time.Unix(anchor, 0).UTC(), time.Unix(after, 0).UTC()
	passed := int64(to.Year()-from.Year())*12 + int64(to.Month()) - int64(from.Month())
	n := passed / count // at most one too few, for the anchor is not after
	for addMonths(from, n*count) <= after {
		n++
	}
	return addMonths(from, n*count)
}

// addMonths returns the moment n months after t on the same day, or on the
// month's last day if it has no such day.
func addMonths(t time.Time, n int64) int64 {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1).Unix()
}

// prorate returns the share of an amount for part of a whole, rounded to the
// nearest minor unit, halves away from zero.
func prorate(amount, part, whole int64) int64 {
	n := amount * part
	if n < 0 {
		return -((-n + whole/2) / whole)
	}
	return (n + whole/2) / whole
}

package dashboard

import (
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/numerals"
)

// Credits writes a number as South African English does: 12 500.
func (v *visit) Credits(n int64) string { return numerals.Whole(n) }

// Money writes an amount in minor units: R 1 299,00.
func (v *visit) Money(minor int64, currency string) string { return numerals.Money(minor, currency) }

// monthName writes a month of the API's, 2006-01, in words.
func monthName(month string) string {
	t, err := time.Parse("2006-01", month)
	if err != nil {
		return month
	}
	return t.Format("January 2006")
}

// Day writes a date in the organisation's zone.
func (v *visit) Day(t time.Time) string { return t.In(v.zone).Format("2 January 2006") }

// Date writes a date in the organisation's zone, with the month cut short.
func (v *visit) Date(t time.Time) string { return t.In(v.zone).Format("2 Jan 2006") }

// shortDay writes a date of the API's, 2006-01-02, as 2 Jan.
func shortDay(date string) string {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return day.Format("2 Jan")
}

// Moment writes a time in the organisation's zone.
func (v *visit) Moment(t time.Time) string { return t.In(v.zone).Format("2 Jan 2006, 15:04") }

// Stamp writes a time for machines.
func (v *visit) Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Words writes a code as words: limit_exceeded is "Limit exceeded".
func (v *visit) Words(code string) string {
	words := strings.NewReplacer("_", " ", "-", " ").Replace(code)
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// kindTexts say what entries of each kind did. What is not here is shown as it is called.
var kindTexts = map[string]string{
	"grant": "Credits added", "debit": "Used", "capture": "Used", "hold": "Set aside", "extend": "Set aside for longer", "release": "Set free again",
	"expiry": "Expired", "clawback": "Taken back after a refund", "restore": "Given back after a refund", "freeze": "Frozen", "thaw": "Thawed",
	"reversal": "Given back for failed work", "adjustment": "Adjusted", "repayment": "Debt repaid",
}

// Kind says what an entry of a kind did.
func (v *visit) Kind(kind string) string {
	if text, ok := kindTexts[kind]; ok {
		return text
	}
	return v.Words(kind)
}

// Share is a part in percent of a whole, to the nearest, from 0 to 100.
func (v *visit) Share(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return min(100, (max(0, min(part, whole))*100+whole/2)/whole)
}

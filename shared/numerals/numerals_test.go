package numerals_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/numerals"
)

func TestFiguresAreWrittenAsSouthAfricanEnglishDoes(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0": numerals.Whole(0), "999": numerals.Whole(999), "1 000": numerals.Whole(1000), "−12 500": numerals.Whole(-12500), "1 234 567": numerals.Whole(1234567),
		"−9 223 372 036 854 775 808": numerals.Whole(math.MinInt64),
		"R 1 299,00":                 numerals.Money(129900, "ZAR"), "−R 0,05": numerals.Money(-5, "ZAR"), "US$5,99": numerals.Money(599, "USD"), "€10,00": numerals.Money(1000, "EUR"),
		"CHF 1,20": numerals.Money(120, "CHF"), "89,00": numerals.Amount(8900),
	} {
		if want = strings.ReplaceAll(want, " ", "\u00a0"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMoneyIsReadAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]int64{"1 299,00": 129900, "R 1299.5": 129950, "US$5,99": 599, "€10": 1000, "0,05": 5, "0": 0, "1\u00a0299,00": 129900, "9999999999999": 999999999999900} {
		if got, ok := numerals.Minor(written); !ok || got != want {
			t.Errorf("%q: %d %t, want %d", written, got, ok, want)
		}
	}
	for _, written := range []string{"", "1,2,3", "1,299", "1,299.00", "-5", "five", "0.005", "12345678901234", "1e3"} {
		if got, ok := numerals.Minor(written); ok {
			t.Errorf("%q is read as %d", written, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1e15-1).Draw(t, "minor")
		if got, ok := numerals.Minor(numerals.Amount(n)); !ok || got != n {
			t.Fatalf("%s is read as %d, %t", numerals.Amount(n), got, ok)
		}
	})
}

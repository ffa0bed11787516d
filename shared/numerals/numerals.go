// Package numerals writes numbers and money as South African English does, and reads money that people write.
//
// Invariants: whole numbers only, no floating point; nothing that it writes breaks over two lines; what is negative begins with a minus sign.
//
// It does not own prices, currencies (package catalogue), or the zone that a time is told in.
package numerals

import (
	"strconv"
	"strings"
)

// NoBreak is the space between thousands: it does not break a line.
const NoBreak = "\u00a0"

// Whole writes a whole number with its thousands apart: 12 500.
func Whole(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var out strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteString(NoBreak)
		}
		out.WriteRune(digit)
	}
	return sign + out.String()
}

// Money writes an amount in minor units of a currency that has a hundred of them: R 1 299,00.
func Money(minor int64, currency string) string {
	sign := ""
	if minor < 0 {
		sign, minor = "−", -minor
	}
	symbol, ok := map[string]string{"ZAR": "R" + NoBreak, "USD": "US$", "EUR": "€"}[currency]
	if !ok {
		symbol = currency + NoBreak
	}
	return sign + symbol + Amount(minor)
}

// Amount writes minor units, which are 0 or more, without a currency: 1 299,00.
func Amount(minor int64) string {
	return Whole(minor/100) + "," + strconv.FormatInt(minor%100+100, 10)[1:]
}

// amountDigitsMax bounds the digits of an amount of money that people write.
const amountDigitsMax = 13

// Minor reads an amount of money as people write it, 1 299,00 or R 1299.5, in minor units. What could be read in two ways, 1,299, is refused.
func Minor(written string) (int64, bool) {
	written = strings.NewReplacer(" ", "", NoBreak, "", "\u202f", "", "R", "", "US$", "", "€", "", ".", ",").Replace(written)
	main, cents, _ := strings.Cut(written, ",")
	if len(cents) > 2 || main == "" || len(main) > amountDigitsMax {
		return 0, false
	}
	n, err := strconv.ParseUint(main+(cents + "00")[:2], 10, 63)
	return int64(n), err == nil //nolint:gosec // 63 bits
}

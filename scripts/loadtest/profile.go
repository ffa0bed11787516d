package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// zipfExponent is s of the profile zipf: the wallet of rank k gets a part proportional to 1/k^s.
const zipfExponent = 1.1

// hotShare is how many times its share the hot organisation sends when fairness is measured.
const hotShare = 10

// picker chooses the wallet of the next request.
type picker func() int

// newPicker makes a profile's picker over n wallets. hot gives the first one hotShare times the part of another.
func newPicker(profile string, n int, hot bool, r *rand.Rand) (picker, error) {
	switch {
	case hot:
		return func() int { return max(0, r.IntN(n-1+hotShare)-hotShare+1) }, nil
	case profile == profileHot:
		return func() int { return 0 }, nil
	case profile == profileUniform:
		return func() int { return r.IntN(n) }, nil
	case profile == profileZipf:
		z := rand.NewZipf(r, zipfExponent, 1, uint64(n-1))
		return func() int { return int(z.Uint64()) }, nil
	}
	return nil, fmt.Errorf("there is no profile %q", profile)
}

// orgName is the organisation of a phase's wallet.
func orgName(orgs string, wallet int) string { return orgs + "-" + strconv.Itoa(wallet) }

// eventID is the id of a caller's nth request; it tells a phase, a driver and a caller apart.
func eventID(driver, caller, n int) string { return fmt.Sprintf("%d.%d.%d", driver, caller, n) }

// repeats decides which requests repeat an earlier one of the same caller, and which.
type repeats struct {
	percent int
	rand    *rand.Rand
}

// of returns the number of an earlier request instead of n, for the share that is to be repeated.
func (d repeats) of(n int) (earlier int, again bool) {
	if d.percent == 0 || n == 0 || d.rand.IntN(100) >= d.percent {
		return 0, false
	}
	return d.rand.IntN(n), true
}

package campaigns

import (
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
)

// The codes that campaigns add to those of the other packages.
const (
	codeUsed            = "promotion_used"
	codeReferralRefused = "referral_refused"
)

// Error says why nothing is given. Its code is `invalid_request`, `not_found`, `promotion_used`, `referral_refused`, `idempotency_conflict`,
// `rate_limited` or `unavailable`.
type Error struct {
	coded.Reason
	// wait is how long to wait before asking again; 0 for the default.
	wait time.Duration
}

// RetryAfter is how long to wait before repeating.
func (e *Error) RetryAfter() time.Duration { return e.wait }

// invalid tells everything that is wrong with what was sent; nil for nothing.
func invalid(field string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Reason: coded.Reason{
		Is: "invalid_request", Says: strings.Join(problems, "; ") + ".", With: map[string]any{"field": field, "problems": problems},
	}}
}

// noSuchCode is the one answer about a code that this organisation cannot use, whatever the reason.
func noSuchCode() *Error {
	return &Error{Reason: coded.Reason{Is: "not_found", Says: "There is no such code, or it cannot be used now, or not by this organisation."}}
}

func noSuchPromotion() *Error {
	return &Error{Reason: coded.Reason{Is: "not_found", Says: "There is no such promotion."}}
}

func used() *Error {
	return &Error{Reason: coded.Reason{Is: codeUsed, Says: "The organisation has redeemed this code, or a bonus waits for its first purchase already."}}
}

// refusedReferral says why a claim is refused: reason is for programs.
func refusedReferral(reason, public string) *Error {
	return &Error{Reason: coded.Reason{Is: codeReferralRefused, Says: public, With: map[string]any{"reason": reason}}}
}

func conflict() *Error {
	return &Error{Reason: coded.Reason{Is: "idempotency_conflict", Says: "This key was used with another code."}}
}

// limited is the answer to somebody who entered too many codes that could not be used.
func limited(now, until time.Time) *Error {
	return &Error{
		Reason: coded.Reason{Is: "rate_limited", Says: "Too many codes were entered that cannot be used; try again later.", With: map[string]any{"resets_at": until}},
		wait:   until.Sub(now),
	}
}

func unavailable(cause error) *Error {
	return &Error{Reason: coded.Reason{Is: "unavailable", Says: "Codes cannot be redeemed or looked up now; repeat the request with the same key.", From: cause}, wait: time.Second}
}

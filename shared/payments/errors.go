package payments

import (
	"cmp"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Error says why a webhook is not taken, or a purchase not begun. Its code is one of the HTTP contract.
type Error struct {
	coded.Reason

	wait time.Duration // before repeating; a second if zero
}

// RetryAfter is how long to wait before repeating.
func (e *Error) RetryAfter() time.Duration { return cmp.Or(e.wait, time.Second) }

// refuse makes an error about what the caller sent.
func refuse(public string, cause error) *Error {
	return &Error{Reason: coded.Reason{Is: "invalid_request", Says: public, From: cause}}
}

// unavailable makes an error that passes: the same request again may succeed.
func unavailable(public string, cause error) *Error {
	return &Error{Reason: coded.Reason{Is: "unavailable", Says: public, From: cause}}
}

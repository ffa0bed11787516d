package payments

import (
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Error says why a webhook is not taken, or a purchase not begun. Its code is one of the HTTP contract.
type Error struct{ coded.Reason }

// RetryAfter is how long to wait before repeating.
func (e *Error) RetryAfter() time.Duration { return time.Second }

// refuse makes an error about what the caller sent.
func refuse(public string, cause error) *Error {
	return &Error{coded.Reason{Is: "invalid_request", Says: public, From: cause}}
}

// unavailable makes an error that passes: the same request again may succeed.
func unavailable(public string, cause error) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: public, From: cause}}
}

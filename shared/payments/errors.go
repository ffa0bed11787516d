package payments

import "time"

// Error says why a webhook is not taken, or a purchase not begun. Its code is one of the HTTP contract.
type Error struct {
	code    string
	public  string
	details map[string]any
	cause   error
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.code + ": " + e.public
	}
	return e.code + ": " + e.public + " (" + e.cause.Error() + ")"
}

// Code is the code of the HTTP contract.
func (e *Error) Code() string { return e.code }

// Public says why, for the caller.
func (e *Error) Public() string { return e.public }

// Details are what a program needs to do better.
func (e *Error) Details() map[string]any { return e.details }

// Unwrap returns the cause, if there is one beneath.
func (e *Error) Unwrap() error { return e.cause }

// RetryAfter is how long to wait before repeating.
func (e *Error) RetryAfter() time.Duration { return time.Second }

// refuse makes an error about what the caller sent.
func refuse(public string, cause error) *Error {
	return &Error{code: "invalid_request", public: public, cause: cause}
}

// unavailable makes an error that passes: the same request again may succeed.
func unavailable(public string, cause error) *Error {
	return &Error{code: "unavailable", public: public, cause: cause}
}

package serve

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/problem"
)

// AtOnce passes at most n requests to h at a time. What comes beyond is answered `unavailable` at once, with Retry-After, before anything of
// it is read: an instance that is full says so while it still can, instead of being slow for everybody.
func AtOnce(n int, h http.Handler) http.Handler {
	places := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
		default:
			problem.Write(w, r, full{})
			return
		}
		defer func() { <-places }()
		h.ServeHTTP(w, r)
	})
}

// full is what a caller learns of an instance that takes no more.
type full struct{}

func (full) Error() string { return "as many requests are under way as the function takes" }

// Code implements problem.Coded.
func (full) Code() string { return problem.Unavailable }

// Public implements problem.Coded.
func (full) Public() string { return "The service is busy. Repeat the request with the same id." }

// Details implements problem.Coded.
func (full) Details() map[string]any { return nil }

// RetryAfter implements problem.Retryable.
func (full) RetryAfter() time.Duration { return time.Second }

// Package throttle bounds how often one caller asks one instance of a function: a token bucket for each caller, so that a program that runs wild
// is told to wait and nobody else feels it.
//
// Invariants:
//   - Within any time d an instance passes at most burst + rate × d requests of one caller.
//   - Who waits as long as an answer says, and asks nothing meanwhile, passes.
//   - Callers do not draw on each other's buckets, and no more of them are remembered than the bound. Who is forgotten begins with a full bucket.
//   - A caller who is known costs no allocation and no lock that is held while anything waits.
//
// Buckets fill by the machine's clock, which must not go back. It does not own the figures (package limits), who a caller is (package identity),
// what an instance takes of all callers together (package serve), nor limits on credits (package credit).
package throttle

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/lru"
)

// Options are the bounds. All but Now are required.
type Options struct {
	// PerSecond is how fast a caller's bucket fills, Burst how many requests it holds.
	PerSecond, Burst int
	// Callers is how many callers are remembered, those who asked last.
	Callers int
	// Now is the machine's clock. The default is time.Now.
	Now func() time.Time
}

// Gate passes requests by caller. It is safe for concurrent use.
type Gate struct {
	now   func() time.Time
	start time.Time
	// each is what one request takes of a bucket, in time to fill it again; full is what a full bucket holds.
	each, full int64
	buckets    *lru.Cache[string, *bucket]
}

// bucket is when it will be full again, in nanoseconds since the gate's start; in the past if it is.
type bucket struct{ full atomic.Int64 }

// New returns a Gate.
func New(o Options) (*Gate, error) {
	if o.PerSecond < 1 || o.PerSecond > int(time.Second) || o.Burst < 1 || o.Callers < 1 {
		return nil, errors.New("throttling needs a rate, a burst and a number of callers, of one or more")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	each := int64(time.Second) / int64(o.PerSecond)
	return &Gate{now: o.Now, start: o.Now(), each: each, full: each * int64(o.Burst), buckets: lru.New[string, *bucket](o.Callers)}, nil
}

// Error says that a caller asks too often, and for how long to wait. Its code is `rate_limited`.
type Error struct {
	coded.Reason
	wait time.Duration
}

// RetryAfter is how long it takes until the next request passes.
func (e *Error) RetryAfter() time.Duration { return e.wait }

// Pass takes a request of a caller. The error is an *Error.
func (g *Gate) Pass(caller string) error {
	b, known := g.buckets.Get(caller)
	if !known {
		// Of two who come first at once one bucket is lost, and with it one request that should have counted.
		b = new(bucket)
		g.buckets.Put(caller, b)
	}
	now := g.now().Sub(g.start).Nanoseconds()
	for {
		was := b.full.Load()
		will := max(was, now) + g.each
		if over := will - now - g.full; over > 0 {
			return &Error{
				Reason: coded.Reason{Is: "rate_limited", Says: "Too many requests came from this caller just now. Wait, and repeat the request with the same id."},
				wait:   time.Duration(over),
			}
		}
		if b.full.CompareAndSwap(was, will) {
			return nil
		}
	}
}

package throttle_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/throttle"
)

var (
	_ problem.Coded     = (*throttle.Error)(nil)
	_ problem.Retryable = (*throttle.Error)(nil)
)

// clock is a machine's clock that is moved by hand.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.nanos.Load()) }

func open(t interface{ Fatal(args ...any) }, c *clock, perSecond, burst, callers int) *throttle.Gate {
	g, err := throttle.New(throttle.Options{PerSecond: perSecond, Burst: burst, Callers: callers, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestNoCallerPassesMoreThanItsBucketHolds drives callers at any times: each passes burst + rate × time at most, exactly as a bucket that is filled by
// the book would let it, and whoever waits as long as told passes.
func TestNoCallerPassesMoreThanItsBucketHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.SampledFrom([]int{1, 2, 4, 10, 1000}).Draw(t, "per second") // that divide a second
		burst := rapid.IntRange(1, 20).Draw(t, "burst")
		each := time.Second / time.Duration(perSecond)
		var c clock
		g := open(t, &c, perSecond, burst, 3)
		held := map[string]time.Duration{} // what a bucket holds, in time to fill it
		for _, who := range []string{"a", "b", "c"} {
			held[who] = each * time.Duration(burst)
		}
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			passed := time.Duration(rapid.Int64Range(0, int64(2*each)).Draw(t, "pause"))
			c.nanos.Add(int64(passed))
			for who := range held {
				held[who] = min(held[who]+passed, each*time.Duration(burst))
			}
			who := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "who")
			err := g.Pass(who)
			if fits := held[who] >= each; fits != (err == nil) {
				t.Fatalf("%s has %v of %v for a request: %v", who, held[who], each, err)
			}
			if err == nil {
				held[who] -= each
				continue
			}
			var no *throttle.Error
			if !errors.As(err, &no) || no.Code() != problem.RateLimited || no.RetryAfter() != each-held[who] {
				t.Fatalf("%s is to wait %v, want %v", who, no.RetryAfter(), each-held[who])
			}
		}
	})
}

func TestCallersAtOnceShareOneBucketEach(t *testing.T) {
	t.Parallel()
	var c clock
	const burst = 1000
	g := open(t, &c, 10, burst, 10)
	if err := errors.Join(g.Pass("a"), g.Pass("b")); err != nil {
		t.Fatal(err)
	}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range burst {
				if g.Pass("a") == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != burst-1 || g.Pass("b") != nil {
		t.Errorf("%d passed of a bucket of %d", passed.Load(), burst-1)
	}
}

// TestOnlySoManyCallersAreRemembered: whoever makes callers up takes no memory, and no place of those who ask again and again.
func TestOnlySoManyCallersAreRemembered(t *testing.T) {
	t.Parallel()
	var c clock
	g := open(t, &c, 1, 1, 100)
	if err := g.Pass("busy"); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		if err := g.Pass(fmt.Sprint("stranger ", i)); err != nil {
			t.Fatal(err)
		}
		if err := g.Pass("busy"); err == nil {
			t.Fatalf("forgotten after %d strangers", i)
		}
	}
	if err := g.Pass("stranger 9999"); err == nil {
		t.Error("the last stranger is forgotten")
	}
	if err := g.Pass("stranger 0"); err != nil {
		t.Errorf("the first stranger is remembered: %v", err)
	}
}

func TestBoundsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []throttle.Options{{}, {PerSecond: 1, Burst: 1}, {PerSecond: 1, Callers: 1}, {Burst: 1, Callers: 1}, {PerSecond: 2_000_000_000, Burst: 1, Callers: 1}} {
		if _, err := throttle.New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestAKnownCallerCostsNoAllocation keeps the gate off the hot path.
//
//nolint:paralleltest // it counts allocations
func TestAKnownCallerCostsNoAllocation(t *testing.T) {
	g, err := throttle.New(throttle.Options{PerSecond: 1_000_000_000, Burst: 1_000_000_000, Callers: 10})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := g.Pass("service@project.iam.gserviceaccount.com"); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPass(b *testing.B) {
	g, err := throttle.New(throttle.Options{PerSecond: 1_000_000_000, Burst: 1_000_000_000, Callers: 10})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := g.Pass("service@project.iam.gserviceaccount.com"); err != nil {
				b.Error(err)
			}
		}
	})
}

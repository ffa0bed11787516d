package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

func hold(id string, credits int64, ttl time.Duration) credit.PlaceHold {
	return credit.PlaceHold{
		EventID: id, Credits: credits, TTL: ttl,
		Content: credit.Content{Kind: credit.KindHold, Org: "acme", Feature: "custom-query", Credits: &credits},
		Work:    credit.Work{Feature: "custom-query", PriceVersion: 1, User: "u"},
	}
}

func capture(id string, credits int64) credit.Capture {
	return credit.Capture{Hold: credit.HoldID("acme", id), Credits: credits}
}

func release(id string) credit.Release { return credit.Release{Hold: credit.HoldID("acme", id)} }

func extend(id string, ttl time.Duration) credit.Extend {
	return credit.Extend{Hold: credit.HoldID("acme", id), TTL: ttl}
}

func must(t testing.TB, l *ledger.Ledger, c credit.Command) ledger.Result {
	t.Helper()
	r, err := l.Do(t.Context(), "acme", c)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return r
}

func wantHold(t testing.TB, l *ledger.Ledger, id string, state credit.HoldState, captured int64) *credit.Hold {
	t.Helper()
	h, err := l.Hold(t.Context(), credit.HoldID("acme", id))
	if err != nil {
		t.Fatal(err)
	}
	if h.State != state || h.Captured != captured {
		t.Errorf("hold %s is %s with %d captured, want %s with %d", id, h.State, h.Captured, state, captured)
	}
	return h
}

// TestAHoldsLifeIsTheSameInEveryProcess lets another process, which has nothing cached, do each step.
func TestAHoldsLifeIsTheSameInEveryProcess(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		fund(t, db.ledger(t, ledger.Options{}), "acme", 100)
		placed := must(t, db.ledger(t, ledger.Options{}), hold("job", 100, time.Hour))
		if placed.After != (credit.Figures{Held: 100}) || placed.Hold.ID != credit.HoldID("acme", "job") {
			t.Errorf("placed: %+v", placed)
		}
		h := wantHold(t, db.ledger(t, ledger.Options{}), "job", credit.HoldOpen, 0)
		if h.Work.PriceVersion != 1 || h.Work.User != "u" || len(h.Allocations) != 1 || h.Allocations[0].Credits != 100 || !h.ExpiresAt.Equal(h.PlacedAt.Add(time.Hour)) {
			t.Errorf("stored: %+v", h)
		}
		db.clock.Advance(30 * time.Minute)
		if r := must(t, db.ledger(t, ledger.Options{}), extend("job", 2*time.Hour)); !r.Hold.ExpiresAt.Equal(db.clock.Now().Add(2 * time.Hour)) {
			t.Errorf("extended: %+v", r.Hold)
		}
		db.clock.Advance(time.Hour)
		if r := must(t, db.ledger(t, ledger.Options{}), capture("job", 80)); r.After != (credit.Figures{Available: 20}) || r.Entry.Work.User != "u" {
			t.Errorf("captured: %+v", r)
		}
		wantHold(t, db.ledger(t, ledger.Options{}), "job", credit.HoldCaptured, 80)
		if r := must(t, db.ledger(t, ledger.Options{}), credit.Reverse{EventID: "undo", Debit: "job", Credits: 30}); r.After.Available != 50 {
			t.Errorf("reversed: %+v", r)
		}
		if r := must(t, db.ledger(t, ledger.Options{}), credit.Reverse{EventID: "undo the rest", Debit: "job"}); r.After.Available != 100 || r.Entry.Credits != 50 {
			t.Errorf("reversed: %+v", r)
		}
		usage := db.document(t, "wallets/acme/usage/2026-03-01-0").Fields["cells"].GetMapValue().GetFields()
		if n := usage["custom-query\x1f\x1fu"].GetIntegerValue(); n != 0 {
			t.Errorf("captured and reversed, %d count as used", n)
		}
		audit(t, db.ledger(t, ledger.Options{}), "acme")
	})
}

func TestAHoldIsSettledOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		warm := db.ledger(t, ledger.Options{})
		fund(t, warm, "acme", 1000)
		for i, l := range []*ledger.Ledger{warm, nil} { // nil: a process of its own for each
			do := func() *ledger.Ledger {
				if l != nil {
					return l
				}
				return db.ledger(t, ledger.Options{})
			}
			id := func(s string) string { return fmt.Sprint(s, i) }
			for _, h := range []string{"captured", "released", "late", "timed out"} {
				must(t, do(), hold(id(h), 20, time.Minute))
			}
			if r := must(t, do(), hold(id("captured"), 20, time.Hour)); !r.Replayed {
				t.Error("placed again, with another life, it is no replay")
			}
			wantRefusal(t, do(), hold(id("captured"), 21, time.Minute), credit.CodeConflict)
			wantRefusal(t, do(), debit(id("captured"), 20), credit.CodeConflict)

			must(t, do(), capture(id("captured"), 15))
			if r := must(t, do(), capture(id("captured"), 15)); !r.Replayed || r.Entry.Credits != 15 {
				t.Errorf("captured again: %+v", r)
			}
			wantRefusal(t, do(), capture(id("captured"), 16), credit.CodeHoldSettled)
			wantRefusal(t, do(), release(id("captured")), credit.CodeHoldSettled)
			wantRefusal(t, do(), extend(id("captured"), time.Hour), credit.CodeHoldSettled)

			must(t, do(), release(id("released")))
			if r := must(t, do(), release(id("released"))); !r.Replayed {
				t.Errorf("released again: %+v", r)
			}
			wantRefusal(t, do(), capture(id("released"), 20), credit.CodeHoldSettled)

			db.clock.Advance(2 * time.Minute)
			if r := must(t, do(), capture(id("late"), 18)); r.Replayed || r.Entry.Credits != 18 {
				t.Errorf("captured after its time-out: %+v", r)
			}
			if r := must(t, do(), capture(id("late"), 18)); !r.Replayed {
				t.Errorf("captured after its time-out, again: %+v", r)
			}
			wantRefusal(t, do(), capture(id("late"), 19), credit.CodeHoldSettled)
			if r := must(t, do(), release(id("timed out"))); !r.Replayed {
				t.Errorf("released after its time-out: %+v", r)
			}
			wantRefusal(t, do(), extend(id("timed out"), time.Hour), credit.CodeHoldSettled)
			wantHold(t, do(), id("late"), credit.HoldTimedOut, 18)
			wantHold(t, do(), id("released"), credit.HoldReleased, 0)
			wantRefusal(t, do(), capture("never", 1), credit.CodeNotFound)
		}
		w, err := warm.View(t.Context(), "acme")
		if want := (credit.Figures{Available: 1000 - 2*(15+18)}); err != nil || w.Figures != want || w.OpenHolds != 0 {
			t.Errorf("%+v with %d open holds (%v), want %+v", w.Figures, w.OpenHolds, err, want)
		}
		audit(t, warm, "acme")
	})
}

func TestCapturesAtOnceSettleAHoldOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		ledgers := []*ledger.Ledger{db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})}
		fund(t, ledgers[0], "acme", 1000)
		must(t, ledgers[0], hold("job", 50, time.Hour))
		var won, replayed, settled atomic.Int64
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				c := credit.Command(capture("job", int64(40+i/10))) // two amounts
				if i%10 == 9 {
					c = release("job")
				}
				r, err := ledgers[i%2].Do(t.Context(), "acme", c)
				var no *credit.Refusal
				switch {
				case err == nil && r.Replayed:
					replayed.Add(1)
				case err == nil:
					won.Add(1)
				case errors.As(err, &no) && no.Code() == credit.CodeHoldSettled:
					settled.Add(1)
				default:
					t.Errorf("%T: %v", c, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || replayed.Load()+settled.Load() != 19 {
			t.Errorf("%d won, %d replayed, %d refused", won.Load(), replayed.Load(), settled.Load())
		}
		audit(t, ledgers[1], "acme")
	})
}

func TestPlacingNeverOverspends(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1000)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			c := credit.Command(hold(fmt.Sprint("h", i), 20, time.Hour))
			if i%2 == 0 {
				c = debit(fmt.Sprint("d", i), 20)
			}
			_, err := l.Do(t.Context(), "acme", c)
			var no *credit.Refusal
			switch {
			case err == nil:
				passed.Add(1)
			case !errors.As(err, &no) || no.Code() != credit.CodeInsufficient:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 50 {
		t.Errorf("%d passed, want 50", passed.Load())
	}
	audit(t, l, "acme")
}

// TestThousandsOfOpenHoldsCostTheWalletNothing places, settles in part, and lets the clock settle the others.
func TestThousandsOfOpenHoldsCostTheWalletNothing(t *testing.T) {
	t.Parallel()
	const holds = 3000
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 10*holds)
	purchase(t, l, "acme", "pi_other", 1000)
	parallel := func(n int, do func(i int)) {
		var wg sync.WaitGroup
		gate := make(chan struct{}, 256)
		for i := range n {
			gate <- struct{}{}
			wg.Go(func() {
				defer func() { <-gate }()
				do(i)
			})
		}
		wg.Wait()
	}
	send := func(c credit.Command) {
		if _, err := l.Do(t.Context(), "acme", c); err != nil {
			t.Errorf("%T: %v", c, err)
		}
	}
	size := func() int { return proto.Size(db.document(t, "wallets/acme")) }
	send(hold("h0", 5, time.Hour))
	before := size()
	lone := db.cost(func() { send(hold("h1", 5, time.Hour)) })
	parallel(holds-2, func(i int) { send(hold(fmt.Sprint("h", i+2), 5, time.Duration(20+i%1000)*time.Minute)) })
	after := size()
	t.Logf("the document has %d bytes with 1 open hold, %d with %d; a lone place costs %+v", before, after, holds, lone)
	if after > before+16 {
		t.Errorf("the document has %d bytes with one open hold, %d with %d", before, after, holds)
	}
	if want := (spent{rpcs: 1, writes: 3}); lone != want { // wallet, hold, entry
		t.Errorf("a lone place costs %+v, want %+v", lone, want)
	}
	lone = db.cost(func() { send(capture("h0", 4)) })
	t.Logf("a lone capture costs %+v", lone)
	if want := (spent{rpcs: 2, reads: 1, writes: 4}); lone != want { // the roll-up too
		t.Errorf("a lone capture costs %+v, want %+v", lone, want)
	}
	many := db.cost(func() { parallel(1000, func(i int) { send(capture(fmt.Sprint("h", i+1), 4)) }) })
	t.Logf("1,000 captures of 256 callers cost %+v", many)
	if many.rpcs > 300 || many.reads > 1100 || many.writes > 2400 { // each its hold and entry, and a share of the batch's wallet and roll-up
		t.Errorf("1,000 captures cost %+v", many)
	}
	db.clock.Advance(24 * time.Hour)
	w, err := db.ledger(t, ledger.Options{}).View(t.Context(), "acme")
	if err != nil || w.Held != 0 || w.OpenHolds != 0 || w.Available != 10*holds+1000-4*1001 {
		t.Errorf("a day later the wallet stands at %+v with %d open holds (%v)", w.Figures, w.OpenHolds, err)
	}
	audit(t, l, "acme")
}

// A capture that releases a part makes more available; that must not part those who would have had enough without it.
func TestCapturesAndNewHoldsShareACommit(t *testing.T) {
	t.Parallel()
	const each = 20
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1000)
	var cs []credit.Command
	for i := range each {
		must(t, l, hold(fmt.Sprint("old", i), 20, time.Hour))
		cs = append(cs, capture(fmt.Sprint("old", i), 10), hold(fmt.Sprint("new", i), 10, time.Hour))
	}
	db.Hooks.Reset()
	for i, err := range together(t, db, l, cs) {
		if err != nil {
			t.Errorf("%+v: %v", cs[i], err)
		}
	}
	if n := db.Hooks.Counts().RPCs["Commit"]; n > 3 {
		t.Errorf("%d commits for %d commands that came together", n, len(cs))
	}
	audit(t, l, "acme")
}

// Commands come one after the other while a commit is under way: they meet in one batch, and each needs the one before it.
func TestWhatOwesItsCreditsToACaptureWaitsForIt(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 101)
	must(t, l, hold("old", 100, time.Hour))
	db.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Delay: 300 * time.Millisecond}})
	db.Hooks.Reset()
	var wg sync.WaitGroup
	for _, c := range []credit.Command{debit("first", 1), capture("old", 40), hold("new", 60, time.Hour), capture("new", 10), debit("last", 50)} {
		wg.Go(func() {
			if _, err := l.Do(t.Context(), "acme", c); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		})
		time.Sleep(40 * time.Millisecond)
	}
	wg.Wait()
	if n := db.Hooks.Counts().RPCs["Commit"]; n != 5 {
		t.Errorf("%d commits, want one for each command", n)
	}
	w, err := l.View(t.Context(), "acme")
	if err != nil || w.Figures != (credit.Figures{}) {
		t.Errorf("%+v, %v", w.Figures, err)
	}
	audit(t, l, "acme")
}

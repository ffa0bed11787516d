package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// insist repeats a command, through one ledger after the other, until it is told yes or no.
func insist(t *testing.T, ledgers []*ledger.Ledger, first int, c credit.Command) (ledger.Result, error) {
	t.Helper()
	for try := first; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := ledgers[try%len(ledgers)].Do(ctx, "acme", c)
		cancel()
		var unknown *ledger.Unavailable
		if !errors.As(err, &unknown) || t.Context().Err() != nil {
			return r, err
		}
	}
}

// TestHoldsUnderFaultsSettleOnceEach places, captures and releases through two ledgers at once while answers are lost and races invented;
// each hold is captured by two callers, of different amounts, and its life is so short that some time out on the way.
func TestHoldsUnderFaultsSettleOnceEach(t *testing.T) {
	t.Parallel()
	const callers, holds, credits = 32, 800, 1_000_000
	db := openStore(t)
	ledgers := []*ledger.Ledger{db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})}
	fund(t, ledgers[0], "acme", credits)
	db.Hooks.Set(
		firedb.Rule{Method: "Commit", Chance: 0.2, Fault: firedb.Fault{Code: codes.Unavailable, After: true}},
		firedb.Rule{Method: "Commit", Chance: 0.1, Fault: firedb.Fault{Code: codes.Aborted}},
		firedb.Rule{Method: "BatchGetDocuments", Chance: 0.1, Fault: firedb.Fault{Code: codes.Unavailable}},
	)
	var charged, settledTwice, timedOut atomic.Int64
	var next atomic.Int64
	var wg sync.WaitGroup
	settle := func(n int64, c credit.Command) {
		r, err := insist(t, ledgers, int(n), c)
		var no *credit.Refusal
		switch {
		case errors.As(err, &no) && no.Code() == credit.CodeHoldSettled:
			settledTwice.Add(1)
		case err != nil:
			t.Errorf("%+v: %v", c, err)
		case r.Entry.Reason == "timed out":
			timedOut.Add(1)
		case r.Entry.Kind == credit.KindCapture:
			charged.Add(r.Entry.Credits)
		}
	}
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= holds; n = next.Add(1) {
				id := fmt.Sprint("job ", n)
				if _, err := insist(t, ledgers, int(n), hold(id, n%9+1, 20*time.Second)); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				if n%20 == 0 {
					db.clock.Advance(20 * time.Second) // this hold's end, and that of whatever others are open
				}
				var pair sync.WaitGroup
				pair.Go(func() { settle(n, capture(id, n%7+1)) })
				pair.Go(func() {
					if n%3 == 0 {
						settle(n+1, release(id))
					} else {
						settle(n+1, capture(id, n%7+2))
					}
				})
				pair.Wait()
			}
		})
	}
	wg.Wait()
	db.Hooks.Set()
	db.clock.Advance(time.Hour)
	w, err := ledgers[0].View(t.Context(), "acme")
	if want := (credit.Figures{Available: credits - charged.Load()}); err != nil || w.Figures != want || w.OpenHolds != 0 {
		t.Errorf("%+v with %d open holds (%v), want %+v", w.Figures, w.OpenHolds, err, want)
	}
	if settledTwice.Load() == 0 || timedOut.Load() == 0 {
		t.Errorf("%d came second, %d releases came after a time-out: some of both were meant to", settledTwice.Load(), timedOut.Load())
	}
	audit(t, ledgers[1], "acme")
	var rolledUp int64
	for _, v := range db.document(t, "wallets/acme/usage/2026-03-01-0").Fields["cells"].GetMapValue().GetFields() {
		rolledUp += v.GetIntegerValue()
	}
	if rolledUp != charged.Load() {
		t.Errorf("the roll-up has %d credits, want %d", rolledUp, charged.Load())
	}
	t.Logf("%d credits charged for %d holds; %d times another was first, %d releases came after the time-out", charged.Load(), holds, settledTwice.Load(), timedOut.Load())
}

// Two processes know a wallet; the clock ends a grant and a hold of it, and one of them journals that.
func TestWhatAnotherProcessJournaledIsKnownToAll(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	a, b := db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{Deadline: 3 * time.Second})
	fund(t, a, "acme", 100)
	end := db.clock.Now().Add(time.Hour)
	must(t, a, credit.NewGrant{Key: credit.SystemKey("promotion", "A"), Terms: credit.Terms{
		Source: credit.Promotion, Granted: 60, EffectiveAt: db.clock.Now(), ExpiresAt: end, UsableUntil: end,
	}})
	must(t, a, hold("job", 30, 90*time.Minute))
	must(t, b, debit("b knows the wallet", 1))
	for i := range 2 { // the grant's end, the hold's
		db.clock.Advance(time.Hour)
		must(t, a, debit(fmt.Sprint("a journals ", i), 1))
		must(t, b, debit(fmt.Sprint("b learns of it ", i), 1))
	}
	audit(t, a, "acme")
}

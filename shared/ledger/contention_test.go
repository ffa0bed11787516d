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

// roster is how many processes take turns on acme's wallet.
func (s *testStore) roster(t *testing.T) int {
	t.Helper()
	return len(s.document(t, "wallets/acme").Fields["roster"].GetArrayValue().GetValues())
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}

// TestProcessesThatRaceTakeTurns lets four processes use one wallet, until all of them take turns and each has had several; then all but one
// stop, and that one is alone again.
func TestProcessesThatRaceTakeTurns(t *testing.T) {
	t.Parallel()
	const processes, callers = 4, 8
	db := openStore(t)
	db.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Delay: 8 * time.Millisecond}}, firedb.Rule{Fault: firedb.Fault{Delay: 3 * time.Millisecond}})
	var charged [processes]atomic.Int64
	var stop [processes]func()
	var all sync.WaitGroup
	for p := range processes {
		l := db.ledger(t, ledger.Options{})
		if p == 0 {
			fund(t, l, "acme", 1_000_000)
		}
		stopped := make(chan struct{})
		stop[p] = sync.OnceFunc(func() { close(stopped) })
		defer stop[p]()
		for c := range callers {
			all.Go(func() {
				for n := 0; !closed(stopped); n++ {
					if _, err := l.Do(t.Context(), "acme", debit(fmt.Sprint(p, " ", c, " ", n), 1)); err != nil {
						t.Error(err)
						return
					}
					charged[p].Add(1)
				}
			})
		}
	}
	await(t, "all take turns", func() bool { return db.roster(t) == processes })
	var before [processes]int64
	for p := range processes {
		before[p] = charged[p].Load()
	}
	await(t, "each has had five turns", func() bool {
		for p := range processes {
			if charged[p].Load() < before[p]+5*callers {
				return false
			}
		}
		return true
	})
	for p := 1; p < processes; p++ {
		stop[p]()
	}
	await(t, "the last one is alone", func() bool { return db.roster(t) == 0 })
	stop[0]()
	all.Wait()
	db.Hooks.Set()
	var sum int64
	for p := range processes {
		sum += charged[p].Load()
	}
	l := db.ledger(t, ledger.Options{})
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 1_000_000-sum {
		t.Errorf("%d are left (%v) after %d were charged", w.Available, err, sum)
	}
	audit(t, l, "acme")
}

// TestARepeatIsAnsweredBesideTheBatch counts what a repeat costs: nothing while its entry is kept, then one read, as long as its id is known.
func TestARepeatIsAnsweredBesideTheBatch(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{RecentEntries: 2})
	fund(t, l, "acme", 100)
	for _, id := range []string{"a", "b", "c"} {
		if _, err := l.Do(t.Context(), "acme", debit(id, 1)); err != nil {
			t.Fatal(err)
		}
	}
	fresh := db.ledger(t, ledger.Options{})
	tests := []struct {
		name string
		do   func(context.Context, string, credit.Command) (ledger.Result, error)
		id   string
		want spent
	}{
		{"kept", l.Do, "c", spent{}},
		{"known", l.Do, "a", spent{rpcs: 1, reads: 1}},
		{"expected by another process", fresh.Redo, "b", spent{rpcs: 1, reads: 1}},
		// The commit fails, the entry is found, and the wallet, which that process had to read at first, is as it was.
		{"a surprise to another process", fresh.Do, "a", spent{rpcs: 3, reads: 3}},
	}
	for _, tt := range tests {
		got := db.cost(func() {
			if r, err := tt.do(t.Context(), "acme", debit(tt.id, 1)); err != nil || !r.Replayed {
				t.Errorf("%s: %+v, %v", tt.name, r, err)
			}
		})
		if got != tt.want {
			t.Errorf("%s: it cost %+v, want %+v", tt.name, got, tt.want)
		}
	}
	wantRefusal(t, l, debit("b", 2), credit.CodeConflict)
	var no *credit.Refusal
	if _, err := fresh.Redo(t.Context(), "acme", debit("b", 2)); !errors.As(err, &no) || no.Code() != credit.CodeConflict {
		t.Errorf("other content under an expected id: %v", err)
	}
	if r, err := fresh.Redo(t.Context(), "acme", debit("new", 1)); err != nil || r.Replayed {
		t.Errorf("an id that was expected, but is new: %+v, %v", r, err)
	}
	db.Hooks.Set(firedb.Rule{Method: "BatchGetDocuments", Fault: firedb.Fault{Code: codes.Unavailable}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var down *ledger.Unavailable
	if _, err := fresh.Redo(ctx, "acme", debit("lost", 1)); !errors.As(err, &down) {
		t.Errorf("a repeat that cannot be looked for: %v", err)
	}
}

// TestAFloodedWalletLeavesRoomForOthers fills one wallet's queue while the store is slow: what is too much is refused at once, and another
// organisation's command finds its place.
func TestAFloodedWalletLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	const room = 64
	db := openStore(t)
	l := db.ledger(t, ledger.Options{QueueItems: room, TotalItems: room, BatchItems: 1})
	for _, org := range []string{"acme", "other"} {
		fund(t, l, org, 1000)
	}
	db.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Delay: 100 * time.Millisecond}})
	var early, charged atomic.Int64
	var all sync.WaitGroup
	turnedAway := make(chan struct{}, 3*room)
	for i := range 3 * room {
		all.Go(func() {
			_, err := l.Do(t.Context(), "acme", debit(fmt.Sprint(i), 1))
			var down *ledger.Unavailable
			switch {
			case err == nil:
				charged.Add(1)
			case errors.As(err, &down) && down.RetryAfter() > 0:
				early.Add(1)
				turnedAway <- struct{}{}
			default:
				t.Error(err)
			}
		})
	}
	for range 2 * room { // they are turned away while the others still wait
		<-turnedAway
	}
	d := debit("mine", 1)
	d.Content.Org = "other"
	if _, err := l.Do(t.Context(), "other", d); err != nil {
		t.Errorf("another organisation: %v", err)
	}
	db.Hooks.Set()
	all.Wait()
	if n := charged.Load(); n < room/2 || n > room/2+8 || n+early.Load() != 3*room {
		t.Errorf("%d charged, %d turned away: half of the room is %d", n, early.Load(), room/2)
	}
	if err := errors.Join(l.Audit(t.Context(), "acme"), l.Audit(t.Context(), "other")); err != nil {
		t.Error(err)
	}
}

// closed tells whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

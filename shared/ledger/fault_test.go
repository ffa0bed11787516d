package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// storms are what goes wrong, one after the other, while callers go on.
func storms() [][]firedb.Rule {
	var out [][]firedb.Rule
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		out = append(out, []firedb.Rule{
			{Method: "Commit", Chance: 0.3, Fault: firedb.Fault{Code: code, After: true}},
			{Method: "Commit", Chance: 0.1, Fault: firedb.Fault{Code: codes.Unavailable}},
		})
	}
	return append(out,
		[]firedb.Rule{{Method: "Commit", Chance: 0.9, Fault: firedb.Fault{Code: codes.Aborted}}},
		[]firedb.Rule{{Method: "Commit", Chance: 0.7, Fault: firedb.Fault{Code: codes.Aborted, After: true}}},
		[]firedb.Rule{{Method: "BatchGetDocuments", Chance: 0.5, Fault: firedb.Fault{Code: codes.Unavailable}},
			{Method: "Commit", Chance: 0.5, Fault: firedb.Fault{Code: codes.DeadlineExceeded, After: true}}},
		[]firedb.Rule{{Fault: firedb.Fault{Code: codes.Unavailable}}},                             // an outage
		[]firedb.Rule{{Method: "Commit", Fault: firedb.Fault{Code: codes.Internal, After: true}}}, // every answer is lost
	)
}

// TestDebitsUnderFaultsAreAcknowledgedOnceEach lets callers repeat with the same id until they are told yes or no, through two ledgers at
// once, while answers are lost, races invented and the store gone for two seconds at a time.
func TestDebitsUnderFaultsAreAcknowledgedOnceEach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		debits  int
		limited bool
		code    string // of refusals
	}{
		{"on a wallet that runs dry", 10_000, false, credit.CodeInsufficient},
		{"on a limit that fills", 4000, true, credit.CodeLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			underFaults(t, tt.debits, tt.limited, tt.code)
		})
	}
}

func underFaults(t *testing.T, debits int, limited bool, code string) {
	t.Helper()
	const callers = 64
	credits := int64(debits) * 49 / 10 // 1–9 credits each: a little more are wanted
	db := openStore(t)
	ledgers := []*ledger.Ledger{db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})}
	if limited {
		fund(t, ledgers[0], "acme", 2*credits)
		do(t, ledgers[0], limits(map[credit.Subject]int64{company: 2 * credits, sales: credits, {}: credits}))
	} else {
		fund(t, ledgers[0], "acme", credits)
	}

	var charged, refused, repeats atomic.Int64
	var refusedIDs sync.Map
	var next atomic.Int64
	done := make(chan struct{})
	weather := make(chan struct{})
	go func() {
		defer close(weather)
		defer db.Hooks.Set()
		for i, rules := range storms() {
			db.Hooks.Set(rules...)
			if rules[0].Method == "" { // nothing gets through
				time.Sleep(2 * time.Second)
				db.Hooks.Set()
			}
			for int(next.Load()) < (i+1)*debits/len(storms()) {
				select {
				case <-time.After(time.Millisecond):
				case <-done:
					return
				}
			}
		}
	}()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(debits) {
					return
				}
				d := by("sales", fmt.Sprint("u", n%50), debit(fmt.Sprintf("event/%d", n), n%9+1))
				for try := 0; ; try++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := ledgers[(c+try)%2].Do(ctx, "acme", d)
					cancel()
					var no *credit.Refusal
					var unknown *ledger.Unavailable
					switch {
					case err == nil:
						charged.Add(d.Credits)
					case errors.As(err, &no) && no.Code() == code:
						refused.Add(1)
						refusedIDs.Store(d.EventID, true)
					case errors.As(err, &unknown):
						repeats.Add(1)
						continue
					default:
						t.Errorf("%s: %v", d.EventID, err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	close(done)
	<-weather

	w, err := ledgers[0].View(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	left := w.Available
	if limited {
		left -= credits
		if got := used(t, db, sales); got != charged.Load() {
			t.Errorf("the team's counter is %d; %d were acknowledged as charged", got, charged.Load())
		}
	}
	if left != credits-charged.Load() {
		t.Errorf("%d credits are left; %d of %d were acknowledged as charged", left, charged.Load(), credits)
	}
	if refused.Load() == 0 || left < 0 || left > 8 {
		t.Errorf("%d refusals, %d credits left: none were meant to be", refused.Load(), left)
	}
	refusedIDs.Range(func(id, _ any) bool {
		if _, err := ledgers[0].Entry(t.Context(), "acme", credit.CallerKey(id.(string))); err == nil {
			t.Errorf("%v was refused, and yet charged", id)
		}
		return true
	})
	audit(t, ledgers[0], "acme")
	var rolledUp int64
	for _, v := range db.document(t, "wallets/acme/usage/2026-03-01-0").Fields["cells"].GetMapValue().GetFields() {
		rolledUp += v.GetIntegerValue()
	}
	if rolledUp != charged.Load() {
		t.Errorf("the roll-up has %d credits, want %d", rolledUp, charged.Load())
	}
	t.Logf("%d credits charged, %d debits refused, %d answers unknown and repeated", charged.Load(), refused.Load(), repeats.Load())
}

// lateCommits keeps chosen commits from the store until they are let go, while their sender is told that time ran out.
type lateCommits struct {
	mu    sync.Mutex
	catch bool
	kept  []*pb.CommitRequest
}

func (c *lateCommits) intercept(_ context.Context, method string, req any) error {
	commit, ok := req.(*pb.CommitRequest)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok || !c.catch || method != pb.Firestore_Commit_FullMethodName {
		return nil
	}
	if !slices.ContainsFunc(c.kept, func(k *pb.CommitRequest) bool { return proto.Equal(k, commit) }) {
		c.kept = append(c.kept, commit)
	}
	return status.Error(codes.DeadlineExceeded, "kept back")
}

func (c *lateCommits) set(catch bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catch = catch
}

// land lets the commits that were kept back arrive at last, and tells how many took effect.
func (c *lateCommits) land(t *testing.T, db *testStore) (applied int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == 0 {
		t.Fatal("no commit was kept back")
	}
	for _, k := range c.kept {
		if _, err := db.Raw.Commit(t.Context(), k); err == nil {
			applied++
		}
	}
	c.kept = nil
	return applied
}

func TestACommitThatLandsLate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// meanwhile happens between the time-out and the late landing.
		meanwhile   func(t *testing.T, l, other *ledger.Ledger, c *clock)
		wantApplied int
		wantRepeat  string // what a repeat of the debit then gets: "" for its first result again, or a refusal's code
		wantLeft    int64
	}{
		{
			name:        "is the repeat's first result",
			meanwhile:   func(*testing.T, *ledger.Ledger, *ledger.Ledger, *clock) {},
			wantApplied: 1, wantLeft: 0,
		},
		{
			name: "cannot land once another debit of the same process has been refused",
			meanwhile: func(t *testing.T, l, _ *ledger.Ledger, _ *clock) {
				t.Helper()
				wantRefusal(t, l, debit("too much", 101), credit.CodeInsufficient)
			},
			wantApplied: 0, wantLeft: 0,
		},
		{
			name: "cannot land once a debit has been refused after others' wallets were served",
			meanwhile: func(t *testing.T, l, _ *ledger.Ledger, _ *clock) {
				t.Helper()
				for i := range 5 {
					configure(t, l, fmt.Sprint("other-", i))
				}
				wantRefusal(t, l, debit("too much", 101), credit.CodeInsufficient)
			},
			wantApplied: 0, wantLeft: 0,
		},
		{
			name: "cannot land once the repeat was refused because the credits expired meanwhile",
			meanwhile: func(t *testing.T, l, _ *ledger.Ledger, c *clock) {
				t.Helper()
				c.Advance(48 * time.Hour)
				wantRefusal(t, l, debit("late", 100), credit.CodeInsufficient)
			},
			wantApplied: 0, wantRepeat: credit.CodeInsufficient, wantLeft: 0,
		},
		{
			name: "cannot land once another process has committed",
			meanwhile: func(t *testing.T, _, other *ledger.Ledger, _ *clock) {
				t.Helper()
				if _, err := other.Do(t.Context(), "acme", debit("first", 60)); err != nil {
					t.Fatal(err)
				}
			},
			wantApplied: 0, wantRepeat: credit.CodeInsufficient, wantLeft: 40,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := openStore(t)
			late := &lateCommits{}
			l := db.ledgerThrough(t, ledger.Options{Deadline: time.Second, CachedWallets: 1}, late.intercept)
			other := db.ledger(t, ledger.Options{})
			configure(t, other, "acme")
			if _, err := other.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("grant", "in_1", "1"), Terms: credit.Terms{
				Source: credit.Subscription, Granted: 100, EffectiveAt: db.clock.Now(),
				ExpiresAt: db.clock.Now().Add(24 * time.Hour), UsableUntil: db.clock.Now().Add(26 * time.Hour),
			}}); err != nil {
				t.Fatal(err)
			}
			late.set(true)
			var unknown *ledger.Unavailable
			if _, err := l.Do(t.Context(), "acme", debit("late", 100)); !errors.As(err, &unknown) {
				t.Fatalf("a debit whose commit timed out: %v", err)
			}
			late.set(false)
			time.Sleep(100 * time.Millisecond) // the actor has given up
			tt.meanwhile(t, l, other, db.clock)
			if applied := late.land(t, db); applied != tt.wantApplied {
				t.Errorf("%d late commits took effect, want %d", applied, tt.wantApplied)
			}
			switch r, err := l.Do(t.Context(), "acme", debit("late", 100)); {
			case tt.wantRepeat != "":
				wantRefusal(t, l, debit("late", 100), tt.wantRepeat)
			case err != nil:
				t.Errorf("the repeat: %v", err)
			case r.Replayed != (tt.wantApplied == 1):
				t.Errorf("the repeat is replayed: %v", r.Replayed)
			}
			w, err := l.View(t.Context(), "acme")
			if err != nil || w.Available != tt.wantLeft {
				t.Errorf("%d credits are left (%v), want %d", w.Available, err, tt.wantLeft)
			}
			if err := other.Audit(t.Context(), "acme"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestADebitThatAnotherProcessRefusedCannotLand lets a purchase and a debit of what it brings meet in a process whose commit is unclear. The
// debit's caller turns to another process, for whom there is no purchase.
func TestADebitThatAnotherProcessRefusedCannotLand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		limit   int64
		credits int64
		first   credit.Command
		code    string
	}{
		{"that a purchase would pay for", 1000, 0, credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 100}}, credit.CodeInsufficient},
		{"that a raised limit would let pass", 100, 1000, limits(map[credit.Subject]int64{sales: 101}), credit.CodeLimit},
		{"that a reversal would make room for", 100, 1000, credit.Reverse{EventID: "r", Debit: "before"}, credit.CodeLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := openStore(t)
			late := &lateCommits{}
			l, other := db.ledgerThrough(t, ledger.Options{Deadline: time.Second}, late.intercept), db.ledger(t, ledger.Options{})
			configure(t, other, "acme")
			if tt.credits > 0 {
				purchase(t, other, "acme", "pi_0", tt.credits)
				do(t, other, by("sales", "", debit("before", 1)))
			}
			do(t, other, limits(map[credit.Subject]int64{sales: tt.limit}))
			d := by("sales", "", debit("d", 100))
			late.set(true)
			db.Hooks.Set(firedb.Rule{Method: "BatchGetDocuments", Count: 1, Fault: firedb.Fault{Delay: 200 * time.Millisecond}})
			var wg sync.WaitGroup
			for _, c := range []credit.Command{nil, tt.first, d} { // the first settles: its read holds up the wallet, so that the others meet
				wg.Go(func() {
					if c == nil {
						_ = l.Settle(t.Context(), "acme") // its outcome is of no matter
						return
					}
					var unknown *ledger.Unavailable
					if _, err := l.Do(t.Context(), "acme", c); !errors.As(err, &unknown) {
						t.Errorf("%+v: %v", c, err)
					}
				})
				time.Sleep(20 * time.Millisecond)
			}
			wg.Wait()
			wantRefusal(t, other, d, tt.code)
			late.set(false)
			late.land(t, db)
			if _, err := other.Entry(t.Context(), "acme", credit.CallerKey("d")); err == nil {
				t.Error("refused, and yet charged")
			}
			audit(t, other, "acme")
		})
	}
}

func wantRefusal(t *testing.T, l *ledger.Ledger, c credit.Command, code string) {
	t.Helper()
	var no *credit.Refusal
	if _, err := l.Do(t.Context(), "acme", c); !errors.As(err, &no) || no.Code() != code {
		t.Errorf("%+v: %v, want %s", c, err, code)
	}
}

// TestACommitWhoseAnswerIsLostIsAnsweredAsTheFirst: to its caller it is no repetition, and what it tells goes out at once.
func TestACommitWhoseAnswerIsLostIsAnsweredAsTheFirst(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	p := &published{}
	l := db.ledger(t, ledger.Options{Publish: p})
	fund(t, l, "acme", 150)
	if _, err := l.Do(t.Context(), "acme", credit.Configure{LowBalance: &credit.Threshold{On: true, Credits: 100}}); err != nil {
		t.Fatal(err)
	}
	for i, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Aborted} {
		db.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: code, After: true}})
		told := len(p.ids)
		r, err := l.Do(t.Context(), "acme", debit(code.String(), 20))
		if err != nil || r.Replayed || r.Entry == nil || r.After.Available != int64(130-20*i) {
			t.Errorf("%v: %+v, %v", code, r, err)
		}
		if i == 2 && len(p.ids) != told+1 { // 90 are left
			t.Errorf("%v: told %q", code, p.ids[told:])
		}
		db.Hooks.Set()
	}
}

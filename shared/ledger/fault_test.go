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
	const callers, debits, credits = 64, 10_000, 49_000 // 1–9 credits each: about 50,000 are wanted
	db := openStore(t)
	ledgers := []*ledger.Ledger{db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})}
	fund(t, ledgers[0], "acme", credits)

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
				if n > debits {
					return
				}
				d := debit(fmt.Sprintf("event/%d", n), n%9+1)
				for try := 0; ; try++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := ledgers[(c+try)%2].Do(ctx, "acme", d)
					cancel()
					var no *credit.Refusal
					var unknown *ledger.Unavailable
					switch {
					case err == nil:
						charged.Add(d.Credits)
					case errors.As(err, &no) && no.Code() == credit.CodeInsufficient:
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
	if w.Available != credits-charged.Load() {
		t.Errorf("%d credits are left; %d of %d were acknowledged as charged", w.Available, charged.Load(), int64(credits))
	}
	if refused.Load() == 0 || w.Available > 8 {
		t.Errorf("%d refusals, %d credits left: the wallet was meant to run dry", refused.Load(), w.Available)
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
	db := openStore(t)
	late := &lateCommits{}
	l, other := db.ledgerThrough(t, ledger.Options{Deadline: time.Second}, late.intercept), db.ledger(t, ledger.Options{})
	configure(t, other, "acme")
	late.set(true)
	db.Hooks.Set(firedb.Rule{Method: "BatchGetDocuments", Count: 1, Fault: firedb.Fault{Delay: 200 * time.Millisecond}})
	var wg sync.WaitGroup
	for _, c := range []credit.Command{
		nil, // settles: its read holds up the wallet, so that the others meet
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 100}},
		debit("d", 100),
	} {
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
	wantRefusal(t, other, debit("d", 100), credit.CodeInsufficient)
	late.set(false)
	late.land(t, db)
	if _, err := other.Entry(t.Context(), "acme", credit.CallerKey("d")); err == nil {
		t.Error("refused, and yet charged")
	}
	audit(t, other, "acme")
}

func wantRefusal(t *testing.T, l *ledger.Ledger, c credit.Command, code string) {
	t.Helper()
	var no *credit.Refusal
	if _, err := l.Do(t.Context(), "acme", c); !errors.As(err, &no) || no.Code() != code {
		t.Errorf("%+v: %v, want %s", c, err, code)
	}
}

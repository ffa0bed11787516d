package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
)

func TestParallelDebitsNeverOverspend(t *testing.T) {
	t.Parallel()
	onEach(t, testParallelDebits)
}

func testParallelDebits(t *testing.T, db *testStore) {
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1000)
	var passed, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, err := l.Do(t.Context(), "acme", debit(fmt.Sprint("event ", i), 20))
			var no *credit.Refusal
			switch {
			case err == nil:
				passed.Add(1)
			case errors.As(err, &no) && no.Code() == credit.CodeInsufficient:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 50 || refused.Load() != 50 {
		t.Errorf("%d passed and %d were refused, want 50 and 50", passed.Load(), refused.Load())
	}
	audit(t, l, "acme")
}

func TestTheSameIDOverManyCallersIsOneDebit(t *testing.T) {
	t.Parallel()
	onEach(t, testTheSameID)
}

func testTheSameID(t *testing.T, db *testStore) {
	ledgers := []*ledger.Ledger{db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})}
	fund(t, ledgers[0], "acme", 1000)
	var replayed atomic.Int64
	var seqs sync.Map
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r, err := ledgers[i%2].Do(t.Context(), "acme", debit("one", 20))
			if err != nil {
				t.Error(err)
				return
			}
			if r.Replayed {
				replayed.Add(1)
			}
			seqs.Store(r.Entry.Seq, true)
			if r.After.Available != 980 {
				t.Errorf("an answer states %d available", r.After.Available)
			}
		})
	}
	wg.Wait()
	n := 0
	seqs.Range(func(any, any) bool { n++; return true })
	if replayed.Load() != 19 || n != 1 {
		t.Errorf("%d replays of %d entries, want 19 of 1", replayed.Load(), n)
	}
	wantRefusal(t, ledgers[0], debit("one", 21), credit.CodeConflict)
	wantRefusal(t, ledgers[1], debit("one", 21), credit.CodeConflict)
	audit(t, ledgers[0], "acme")
}

func TestARefusedIDMaySucceedLater(t *testing.T) {
	t.Parallel()
	l := openStore(t).ledger(t, ledger.Options{})
	fund(t, l, "acme", 10)
	wantRefusal(t, l, debit("big", 20), credit.CodeInsufficient)
	purchase(t, l, "acme", "pi_2", 10)
	if r, err := l.Do(t.Context(), "acme", debit("big", 20)); err != nil || r.Replayed {
		t.Errorf("after buying more: %+v, %v", r, err)
	}
}

func TestACallersIDNeverTakesASystemKeysPlace(t *testing.T) {
	t.Parallel()
	l := openStore(t).ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	for _, id := range []string{"grant:pi_9", "../../wallets/other", "a/b", "__x__", ".", "c_" + "0", "é\u2028"} {
		if _, err := l.Do(t.Context(), "acme", debit(id, 1)); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	purchase(t, l, "acme", "pi_9", 100)
	w, err := l.View(t.Context(), "acme")
	if err != nil || w.Available != 193 {
		t.Errorf("%d are available (%v), want 193", w.Available, err)
	}
	audit(t, l, "acme")
}

func TestNothingHappensToAnOrganisationThatDoesNotExist(t *testing.T) {
	t.Parallel()
	l := openStore(t).ledger(t, ledger.Options{})
	wantRefusal(t, l, debit("x", 1), credit.CodeUnknownOrg)
	if err := l.Settle(t.Context(), "acme"); err == nil {
		t.Error("settled a wallet that does not exist")
	}
	var no *credit.Refusal
	if _, err := l.Do(t.Context(), "Not/An/Org", debit("x", 1)); !errors.As(err, &no) || no.Code() != credit.CodeInvalid {
		t.Errorf("a malformed id: %v", err)
	}
}

func TestACallerWhoHasGoneIsNotCharged(t *testing.T) {
	t.Parallel()
	l := openStore(t).ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Do(ctx, "acme", debit("gone", 10)); err == nil {
		t.Error("a caller who had gone was answered")
	}
	if err := l.Settle(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 100 {
		t.Errorf("%d are left (%v), want 100", w.Available, err)
	}
}

func TestExpiryIsJournaledBeforeTheNextCommand(t *testing.T) {
	t.Parallel()
	onEach(t, testExpiry)
}

func testExpiry(t *testing.T, db *testStore) {
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 300)
	start := db.clock.Now()
	subscribe(t, l, "in_1", 500, start, start.Add(30*24*time.Hour))
	if _, err := l.Do(t.Context(), "acme", debit("spent", 200)); err != nil {
		t.Fatal(err)
	}
	db.clock.Advance(31 * 24 * time.Hour)
	due, err := l.DueWallets(t.Context(), db.clock.Now(), ledger.Due{}, 10)
	if err != nil || len(due) != 1 || due[0].Org != "acme" {
		t.Errorf("due are %v (%v)", due, err)
	}
	wantRefusal(t, l, debit("too much", 301), credit.CodeInsufficient)
	var wg sync.WaitGroup
	for range 2 { // the job, twice at once
		wg.Go(func() {
			if err := l.Settle(t.Context(), "acme"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	es, err := l.Entries(t.Context(), "acme", time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	expiries := 0
	for _, e := range es {
		if e.Kind == credit.KindExpiry {
			expiries++
			if want := start.Add(30*24*time.Hour + 2*time.Hour); !e.At.Equal(want) || e.Credits != 300 {
				t.Errorf("%d credits expired at %v, want 300 at %v", e.Credits, e.At, want)
			}
		}
	}
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 300 || expiries != 1 {
		t.Errorf("%d are left after %d expiries (%v), want 300 after 1", w.Available, expiries, err)
	}
	if f, ok, err := l.At(t.Context(), "acme", start.Add(29*24*time.Hour)); err != nil || !ok || f.Available != 600 {
		t.Errorf("the balance before the expiry was %+v, %v, %v, want 600", f, ok, err)
	}
	if due, err := l.DueWallets(t.Context(), db.clock.Now(), ledger.Due{}, 10); err != nil || len(due) != 0 {
		t.Errorf("still due: %v (%v)", due, err)
	}
	audit(t, l, "acme")
}

func TestAReversalGivesBackOnceAndPartByPart(t *testing.T) {
	t.Parallel()
	onEach(t, testReversals)
}

func testReversals(t *testing.T, db *testStore) {
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	if _, err := l.Do(t.Context(), "acme", debit("work", 60)); err != nil {
		t.Fatal(err)
	}
	reverse := func(id string, n int64) credit.Reverse {
		return credit.Reverse{EventID: id, Debit: "work", Credits: n, Content: credit.Content{Kind: credit.KindReversal, Subject: "work", Credits: &n}}
	}
	var wg sync.WaitGroup
	for i := range 10 { // three of 20 fit, the others find nothing left; two ids twice
		wg.Go(func() {
			_, err := l.Do(t.Context(), "acme", reverse(fmt.Sprint("undo ", i%8), 20))
			var no *credit.Refusal
			if err != nil && !errors.As(err, &no) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 100 {
		t.Errorf("%d are available (%v), want 100", w.Available, err)
	}
	wantRefusal(t, l, reverse("once more", 1), credit.CodeInvalid)
	wantRefusal(t, l, credit.Reverse{EventID: "none", Debit: "no such"}, credit.CodeNotFound)
	audit(t, l, "acme")
}

func TestTwoProcessesShareAWallet(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	var ledgers []*ledger.Ledger
	for range 4 {
		ledgers = append(ledgers, db.ledger(t, ledger.Options{}))
	}
	fund(t, ledgers[0], "acme", 1000)
	var wg sync.WaitGroup
	for p, l := range ledgers {
		for c := range 8 {
			wg.Go(func() {
				for i := range 10 {
					if _, err := l.Do(t.Context(), "acme", debit(fmt.Sprint(p, c, i), 3)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if w, err := ledgers[0].View(t.Context(), "acme"); err != nil || w.Available != 1000-4*8*10*3 {
		t.Errorf("%d are left (%v), want %d", w.Available, err, 1000-4*8*10*3)
	}
	audit(t, ledgers[0], "acme")
}

func TestANewerDocumentIsLeftToANewerRelease(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	fund(t, db.ledger(t, ledger.Options{}), "acme", 100)
	name := db.DocumentName("wallets/acme")
	newer := db.document(t, "wallets/acme")
	newer.Fields["v"] = &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: 99}}
	if _, err := db.Raw.Commit(t.Context(), &pb.CommitRequest{Database: db.Database(), Writes: []*pb.Write{
		{Operation: &pb.Write_Update{Update: &pb.Document{Name: name, Fields: newer.Fields}}},
	}}); err != nil {
		t.Fatal(err)
	}
	before := db.document(t, "wallets/acme")
	l := db.ledger(t, ledger.Options{})
	var down *ledger.Unavailable
	if _, err := l.Do(t.Context(), "acme", debit("x", 1)); !errors.As(err, &down) {
		t.Errorf("a debit on a newer wallet: %v", err)
	}
	if !proto.Equal(before, db.document(t, "wallets/acme")) {
		t.Error("a newer wallet was written")
	}
}

// published keeps what it is told, and may fail.
type published struct {
	mu   sync.Mutex
	ids  []string
	fail bool
}

func (p *published) Publish(_ context.Context, ms []events.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail {
		return errors.New("no connection")
	}
	for _, m := range ms {
		p.ids = append(p.ids, m.Topic+" "+m.ID)
	}
	return nil
}

func TestEventsAreTold(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	p := &published{}
	l := db.ledger(t, ledger.Options{Publish: p})
	fund(t, l, "acme", 150)
	if _, err := l.Do(t.Context(), "acme", credit.Configure{LowBalance: &credit.Threshold{On: true, Credits: 100}}); err != nil {
		t.Fatal(err)
	}
	for i, step := range []int64{-60, -10, 40, -25} { // 150 → 90 → 80 → 120 → 95: two alerts
		if step > 0 {
			purchase(t, l, "acme", fmt.Sprint("pi", i), step)
		} else if _, err := l.Do(t.Context(), "acme", debit(fmt.Sprint(i), -step)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"credit-events granted:acme:1", "credit-alerts low:acme:1", "credit-events granted:acme:4", "credit-alerts low:acme:2"}
	if fmt.Sprint(p.ids) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", p.ids, want)
	}
	p.fail = true
	purchase(t, l, "acme", "pi_silent", 500)
	p.fail = false
	swept, err := l.Sweep(t.Context(), db.clock.Now().Add(time.Second), 100)
	if err != nil || swept.Sent != 1 || p.ids[len(p.ids)-1] != "credit-events granted:acme:6" {
		t.Errorf("swept %+v (%v), told %q", swept, err, p.ids)
	}
	if swept, err := l.Sweep(t.Context(), db.clock.Now().Add(time.Second), 100); err != nil || swept.Sent != 0 {
		t.Errorf("swept %+v again (%v)", swept, err)
	}
}

func subscribe(t *testing.T, l *ledger.Ledger, invoice string, credits int64, start, end time.Time) {
	t.Helper()
	if _, err := l.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("grant", invoice, "1"), Terms: credit.Terms{
		Source: credit.Subscription, Granted: credits, EffectiveAt: start, ExpiresAt: end, UsableUntil: end.Add(2 * time.Hour), Item: "si_1", Payment: invoice,
	}}); err != nil {
		t.Fatal(err)
	}
}

func audit(t *testing.T, l *ledger.Ledger, org string) {
	t.Helper()
	if err := l.Audit(t.Context(), org); err != nil {
		t.Errorf("audit: %v", err)
	}
}

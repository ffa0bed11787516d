package ledger_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// balance reads a balance and checks what holds for every one.
func balance(t testing.TB, l *ledger.Ledger, org string) ledger.Balance {
	t.Helper()
	b, err := l.Balance(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, credits := range b.BySource {
		sum += credits
	}
	if b.Itemised && sum != b.Available {
		t.Errorf("the sources sum to %d, available are %d", sum, b.Available)
	}
	for i := 1; i < len(b.Expiring); i++ {
		if !b.Expiring[i-1].At.Before(b.Expiring[i].At) {
			t.Errorf("expiring %d and %d are not in order", i-1, i)
		}
	}
	return b
}

func TestABalanceTellsSourcesAndEnds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		l := db.ledger(t, ledger.Options{})
		fund(t, l, "acme", 300)
		soon, later := db.clock.Now().Add(24*time.Hour), db.clock.Now().Add(48*time.Hour)
		for i, end := range []time.Time{later, soon, later} {
			if _, err := l.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("promotion", "P", fmt.Sprint(i)), Terms: credit.Terms{
				Source: credit.Promotion, Granted: 10, ExpiresAt: end, UsableUntil: end,
			}}); err != nil {
				t.Fatal(err)
			}
		}
		want := ledger.Balance{
			Figures: credit.Figures{Available: 330}, AsOf: db.clock.Now(), Itemised: true,
			BySource: map[credit.Source]int64{credit.Purchase: 300, credit.Promotion: 30},
			Expiring: []ledger.Expiring{{At: soon, Credits: 10}, {At: later, Credits: 20}},
		}
		db.clock.Advance(time.Second)
		want.AsOf = db.clock.Now()
		if diff := cmp.Diff(want, balance(t, l, "acme")); diff != "" {
			t.Error(diff)
		}
		// What the clock has decided counts, though nothing has journaled it.
		db.clock.Advance(24 * time.Hour)
		want.AsOf, want.Available, want.Expiring = db.clock.Now(), 320, want.Expiring[1:]
		want.BySource[credit.Promotion] = 20
		if diff := cmp.Diff(want, balance(t, l, "acme")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFrozenCreditsAreToldApart(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 300)
	purchase(t, l, "acme", "pi_2", 50)
	for _, c := range []credit.Command{
		credit.FreezeGrant{Grant: credit.GrantID(credit.SystemKey("grant", "pi_2")), Frozen: true}, credit.FreezeWallet{Frozen: true},
	} {
		if _, err := l.Do(t.Context(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
	b := balance(t, l, "acme")
	if b.Available != 300 || b.Frozen != 50 || !b.WalletFrozen || b.BySource[credit.Purchase] != 300 {
		t.Errorf("%+v", b)
	}
}

// TestABalanceCountsGrantsBeyondTheWalletDocument has grants that begin to wait, that are due, and that are drawn on meanwhile.
func TestABalanceCountsGrantsBeyondTheWalletDocument(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		grants     int
		reads      int64 // at most: the wallet, and each waiting grant
		unitemised bool
	}{
		{grants: 5, reads: 1}, {grants: 256, reads: 1}, {grants: 300, reads: 1 + 44}, {grants: 1500, reads: 1 + 1244 + 1}, {grants: 5300, reads: 1, unitemised: true},
	} {
		t.Run(fmt.Sprint(c.grants), func(t *testing.T) {
			t.Parallel()
			db := openStore(t)
			l := db.ledger(t, ledger.Options{})
			configure(t, l, "acme")
			promote(t, l, db.clock, c.grants)
			if err := l.Settle(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			var b ledger.Balance
			cost := db.cost(func() { b = balance(t, l, "acme") })
			if b.Itemised == c.unitemised || b.Available != int64(c.grants)*100 {
				t.Errorf("%d available of %d grants, itemised: %t", b.Available, c.grants, b.Itemised)
			}
			if cost.reads > c.reads || cost.writes != 0 {
				t.Errorf("it cost %+v, want %d reads and no writes", cost, c.reads)
			}
			if c.unitemised {
				return
			}
			if want := min(c.grants, 100); len(b.Expiring) != want {
				t.Errorf("%d ends are told, want %d", len(b.Expiring), want)
			}
			db.clock.Advance(3 * time.Hour) // three are due
			if b := balance(t, l, "acme"); b.Available != int64(c.grants-3)*100 {
				t.Errorf("%d available after three ends of %d grants", b.Available, c.grants)
			}
		})
	}
}

// TestABalanceIsNeverMadeOfTwoMoments adds a grant between the reads that a balance is made of: once, and then every time.
func TestABalanceIsNeverMadeOfTwoMoments(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	writer := db.ledger(t, ledger.Options{})
	configure(t, writer, "acme")
	promote(t, writer, db.clock, 300)
	var n int64
	between := firedb.Rule{Method: "RunQuery", Fault: firedb.Fault{DelayFunc: func() time.Duration {
		n++
		end := db.clock.Now().Add(900 * time.Hour)
		if _, err := writer.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("promotion", "L", fmt.Sprint(n)), Terms: credit.Terms{
			Source: credit.Promotion, Granted: 100, Priority: 9, EffectiveAt: db.clock.Now(), ExpiresAt: end, UsableUntil: end,
		}}); err != nil {
			t.Error(err)
		}
		return 0
	}}}
	reader := db.ledger(t, ledger.Options{})
	between.Count = 1
	db.Hooks.Set(between)
	if b := balance(t, reader, "acme"); b.Available != 30_100 || n != 1 {
		t.Errorf("%d available after %d grants more", b.Available, n)
	}
	between.Count = 0
	db.Hooks.Set(between)
	var out *ledger.Unavailable
	if b, err := reader.Balance(t.Context(), "acme"); !errors.As(err, &out) {
		t.Errorf("%+v, %v; want unavailable", b, err)
	}
	db.Hooks.Set()
	if b := balance(t, reader, "acme"); b.Available != 30_000+n*100 {
		t.Errorf("%d available after %d grants more", b.Available, n)
	}
}

// TestABalanceCountsWhatTheClockDecidedBeyondTheWalletDocument lets grants start and end that the wallet document does not hold.
func TestABalanceCountsWhatTheClockDecidedBeyondTheWalletDocument(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	configure(t, l, "acme")
	promote(t, l, db.clock, 300)
	begin := db.clock.Now()
	last := func(key string, source credit.Source, credits int64, start, end time.Duration) {
		t.Helper()
		if _, err := l.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("promotion", key), Terms: credit.Terms{
			Source: source, Granted: credits, Priority: 9, EffectiveAt: begin.Add(start), ExpiresAt: begin.Add(end), UsableUntil: begin.Add(end),
		}}); err != nil {
			t.Fatal(err)
		}
	}
	last("ends", credit.Referral, 7, 0, 30*time.Minute)
	last("stays", credit.Referral, 11, 0, 900*time.Hour)
	last("starts", credit.Adjustment, 13, 20*time.Minute, 900*time.Hour)
	last("starts later", credit.Adjustment, 17, 45*time.Minute, 900*time.Hour)
	for _, c := range []struct {
		at                   time.Duration
		referral, adjustment int64
	}{{time.Minute, 18, 0}, {25 * time.Minute, 18, 13}, {35 * time.Minute, 11, 13}, {50 * time.Minute, 11, 30}} {
		db.clock.micros.Store(begin.Add(c.at).UnixMicro())
		b := balance(t, l, "acme")
		if b.BySource[credit.Referral] != c.referral || b.BySource[credit.Adjustment] != c.adjustment || b.BySource[credit.Promotion] != 30_000 {
			t.Errorf("after %v: %v", c.at, b.BySource)
		}
		soonest := time.Hour // the first of the 300
		if c.at < 30*time.Minute {
			soonest = 30 * time.Minute
		}
		if got := b.Expiring[0].At; !got.Equal(begin.Add(soonest)) {
			t.Errorf("after %v: the soonest end is %v", c.at, got)
		}
	}
	if err := l.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestABalanceAtAnEntrysTimeIsItsRunningFigures(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		l := db.ledger(t, ledger.Options{})
		begin := db.clock.Now()
		db.clock.Advance(time.Hour)
		fund(t, l, "acme", 300)
		end := db.clock.Now().Add(10 * time.Hour)
		if _, err := l.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("promotion", "P", "1"), Terms: credit.Terms{
			Source: credit.Promotion, Granted: 70, ExpiresAt: end, UsableUntil: end,
		}}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			db.clock.Advance(time.Hour)
			if _, err := l.Do(t.Context(), "acme", debit(fmt.Sprint("d", i), 10)); err != nil {
				t.Fatal(err)
			}
		}
		db.clock.Advance(10 * time.Hour) // the promotion has ended; nobody has journaled it
		at := func(at time.Time) credit.Figures {
			t.Helper()
			b, err := l.BalanceAt(t.Context(), "acme", at)
			if err != nil {
				t.Fatal(err)
			}
			if !b.AsOf.Equal(at) || b.Itemised {
				t.Errorf("%+v, asked for %v", b, at)
			}
			return b.Figures
		}
		for pass := range 2 {
			if got := at(end.Add(-time.Microsecond)); got.Available != 320 {
				t.Errorf("pass %d: %d before the end, want 320", pass, got.Available)
			}
			if got := at(end); got.Available != 300 {
				t.Errorf("pass %d: %d at the end, want 300", pass, got.Available)
			}
			if err := l.Settle(t.Context(), "acme"); err != nil { // the second pass finds it journaled
				t.Fatal(err)
			}
		}
		entries, err := l.Entries(t.Context(), "acme", time.Time{}, 100)
		if err != nil || len(entries) != 8 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for i, e := range entries {
			if got := at(e.At); got != e.After {
				t.Errorf("at entry %d: %+v, its figures are %+v", e.Seq, got, e.After)
			}
			before := credit.Figures{}
			if i+1 < len(entries) {
				before = entries[i+1].After
			}
			if got := at(e.At.Add(-time.Microsecond)); got != before {
				t.Errorf("just before entry %d: %+v, want %+v", e.Seq, got, before)
			}
		}
		if got := at(begin); got != (credit.Figures{}) {
			t.Errorf("before the first entry: %+v", got)
		}
		now := balance(t, l, "acme")
		db.clock.Advance(time.Hour)
		if got := at(now.AsOf); got != now.Figures {
			t.Errorf("asked for again: %+v, was %+v", got, now.Figures)
		}
		var no *credit.Refusal
		if _, err := l.BalanceAt(t.Context(), "acme", db.clock.Now().Add(time.Microsecond)); !errors.As(err, &no) || no.Code() != credit.CodeInvalid {
			t.Errorf("the future: %v", err)
		}
	})
}

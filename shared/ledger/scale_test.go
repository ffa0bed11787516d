package ledger_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// spent is what a number of commands cost the store.
type spent struct {
	rpcs, reads, writes int64
}

func (s *testStore) cost(do func()) spent {
	s.Hooks.Reset()
	do()
	c := s.Hooks.Counts()
	var out spent
	for _, n := range c.RPCs {
		out.rpcs += n
	}
	out.reads, out.writes = c.Reads, c.Writes+c.Deletes
	return out
}

// promote gives an organisation n small grants that end one after the other.
func promote(t testing.TB, l *ledger.Ledger, c *clock, n int) {
	t.Helper()
	var wg sync.WaitGroup
	gate := make(chan struct{}, 256)
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			end := c.Now().Add(time.Duration(i+1) * time.Hour)
			if _, err := l.Do(t.Context(), "acme", credit.NewGrant{Key: credit.SystemKey("promotion", "MANY", fmt.Sprint(i)), Terms: credit.Terms{
				Source: credit.Promotion, Granted: 100, EffectiveAt: c.Now(), ExpiresAt: end, UsableUntil: end, Campaign: "MANY",
			}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestAWalletOfManyGrantsCostsWhatOneOfAFewDoes runs the same commands on wallets of 5 and of 5,000 grants and counts.
func TestAWalletOfManyGrantsCostsWhatOneOfAFewDoes(t *testing.T) {
	t.Parallel()
	costs := map[int]spent{}
	for _, grants := range []int{5, 5000} {
		db := openStore(t)
		l := db.ledger(t, ledger.Options{})
		configure(t, l, "acme")
		promote(t, l, db.clock, grants)
		if err := l.Settle(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if size := proto.Size(db.document(t, "wallets/acme")); size >= 200<<10 {
			t.Errorf("the wallet document of %d grants has %d bytes", grants, size)
		}
		costs[grants] = db.cost(func() {
			for i := range 100 {
				if _, err := l.Do(t.Context(), "acme", debit(fmt.Sprint("d", i), 1)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 10 {
				purchase(t, l, "acme", fmt.Sprint("p", i), 10)
			}
			for range 3 { // an expiry each
				db.clock.Advance(time.Hour)
				if err := l.Settle(t.Context(), "acme"); err != nil {
					t.Fatal(err)
				}
			}
		})
		audit(t, l, "acme")
	}
	few, many := costs[5], costs[5000]
	t.Logf("5 grants: %+v; 5,000 grants: %+v", few, many)
	// Each expiry looks for others outside the wallet document: two queries more.
	if many.rpcs > few.rpcs+3*2 || many.reads > few.reads+3*3 || many.writes > few.writes {
		t.Errorf("5,000 grants cost %+v, 5 cost %+v", many, few)
	}
}

func TestALargeDebitDrawsOnManyGrants(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	configure(t, l, "acme")
	promote(t, l, db.clock, 1000)
	r, err := l.Do(t.Context(), "acme", debit("large", 90_000))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entry.Changes) != 900 || r.After.Available != 10_000 {
		t.Errorf("drew on %d grants and left %d", len(r.Entry.Changes), r.After.Available)
	}
	audit(t, l, "acme")
}

func TestThousandsOfGrantsThatEndTogetherAreAllJournaled(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 50)
	promote(t, l, db.clock, 1000)
	db.clock.Advance(2000 * time.Hour)
	wantRefusal(t, l, debit("too much", 51), credit.CodeInsufficient)
	if r, err := l.Do(t.Context(), "acme", debit("all", 50)); err != nil || r.After.Available != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	audit(t, l, "acme")
}

// TestARollUpOfLongNamesFitsItsDocument gives every cell the longest ids there may be.
func TestARollUpOfLongNamesFitsItsDocument(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1_000_000)
	var wg sync.WaitGroup
	gate := make(chan struct{}, 256)
	for i := range 4200 {
		d := debit(fmt.Sprint(i), 1)
		d.Work.Feature = strings.Repeat("f", 64)
		d.Work.Team, d.Work.User = strings.Repeat("t", credit.MaxIDBytes), fmt.Sprintf("%0*d", credit.MaxIDBytes, i)
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			if _, err := l.Do(t.Context(), "acme", d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestRollUpsEqualTheEntries also lets a day's roll-up outgrow its document.
func TestRollUpsEqualTheEntries(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	fund(t, db.ledger(t, ledger.Options{}), "acme", 1_000_000)
	want := map[string]int64{}
	var wg sync.WaitGroup
	gate := make(chan struct{}, 512)
	for p := range 3 { // processes one after the other, each without what the last one knew
		l := db.ledger(t, ledger.Options{})
		for i := range 2000 {
			d := debit(fmt.Sprint(p, ":", i), int64(i%5+1))
			d.Work.User, d.Work.Team = fmt.Sprintf("user-%d.`\\", i+p*1500), "team"
			want["custom-query\x1fteam\x1f"+d.Work.User] += d.Credits
			gate <- struct{}{}
			wg.Go(func() {
				defer func() { <-gate }()
				if _, err := l.Do(t.Context(), "acme", d); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	got := map[string]int64{}
	parts := 0
	for part := range 3 {
		doc := db.find(t, fmt.Sprintf("wallets/acme/usage/2026-03-01-%d", part))
		if doc == nil {
			continue
		}
		parts++
		if size := proto.Size(doc); size > 900<<10 {
			t.Errorf("a roll-up has %d bytes", size)
		}
		for cell, v := range doc.Fields["cells"].GetMapValue().GetFields() {
			got[cell] += v.GetIntegerValue()
		}
	}
	if parts != 2 || len(got) != len(want) {
		t.Errorf("%d parts with %d cells, want 2 with %d", parts, len(got), len(want))
	}
	for cell, n := range want {
		if got[cell] != n {
			t.Errorf("%q has %d, want %d", cell, got[cell], n)
		}
	}
}

func TestADebitIsReversedInSoManyPartsAtMost(t *testing.T) {
	t.Parallel()
	const parts = 1000
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 2000)
	if _, err := l.Do(t.Context(), "acme", debit("work", parts+10)); err != nil {
		t.Fatal(err)
	}
	part := func(id string, n int64) credit.Reverse {
		return credit.Reverse{EventID: id, Debit: "work", Credits: n, Content: credit.Content{Kind: credit.KindReversal, Subject: "work"}}
	}
	var wg sync.WaitGroup
	for i := range parts { // few batches: each sums the reversals that are stored
		wg.Go(func() {
			if _, err := l.Do(t.Context(), "acme", part(fmt.Sprint("part ", i), 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 5 { // 10 credits are left
		wantRefusal(t, l, part(fmt.Sprint("more ", i), 10), credit.CodeInvalid)
	}
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available > 2000 {
		t.Errorf("%d are available (%v) of 2,000", w.Available, err)
	}
	audit(t, l, "acme")
}

package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

func TestDueWalletsAreListedPageByPageTheLongestDueFirst(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		l := db.ledger(t, ledger.Options{})
		start := db.clock.Now()
		for i := range 7 {
			org := fmt.Sprintf("org-%d", i)
			configure(t, l, org)
			end := start.Add(time.Duration(10-i/2) * time.Hour) // some share a moment
			if _, err := l.Do(t.Context(), org, credit.NewGrant{Key: credit.SystemKey("promotion", org), Terms: credit.Terms{
				Source: credit.Promotion, Granted: 1, EffectiveAt: start, ExpiresAt: end, UsableUntil: end,
			}}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		var after ledger.Due
		for range 7 {
			page, err := l.DueWallets(t.Context(), start.Add(9*time.Hour), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				got = append(got, d.Org)
			}
			after = page[len(page)-1]
		}
		if want := []string{"org-6", "org-4", "org-5", "org-2", "org-3"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func TestLapsingCountsGrantsOutsideTheWallet(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	configure(t, l, "acme")
	promote(t, l, db.clock, 400) // 256 of them stand in the wallet; the i-th ends after i hours
	for _, hours := range []int{100, 300, 400} {
		w, grants, err := l.Lapsing(t.Context(), "acme", db.clock.Now().Add(time.Duration(hours)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var credits int64
		for _, g := range grants {
			credits += g.Free
		}
		if w.Available != 40_000 || len(grants) != hours || credits != int64(hours)*100 {
			t.Errorf("within %d hours: %d grants with %d credits of %d", hours, len(grants), credits, w.Available)
		}
	}
	var no *credit.Refusal
	if _, _, err := l.Lapsing(t.Context(), "nobody", db.clock.Now()); !errors.As(err, &no) || no.Code() != credit.CodeUnknownOrg {
		t.Errorf("an unknown organisation: %v", err)
	}
}

package ledger_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// lapse leaves so many holds and promotions of one credit due that nobody has journaled, beside 500 credits that stay.
func lapse(t *testing.T, db *testStore, l *ledger.Ledger, n int) {
	t.Helper()
	fund(t, l, "acme", 500+int64(n))
	do(t, l, limits(map[credit.Subject]int64{company: int64(n) + 10}))
	end := db.clock.Now().Add(time.Hour)
	var commands []credit.Command
	for i := range n {
		commands = append(commands, hold(fmt.Sprint("h", i), 1, 30*time.Minute), credit.NewGrant{
			Key:   credit.SystemKey("promotion", fmt.Sprint("p", i)),
			Terms: credit.Terms{Source: credit.Promotion, Granted: 1, Priority: 9, ExpiresAt: end, UsableUntil: end},
		})
	}
	atOnce(t, l, commands)
	db.clock.Advance(2 * time.Hour)
}

func TestACheckDecidesWhatIsDueWithoutWriting(t *testing.T) {
	t.Parallel()
	for _, n := range []int{60, 700} { // what one commit would journal, and what it would not
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			db := openStore(t)
			l := db.ledger(t, ledger.Options{})
			lapse(t, db, l, n)
			have := 500 + int64(n)
			ask := func() (codes []string) {
				cost := db.cost(func() {
					for _, credits := range []int64{10, int64(n) + 11, have + 1} {
						got, err := l.Refusals(t.Context(), "acme", credit.Work{Feature: "custom-query"}, credits)
						if err != nil {
							t.Fatal(err)
						}
						for _, no := range got {
							codes = append(codes, fmt.Sprint(no.Code(), no.Details()["used"], no.Details()["available"]))
						}
					}
				})
				if cost.writes != 0 {
					t.Errorf("a check makes %d writes", cost.writes)
				}
				return codes
			}
			before := ask()
			if b, err := l.Balance(t.Context(), "acme"); err != nil || b.Figures != (credit.Figures{Available: have}) {
				t.Errorf("%+v (%v), want %d available", b.Figures, err, have)
			}
			if due, err := l.DueWallets(t.Context(), db.clock.Now(), ledger.Due{}, 1); err != nil || len(due) != 1 {
				t.Errorf("%v are due (%v): a question has journaled them", due, err)
			}
			if err := l.Settle(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			if after := ask(); fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 3 {
				t.Errorf("before what is due is journaled %v, after it %v", before, after)
			}
			audit(t, l, "acme")
		})
	}
}

func TestACheckIsUnavailableWhereMoreIsDueThanItMayLookAt(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	lapse(t, db, l, 2001)
	cost := db.cost(func() {
		_, err := l.Refusals(t.Context(), "acme", credit.Work{Feature: "custom-query"}, 10)
		if _, ok := errors.AsType[*ledger.Unavailable](err); !ok {
			t.Errorf("%v, want unavailable", err)
		}
	})
	if cost.writes != 0 {
		t.Errorf("it makes %d writes", cost.writes)
	}
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 2501 { // journals
		t.Errorf("%+v (%v)", w.Figures, err)
	}
	if got, err := l.Refusals(t.Context(), "acme", credit.Work{Feature: "custom-query"}, 10); err != nil || len(got) != 0 {
		t.Errorf("once it is journaled: %v, %v", got, err)
	}
}

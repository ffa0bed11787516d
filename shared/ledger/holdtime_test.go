package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

func TestWalletsWithHoldsThatTimeOutAreDue(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db *testStore) {
		l := db.ledger(t, ledger.Options{})
		fund(t, l, "acme", 100)
		must(t, l, hold("job", 30, time.Hour))
		due := func(want int) {
			t.Helper()
			got, err := l.DueWallets(t.Context(), db.clock.Now(), ledger.Due{}, 10)
			if err != nil || len(got) != want {
				t.Errorf("due are %v (%v), want %d", got, err, want)
			}
		}
		due(0)
		db.clock.Advance(time.Hour + time.Second)
		due(1)
		if err := l.Settle(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		due(0)
		h := wantHold(t, l, "job", credit.HoldTimedOut, 0)
		if e, err := l.Entry(t.Context(), "acme", credit.ReleaseKey(h.ID)); err != nil || !e.At.Equal(h.ExpiresAt) {
			t.Errorf("released by %+v (%v), want at %v", e, err, h.ExpiresAt)
		}
		audit(t, l, "acme")
	})
}

func TestReadingAHoldWhoseTimeHasPassedReleasesIt(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	must(t, l, hold("job", 30, time.Hour))
	db.clock.Advance(time.Hour + time.Second)
	wantHold(t, l, "job", credit.HoldTimedOut, 0)
	for _, id := range []string{credit.HoldID("acme", "other"), credit.HoldID("nobody", "job"), "acme.x", "../acme"} {
		var no *credit.Refusal
		if _, err := l.Hold(t.Context(), id); !errors.As(err, &no) || no.Code() != credit.CodeNotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
	audit(t, l, "acme")
}

// TestAHoldAcrossAnExpiryIsKeptUntilItSettles holds 100 credits of which 60 end meanwhile.
func TestAHoldAcrossAnExpiryIsKeptUntilItSettles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		settle    credit.Command
		available int64
		expired   bool
	}{
		"captured to 80":   {capture("job", 80), 20, false},
		"captured to 50":   {capture("job", 50), 40, true},
		"captured to 130":  {capture("job", 130), 0, false},
		"released":         {release("job"), 40, true},
		"left to time out": {debit("another", 1), 39, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openStore(t)
			l := db.ledger(t, ledger.Options{})
			fund(t, l, "acme", 40)
			end := db.clock.Now().Add(time.Hour)
			must(t, l, credit.NewGrant{Key: credit.SystemKey("promotion", "A"), Terms: credit.Terms{
				Source: credit.Promotion, Granted: 60, EffectiveAt: db.clock.Now(), ExpiresAt: end, UsableUntil: end,
			}})
			must(t, l, hold("job", 100, 3*time.Hour))
			db.clock.Advance(2 * time.Hour)
			if _, ok := tt.settle.(credit.Debit); ok {
				db.clock.Advance(2 * time.Hour)
			}
			must(t, l, tt.settle)
			w, err := l.View(t.Context(), "acme")
			if err != nil || w.Available != tt.available || w.Held != 0 {
				t.Errorf("%+v (%v), want %d available", w.Figures, err, tt.available)
			}
			_, err = l.Entry(t.Context(), "acme", credit.SystemKey("expiry", credit.GrantID(credit.SystemKey("promotion", "A")), "1"))
			if (err == nil) != tt.expired {
				t.Errorf("journaled as expired: %v", err)
			}
			audit(t, l, "acme")
		})
	}
}

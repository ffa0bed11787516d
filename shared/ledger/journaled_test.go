package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// TestWhatAnotherProcessJournaledIsNotJournaledAgain: the clock has decided the same for both, and one was first. The other knows the wallet
// from before, and must come to know that it has moved on.
func TestWhatAnotherProcessJournaledIsNotJournaledAgain(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(ctx context.Context, l *ledger.Ledger) error{
		"by a settlement": func(ctx context.Context, l *ledger.Ledger) error { return l.Settle(ctx, "acme") },
		"by a debit": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Do(ctx, "acme", debit("late", 10))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, s *testStore) {
				first, second := s.ledger(t, ledger.Options{}), s.ledger(t, ledger.Options{})
				fund(t, first, "acme", 300)
				end := s.clock.Now().Add(time.Hour)
				if _, err := first.Do(t.Context(), "acme", credit.NewGrant{
					Key:   credit.SystemKey("grant", "in_1", "il_1"),
					Terms: credit.Terms{Source: credit.Subscription, Granted: 500, EffectiveAt: s.clock.Now(), ExpiresAt: end, UsableUntil: end},
				}); err != nil {
					t.Fatal(err)
				}
				if _, err := second.Do(t.Context(), "acme", debit("early", 200)); err != nil {
					t.Fatal(err)
				}
				s.clock.Advance(2 * time.Hour)
				if err := first.Settle(t.Context(), "acme"); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := command(ctx, second); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

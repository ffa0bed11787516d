package debit

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
)

// TestTheReversalOfADebitIntoDebtAcrossGrantsAndAnExpiryEndsAsTheDesignSays follows usage of 130 credits that drew on three grants, 20 of a
// promotion, 30 of a subscription and 50 bought, and ran 30 into debt. Then the promotion ends, and 10 are bought, which repay 10 of the debt. Reversed,
//   - the 20 of debt that stand are cancelled, since the debit's debt part comes first;
//   - the 10 that were repaid come back as an adjustment;
//   - what the grants gave goes back in reverse: 50 to the purchase, 30 to the subscription, and 20 to the promotion, which lapse at once.
func TestTheReversalOfADebitIntoDebtAcrossGrantsAndAnExpiryEndsAsTheDesignSays(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 50)
	day, month := s.now().Add(24*time.Hour), s.now().Add(30*24*time.Hour)
	do := func(c credit.Command) {
		t.Helper()
		if _, err := s.ledger.Do(t.Context(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
	do(credit.NewGrant{Key: credit.SystemKey("promotion", "spring", "1"), Terms: credit.Terms{Source: credit.Promotion, Granted: 20, ExpiresAt: day, UsableUntil: day}})
	do(credit.NewGrant{Key: credit.SystemKey("grant", "in_1", "il_1"), Terms: credit.Terms{
		Source: credit.Subscription, Granted: 30, ExpiresAt: month, UsableUntil: month, Item: "si_1",
	}})
	work := credit.Work{Feature: "custom-query", PriceVersion: 1, User: "u1", Team: "t1"}
	limit := &credit.Limit{Credits: 200}
	do(credit.SetLimits{Changes: []credit.LimitChange{{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: limit}, {Default: true, Limit: limit}}})
	do(credit.Debit{EventID: "job", Credits: 130, Usage: true, Work: work, Actor: "usage"})
	wantFigures(t, s, "after the usage", credit.Figures{Debt: 30})

	s.passed.Store(25 * 3600) // the promotion has ended; nothing was left of it
	do(credit.NewGrant{Key: credit.SystemKey("grant", "pi_2"), Terms: credit.Terms{Source: credit.Purchase, Granted: 10}})
	wantFigures(t, s, "after a purchase", credit.Figures{Debt: 20})

	const body = `{"event_id":"undo","org_id":"acme","debit_event_id":"job","reason":"the model failed"}`
	want := map[string]any{
		"event_id": "undo", "debit_event_id": "job", "credits": 130.0, "debt_cancelled": 20.0, "replayed": false,
		"allocations": []any{
			map[string]any{"grant_id": credit.GrantID(credit.SystemKey("grant", "pi_acme")), "source": "purchase", "credits": 50.0},
			map[string]any{"grant_id": credit.GrantID(credit.SystemKey("grant", "in_1", "il_1")), "source": "subscription", "credits": 30.0},
			map[string]any{"grant_id": credit.GrantID(credit.SystemKey("promotion", "spring", "1")), "source": "promotion", "credits": 20.0},
			map[string]any{"grant_id": credit.GrantID(credit.CallerKey("undo")), "source": "adjustment", "credits": 10.0},
		},
		"balance": map[string]any{"available": 110.0, "held": 0.0, "debt": 0.0},
	}
	for _, replayed := range []bool{false, true} {
		want["replayed"] = replayed
		status, got := s.post(t, "/reverse", body)
		if diff := cmp.Diff(want, got); status != 200 || diff != "" {
			t.Errorf("%d %s", status, diff)
		}
	}
	wantFigures(t, s, "in the end", credit.Figures{Available: 90})
	balance, err := s.ledger.Balance(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[credit.Source]int64{credit.Purchase: 50, credit.Subscription: 30, credit.Adjustment: 10}, balance.BySource); diff != "" {
		t.Errorf("by source: %s", diff)
	}
	entries, err := s.ledger.Entries(t.Context(), "acme", time.Time{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if lapsed := entries[0]; lapsed.Kind != credit.KindExpiry || lapsed.Credits != 20 || entries[1].Kind != credit.KindReversal {
		t.Errorf("the ledger ends with %s of %d after %s", lapsed.Kind, lapsed.Credits, entries[1].Kind)
	}
	for _, subject := range []credit.Subject{{Scope: credit.ScopeOrganisation}, {Scope: credit.ScopeUser, ID: "u1"}} {
		if _, use, err := s.ledger.LimitOf(t.Context(), "acme", subject); err != nil || use.Used != 0 {
			t.Errorf("%v counts %d: %v", subject, use.Used, err)
		}
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
	// Each step can be asked for later.
	all, err := s.ledger.Entries(t.Context(), "acme", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	s.passed.Add(1)
	for _, e := range all {
		if b, err := s.ledger.BalanceAt(t.Context(), "acme", e.At); err != nil || b.Figures != e.After {
			t.Errorf("at %s %d: %+v %v, want %+v", e.Kind, e.Seq, b.Figures, err, e.After)
		}
	}
	if again, got := s.post(t, "/reverse", fmt.Sprintf(`{"event_id":"undo-2","org_id":"acme","debit_event_id":"job","reason":"%s"}`, "once more")); again != 400 {
		t.Errorf("a second reversal: %d %v", again, got)
	}
}

func wantFigures(t *testing.T, s *system, when string, want credit.Figures) {
	t.Helper()
	w, err := s.ledger.View(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if w.Figures != want {
		t.Errorf("%s: %+v, want %+v", when, w.Figures, want)
	}
}

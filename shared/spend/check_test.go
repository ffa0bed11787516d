package spend_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/readiness"
	"github.com/fluxori/ai-credits/shared/spend"
)

// TestACheckCostsAtMostTwoReadsWarmAndNeverAWrite counts what Firestore bills.
func TestACheckCostsAtMostTwoReadsWarmAndNeverAWrite(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	machine := now
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	zone := "Africa/Johannesburg"
	for _, c := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 100}},
		credit.Debit{EventID: "usage", Credits: 130, Usage: true, Work: credit.Work{Feature: "custom-query"}},
	} {
		if _, err := l.Do(t.Context(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	prices := &priceList{versions: []*catalogue.Catalogue{seed}}
	features, err := readiness.NewStore(readiness.Options{
		Documents: e.Client, Features: prices, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		MachineNow: func() time.Time { return machine },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := features.SetAvailability(t.Context(), "custom-query", readiness.Availability{}, "ops"); err != nil {
		t.Fatal(err)
	}
	if err := features.SetReadiness(t.Context(), "acme", "custom-query", readiness.Readiness{Missing: []string{"sales"}}, "ops"); err != nil {
		t.Fatal(err)
	}
	s, err := spend.New(prices, l, spend.WithFeatures(features))
	if err != nil {
		t.Fatal(err)
	}
	ask := request("", "custom-query", 20).Ask
	ask.UserID, ask.TeamID = "u1", "t1"
	want := "[in_debt feature_unavailable data_required insufficient_credits]"
	check := func(name string, reads int64) {
		t.Helper()
		e.Hooks.Reset()
		_, reasons, err := s.Check(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, r := range reasons {
			codes = append(codes, r.Code())
		}
		if got := fmt.Sprint(codes); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if n := e.Hooks.Counts(); n.Reads != reads || n.Writes != 0 {
			t.Errorf("%s: %d reads, %d writes, want %d and 0", name, n.Reads, n.Writes, reads)
		}
	}
	check("warm", 1)
	machine = machine.Add(readiness.Staleness)
	check("cold", 3)
	check("warm again", 1)
	limits := credit.SetLimits{Changes: []credit.LimitChange{
		{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: &credit.Limit{Credits: 1}},
		{Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "t1"}, Limit: &credit.Limit{Credits: 19}},
		{Default: true, Limit: &credit.Limit{Credits: 19}},
	}}
	if _, err := l.Do(t.Context(), "acme", limits); err != nil {
		t.Fatal(err)
	}
	want = "[in_debt feature_unavailable data_required limit_exceeded limit_exceeded limit_exceeded insufficient_credits]"
	check("warm, with all limits", 2)
}

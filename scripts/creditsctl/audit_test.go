package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/audit"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// bought gives an organisation a wallet with 500 bought credits.
func bought(t *testing.T, e *engine.Engine, org string) {
	t.Helper()
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	zone := "Africa/Johannesburg"
	for _, c := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 500, Payment: "pi_1"}},
	} {
		if _, err := l.Do(context.Background(), org, c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWalletIsProvenAndWhatDiffersIsToldFrozenAndAccepted(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	bought(t, e, "acme")
	out, err := onDatabase(t, e, "audit", "acme", "-whole", "-json")
	var r audit.Report
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || r.Finding != nil || !r.Whole || r.Entries == 0 {
		t.Fatalf("%s %v", out, err)
	}
	set := func(available int64) {
		t.Helper()
		if _, err := e.Client.Doc("wallets/acme").Update(t.Context(), []firestore.Update{{Path: "available", Value: available}}); err != nil {
			t.Fatal(err)
		}
	}
	set(900)
	out, err = onDatabase(t, e, "audit", "acme", "-whole")
	if !errors.Is(err, errDiffers) {
		t.Fatalf("%s %v", out, err)
	}
	for _, line := range []string{"first that differs", "available", "500", "900", "frozen"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
	if _, err := onDatabase(t, e, "audit", "accept", "acme", "-yes"); !errors.Is(err, errUsage) {
		t.Errorf("accepted without a name and a reason: %v", err)
	}
	set(500)
	if out, err := onDatabase(t, e, "audit", "accept", "acme", "-by", "thandi", "-reason", "put right by hand", "-yes"); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if out, err := onDatabase(t, e, "audit", "acme"); err != nil {
		t.Errorf("what was accepted is found again: %s %v", out, err)
	}
}

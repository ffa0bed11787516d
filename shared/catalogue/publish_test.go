package catalogue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// dump returns every document of the catalogue as text, with the time it was written at.
func dump(tb testing.TB, e *engine.Engine) string {
	tb.Helper()
	snapshots, err := e.Client.Collection("catalogue").Documents(tb.Context()).GetAll()
	if err != nil {
		tb.Fatal(err)
	}
	var all []string
	for _, s := range snapshots {
		all = append(all, fmt.Sprint(s.Ref.ID, s.UpdateTime, s.Data()))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// dumpSeed returns the seed as it is stored.
func dumpSeed(tb testing.TB) string {
	tb.Helper()
	data, err := json.Marshal(seed(tb).Document())
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func TestSeedingIsDoneOnceWhoeverSeeds(t *testing.T) {
	t.Parallel()
	e := engine.New(t)
	var wg sync.WaitGroup
	for i := range int64(4) {
		wg.Go(func() {
			if err := storeOn(e).Seed(t.Context(), next(t, i+1, 100+i)); err != nil {
				t.Errorf("seed %d: %v", i+1, err)
			}
		})
	}
	wg.Wait()
	before := dump(t, e)
	if n := strings.Count(before, "\n"); n != 1 {
		t.Errorf("%d documents, want one version and the pointer:\n%s", n+1, before)
	}
	if err := storeOn(e).Seed(t.Context(), next(t, 9, 999)); err != nil {
		t.Fatal(err)
	}
	if after := dump(t, e); after != before {
		t.Errorf("a later seed changed\n%s\nto\n%s", before, after)
	}
	if credits, version := bulkPrice(t, storeOn(e)); credits != 99+version {
		t.Errorf("the current version %d asks %d credits, want its own price", version, credits)
	}
}

func TestPublishRefusesANumberThatIsTakenAndRepeatsItself(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	second := next(t, 5, 120)
	if err := store.Publish(t.Context(), second, "operator"); err != nil {
		t.Fatal(err)
	}
	before := dump(t, e)
	for name, c := range map[string]struct {
		version, price int64
		want           string
	}{
		"the current one again":       {5, 120, ""},
		"the first one again":         {1, 100, ""},
		"the current number, changed": {5, 121, "invalid_request"},
		"the first number, changed":   {1, 121, "invalid_request"},
		"a number between":            {3, 121, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := storeOn(e)
			if err := fresh.Publish(t.Context(), next(t, c.version, c.price), "operator"); code(t, err) != c.want {
				t.Errorf("Publish: %v, want code %q", err, c.want)
			}
			if credits, version := bulkPrice(t, fresh); credits != 120 || version != 5 {
				t.Errorf("current: %d credits by version %d, want 120 by 5", credits, version)
			}
			if after := dump(t, e); after != before {
				t.Errorf("wrote %s over %s", after, before)
			}
		})
	}
}

func TestPublishBeforeSeedingIsRefused(t *testing.T) {
	t.Parallel()
	e := engine.New(t)
	if err := storeOn(e).Publish(t.Context(), next(t, 1, 100), "operator"); code(t, err) != "not_found" {
		t.Errorf("Publish: %v, want not_found", err)
	}
	if _, err := storeOn(e).Current(t.Context()); code(t, err) != "unavailable" {
		t.Errorf("Current: %v, want unavailable", err)
	}
	if s := dump(t, e); s != "" {
		t.Errorf("wrote %s", s)
	}
}

func TestOfPublishersOfOneNumberOneWins(t *testing.T) {
	t.Parallel()
	e, _, _ := seeded(t)
	var wg sync.WaitGroup
	outcomes := make([]string, 4)
	for i := range outcomes {
		wg.Go(func() { outcomes[i] = code(t, storeOn(e).Publish(t.Context(), next(t, 2, int64(200+i)), "operator")) })
	}
	wg.Wait()
	credits, version := bulkPrice(t, storeOn(e))
	for i, outcome := range outcomes {
		won := version == 2 && credits == int64(200+i)
		if won != (outcome == "") || (!won && outcome != "invalid_request") {
			t.Errorf("publisher %d: %q; the current version %d asks %d credits", i, outcome, version, credits)
		}
	}
}

func TestALostAnswerIsNoLostOrDoubleWrite(t *testing.T) {
	t.Parallel()
	for _, lost := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Aborted, codes.Unknown} {
		t.Run(lost.String(), func(t *testing.T) {
			t.Parallel()
			e := engine.New(t)
			rule := firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: lost, After: true}}
			store := storeOn(e)
			e.Hooks.Set(rule)
			if err := store.Seed(t.Context(), seed(t)); err != nil {
				t.Fatalf("Seed: %v", err)
			}
			if _, version := bulkPrice(t, storeOn(e)); version != 1 {
				t.Errorf("version %d, want 1", version)
			}
			e.Hooks.Set(rule)
			if err := store.Publish(t.Context(), next(t, 2, 120), "operator"); err != nil {
				t.Fatalf("Publish: %v", err)
			}
			if credits, version := bulkPrice(t, storeOn(e)); credits != 120 || version != 2 {
				t.Errorf("%d credits by version %d, want 120 by 2", credits, version)
			}
			if s := dump(t, e); strings.Count(s, "\n") != 2 {
				t.Errorf("documents %s, want two versions and the pointer", s)
			}
		})
	}
}

func TestAStripePriceThatSubscribersPayIsNotDropped(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	document := next(t, 2, 100).Document()
	prices := document.Plans[1].Prices["ZAR"]
	prices.Month.StripePrice = "price_starter_month_zar_2027"
	document.Plans[1].Prices["ZAR"] = prices
	publish := func() error {
		c, err := catalogue.New(document)
		if err != nil {
			t.Fatal(err)
		}
		return store.Publish(t.Context(), c, "operator")
	}
	before := dump(t, e)
	err := publish()
	invalid, ok := errors.AsType[*catalogue.InvalidError](err)
	if !ok || len(invalid.Problems) != 1 || !strings.Contains(invalid.Problems[0], `"price_starter_month_zar" of "starter"`) {
		t.Errorf("Publish: %v, want the price that is dropped", err)
	}
	if after := dump(t, e); after != before {
		t.Errorf("wrote %s over %s", after, before)
	}
	document.Plans[1].FormerPrices = former("ZAR", catalogue.Month, "price_starter_month_zar")
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	c, err := store.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"price_starter_month_zar", "price_starter_month_zar_2027"} {
		if p, err := c.PlanByStripePrice(id); err != nil || p.Plan.ID != "starter" {
			t.Errorf("%s is of %+v, %v, want starter", id, p, err)
		}
	}
}

package catalogue_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// proposed is the seed with changes, as the JSON that an operator writes.
func proposed(t *testing.T, change func(*catalogue.Document)) []byte {
	t.Helper()
	document := seed(t).Document()
	document.Version = 0 // the next one
	change(&document)
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAProposalTellsWhatChangesAndNothingElse(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	before := dump(t, e)
	p, err := store.Propose(t.Context(), proposed(t, func(d *catalogue.Document) {
		d.Packages[0].Prices["USD"] = 649
		d.Packages = slices.Delete(d.Packages, 3, 4)
		d.Packages = append(d.Packages, catalogue.Package{ID: "credits-10", Name: "10 credits", Credits: 10, Prices: map[catalogue.Currency]int64{"ZAR": 1000, "USD": 60, "EUR": 55}})
		d.Checkout.AutomaticTax = true
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := []catalogue.Change{
		{Place: "checkout/automatic_tax", Before: "false", After: "true"},
		{Place: "packages/credits-10/credits", After: "10"},
		{Place: "packages/credits-10/id", After: `"credits-10"`},
		{Place: "packages/credits-10/name", After: `"10 credits"`},
		{Place: "packages/credits-10/prices/EUR", After: "55"},
		{Place: "packages/credits-10/prices/USD", After: "60"},
		{Place: "packages/credits-10/prices/ZAR", After: "1000"},
		{Place: "packages/credits-100/prices/USD", Before: "599", After: "649"},
		{Place: "packages/credits-5000/credits", Before: "5000"},
		{Place: "packages/credits-5000/id", Before: `"credits-5000"`},
		{Place: "packages/credits-5000/name", Before: `"5 000 credits"`},
		{Place: "packages/credits-5000/prices/EUR", Before: "19499"},
		{Place: "packages/credits-5000/prices/USD", Before: "20999"},
		{Place: "packages/credits-5000/prices/ZAR", Before: "349900"},
	}
	if diff := cmp.Diff(want, p.Changes); diff != "" || p.From != 1 || p.To.Version() != 2 || len(p.Broken) != 0 {
		t.Errorf("from %d to %d, broken %q (-want +got):\n%s", p.From, p.To.Version(), p.Broken, diff)
	}
	if after := dump(t, e); after != before {
		t.Errorf("a proposal wrote %s over %s", after, before)
	}
	if err := store.Publish(t.Context(), p.To); err != nil {
		t.Fatal(err)
	}
	c, err := store.Current(t.Context())
	if err != nil || c.Version() != 2 || !c.Document().Checkout.AutomaticTax {
		t.Errorf("published: %+v, %v", c, err)
	}
}

func TestAProposalOfTheSameChangesNothing(t *testing.T) {
	t.Parallel()
	_, store, _ := seeded(t)
	p, err := store.Propose(t.Context(), proposed(t, func(*catalogue.Document) {}))
	if err != nil || len(p.Changes) != 0 || len(p.Broken) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWhatWouldBreakIsToldAndRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*catalogue.Document)
		want   string
	}{
		"a price that subscribers pay is dropped": {func(d *catalogue.Document) {
			prices := d.Plans[1].Prices["ZAR"]
			prices.Month.StripePrice = "price_other"
			d.Plans[1].Prices["ZAR"] = prices
		}, `drop the Stripe price "price_starter_month_zar"`},
		"two plans swap their prices": {func(d *catalogue.Document) {
			d.Plans[1].Prices, d.Plans[2].Prices = d.Plans[2].Prices, d.Plans[1].Prices
		}, `the Stripe price "price_growth_month_zar" sold "growth" by the month in ZAR, and would sell "starter"`},
		"a price becomes the year's": {func(d *catalogue.Document) {
			prices := d.Plans[1].Prices["ZAR"]
			prices.Month.StripePrice, prices.Year.StripePrice = prices.Year.StripePrice, prices.Month.StripePrice
			d.Plans[1].Prices["ZAR"] = prices
		}, `by the month in ZAR, and would sell "starter" by the year`},
		"a feature is dropped": {func(d *catalogue.Document) { d.Features = d.Features[1:] }, `features drop "market-trend-report"`},
		"South Africa pays in dollars": {func(d *catalogue.Document) { d.CountryCurrencies["ZA"] = "USD" },
			"country_currencies.ZA is USD, and was ZAR"},
		"South Africa is not named": {func(d *catalogue.Document) { delete(d.CountryCurrencies, "ZA") }, "country_currencies.ZA is USD, and was ZAR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, store, _ := seeded(t)
			p, err := store.Propose(t.Context(), proposed(t, c.change))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(p.Broken, "\n"), c.want) {
				t.Errorf("told %q, want %q", p.Broken, c.want)
			}
			before := dump(t, e)
			err = store.Publish(t.Context(), p.To)
			if invalid, ok := errors.AsType[*catalogue.InvalidError](err); !ok || !slices.Equal(invalid.Problems, p.Broken) {
				t.Errorf("published: %v, want %q", err, p.Broken)
			}
			if after := dump(t, e); after != before {
				t.Errorf("wrote %s over %s", after, before)
			}
		})
	}
}

func TestAFormerPriceAndANewCountryBreakNothing(t *testing.T) {
	t.Parallel()
	_, store, _ := seeded(t)
	p, err := store.Propose(t.Context(), proposed(t, func(d *catalogue.Document) {
		d.CountryCurrencies["SE"] = "EUR" // it had the default
		prices := d.Plans[1].Prices["ZAR"]
		d.Plans[1].FormerPrices = former("ZAR", catalogue.Month, prices.Month.StripePrice)
		prices.Month.StripePrice = "price_starter_month_zar_2027"
		d.Plans[1].Prices["ZAR"] = prices
	}))
	if err != nil || len(p.Broken) != 0 {
		t.Errorf("%q, %v", p.Broken, err)
	}
	if err := store.Publish(t.Context(), p.To); err != nil {
		t.Error(err)
	}
}

func TestAProposalMustBeValid(t *testing.T) {
	t.Parallel()
	_, store, _ := seeded(t)
	_, err := store.Propose(t.Context(), []byte(`{"version":2,"sold":[]}`))
	if _, ok := errors.AsType[*strictjson.Error](err); !ok {
		t.Errorf("an unknown field: %v", err)
	}
	for name, change := range map[string]func(*catalogue.Document){
		"no price":             func(d *catalogue.Document) { delete(d.Packages[0].Prices, "ZAR") },
		"a referral for ever":  func(d *catalogue.Document) { d.Referral.LifeDays = 0 },
		"a referral of none":   func(d *catalogue.Document) { d.Referral.ReferrerCredits = 0 },
		"a cap of none":        func(d *catalogue.Document) { d.Referral.MonthlyMax = 0 },
		"a code for centuries": func(d *catalogue.Document) { d.Referral.CodeLifeDays = 40_000 },
	} {
		_, err := store.Propose(t.Context(), proposed(t, func(d *catalogue.Document) {
			referral := *d.Referral
			d.Referral = &referral
			change(d)
		}))
		if _, ok := errors.AsType[*catalogue.InvalidError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDollarsDoNotMoveRand compares every amount that can be bought, and every package and plan.
func TestDollarsDoNotMoveRand(t *testing.T) {
	t.Parallel()
	before := seed(t)
	_, store, _ := seeded(t)
	p, err := store.Propose(t.Context(), proposed(t, func(d *catalogue.Document) {
		d.CustomCredits["USD"] = catalogue.CustomCredits{Min: 1, Max: 1000, Steps: []catalogue.Step{{From: 1, Amount: 7, Credits: 1}}}
		for i := range d.Packages {
			d.Packages[i].Prices["USD"]++
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Changes {
		if !strings.Contains(c.Place, "USD") {
			t.Errorf("moved %+v", c)
		}
	}
	for credits := int64(0); credits <= 50_001; credits++ {
		was, wasErr := before.PriceOfCredits(credits, "ZAR")
		is, isErr := p.To.PriceOfCredits(credits, "ZAR")
		if was != is || (wasErr == nil) != (isErr == nil) {
			t.Fatalf("%d credits cost %d %v, and did cost %d %v", credits, is, isErr, was, wasErr)
		}
	}
}

// TestRandAreForSouthAfricaOnly holds for the seed.
func TestRandAreForSouthAfricaOnly(t *testing.T) {
	t.Parallel()
	for country, currency := range seed(t).Document().CountryCurrencies {
		if (country == "ZA") != (currency == "ZAR") {
			t.Errorf("%s pays in %s", country, currency)
		}
	}
}

package catalogue_test

import (
	"encoding/json"
	"errors"
	"maps"
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
	if err := store.Publish(t.Context(), p.To, "operator"); err != nil {
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
			err = store.Publish(t.Context(), p.To, "operator")
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
	if err := store.Publish(t.Context(), p.To, "operator"); err != nil {
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

// TestAllThatIsWrongIsToldAtOnce has faults of four kinds in one document.
func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	before := dump(t, e)
	_, err := store.Propose(t.Context(), proposed(t, func(d *catalogue.Document) {
		d.Packages = append(d.Packages, d.Packages[0])
		d.Features = append(d.Features, d.Features[0])
		d.Packages[1].Prices["ZAR"] = 0
		delete(d.Packages[2].Prices, "EUR")
	}))
	invalid, ok := errors.AsType[*catalogue.InvalidError](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	want := []string{
		`features has the id "market-trend-report" twice`, `packages has the id "credits-100" twice`,
		`packages[1] ("credits-500").prices.ZAR is 0, and must be from 1 to 99999999`, `packages[2] ("credits-1000").prices lack EUR`,
	}
	if diff := cmp.Diff(want, invalid.Problems); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if after := dump(t, e); after != before {
		t.Errorf("a proposal wrote %s over %s", after, before)
	}
}

// TestWhatIsPublishedCanBeRead leaves out each part of a document in turn; what is accepted without it must be readable afterwards.
func TestWhatIsPublishedCanBeRead(t *testing.T) {
	t.Parallel()
	var parts map[string]any
	if err := json.Unmarshal(proposed(t, func(*catalogue.Document) {}), &parts); err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for name := range parts {
		e, store, _ := seeded(t)
		left := maps.Clone(parts)
		delete(left, name)
		data, err := json.Marshal(left)
		if err != nil {
			t.Fatal(err)
		}
		p, err := store.Propose(t.Context(), data)
		if err != nil || len(p.Broken) > 0 {
			continue // refused, which is as good
		}
		accepted++
		if err := store.Publish(t.Context(), p.To, "operator"); err != nil {
			t.Errorf("without %s: %v", name, err)
		}
		if c, err := storeOn(e).Current(t.Context()); err != nil || c.Version() != 2 {
			t.Errorf("without %s it is not readable: %v", name, err)
		}
	}
	if accepted < 3 { // custom_credits, checkout, referral at least
		t.Errorf("only %d parts can be left out", accepted)
	}
}

// TestNeitherOfTwoOperatorsUndoesTheOther has both take version 1 and publish a change of it.
func TestNeitherOfTwoOperatorsUndoesTheOther(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	dearer := func(amount int64) []byte {
		return proposed(t, func(d *catalogue.Document) {
			d.Version = 1
			d.Packages[0].Prices["USD"] = amount
		})
	}
	first, err := store.Propose(t.Context(), dearer(649))
	if err != nil || first.From != 1 || first.To.Version() != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := storeOn(e).Propose(t.Context(), dearer(699))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Publish(t.Context(), first.To, "first"); err != nil {
		t.Fatal(err)
	}
	if err := storeOn(e).Publish(t.Context(), second.To, "second"); code(t, err) != "invalid_request" {
		t.Errorf("the second was published over the first: %v", err)
	}
	if _, err := storeOn(e).Propose(t.Context(), dearer(699)); code(t, err) != "invalid_request" || !strings.Contains(err.Error(), "version 2 is in force") {
		t.Errorf("the second proposes what was made from version 1: %v", err)
	}
	if again, err := storeOn(e).Propose(t.Context(), dearer(649)); err != nil || !again.Published || again.To.Version() != 2 {
		t.Errorf("the first again: %+v, %v", again, err)
	}
	is, err := store.Published(t.Context(), 0)
	if err != nil || is.By != "first" || !is.InForce || is.Version() != 2 || is.Document().Packages[0].Prices["USD"] != 649 {
		t.Errorf("published: %+v, %v", is, err)
	}
	if _, err := store.Published(t.Context(), 3); code(t, err) != "not_found" {
		t.Errorf("version 3: %v", err)
	}
	ahead := proposed(t, func(d *catalogue.Document) { d.Version = 7 })
	if _, err := store.Propose(t.Context(), ahead); code(t, err) != "invalid_request" {
		t.Errorf("made from a version that is not there: %v", err)
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

package catalogue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

var (
	_ problem.Coded = (*catalogue.Error)(nil)
	_ problem.Coded = (*catalogue.InvalidError)(nil)
)

// seed returns the catalogue of the seed file.
func seed(tb testing.TB) *catalogue.Catalogue {
	tb.Helper()
	c, err := catalogue.Seed()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// code returns the code of err, "" for none.
func code(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return ""
	}
	coded, ok := errors.AsType[problem.Coded](err)
	if !ok {
		tb.Fatalf("error %v does not explain itself", err)
	}
	if _, known := problem.Status(coded.Code()); !known || coded.Public() == "" {
		tb.Errorf("error %v has no code of the contract, or no public text", err)
	}
	return coded.Code()
}

// credits and units are quantities.
func credits(n int64) catalogue.Quantity { return catalogue.Quantity{Credits: &n} }
func units(n int64) catalogue.Quantity   { return catalogue.Quantity{Units: &n} }

func TestSeedSellsTheFeaturesAtTheirPrices(t *testing.T) {
	t.Parallel()
	c := seed(t)
	want := map[string]struct {
		name     string
		min, max int64
	}{
		"market-trend-report":    {"Daily Market Trend Report", 50, 50},
		"pricing-recommendation": {"Product Pricing Recommendation", 15, 15},
		"restock-prediction":     {"Inventory Restock Prediction", 25, 25},
		"bulk-pricing":           {"Bulk Pricing Optimization", 100, 100},
		"custom-query":           {"Custom AI Query", 10, 50},
		"competitor-analysis":    {"Competitor Analysis", 75, 75},
	}
	for _, f := range c.Document().Features {
		w := want[f.ID]
		if f.Name != w.name || f.Price != (catalogue.Range{Min: w.min, Max: w.max}) || f.Description == "" {
			t.Errorf("feature %+v, want %+v", f, w)
		}
		delete(want, f.ID)
	}
	if len(want) > 0 {
		t.Errorf("features that are missing: %v", want)
	}
	var ladder []string
	for _, p := range c.Document().Plans {
		ladder = append(ladder, fmt.Sprintf("%s %d", p.Name, p.CreditsPerCycle))
	}
	if got := strings.Join(ladder, ", "); got != "Free 50, Starter 500, Growth 2000, Scale 10000" {
		t.Errorf("plans %s", got)
	}
}

func TestPriceOfAUse(t *testing.T) {
	t.Parallel()
	c := seed(t)
	both := credits(20)
	both.Units = both.Credits
	for name, tc := range map[string]struct {
		feature string
		q       catalogue.Quantity
		want    int64
		code    string
	}{
		"fixed, nothing stated":     {"bulk-pricing", catalogue.Quantity{}, 100, ""},
		"fixed, its price stated":   {"bulk-pricing", credits(100), 100, ""},
		"fixed, less":               {"bulk-pricing", credits(99), 0, "credits_out_of_range"},
		"fixed, more":               {"bulk-pricing", credits(101), 0, "credits_out_of_range"},
		"fixed, units":              {"bulk-pricing", units(1), 0, "invalid_request"},
		"range, its least":          {"custom-query", credits(10), 10, ""},
		"range, its most":           {"custom-query", credits(50), 50, ""},
		"range, below":              {"custom-query", credits(9), 0, "credits_out_of_range"},
		"range, above":              {"custom-query", credits(51), 0, "credits_out_of_range"},
		"range, zero":               {"custom-query", credits(0), 0, "credits_out_of_range"},
		"range, negative":           {"custom-query", credits(-10), 0, "credits_out_of_range"},
		"range, least int64":        {"custom-query", credits(math.MinInt64), 0, "credits_out_of_range"},
		"range, most int64":         {"custom-query", credits(math.MaxInt64), 0, "credits_out_of_range"},
		"range, nothing stated":     {"custom-query", catalogue.Quantity{}, 0, "credits_out_of_range"},
		"both stated":               {"custom-query", both, 0, "invalid_request"},
		"no units":                  {"custom-query", units(0), 10, ""},
		"one unit":                  {"custom-query", units(1), 10, ""},
		"units up to the least":     {"custom-query", units(10_000), 10, ""},
		"one unit more, rounded up": {"custom-query", units(10_001), 11, ""},
		"units up to the most":      {"custom-query", units(50_000), 50, ""},
		"units beyond the most":     {"custom-query", units(50_001), 50, ""},
		"most units":                {"custom-query", units(math.MaxInt64), 50, ""},
		"negative units":            {"custom-query", units(-1), 0, "invalid_request"},
		"unknown feature":           {"custom-Query", credits(10), 0, "unknown_feature"},
		"no feature":                {"", credits(10), 0, "unknown_feature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Price(tc.feature, tc.q)
			want := catalogue.Quote{}
			if tc.code == "" {
				want = catalogue.Quote{Feature: tc.feature, Credits: tc.want, PriceVersion: 1}
			}
			if got != want || code(t, err) != tc.code {
				t.Errorf("Price = %+v, %v, want %+v and code %q", got, err, want, tc.code)
			}
		})
	}
}

func TestTheDearestRateDoesNotOverflow(t *testing.T) {
	t.Parallel()
	document := seed(t).Document()
	document.Features[4].Price = catalogue.Range{Min: 1, Max: catalogue.CreditsMax}
	for _, rate := range []catalogue.Rate{
		{Unit: "token", Credits: 1_000_000_000, Units: 1},
		{Unit: "token", Credits: 1_000_000_000, Units: 2},
		{Unit: "token", Credits: 1_000_000_000, Units: 600_000_000},
		{Unit: "token", Credits: 3, Units: 2},
	} {
		document.Features[4].Rate = &rate
		c, err := catalogue.New(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{math.MaxInt64, math.MaxInt64 - 1, 1 << 62} {
			if quote, err := c.Price("custom-query", units(n)); err != nil || quote.Credits != catalogue.CreditsMax {
				t.Errorf("%d units at %+v: %+v, %v, want the most", n, rate, quote, err)
			}
		}
	}
}

// TestUnitsBecomeCredits compares prices by units with exact arithmetic, over rates and ranges of all sizes.
func TestUnitsBecomeCredits(t *testing.T) {
	t.Parallel()
	base := seed(t).Document()
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.Int64Range(1, catalogue.CreditsMax)
		f := catalogue.Feature{ID: "f", Name: "f", Description: "f", Price: catalogue.Range{Min: bound.Draw(t, "min")}}
		f.Price.Max = f.Price.Min + rapid.Int64Range(0, catalogue.CreditsMax-f.Price.Min).Draw(t, "above min")
		f.Rate = &catalogue.Rate{Unit: "u", Credits: bound.Draw(t, "rate's credits"), Units: bound.Draw(t, "rate's units")}
		document := base
		document.Features = []catalogue.Feature{f}
		c, err := catalogue.New(document)
		if f.Price.Fixed() {
			if err == nil {
				t.Fatal("a rate on a fixed price was accepted")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "units")
		quote, err := c.Price("f", units(n))
		if err != nil {
			t.Fatal(err)
		}
		exact := new(big.Int).Mul(big.NewInt(n), big.NewInt(f.Rate.Credits))
		exact.Add(exact, big.NewInt(f.Rate.Units-1)).Div(exact, big.NewInt(f.Rate.Units))
		want := f.Price.Max
		if exact.IsInt64() {
			want = min(max(exact.Int64(), f.Price.Min), f.Price.Max)
		}
		if quote.Credits != want {
			t.Fatalf("%d units at %+v in %+v cost %d, want %d", n, *f.Rate, f.Price, quote.Credits, want)
		}
		// What units come to can also be stated as credits.
		if stated, err := c.Price("f", credits(quote.Credits)); err != nil || stated != quote {
			t.Fatalf("stated as credits: %+v, %v, want %+v", stated, err, quote)
		}
	})
}

func TestPriceOfCreditsOfOnesChoice(t *testing.T) {
	t.Parallel()
	c := seed(t)
	for _, tc := range []struct {
		credits  int64
		currency catalogue.Currency
		want     int64
		code     string
	}{
		{49, "ZAR", 0, "credits_out_of_range"},
		{50, "ZAR", 5000, ""},
		{500, "ZAR", 50000, ""},
		{501, "ZAR", 50090, ""},
		{1000, "ZAR", 95000, ""},
		{1001, "ZAR", 95080, ""},
		{5000, "ZAR", 415000, ""},
		{50000, "ZAR", 3565000, ""},
		{50001, "ZAR", 0, "credits_out_of_range"},
		{-50, "ZAR", 0, "credits_out_of_range"},
		{math.MaxInt64, "ZAR", 0, "credits_out_of_range"},
		{51, "EUR", 281, ""},   // 280.5 cents, rounded up
		{52, "EUR", 286, ""},   // 286 exactly
		{501, "USD", 3006, ""}, // 3005.4
		{50, "GBP", 0, "invalid_request"},
		{50, "", 0, "invalid_request"},
	} {
		t.Run(fmt.Sprint(tc.credits, tc.currency), func(t *testing.T) {
			t.Parallel()
			got, err := c.PriceOfCredits(tc.credits, tc.currency)
			if got != tc.want || code(t, err) != tc.code {
				t.Errorf("PriceOfCredits = %d, %v, want %d and code %q", got, err, tc.want, tc.code)
			}
		})
	}
}

// TestMoreCreditsNeverCostLess draws valid volume steps; a price counted credit by credit must agree.
func TestMoreCreditsNeverCostLess(t *testing.T) {
	t.Parallel()
	base := seed(t).Document()
	rapid.Check(t, func(t *rapid.T) {
		const most = 60
		custom := catalogue.CustomCredits{Min: 1, Max: most}
		from, amount, per := int64(1), rapid.Int64Range(1, 500).Draw(t, "amount"), rapid.Int64Range(1, 7).Draw(t, "credits")
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			custom.Steps = append(custom.Steps, catalogue.Step{From: from, Amount: amount, Credits: per})
			from += rapid.Int64Range(1, 20).Draw(t, "width")
			amount = rapid.Int64Range(1, amount).Draw(t, "next amount")
			per = rapid.Int64Range(per, per+5).Draw(t, "next credits")
		}
		document := base
		document.CustomCredits = map[catalogue.Currency]catalogue.CustomCredits{}
		for _, currency := range document.Currencies {
			document.CustomCredits[currency] = custom
		}
		c, err := catalogue.New(document)
		if err != nil {
			t.Fatal(err)
		}
		sum, last := new(big.Rat), int64(0)
		for n := int64(1); n <= most; n++ {
			step := custom.Steps[0]
			for _, s := range custom.Steps {
				if s.From <= n {
					step = s
				}
			}
			sum.Add(sum, big.NewRat(step.Amount, step.Credits))
			whole := new(big.Int).Add(sum.Num(), new(big.Int).Sub(sum.Denom(), big.NewInt(1)))
			want := whole.Div(whole, sum.Denom()).Int64()
			got, err := c.PriceOfCredits(n, "ZAR")
			if err != nil || got != want || got < last {
				t.Fatalf("%d credits cost %d, %v; want %d, no less than %d", n, got, err, want, last)
			}
			last = got
		}
	})
}

func TestCurrencyOfACountry(t *testing.T) {
	t.Parallel()
	c := seed(t)
	for country, want := range map[string]catalogue.Currency{"ZA": "ZAR", "DE": "EUR", "IE": "EUR", "US": "USD", "GB": "USD", "": "USD", "za": "USD"} {
		if got := c.CurrencyOf(country); got != want {
			t.Errorf("CurrencyOf(%q) = %s, want %s", country, got, want)
		}
	}
}

func TestPackagesAndPlansAreFound(t *testing.T) {
	t.Parallel()
	document := seed(t).Document()
	document.Plans[1].FormerPrices = []catalogue.FormerPrice{{Currency: "ZAR", Interval: catalogue.Year, StripePrice: "price_old"}}
	c, err := catalogue.New(document)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.PackageByID("credits-500")
	if err != nil || p.Credits != 500 || p.Prices["ZAR"] != 44900 {
		t.Errorf("PackageByID = %+v, %v", p, err)
	}
	if _, err := c.PackageByID("credits-501"); code(t, err) != "not_found" {
		t.Errorf("an unknown package: %v, want not_found", err)
	}
	for id, want := range map[string]catalogue.PlanPrice{
		"price_growth_month_eur": {Plan: document.Plans[2], Currency: "EUR", Interval: catalogue.Month},
		"price_growth_year_zar":  {Plan: document.Plans[2], Currency: "ZAR", Interval: catalogue.Year},
		"price_free_month_usd":   {Plan: document.Plans[0], Currency: "USD", Interval: catalogue.Month},
		"price_old":              {Plan: document.Plans[1], Currency: "ZAR", Interval: catalogue.Year, Former: true},
	} {
		got, err := c.PlanByStripePrice(id)
		if err != nil || got.Plan.ID != want.Plan.ID || got.Plan.CreditsPerCycle != want.Plan.CreditsPerCycle ||
			got.Currency != want.Currency || got.Interval != want.Interval || got.Former != want.Former {
			t.Errorf("PlanByStripePrice(%s) = %+v, %v, want %+v", id, got, err, want)
		}
	}
	if _, err := c.PlanByStripePrice("price_free_year_zar"); code(t, err) != "not_found" {
		t.Errorf("an unknown Stripe price: %v, want not_found", err)
	}
}

func TestParseRefusesWhatIsNotADocument(t *testing.T) {
	t.Parallel()
	whole, err := json.Marshal(seed(t).Document())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty":            ``,
		"unknown field":    strings.Replace(string(whole), `"version":1`, `"version":1,"vat":15`, 1),
		"fractional price": strings.Replace(string(whole), `"ZAR":9900`, `"ZAR":99.50`, 1),
		"currency twice":   strings.Replace(string(whole), `"ZAR":9900`, `"ZAR":9900,"ZAR":1`, 1),
		"too large":        strings.Replace(string(whole), `"version":1`, `"version":1`+strings.Repeat(" ", 600<<10), 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if data == string(whole) {
				t.Fatal("the document was not changed")
			}
			if _, err := catalogue.Parse([]byte(data)); err == nil {
				t.Error("parsed, want an error")
			} else if _, ok := errors.AsType[*strictjson.Error](err); !ok {
				t.Errorf("error %v, want that of strict JSON", err)
			}
		})
	}
	again, err := catalogue.Parse(whole)
	if err != nil {
		t.Fatalf("the document as written again: %v", err)
	}
	if !maps.Equal(again.Document().CountryCurrencies, seed(t).Document().CountryCurrencies) {
		t.Error("the document changed by being written and read")
	}
}

func TestMessagesRepeatLittleOfTheirCaller(t *testing.T) {
	t.Parallel()
	_, err := seed(t).Price(strings.Repeat("é", 10_000), catalogue.Quantity{})
	coded, ok := errors.AsType[*catalogue.Error](err)
	if !ok || len(coded.Public()) > 200 {
		t.Errorf("error %v, want a short one", err)
	}
}

func BenchmarkPrice(b *testing.B) {
	c := seed(b)
	q := units(23_456)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Price("custom-query", q); err != nil {
			b.Fatal(err)
		}
	}
}

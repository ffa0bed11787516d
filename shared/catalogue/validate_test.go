package catalogue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// TestEachFaultOfADocumentIsTold breaks the seed in one place at a time.
func TestEachFaultOfADocumentIsTold(t *testing.T) {
	t.Parallel()
	type document = catalogue.Document
	for name, c := range map[string]struct {
		change func(d *document)
		says   string
	}{
		"version 0":                    {func(d *document) { d.Version = 0 }, "version is 0"},
		"no currencies":                {func(d *document) { d.Currencies = nil }, "currencies are missing"},
		"currency in lower case":       {func(d *document) { d.Currencies[0] = "zar" }, `"zar", which is no currency's code`},
		"currency twice":               {func(d *document) { d.Currencies = append(d.Currencies, "ZAR") }, `has "ZAR" twice`},
		"default not sold":             {func(d *document) { d.DefaultCurrency = "GBP" }, `default_currency is "GBP"`},
		"country in words":             {func(d *document) { d.CountryCurrencies["Kenya"] = "USD" }, `"Kenya", which is no country's code`},
		"country's currency not sold":  {func(d *document) { d.CountryCurrencies["GB"] = "GBP" }, `country_currencies.GB is "GBP"`},
		"no features":                  {func(d *document) { d.Features = nil }, "features are missing"},
		"feature twice":                {func(d *document) { d.Features[1].ID = d.Features[0].ID }, `features has the id "market-trend-report" twice`},
		"feature's id":                 {func(d *document) { d.Features[0].ID = "../wallets" }, "id must be 1 to 64"},
		"feature without name":         {func(d *document) { d.Features[0].Name = " " }, "name is empty"},
		"feature's name too long":      {func(d *document) { d.Features[0].Name = strings.Repeat("n", 101) }, "name must be at most 100 bytes"},
		"feature's name not UTF-8":     {func(d *document) { d.Features[0].Name = "\xff" }, "of UTF-8"},
		"feature without description":  {func(d *document) { d.Features[0].Description = "" }, "description is empty"},
		"price 0":                      {func(d *document) { d.Features[0].Price.Min = 0 }, "price.min is 0"},
		"price upside down":            {func(d *document) { d.Features[4].Price = catalogue.Range{Min: 50, Max: 10} }, "min 50 above max 10"},
		"price beyond bounds":          {func(d *document) { d.Features[4].Price.Max = catalogue.CreditsMax + 1 }, "price.max is 1000000001"},
		"rate on a fixed price":        {func(d *document) { d.Features[0].Rate = d.Features[4].Rate }, "of no effect"},
		"rate per no units":            {func(d *document) { d.Features[4].Rate = &catalogue.Rate{Unit: "t", Credits: 1} }, "rate.units is 0"},
		"rate of no credits":           {func(d *document) { d.Features[4].Rate = &catalogue.Rate{Unit: "t", Units: 1} }, "rate.credits is 0"},
		"rate of nothing":              {func(d *document) { d.Features[4].Rate = &catalogue.Rate{Credits: 1, Units: 1} }, "rate.unit is empty"},
		"requirement twice":            {func(d *document) { d.Features[2].Requires[1].ID = "sales-history" }, `requires has the id "sales-history" twice`},
		"requirement not described":    {func(d *document) { d.Features[2].Requires[1].Description = "" }, "description is empty"},
		"package twice":                {func(d *document) { d.Packages[1].ID = d.Packages[0].ID }, `packages has the id "credits-100" twice`},
		"package of nothing":           {func(d *document) { d.Packages[0].Credits = 0 }, "credits is 0"},
		"package for nothing":          {func(d *document) { d.Packages[0].Prices["ZAR"] = 0 }, "prices.ZAR is 0"},
		"package for less":             {func(d *document) { d.Packages[0].Prices["ZAR"] = -1 }, "prices.ZAR is -1"},
		"package beyond Stripe":        {func(d *document) { d.Packages[0].Prices["ZAR"] = 100_000_000 }, "prices.ZAR is 100000000"},
		"package lacks a currency":     {func(d *document) { delete(d.Packages[0].Prices, "EUR") }, "prices lack EUR"},
		"package in a foreign one":     {func(d *document) { d.Packages[0].Prices["GBP"] = 1 }, `prices have "GBP"`},
		"custom lacks a currency":      {func(d *document) { delete(d.CustomCredits, "USD") }, "custom_credits lack USD"},
		"custom upside down":           {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Min, c.Max = 9, 8 }) }, "min 9 above max 8"},
		"custom without steps":         {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Steps = nil }) }, "steps are 0"},
		"custom from the second":       {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Steps[0].From = 2 }) }, "must be 1 in the first step"},
		"custom out of order":          {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Steps[1].From = 1 }) }, "must be above the step before it"},
		"custom dearer by volume":      {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Steps[1].Amount = 1001 }) }, "costs more per credit"},
		"custom per nothing":           {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Steps[1].Credits = 0 }) }, "credits is 0"},
		"custom for nothing":           {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Steps[3].Amount = 0 }) }, "amount is 0"},
		"custom beyond Stripe":         {func(d *document) { change(d, func(c *catalogue.CustomCredits) { c.Max = 2_000_000 }) }, "more than the 99999999"},
		"plan twice":                   {func(d *document) { d.Plans[1].ID = "free" }, `plans has the id "free" twice`},
		"plan without name":            {func(d *document) { d.Plans[1].Name = "" }, "name is empty"},
		"plans of one rank":            {func(d *document) { d.Plans[1].Rank = 0 }, `"free" and "starter" have the same rank 0`},
		"rank below 0":                 {func(d *document) { d.Plans[0].Rank = -1 }, "rank is -1"},
		"higher plan grants less":      {func(d *document) { d.Plans[3].CreditsPerCycle = 1999 }, `"scale" grants 1999 credits, fewer than the lower plan "growth" with 2000`},
		"higher by rank, not by place": {func(d *document) { d.Plans[0].Rank, d.Plans[3].Rank = 3, 0 }, `"free" grants 50 credits, fewer than the lower plan "growth"`},
		"credits below 0":              {func(d *document) { d.Plans[0].CreditsPerCycle = -1 }, "credits_per_cycle are -1"},
		"plan lacks a currency":        {func(d *document) { delete(d.Plans[1].Prices, "EUR") }, "prices lack EUR"},
		"plan free in one currency":    {func(d *document) { plan(d, func(p *catalogue.PlanPrices) { p.Month.Amount = 0 }) }, "are 0 in some places"},
		"plan yearly in two only":      {func(d *document) { plan(d, func(p *catalogue.PlanPrices) { p.Year = nil }) }, "by the year in some currencies only"},
		"Stripe price missing":         {func(d *document) { plan(d, func(p *catalogue.PlanPrices) { p.Month.StripePrice = "" }) }, "no id of a Stripe price"},
		"Stripe price of a product":    {func(d *document) { plan(d, func(p *catalogue.PlanPrices) { p.Month.StripePrice = "prod_1" }) }, "no id of a Stripe price"},
		"Stripe price of another plan": {
			func(d *document) {
				plan(d, func(p *catalogue.PlanPrices) { p.Month.StripePrice = "price_scale_year_eur" })
			},
			`"starter" and "scale" share the Stripe price "price_scale_year_eur"`,
		},
		"Stripe price both sold and former": {
			func(d *document) { d.Plans[0].FormerPrices = former("ZAR", "month", "price_free_month_zar") }, `share the Stripe price`,
		},
		"former price's interval": {func(d *document) { d.Plans[0].FormerPrices = former("ZAR", "week", "price_old") }, `interval is "week"`},
		"former price's currency": {func(d *document) { d.Plans[0].FormerPrices = former("rand", "month", "price_old") }, `currency is "rand"`},
		"too many packages": {func(d *document) {
			for range 600 {
				d.Packages = append(d.Packages, d.Packages[0])
			}
		}, "more than 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := seed(t).Document()
			c.change(&document)
			_, err := catalogue.New(document)
			invalid, ok := errors.AsType[*catalogue.InvalidError](err)
			if !ok {
				t.Fatalf("error %v, want an *InvalidError", err)
			}
			if code(t, err) != "invalid_request" || !strings.Contains(strings.Join(invalid.Problems, "\n"), c.says) || !strings.Contains(invalid.Public(), c.says) {
				t.Errorf("problems %q, want one that says %q", invalid.Problems, c.says)
			}
			if len(invalid.Problems) > 100 {
				t.Errorf("%d problems are told, want at most 100", len(invalid.Problems))
			}
		})
	}
}

// change changes what custom amounts cost in ZAR.
func change(d *catalogue.Document, f func(c *catalogue.CustomCredits)) {
	custom := d.CustomCredits["ZAR"]
	f(&custom)
	d.CustomCredits["ZAR"] = custom
}

// plan changes what the second plan costs in ZAR.
func plan(d *catalogue.Document, f func(p *catalogue.PlanPrices)) {
	prices := d.Plans[1].Prices["ZAR"]
	f(&prices)
	d.Plans[1].Prices["ZAR"] = prices
}

// former is one former price.
func former(currency catalogue.Currency, interval catalogue.Interval, id string) []catalogue.FormerPrice {
	return []catalogue.FormerPrice{{Currency: currency, Interval: interval, StripePrice: id}}
}

func TestAllFaultsAreToldAtOnceInTheDocumentsOrder(t *testing.T) {
	t.Parallel()
	document := seed(t).Document()
	document.Features[0].Name = ""
	document.Packages[0].Credits = 0
	document.Plans[3].CreditsPerCycle = 1
	_, err := catalogue.New(document)
	invalid, ok := errors.AsType[*catalogue.InvalidError](err)
	if !ok || len(invalid.Problems) != 3 || !strings.HasPrefix(invalid.Problems[0], "features[0]") ||
		!strings.HasPrefix(invalid.Problems[1], "packages[0]") || !strings.HasPrefix(invalid.Problems[2], "plans") {
		t.Errorf("error %v, want three problems in order", err)
	}
}

func TestPlansAndAmountsOfChoiceMayBeLeftOut(t *testing.T) {
	t.Parallel()
	document := seed(t).Document()
	document.Packages, document.CustomCredits, document.Plans = nil, nil, nil
	c, err := catalogue.New(document)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PriceOfCredits(100, "ZAR"); code(t, err) != "invalid_request" {
		t.Errorf("an amount of choice: %v, want invalid_request", err)
	}
}

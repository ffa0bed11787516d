package catalogue

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a Document may hold.
const (
	// CreditsMax bounds what one use costs and what one purchase or cycle brings, in credits.
	CreditsMax = 1_000_000_000
	// amountMax is the highest amount that Stripe charges, in minor units.
	amountMax = 99_999_999
	// ratioMax bounds each side of a rate.
	ratioMax = 1_000_000_000
	// rankMax bounds a plan's rank.
	rankMax = 1000
	// itemsMax bounds each list.
	itemsMax = 500
	// stepsMax bounds the steps of a custom amount's price.
	stepsMax = 20
	// problemsMax bounds how many problems are told.
	problemsMax = 100
	// daysMax bounds lives, in days: ten years.
	daysMax = 3653
	// monthlyMax bounds how often one organisation's referral codes are claimed in a month.
	monthlyMax = 10_000
	// nameMax and descriptionMax bound texts, in bytes.
	nameMax        = 100
	descriptionMax = 1000
)

var (
	idPattern          = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	currencyPattern    = regexp.MustCompile(`^[A-Z]{3}$`)
	countryPattern     = regexp.MustCompile(`^[A-Z]{2}$`)
	stripePricePattern = regexp.MustCompile(`^price_[A-Za-z0-9_]{1,200}$`)
)

// problems returns all that is wrong with d, in the order of its fields.
func (d Document) problems() []string {
	check := &checker{currencies: d.Currencies}
	check.that(d.Version >= 1, "version", "is %d, and must be 1 or more", d.Version)
	check.document(d)
	check.list("features", len(d.Features))
	check.that(len(d.Features) > 0, "features", "are missing")
	unique(check, "features", d.Features, func(f Feature) string { return f.ID })
	for i, f := range d.Features {
		check.feature(at("features", i, f.ID), f)
	}
	check.list("packages", len(d.Packages))
	unique(check, "packages", d.Packages, func(p Package) string { return p.ID })
	for i, p := range d.Packages {
		place := at("packages", i, p.ID)
		check.named(place, p.ID, p.Name)
		check.credits(place+".credits", p.Credits)
		check.complete(place+".prices", maps.Keys(p.Prices))
		for _, currency := range slices.Sorted(maps.Keys(p.Prices)) {
			check.amount(fmt.Sprintf("%s.prices.%s", place, currency), p.Prices[currency], 1)
		}
	}
	if len(d.CustomCredits) > 0 {
		check.complete("custom_credits", maps.Keys(d.CustomCredits))
	}
	for _, currency := range slices.Sorted(maps.Keys(d.CustomCredits)) {
		check.custom("custom_credits."+string(currency), d.CustomCredits[currency])
	}
	check.list("plans", len(d.Plans))
	unique(check, "plans", d.Plans, func(p Plan) string { return p.ID })
	for i, p := range d.Plans {
		check.plan(at("plans", i, p.ID), p)
	}
	check.ladder(d)
	if d.Referral != nil {
		check.referral(*d.Referral)
	}
	return check.problems
}

// at names an item of a list by its place and its id.
func at(list string, i int, id string) string { return fmt.Sprintf("%s[%d] (%q)", list, i, clip(id)) }

// checker gathers problems.
type checker struct {
	currencies []Currency
	problems   []string
}

// that notes a problem at a place unless ok.
func (c *checker) that(ok bool, place, problem string, args ...any) {
	if !ok && len(c.problems) < problemsMax {
		c.problems = append(c.problems, place+" "+fmt.Sprintf(problem, args...))
	}
}

// document checks the currencies.
func (c *checker) document(d Document) {
	c.list("currencies", len(d.Currencies))
	c.that(len(d.Currencies) > 0, "currencies", "are missing")
	for i, currency := range d.Currencies {
		c.that(currencyPattern.MatchString(string(currency)), "currencies", "has %q, which is no currency's code", currency)
		c.that(!slices.Contains(d.Currencies[:i], currency), "currencies", "has %q twice", currency)
	}
	c.that(slices.Contains(d.Currencies, d.DefaultCurrency), "default_currency", "is %q, which is not among the currencies", d.DefaultCurrency)
	c.list("country_currencies", len(d.CountryCurrencies))
	for _, country := range slices.Sorted(maps.Keys(d.CountryCurrencies)) {
		currency := d.CountryCurrencies[country]
		c.that(countryPattern.MatchString(country), "country_currencies", "has %q, which is no country's code", country)
		c.that(slices.Contains(d.Currencies, currency), "country_currencies."+country, "is %q, which is not among the currencies", currency)
	}
}

func (c *checker) feature(place string, f Feature) {
	c.named(place, f.ID, f.Name)
	c.text(place+".description", f.Description, descriptionMax)
	c.credits(place+".price.min", f.Price.Min)
	c.credits(place+".price.max", f.Price.Max)
	c.that(f.Price.Min <= f.Price.Max, place+".price", "has min %d above max %d", f.Price.Min, f.Price.Max)
	if f.Rate != nil {
		c.text(place+".rate.unit", f.Rate.Unit, nameMax)
		c.ratio(place+".rate.credits", f.Rate.Credits)
		c.ratio(place+".rate.units", f.Rate.Units)
		c.that(!f.Price.Fixed(), place+".rate", "is of no effect, because the price is fixed")
	}
	c.list(place+".requires", len(f.Requires))
	unique(c, place+".requires", f.Requires, func(r Requirement) string { return r.ID })
	for i, r := range f.Requires {
		c.id(at(place+".requires", i, r.ID), r.ID)
		c.text(at(place+".requires", i, r.ID)+".description", r.Description, descriptionMax)
	}
}

func (c *checker) custom(place string, custom CustomCredits) {
	c.credits(place+".min", custom.Min)
	c.credits(place+".max", custom.Max)
	c.that(custom.Min <= custom.Max, place, "has min %d above max %d", custom.Min, custom.Max)
	c.that(len(custom.Steps) > 0 && len(custom.Steps) <= stepsMax, place+".steps", "are %d, and must be from 1 to %d", len(custom.Steps), stepsMax)
	before := len(c.problems)
	for i, step := range custom.Steps {
		place := fmt.Sprintf("%s.steps[%d]", place, i)
		c.amount(place+".amount", step.Amount, 1)
		c.ratio(place+".credits", step.Credits)
		if i == 0 {
			c.that(step.From == 1, place+".from", "is %d, and must be 1 in the first step", step.From)
			continue
		}
		last := custom.Steps[i-1]
		c.that(step.From > last.From && step.From <= CreditsMax, place+".from", "is %d, and must be above the step before it and at most %d", step.From, CreditsMax)
		// Cross-multiplied, both sides are at most 10^17.
		c.that(step.Amount*last.Credits <= last.Amount*step.Credits, place, "costs more per credit than the step before it")
	}
	if len(c.problems) > before || custom.Min > custom.Max || len(custom.Steps) == 0 || custom.Max > CreditsMax {
		return
	}
	highest := custom.PriceOf(custom.Max)
	c.that(highest <= amountMax, place+".max", "costs %d, more than the %d that can be charged at once", highest, amountMax)
}

func (c *checker) plan(place string, p Plan) {
	c.named(place, p.ID, p.Name)
	c.text(place+".description", p.Description, descriptionMax)
	c.that(p.Rank >= 0 && p.Rank <= rankMax, place+".rank", "is %d, and must be from 0 to %d", p.Rank, rankMax)
	c.that(p.CreditsPerCycle >= 0 && p.CreditsPerCycle <= CreditsMax, place+".credits_per_cycle", "are %d, and must be from 0 to %d", p.CreditsPerCycle, CreditsMax)
	c.complete(place+".prices", maps.Keys(p.Prices))
	var free, paid, yearly int
	for _, currency := range slices.Sorted(maps.Keys(p.Prices)) {
		prices := p.Prices[currency]
		sold := []RecurringPrice{prices.Month}
		if prices.Year != nil {
			yearly++
			sold = append(sold, *prices.Year)
		}
		for i, price := range sold {
			place := fmt.Sprintf("%s.prices.%s.%s", place, currency, []Interval{Month, Year}[i])
			c.amount(place+".amount", price.Amount, 0)
			c.stripePrice(place+".stripe_price", price.StripePrice)
			if price.Amount == 0 {
				free++
			} else {
				paid++
			}
		}
	}
	c.that(free == 0 || paid == 0, place+".prices", "are 0 in some places and not in others")
	c.that(yearly == 0 || yearly == len(p.Prices), place+".prices", "are by the year in some currencies only")
	c.list(place+".former_prices", len(p.FormerPrices))
	for i, former := range p.FormerPrices {
		place := fmt.Sprintf("%s.former_prices[%d]", place, i)
		c.that(currencyPattern.MatchString(string(former.Currency)), place+".currency", "is %q, which is no currency's code", former.Currency)
		c.that(former.Interval == Month || former.Interval == Year, place+".interval", "is %q, and must be %q or %q", former.Interval, Month, Year)
		c.stripePrice(place+".stripe_price", former.StripePrice)
	}
}

// ladder checks the plans against each other: ranks are unique, a higher one grants no less, and no Stripe price
// stands for two of them.
func (c *checker) ladder(d Document) {
	plans := slices.SortedStableFunc(slices.Values(d.Plans), func(a, b Plan) int { return cmp.Compare(a.Rank, b.Rank) })
	for i := 1; i < len(plans); i++ {
		lower, higher := plans[i-1], plans[i]
		c.that(lower.Rank != higher.Rank, "plans", "%q and %q have the same rank %d", clip(lower.ID), clip(higher.ID), higher.Rank)
		c.that(lower.CreditsPerCycle <= higher.CreditsPerCycle, "plans", "%q grants %d credits, fewer than the lower plan %q with %d",
			clip(higher.ID), higher.CreditsPerCycle, clip(lower.ID), lower.CreditsPerCycle)
	}
	seen := map[string]string{}
	for id, price := range d.stripePrices() {
		other, taken := seen[id]
		c.that(!taken, "plans", "%q and %q share the Stripe price %q", clip(other), clip(price.Plan.ID), clip(id))
		seen[id] = price.Plan.ID
	}
}

func (c *checker) referral(r Referral) {
	c.credits("referral.referrer_credits", r.ReferrerCredits)
	c.credits("referral.referred_credits", r.ReferredCredits)
	c.within("referral.life_days", r.LifeDays, daysMax)
	c.within("referral.code_life_days", r.CodeLifeDays, daysMax)
	c.within("referral.monthly_max", r.MonthlyMax, monthlyMax)
}

// complete checks that prices are there for each currency and no other.
func (c *checker) complete(place string, priced func(yield func(Currency) bool)) {
	has := slices.Sorted(priced)
	for _, currency := range c.currencies {
		c.that(slices.Contains(has, currency), place, "lack %s", currency)
	}
	for _, currency := range has {
		c.that(slices.Contains(c.currencies, currency), place, "have %q, which is not among the currencies", currency)
	}
}

func (c *checker) list(place string, n int) {
	c.that(n <= itemsMax, place, "has %d items, more than %d", n, itemsMax)
}

func (c *checker) named(place, id, name string) {
	c.id(place, id)
	c.text(place+".name", name, nameMax)
}

func (c *checker) id(place, id string) {
	c.that(idPattern.MatchString(id), place+".id", "must be 1 to 64 lower-case letters, digits, - and _")
}

func (c *checker) text(place, text string, most int) {
	c.that(strings.TrimSpace(text) != "", place, "is empty")
	c.that(len(text) <= most && utf8.ValidString(text), place, "must be at most %d bytes of UTF-8", most)
}

func (c *checker) credits(place string, n int64) { c.within(place, n, CreditsMax) }

func (c *checker) ratio(place string, n int64) { c.within(place, n, ratioMax) }

// within checks that a number is from 1 to most.
func (c *checker) within(place string, n, most int64) {
	c.that(n >= 1 && n <= most, place, "is %d, and must be from 1 to %d", n, most)
}

func (c *checker) amount(place string, n, least int64) {
	c.that(n >= least && n <= amountMax, place, "is %d, and must be from %d to %d", n, least, amountMax)
}

func (c *checker) stripePrice(place, id string) {
	c.that(stripePricePattern.MatchString(id), place, "is %q, which is no id of a Stripe price", clip(id))
}

// unique checks that no two items of a list have one id.
func unique[T any](c *checker, place string, items []T, id func(T) string) {
	seen := map[string]bool{}
	for _, item := range items {
		c.that(!seen[id(item)], place, "has the id %q twice", clip(id(item)))
		seen[id(item)] = true
	}
}

// Package catalogue says what is sold and what it costs: features, packages, custom amounts of credits, plans, and the
// currency of each country.
//
// The catalogue is data in versions. A version is a [Document]; once published it never changes, and a debit or purchase
// records the version it was priced with. A [Catalogue] is a Document that has been found valid, with its look-ups;
// it reads no clock and no store. [Store] keeps the versions in Firestore.
//
// Invariants: what a Catalogue holds is valid as [Parse] demands, so look-ups never meet half a price; prices are whole
// credits and whole minor units; rounding is always up to the next whole one; no arithmetic overflows; a price by units
// lies within its feature's range.
//
// It does not own whether a feature is available or an organisation is ready for it, balances, taxes, or the Stripe
// objects that its price ids name.
package catalogue

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/bits"
	"slices"

	"github.com/fluxori/ai-credits/shared/strictjson"
)

// DocumentMax bounds a Document as JSON, in bytes; Firestore takes 1 MiB.
const DocumentMax = 512 << 10

// Catalogue is one valid version. It is safe for concurrent use, and nothing it returns may be changed.
type Catalogue struct {
	document Document
	features map[string]Feature
	packages map[string]Package
	// stripePrices are all prices of plans, former ones too, by Stripe's id.
	stripePrices map[string]PlanPrice
}

// Quantity is how much of a feature is used, as its caller states it: credits, units, or neither.
type Quantity struct {
	Credits *int64
	Units   *int64
}

// Quote is the price of one use.
type Quote struct {
	Feature      string
	Credits      int64
	PriceVersion int64
}

// PlanPrice is a plan as one Stripe price sells it.
type PlanPrice struct {
	Plan     Plan
	Currency Currency
	Interval Interval
	// Former says that the price is no longer sold.
	Former bool
}

// Parse reads a Document as JSON and checks it. Errors are a *strictjson.Error or an *InvalidError.
func Parse(data []byte) (*Catalogue, error) {
	document, err := decodeDocument(data)
	if err != nil {
		return nil, err
	}
	return New(document)
}

// decodeDocument reads a Document as JSON without checking it. The error is a *strictjson.Error.
func decodeDocument(data []byte) (Document, error) {
	document, err := strictjson.Unmarshal[Document](data, DocumentMax)
	if err != nil {
		return Document{}, fmt.Errorf("parse catalogue: %w", err)
	}
	return document, nil
}

// New checks a Document, which must not be changed afterwards. The error is an *InvalidError that tells all that is
// wrong.
func New(document Document) (*Catalogue, error) {
	if problems := document.problems(); len(problems) > 0 {
		return nil, &InvalidError{Version: document.Version, Problems: problems}
	}
	c := &Catalogue{
		document: document,
		features: map[string]Feature{},
		packages: map[string]Package{},
	}
	for _, f := range document.Features {
		c.features[f.ID] = f
	}
	for _, p := range document.Packages {
		c.packages[p.ID] = p
	}
	c.stripePrices = maps.Collect(document.stripePrices())
	return c, nil
}

// Version is the version's number.
func (c *Catalogue) Version() int64 { return c.document.Version }

// Referral says what referrals give; nil if nothing.
func (c *Catalogue) Referral() *Referral { return c.document.Referral }

// Document returns the version as it is written.
func (c *Catalogue) Document() Document { return c.document }

// encode returns the version as JSON. Equal versions are equal bytes.
func (c *Catalogue) encode() ([]byte, error) {
	data, err := json.Marshal(c.document)
	if err != nil {
		return nil, fmt.Errorf("encode catalogue %d: %w", c.document.Version, err)
	}
	if len(data) > DocumentMax {
		return nil, &InvalidError{Version: c.document.Version, Problems: []string{fmt.Sprintf("it has %d bytes, at most %d are kept", len(data), DocumentMax)}}
	}
	return data, nil
}

// FeatureByID returns a feature. The error is an *Error, `unknown_feature`.
func (c *Catalogue) FeatureByID(id string) (Feature, error) {
	f, ok := c.features[id]
	if !ok {
		return Feature{}, unknownFeature(id)
	}
	return f, nil
}

// PackageByID returns a package. The error is an *Error, `not_found`.
func (c *Catalogue) PackageByID(id string) (Package, error) {
	p, ok := c.packages[id]
	if !ok {
		return Package{}, notFound("package", id)
	}
	return p, nil
}

// PlanByStripePrice returns the plan that a Stripe price sells or once sold. The error is an *Error, `not_found`.
func (c *Catalogue) PlanByStripePrice(id string) (PlanPrice, error) {
	p, ok := c.stripePrices[id]
	if !ok {
		return PlanPrice{}, notFound("plan with the Stripe price", id)
	}
	return p, nil
}

// CurrencyOf returns the currency of a country, an ISO 3166-1 alpha-2 code in capitals.
func (c *Catalogue) CurrencyOf(country string) Currency {
	if currency, ok := c.document.CountryCurrencies[country]; ok {
		return currency
	}
	return c.document.DefaultCurrency
}

// Price returns what one use of a feature costs.
//
// A feature with one price takes no quantity, or credits that state that very price. A feature with a range takes
// credits within it, or units if it has a rate: they become credits at the rate, rounded up and then clamped to the
// range. Errors are an *Error: `unknown_feature`; `credits_out_of_range` if the credits are not within the range, or
// are missing; `invalid_request` if both are given, if the feature is not priced by units, or if units are negative.
func (c *Catalogue) Price(feature string, q Quantity) (Quote, error) {
	f, err := c.FeatureByID(feature)
	if err != nil {
		return Quote{}, err
	}
	credits, err := f.price(q)
	if err != nil {
		return Quote{}, err
	}
	return Quote{Feature: f.ID, Credits: credits, PriceVersion: c.document.Version}, nil
}

// price applies the rule of Catalogue.Price to one feature.
func (f Feature) price(q Quantity) (int64, error) {
	switch {
	case q.Credits != nil && q.Units != nil:
		return 0, invalidQuantity(f.ID, "credits", "State credits or units, not both.")
	case q.Credits != nil:
		if *q.Credits < f.Price.Min || *q.Credits > f.Price.Max {
			return 0, outOfRange(f)
		}
		return *q.Credits, nil
	case q.Units != nil && f.Rate == nil:
		return 0, invalidQuantity(f.ID, "units", fmt.Sprintf("The feature %q is not priced by units.", f.ID))
	case q.Units != nil && *q.Units < 0:
		return 0, invalidQuantity(f.ID, "units", "Units are zero or more.")
	case q.Units != nil:
		return min(max(f.Rate.credits(*q.Units), f.Price.Min), f.Price.Max), nil
	case f.Price.Fixed():
		return f.Price.Min, nil
	default:
		return 0, outOfRange(f)
	}
}

// credits returns ceil(units × Credits ÷ Units), or the largest int64 if that is larger. Units are zero or more.
func (r Rate) credits(units int64) int64 {
	const most = 1<<63 - 1
	per := uint64(r.Units)
	high, low := bits.Mul64(uint64(units), uint64(r.Credits))
	low, carry := bits.Add64(low, per-1, 0)
	high += carry
	if high >= per {
		// The quotient has more than 64 bits.
		return most
	}
	quotient, _ := bits.Div64(high, low, per)
	return int64(min(quotient, most))
}

// PriceOfCredits returns what an amount of credits costs outside packages, in minor units of the currency: the sum over
// its credits of each one's step, rounded up once. Errors are an *Error: `credits_out_of_range` if the amount is not
// within the currency's bounds, `invalid_request` if custom amounts are not sold in the currency.
func (c *Catalogue) PriceOfCredits(credits int64, currency Currency) (int64, error) {
	custom, ok := c.document.CustomCredits[currency]
	if !ok {
		return 0, notSold(currency)
	}
	if credits < custom.Min || credits > custom.Max {
		return 0, customOutOfRange(custom, currency)
	}
	return custom.PriceOf(credits), nil
}

// PriceOf returns the price of an amount within the bounds, rounded up. The sum is taken exactly, since steps may be per different amounts; it
// is at most 10^9 credits × 10^8 minor units, and validation keeps the rounded result far below.
func (cc CustomCredits) PriceOf(credits int64) int64 {
	total := new(big.Rat)
	for i, step := range cc.Steps {
		last := credits
		if i+1 < len(cc.Steps) {
			last = min(credits, cc.Steps[i+1].From-1)
		}
		if last < step.From {
			break
		}
		part := new(big.Rat).SetFrac64(step.Amount, step.Credits)
		total.Add(total, part.Mul(part, new(big.Rat).SetInt64(last-step.From+1)))
	}
	whole, rest := new(big.Int).QuoRem(total.Num(), total.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole.Int64()
}

// stripePrices yields every price of a plan with its Stripe id.
func (d Document) stripePrices() func(yield func(string, PlanPrice) bool) {
	return func(yield func(string, PlanPrice) bool) {
		for _, plan := range d.Plans {
			for _, currency := range slices.Sorted(maps.Keys(plan.Prices)) {
				prices := plan.Prices[currency]
				if !yield(prices.Month.StripePrice, PlanPrice{Plan: plan, Currency: currency, Interval: Month}) {
					return
				}
				if prices.Year != nil && !yield(prices.Year.StripePrice, PlanPrice{Plan: plan, Currency: currency, Interval: Year}) {
					return
				}
			}
			for _, former := range plan.FormerPrices {
				if !yield(former.StripePrice, PlanPrice{Plan: plan, Currency: former.Currency, Interval: former.Interval, Former: true}) {
					return
				}
			}
		}
	}
}

package catalogue

// Currency is an ISO 4217 code, such as ZAR. Amounts are in its minor units: cents for ZAR, USD and EUR.
type Currency string

// Interval is how often a plan is paid.
type Interval string

// The intervals of plans. Credits are granted by the month in both.
const (
	Month Interval = "month"
	Year  Interval = "year"
)

// Document is one version of the catalogue as it is written: in the seed file, in Firestore and in operators' commands. What is left out of it is
// left out again when it is written, since the reader refuses null.
type Document struct {
	// Version is 1 or more; a later version has a higher one.
	Version int64 `json:"version"`
	// Currencies are those that everything sold has a price in.
	Currencies []Currency `json:"currencies"`
	// DefaultCurrency is that of countries which CountryCurrencies does not name.
	DefaultCurrency Currency `json:"default_currency"`
	// CountryCurrencies maps ISO 3166-1 alpha-2 codes to currencies.
	CountryCurrencies map[string]Currency `json:"country_currencies,omitzero"`
	// Features are what credits are spent on.
	Features []Feature `json:"features,omitzero"`
	// Packages are fixed amounts of credits for sale.
	Packages []Package `json:"packages,omitzero"`
	// CustomCredits prices any amount of credits, by currency. Empty if only packages are sold.
	CustomCredits map[Currency]CustomCredits `json:"custom_credits,omitzero"`
	// Plans are the subscriptions.
	Plans []Plan `json:"plans,omitzero"`
	// Checkout says how purchases are paid.
	Checkout Checkout `json:"checkout"`
	// Referral says what referrals give. Nil if nothing.
	Referral *Referral `json:"referral,omitempty"`
}

// Checkout says what Stripe's payment page does beside taking the money.
type Checkout struct {
	// AutomaticTax adds the tax that Stripe works out on top of the price, as Stripe Tax is set in the account.
	AutomaticTax bool `json:"automatic_tax"`
	// PromotionCodes lets buyers enter promotion codes that were made at Stripe. They lower the price and leave the credits as they are.
	PromotionCodes bool `json:"promotion_codes"`
}

// Referral says what both sides get when an organisation that came by another's code pays its first purchase.
type Referral struct {
	// ReferrerCredits and ReferredCredits are the rewards; LifeDays is how long each can be used, in days.
	ReferrerCredits int64 `json:"referrer_credits"`
	ReferredCredits int64 `json:"referred_credits"`
	LifeDays        int64 `json:"life_days"`
	// CodeLifeDays is for how long a code can be claimed, in days.
	CodeLifeDays int64 `json:"code_life_days"`
	// MonthlyMax is how many organisations may claim one referrer's codes in a calendar month.
	MonthlyMax int64 `json:"monthly_max"`
}

// Feature is something that credits are spent on.
type Feature struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	// Price is what one use costs.
	Price Range `json:"price"`
	// Rate turns units into credits. Nil if the feature is not priced by units; only a feature with a range can be.
	Rate *Rate `json:"rate,omitempty"`
	// Requires is the data that an organisation needs to have before the feature is of use to it.
	Requires []Requirement `json:"requires,omitempty"`
}

// Range is a price in credits, 1 or more: fixed if Min and Max are equal.
type Range struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// Fixed reports whether there is but one price.
func (r Range) Fixed() bool { return r.Min == r.Max }

// Rate is a price by units: Credits for each Units, the total rounded up to a whole credit.
type Rate struct {
	// Unit says what is counted, in the singular: "token".
	Unit    string `json:"unit"`
	Credits int64  `json:"credits"`
	Units   int64  `json:"units"`
}

// Requirement is data that a feature needs.
type Requirement struct {
	ID          string `json:"id"`
	Description string `json:"description"`
}

// Package is a fixed amount of credits for sale.
type Package struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Credits int64  `json:"credits"`
	// Prices are in minor units. Each currency has a price of its own; none is converted.
	Prices map[Currency]int64 `json:"prices"`
}

// CustomCredits prices amounts from Min to Max credits in one currency.
type CustomCredits struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
	// Steps are in ascending order of From, which for the first is 1. Each credit has the price of its own step, so more
	// credits never cost less.
	Steps []Step `json:"steps"`
}

// Step prices the credits from number From up to the next step: Amount minor units for each Credits.
type Step struct {
	From    int64 `json:"from"`
	Amount  int64 `json:"amount"`
	Credits int64 `json:"credits"`
}

// Plan is a subscription.
type Plan struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	// Rank orders plans from the lowest to the highest.
	Rank int64 `json:"rank"`
	// CreditsPerCycle are granted for each month, whether it is paid by the month or by the year.
	CreditsPerCycle int64 `json:"credits_per_cycle"`
	// Prices are what is sold now.
	Prices map[Currency]PlanPrices `json:"prices"`
	// FormerPrices are no longer sold, but some subscriptions still pay them.
	FormerPrices []FormerPrice `json:"former_prices,omitempty"`
}

// PlanPrices are a plan's prices in one currency.
type PlanPrices struct {
	Month RecurringPrice `json:"month"`
	// Year is nil if the plan is not sold by the year.
	Year *RecurringPrice `json:"year,omitempty"`
}

// RecurringPrice is what a plan costs in each interval.
type RecurringPrice struct {
	// Amount is in minor units; 0 for a free plan.
	Amount int64 `json:"amount"`
	// StripePrice is the id of the Stripe price, which invoices' lines name.
	StripePrice string `json:"stripe_price"`
}

// FormerPrice is a Stripe price that is no longer sold.
type FormerPrice struct {
	Currency    Currency `json:"currency"`
	Interval    Interval `json:"interval"`
	StripePrice string   `json:"stripe_price"`
}

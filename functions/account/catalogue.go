package account

import (
	"net/http"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
)

// priceList is what is sold in one country. Amounts are in minor units of the currency, without tax.
type priceList struct {
	Version  int64              `json:"version"`
	Country  string             `json:"country,omitempty"`
	Currency catalogue.Currency `json:"currency"`
	Features []feature          `json:"features"`
	Packages []creditPackage    `json:"packages"`
	// CustomCredits prices amounts of one's choice: each credit has the price of its own step, and the sum is rounded up once. It is left
	// out where none are sold.
	CustomCredits *catalogue.CustomCredits `json:"custom_credits,omitempty"`
	Plans         []plan                   `json:"plans"`
	// Checkout says whether tax comes on top, and whether Stripe's promotion codes are taken.
	Checkout catalogue.Checkout `json:"checkout"`
}

type feature struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	// Credits is what one use costs: from min to max.
	Credits  catalogue.Range         `json:"credits"`
	Rate     *catalogue.Rate         `json:"rate,omitempty"`
	Requires []catalogue.Requirement `json:"requires,omitempty"`
}

type creditPackage struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Credits int64  `json:"credits"`
	Amount  int64  `json:"amount"`
}

type plan struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	Description     string `json:"description"`
	Rank            int64  `json:"rank"`
	CreditsPerCycle int64  `json:"credits_per_cycle"`
	MonthAmount     int64  `json:"month_amount"`
	// YearAmount is left out if the plan is not sold by the year.
	YearAmount *int64 `json:"year_amount,omitempty"`
}

func (h *handler) catalogue(w http.ResponseWriter, r *http.Request, c call) error {
	country := c.query.Get("country")
	if c.query.Has("country") && !orgs.ValidCountry(country) {
		return invalid("country", "country must be an ISO 3166-1 alpha-2 code in capitals, such as ZA.")
	}
	current, err := h.prices.Current(r.Context())
	if err != nil {
		return err
	}
	serve.OKUnlessSame(w, r, listPrices(current, country), nil)
	return nil
}

// listPrices is a catalogue in a country's currency; in the default currency without a country.
func listPrices(current *catalogue.Catalogue, country string) priceList {
	d, currency := current.Document(), current.CurrencyOf(country)
	out := priceList{
		Version: d.Version, Country: country, Currency: currency, Features: []feature{}, Packages: []creditPackage{}, Plans: []plan{}, Checkout: d.Checkout,
	}
	for _, f := range d.Features {
		out.Features = append(out.Features, feature{ID: f.ID, Name: f.Name, Description: f.Description, Credits: f.Price, Rate: f.Rate, Requires: f.Requires})
	}
	for _, p := range d.Packages {
		out.Packages = append(out.Packages, creditPackage{ID: p.ID, Name: p.Name, Credits: p.Credits, Amount: p.Prices[currency]})
	}
	if custom, ok := d.CustomCredits[currency]; ok {
		out.CustomCredits = &custom
	}
	for _, p := range d.Plans {
		prices := p.Prices[currency]
		shown := plan{ID: p.ID, Name: p.Name, Description: p.Description, Rank: p.Rank, CreditsPerCycle: p.CreditsPerCycle, MonthAmount: prices.Month.Amount}
		if prices.Year != nil {
			shown.YearAmount = &prices.Year.Amount
		}
		out.Plans = append(out.Plans, shown)
	}
	return out
}

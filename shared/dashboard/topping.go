package dashboard

import (
	"net/http"
	"net/url"

	"github.com/fluxori/ai-credits/shared/numerals"
)

// toppingData fills the page of auto top-up.
type toppingData struct {
	autoTopUp
	Sold priceList
	// Failure says why charges have stopped, and what to do about it.
	Failure failure
}

// failure is why a charge failed, for people.
type failure struct{ Why, Remedy string }

// failures are by Stripe's code. What is not here is told by its code.
var failures = map[string]failure{
	"no_card":                 {"There is no card to charge.", "Add a card on the billing page, then try again."},
	"card_declined":           {"The bank declined the card.", "Ask the bank, or set another card on the billing page, then try again."},
	"expired_card":            {"The card has expired.", "Set another card on the billing page, then try again."},
	"insufficient_funds":      {"The card's account did not have enough money.", "See to that, or set another card on the billing page, then try again."},
	"authentication_required": {"The bank wants the card's owner to confirm each payment.", "Purchase credits yourself, or set a card that can be charged without asking, then try again."},
	"not_sold":                {"The package is not sold any more.", "Choose another one below and save."},
	"other_currency":          {"The package is not sold in the currency that you pay in.", "Choose another one below and save."},
	"no_tax_place":            {"It is not known where you are, so that tax cannot be reckoned.", "Set your address on the billing page, then try again."},
	"abandoned":               {"A charge was begun and its outcome could not be learned in time.", "Look into Purchase History whether it is paid, then try again."},
}

// MonthName is the month that Spent is of.
func (d toppingData) MonthName() string { return monthName(d.Month) }

// Cap is the monthly cap as people write it, without the currency; empty where none was set.
func (d toppingData) Cap() string {
	if d.MonthlyCap == 0 {
		return ""
	}
	return numerals.Amount(d.MonthlyCap)
}

func (v *visit) topping() error {
	var d toppingData
	if err := v.get(v.in("auto-top-up"), nil, &d.autoTopUp); err != nil {
		return err
	}
	if err := v.get("/catalogue", url.Values{"country": {v.Org.Country}}, &d.Sold); err != nil {
		return err
	}
	if d.Stopped != nil {
		known, ok := failures[d.Stopped.Code]
		if d.Failure = known; !ok {
			d.Failure = failure{"A charge failed: " + d.Stopped.Code + ".", "Set another card on the billing page, then try again."}
		}
	}
	return v.render("Auto Top-Up", d)
}

// changeTopping sets when to top up, with what, and how far. The same settings again close an open breaker.
func (v *visit) changeTopping() error {
	if v.field("do") == "portal" {
		return v.openPortal((*visit).topping)
	}
	if err := v.setTopping(); err != nil {
		return v.again((*visit).topping, err)
	}
	return v.done("/orgs/"+v.org+"/auto-top-up", "topup")
}

func (v *visit) setTopping() error {
	threshold, ok, err := v.number("threshold", "The threshold")
	if err == nil && !ok {
		err = wrong("Please say at which balance to top up.")
	}
	if err != nil {
		return err
	}
	ceiling, ok := numerals.Minor(v.field("cap"))
	if !ok {
		return wrong("Please write the monthly cap as an amount of money, such as 1 299,00.")
	}
	return v.do(http.MethodPut, v.in("auto-top-up"), map[string]any{
		"enabled": v.field("enabled") != "", "threshold": threshold, "package": v.field("package"), "monthly_cap": ceiling,
	}, nil)
}

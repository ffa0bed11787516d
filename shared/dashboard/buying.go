package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fluxori/ai-credits/shared/problem"
)

// shopData fills the page where credits are bought.
type shopData struct {
	priceList
	Balance balance
	// Wanted is the amount of credits whose price was asked for, Price what it costs.
	Wanted, Price int64
}

func (v *visit) shop() error {
	var d shopData
	if err := v.get("/catalogue", url.Values{"country": {v.Org.Country}}, &d.priceList); err != nil {
		return err
	}
	if err := v.get(v.in("balance"), nil, &d.Balance); err != nil {
		return err
	}
	if wanted, err := strconv.ParseInt(strings.ReplaceAll(v.query("credits"), " ", ""), 10, 64); err == nil && d.Custom != nil {
		d.Wanted = wanted
		if wanted < d.Custom.Min || wanted > d.Custom.Max {
			v.Problem = "You can buy from " + v.Credits(d.Custom.Min) + " to " + v.Credits(d.Custom.Max) + " credits at once."
		} else {
			d.Price = d.Custom.PriceOf(wanted)
		}
	}
	return v.render("Purchase Credits", d)
}

// buy begins a purchase and sends the person to pay; or redeems a promotion's code.
func (v *visit) buy() error {
	if v.field("do") == "redeem" {
		if err := v.do(http.MethodPost, v.in("promotions", "redeem"), map[string]string{"code": v.field("code")}, nil); err != nil {
			return v.again((*visit).shop, err)
		}
		return v.done("/orgs/"+v.org+"/purchase", "redeemed")
	}
	order := map[string]any{}
	if id := v.field("package"); id != "" {
		order["package"] = id
	} else {
		n, ok, err := v.number("credits", "The number of credits")
		if err == nil && !ok {
			err = wrong("Please say how many credits you want.")
		}
		if err != nil {
			return v.again((*visit).shop, err)
		}
		order["credits"] = n
	}
	var started purchase
	if err := v.do(http.MethodPost, v.in("purchases"), order, &started); err != nil {
		return v.again((*visit).shop, err)
	}
	http.Redirect(v.w, v.r, started.CheckoutURL, http.StatusSeeOther)
	return nil
}

// historyData fills the list of purchases.
type historyData struct {
	Purchases []purchase
	Next      string
	Sought    string
}

// history lists purchases, or leads to the one whose reference is asked for.
func (v *visit) history() error {
	d := historyData{Sought: v.query("reference")}
	if d.Sought != "" {
		var found purchase
		err := v.get(v.in("purchases", d.Sought), nil, &found)
		if err == nil {
			return v.done("/orgs/"+v.org+"/purchases/"+url.PathEscape(found.Reference), "")
		}
		no, ok := refused(err)
		if !ok || no.Status != statusOf(problem.NotFound) {
			return err
		}
		v.Problem, v.status = "This organisation has no purchase with the reference “"+d.Sought+"”.", statusOf(problem.NotFound)
	}
	var found list[purchase]
	if err := v.get(v.in("purchases"), v.paging(), &found); err != nil {
		return err
	}
	d.Purchases, d.Next = found.Items, v.next(found.Next)
	return v.render("Purchase History", d)
}

// boughtData fills the page of one purchase.
type boughtData struct {
	purchase
	// Refund is what could be given back, or nil; NotRefundable says why nothing can.
	Refund        *refundQuote
	NotRefundable string
}

func (v *visit) bought() error {
	var d boughtData
	if err := v.get(v.in("purchases", v.r.PathValue("reference")), nil, &d.purchase); err != nil {
		return err
	}
	if v.Reads() && d.GrantID != "" {
		var q refundQuote
		err := v.get(v.in("purchases", d.Reference, "refund"), nil, &q)
		no, ok := refused(err)
		switch {
		case err == nil:
			d.Refund = &q
		case ok && no.Status < statusOf(problem.Internal):
			d.NotRefundable = no.Detail
		default:
			return err
		}
	}
	return v.render("Purchase "+d.Reference, d)
}

// changeBought asks Stripe about a purchase now, or refunds it.
func (v *visit) changeBought() error {
	reference := v.r.PathValue("reference")
	here := "/orgs/" + v.org + "/purchases/" + url.PathEscape(reference)
	switch v.field("do") {
	case "check":
		if err := v.do(http.MethodPost, v.in("purchases", reference, "recover"), nil, nil); err != nil {
			return v.again((*visit).bought, err)
		}
		return v.done(here, "checked")
	case "refund":
		if err := v.do(http.MethodPost, v.in("purchases", reference, "refund"), map[string]string{"reason": v.field("reason")}, nil); err != nil {
			return v.again((*visit).bought, err)
		}
		return v.done(here, "refunded")
	}
	return wrong("This form is not known.")
}

// receipt leads to Stripe's receipt of a purchase.
func (v *visit) receipt() error {
	var to struct {
		URL string `json:"url"`
	}
	if err := v.get(v.in("purchases", v.r.PathValue("reference"), "receipt"), nil, &to); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, to.URL, http.StatusSeeOther)
	return nil
}

// Bought is the purchase itself, for templates.
func (d boughtData) Bought() purchase { return d.purchase }

// eventTexts say what moments of a purchase's timeline are. What is not here is shown as it is called.
var eventTexts = map[string]string{
	"created":                                  "Order placed",
	"checkout_opened":                          "Payment page opened",
	"session.found":                            "Found at Stripe",
	"checkout.session.completed":               "Checkout completed",
	"checkout.session.expired":                 "Payment page expired",
	"checkout.session.async_payment_succeeded": "Payment arrived",
	"checkout.session.async_payment_failed":    "Payment failed",
	"charge.refunded":                          "Refunded",
	"charge.refund.updated":                    "Refund updated",
	"charge.dispute.created":                   "Disputed with the bank",
	"charge.dispute.closed":                    "Dispute decided",
	"refund_begun":                             "Refund begun",
	"refund_refused":                           "Refund refused",
}

// Event says what happened to a purchase.
func (v *visit) Event(what string) string {
	if text, ok := eventTexts[what]; ok {
		return text
	}
	return v.Words(what)
}

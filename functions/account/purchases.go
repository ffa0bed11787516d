package account

import (
	"cmp"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// order is the body of POST …/purchases: a package, or an amount of credits.
type order struct {
	Package string `json:"package,omitempty"`
	Credits *int64 `json:"credits,omitempty"`
}

// started is a purchase that awaits its payment. Amount is without tax, in minor units of the currency.
type started struct {
	Reference   string             `json:"reference"`
	CheckoutURL string             `json:"checkout_url"`
	Amount      int64              `json:"amount"`
	Currency    catalogue.Currency `json:"currency"`
	Credits     int64              `json:"credits"`
	// Replayed says that the same key began this purchase before.
	Replayed bool `json:"replayed"`
}

func (h *handler) buy(w http.ResponseWriter, r *http.Request, c call) error {
	o, err := strictjson.Decode[order](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if (o.Package == "") == (o.Credits == nil) {
		return invalid("package", "State either a package or credits.")
	}
	wanted := payments.Order{Org: c.org, Package: o.Package, Key: c.key}
	if o.Credits != nil {
		if *o.Credits < 1 {
			return invalid("credits", "credits must be 1 or more.")
		}
		wanted.Credits = *o.Credits
	}
	org, err := h.store.Get(r.Context(), c.org)
	if err != nil {
		return err
	}
	as := buyer(org)
	wanted.Name, wanted.Email, wanted.Country = as.Name, as.Email, org.Country
	p, err := h.shop.StartPurchase(r.Context(), wanted)
	if err != nil {
		return err
	}
	serve.Created(w, r, started{
		Reference: p.Reference, CheckoutURL: p.CheckoutURL, Amount: p.Amount, Currency: p.Currency, Credits: p.Credits, Replayed: p.Replayed,
	})
	return nil
}

// buyer is an organisation as Stripe is told of it.
func buyer(o orgs.Org) payments.Buyer {
	return payments.Buyer{Org: o.ID, Name: o.Name, Email: cmp.Or(o.BillingContact, o.OwnerEmail)}
}

// portal is the way to Stripe's page of plans, cards and invoices. It is good for a short time and for one visit.
type portal struct {
	URL string `json:"url"`
}

func (h *handler) billingPortal(w http.ResponseWriter, r *http.Request, c call) error {
	org, err := h.store.Get(r.Context(), c.org)
	if err != nil {
		return err
	}
	url, err := h.shop.Portal(r.Context(), buyer(org))
	if err != nil {
		return err
	}
	serve.Created(w, r, portal{URL: url})
	return nil
}

// purchase is a purchase with its timeline, the earliest first.
type purchase struct {
	Reference    string             `json:"reference"`
	Status       payments.Status    `json:"status"`
	Package      string             `json:"package,omitempty"`
	Credits      int64              `json:"credits"`
	Amount       int64              `json:"amount"`
	Currency     catalogue.Currency `json:"currency"`
	PriceVersion int64              `json:"price_version"`
	// CheckoutURL is there until the purchase is decided.
	CheckoutURL string     `json:"checkout_url,omitempty"`
	GrantID     string     `json:"grant_id,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	PaidAt      *time.Time `json:"paid_at,omitempty"`
	Timeline    []moment   `json:"timeline"`
}

type moment struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	// Amount is the money that it is about, in minor units, where that is not the price.
	Amount int64 `json:"amount,omitempty"`
}

func (h *handler) purchase(w http.ResponseWriter, r *http.Request, c call) error {
	p, err := h.shop.Purchase(r.Context(), c.org, r.PathValue("reference"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showPurchase(p))
	return nil
}

func showPurchase(p payments.Purchase) purchase {
	out := purchase{
		Reference: p.Reference, Status: p.Status, Package: p.Package, Credits: p.Credits, Amount: p.Amount, Currency: p.Currency,
		PriceVersion: p.PriceVersion, GrantID: p.Grant, CreatedAt: p.CreatedAt, Timeline: make([]moment, 0, len(p.Timeline)),
	}
	if p.Status == payments.Created {
		out.CheckoutURL = p.CheckoutURL
	}
	if !p.PaidAt.IsZero() {
		out.PaidAt = &p.PaidAt
	}
	for _, m := range p.Timeline {
		out.Timeline = append(out.Timeline, moment{At: m.At, What: m.What, Amount: m.Amount})
	}
	return out
}

// receipt is where Stripe shows the receipt of a purchase.
type receipt struct {
	URL string `json:"url"`
}

func (h *handler) receipt(w http.ResponseWriter, r *http.Request, c call) error {
	url, err := h.shop.Receipt(r.Context(), c.org, r.PathValue("reference"))
	if err != nil {
		return err
	}
	serve.OK(w, r, receipt{URL: url})
	return nil
}

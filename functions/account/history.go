package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
)

// purchasesList names the list of purchases in page tokens.
const purchasesList = "purchases"

// history lists an organisation's purchases, the newest first.
func (h *handler) history(w http.ResponseWriter, r *http.Request, c call) error {
	return paymentsPage(w, r, c, purchasesList, func(after payments.Place, n int) ([]payments.Purchase, error) {
		return h.shop.Purchases(r.Context(), c.org, after, n)
	}, showPurchase, func(p payments.Purchase) payments.Place { return payments.Place{At: p.CreatedAt, ID: p.Reference} })
}

// foundPurchase is a purchase for those who look it up by its reference alone.
type foundPurchase struct {
	OrgID string `json:"org_id"`
	purchase
}

func (h *handler) findPurchase(w http.ResponseWriter, r *http.Request, _ call) error {
	p, err := h.shop.FindPurchase(r.Context(), r.PathValue("reference"))
	if err != nil {
		return err
	}
	serve.OK(w, r, foundPurchase{OrgID: p.Org, purchase: showPurchase(p)})
	return nil
}

// recoverPurchase asks Stripe now. It needs no key: the purchase is one, and repeating it is harmless.
func (h *handler) recoverPurchase(w http.ResponseWriter, r *http.Request, c call) error {
	p, err := h.receiver.Recover(r.Context(), c.org, r.PathValue("reference"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showPurchase(p))
	return nil
}

// reconciliation is how the walk through Stripe's record stands.
type reconciliation struct {
	// RanAt is when it last ran, Until the moment up to which Stripe's events have been seen to; neither before the first run.
	RanAt *time.Time `json:"ran_at,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	// Owed is how many events cannot be settled yet; Sweeping says that a long gap is being made up for.
	Owed     int  `json:"owed"`
	Sweeping bool `json:"sweeping"`
	// Uncredited are purchases paid 15 minutes ago or more that are not credited.
	Uncredited []uncredited `json:"uncredited"`
}

type uncredited struct {
	Reference string    `json:"reference"`
	OrgID     string    `json:"org_id"`
	Session   string    `json:"session"`
	PaidAt    time.Time `json:"paid_at"`
}

func (h *handler) reconciliation(w http.ResponseWriter, r *http.Request, _ call) error {
	found, err := h.shop.Reconciliation(r.Context())
	if err != nil {
		return err
	}
	out := reconciliation{Owed: found.Owed, Sweeping: found.Sweeping, Uncredited: make([]uncredited, 0, len(found.Uncredited))}
	if !found.RanAt.IsZero() {
		out.RanAt, out.Until = &found.RanAt, &found.Until
	}
	for _, u := range found.Uncredited {
		out.Uncredited = append(out.Uncredited, uncredited{Reference: u.Reference, OrgID: u.Org, Session: u.Session, PaidAt: u.PaidAt})
	}
	serve.OK(w, r, out)
	return nil
}

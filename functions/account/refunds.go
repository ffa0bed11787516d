package account

import (
	"net/http"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// refundQuote is what a refund would give now: the money, in minor units, and the credits that would be taken for it.
type refundQuote struct {
	Reference string             `json:"reference"`
	Amount    int64              `json:"amount"`
	Currency  catalogue.Currency `json:"currency"`
	Credits   int64              `json:"credits"`
}

func (h *handler) refundQuote(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := h.refunder.Quote(r.Context(), c.org, r.PathValue("reference"))
	if err != nil {
		return err
	}
	serve.OK(w, r, refundQuote{Reference: q.Reference, Amount: q.Amount, Currency: q.Currency, Credits: q.Credits})
	return nil
}

// refundOrder is the body of POST …/refund: all that is left, or an amount in minor units.
type refundOrder struct {
	Amount *int64 `json:"amount,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// refunded is a refund that was made. Status is "failed" once Stripe has told that the money came back.
type refunded struct {
	Reference string               `json:"reference"`
	Refund    int64                `json:"refund"`
	Amount    int64                `json:"amount"`
	Currency  catalogue.Currency   `json:"currency"`
	Credits   int64                `json:"credits"`
	Status    payments.RefundState `json:"status"`
	StripeID  string               `json:"stripe_id"`
	// Replayed says that the same key made this refund before.
	Replayed bool `json:"replayed"`
}

func (h *handler) refund(w http.ResponseWriter, r *http.Request, c call) error {
	o, err := strictjson.Decode[refundOrder](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	order := payments.RefundOrder{Org: c.org, Reference: r.PathValue("reference"), Key: c.key, By: c.person.Sub, Reason: o.Reason}
	if o.Amount != nil {
		if *o.Amount < 1 {
			return invalid("amount", "amount must be 1 or more, in minor units.")
		}
		order.Amount = *o.Amount
	}
	done, err := h.refunder.Refund(r.Context(), order)
	if err != nil {
		return err
	}
	serve.OK(w, r, refunded{
		Reference: done.Reference, Refund: done.N, Amount: done.Amount, Currency: done.Currency, Credits: done.Credits,
		Status: done.State, StripeID: done.ID, Replayed: done.Replayed,
	})
	return nil
}

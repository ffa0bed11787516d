package payments

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Receipt returns where Stripe shows the receipt of an organisation's purchase. Stripe is asked each time, since its links end. Errors are an *Error:
// `not_found` for a purchase that is unknown, is not paid, or cost nothing; `unavailable`.
func (s *Shop) Receipt(ctx context.Context, org, reference string) (string, error) {
	p, err := s.Purchase(ctx, org, reference)
	if err != nil {
		return "", err
	}
	none := &Error{coded.Reason{Is: "not_found", Says: "There is no receipt: nothing was paid."}}
	if p.PaidAt.IsZero() || !strings.HasPrefix(p.Payment, "pi_") {
		return "", none
	}
	object, found, err := s.opts.Stripe.object(ctx, intentSource.path, p.Payment, "latest_charge")
	if err != nil {
		return "", err
	}
	var intent struct {
		Charge struct {
			ReceiptURL string `json:"receipt_url"`
		} `json:"latest_charge"`
	}
	if found {
		if err := json.Unmarshal(object, &intent); err != nil {
			return "", unreadable("payment intent", p.Payment, err)
		}
	}
	if intent.Charge.ReceiptURL == "" {
		return "", none
	}
	return intent.Charge.ReceiptURL, nil
}

package payments

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
)

// openCheckout opens the checkout of a purchase. Repeated for the same purchase and customer within a day, it returns the same session.
func (g *Gateway) openCheckout(ctx context.Context, p Purchase, c customerRecord, o CheckoutOptions) (id, url string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := checkoutParams(p, c, o)
	params.Context = ctx
	s, err := session.Client{B: g.backend, Key: g.key}.New(params)
	if err != nil {
		err = fmt.Errorf("open the checkout of %s: %w", p.Reference, err)
		if refused, ok := errors.AsType[*stripe.Error](err); ok && refused.Type == stripe.ErrorTypeInvalidRequest && refused.Param != "" {
			return "", "", err // a parameter is refused, and would be again: a customer who is gone, or a mistake of ours
		}
		return "", "", stripeDown(err)
	}
	return s.ID, s.URL, nil
}

// checkoutParams say what the checkout of a purchase is. They follow from the records alone, since Stripe wants the same under the same key.
// Metadata of the payment intent is copied to its charge by Stripe.
func checkoutParams(p Purchase, c customerRecord, o CheckoutOptions) *stripe.CheckoutSessionParams {
	metadata := map[string]string{metaOrg: p.Org, metaReference: p.Reference}
	key := "checkout:" + p.Reference
	if c.Generation > 0 { // a request that named a customer who is gone may have used up the first key
		key += ":" + strconv.FormatInt(c.Generation, 10)
	}
	params := &stripe.CheckoutSessionParams{
		Params:            stripe.Params{IdempotencyKey: stripe.String(key)},
		Metadata:          metadata,
		Mode:              stripe.String(string(stripe.CheckoutSessionModePayment)),
		Customer:          stripe.String(c.Customer),
		ClientReferenceID: stripe.String(p.Reference),
		SuccessURL:        stripe.String(o.successURL(p.Reference)),
		CancelURL:         stripe.String(o.cancelURL(p.Reference)),
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Metadata: metadata},
		InvoiceCreation: &stripe.CheckoutSessionInvoiceCreationParams{
			Enabled: stripe.Bool(true), InvoiceData: &stripe.CheckoutSessionInvoiceCreationInvoiceDataParams{Metadata: metadata},
		},
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String(strings.ToLower(string(p.Currency))),
				UnitAmount:  stripe.Int64(p.Amount),
				TaxBehavior: stripe.String(string(stripe.PriceTaxBehaviorExclusive)),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
					Name: stripe.String(strconv.FormatInt(p.Credits, 10) + " AI credits"),
				},
			},
		}},
	}
	if p.AutomaticTax {
		// Tax depends on where the customer is; what is entered at the checkout is kept for the next one.
		params.AutomaticTax = &stripe.CheckoutSessionAutomaticTaxParams{Enabled: stripe.Bool(true)}
		params.CustomerUpdate = &stripe.CheckoutSessionCustomerUpdateParams{Address: stripe.String("auto")}
	}
	if p.Discounts {
		params.AllowPromotionCodes = stripe.Bool(true)
	}
	return params
}

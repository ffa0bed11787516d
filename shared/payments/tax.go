package payments

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/tax/calculation"
	"github.com/stripe/stripe-go/v76/tax/transaction"
)

// Tax is what Stripe Tax works out for a top-up, as it does by itself for a checkout. The zero Tax is none.
type Tax struct {
	// Amount is added to the price, in minor units.
	Amount int64 `firestore:"amount"`
	// Calculation is Stripe's id of it; empty when no tax is worked out.
	Calculation string `firestore:"calculation"`
}

// ErrNoTaxPlace says that tax cannot be worked out, because Stripe does not know where the customer is.
var ErrNoTaxPlace = errors.New("stripe does not know where the customer is, and so not its tax")

// TaxOn works out the tax on what is to be charged without anyone there: none, unless the catalogue adds tax to prices. Errors are ErrNoTaxPlace,
// or an *Error, `unavailable`.
func (s *Shop) TaxOn(ctx context.Context, b Buyer, o Offer) (Tax, error) {
	if !o.AutomaticTax {
		return Tax{}, nil
	}
	c, err := s.customer(ctx, b, customerRecord{})
	if err != nil {
		return Tax{}, err
	}
	return s.opts.Stripe.taxOn(ctx, c.Customer, o)
}

func (g *Gateway) taxOn(ctx context.Context, customer string, o Offer) (Tax, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := calculation.Client{B: g.backend, Key: g.key}.New(&stripe.TaxCalculationParams{
		Params: stripe.Params{Context: ctx}, Customer: stripe.String(customer), Currency: stripe.String(strings.ToLower(string(o.Currency))),
		LineItems: []*stripe.TaxCalculationLineItemParams{{
			Amount: stripe.Int64(o.Amount), Reference: stripe.String(o.Package), TaxBehavior: stripe.String(string(stripe.PriceTaxBehaviorExclusive)),
		}},
	})
	if refused, ok := errors.AsType[*stripe.Error](err); ok &&
		(refused.Code == stripe.ErrorCodeCustomerTaxLocationInvalid || refused.Code == stripe.ErrorCodeInvalidTaxLocation) {
		return Tax{}, fmt.Errorf("%w: %w", ErrNoTaxPlace, err)
	}
	if err != nil {
		return Tax{}, stripeDown(fmt.Errorf("work out the tax of %s: %w", customer, err))
	}
	return Tax{Amount: found.TaxAmountExclusive, Calculation: found.ID}, nil
}

// recordTax tells Stripe Tax of a sale for which it worked out the tax, once.
func (g *Gateway) recordTax(ctx context.Context, p Purchase) error {
	if p.Tax.Calculation == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := transaction.Client{B: g.backend, Key: g.key}.CreateFromCalculation(&stripe.TaxTransactionCreateFromCalculationParams{
		Params:      stripe.Params{Context: ctx, IdempotencyKey: stripe.String(p.TopUp + ":tax")},
		Calculation: stripe.String(p.Tax.Calculation), Reference: stripe.String(p.Reference),
	})
	if err != nil {
		return stripeDown(fmt.Errorf("record the tax of %s: %w", p.Reference, err))
	}
	return nil
}

package payments

import (
	"context"
	"fmt"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Purchase returns an organisation's purchase. Errors are an *Error: `not_found` when the organisation has no purchase of this reference,
// whoever else may have; `unavailable`.
func (s *Shop) Purchase(ctx context.Context, org, reference string) (Purchase, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := s.store.load(ctx, reference, "")
	if err != nil {
		return Purchase{}, fmt.Errorf("look up purchase %q of %s: %w", reference, org, err)
	}
	if r.purchase == nil || r.purchase.Org != org {
		return Purchase{}, &Error{coded.Reason{Is: "not_found", Says: "There is no such purchase."}}
	}
	return *r.purchase, nil
}

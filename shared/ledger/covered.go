package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Covered is [credit.Covered] of a wallet as it is now: how far the free credits of a payment's grant, and of its bonuses, cover a refund
// of at most so much more.
// The error is a *credit.Refusal when there is no such wallet or grant, or an *Unavailable.
func (l *Ledger) Covered(ctx context.Context, org, grant string, returned, paid, most int64) (credit.Cover, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	r, err := l.view(ctx, org, l.opts.Now())
	if err != nil {
		return credit.Cover{}, err
	}
	for range maxLoads {
		c, err := credit.Covered(r.state, grant, returned, paid, most)
		missing, asks := errors.AsType[*credit.Missing](err)
		if !asks {
			return c, err //nolint:wrapcheck // the domain explains itself to the caller
		}
		if err := r.supply(ctx, missing); err != nil {
			return credit.Cover{}, err
		}
	}
	return credit.Cover{}, unavailable(fmt.Errorf("%s: grant %s is not loaded after %d rounds", org, grant, maxLoads))
}

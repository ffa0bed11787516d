package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// PeriodGrants lists the grants of some subscription items whose period ended at end, as they were left: what the clock has decided about
// them is journaled first. Their time must have passed. A query for each item.
func (l *Ledger) PeriodGrants(ctx context.Context, org string, items []string, end time.Time) ([]*credit.Grant, error) {
	if err := l.Settle(ctx, org); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	r := &round{actor: &actor{ledger: l, org: org}, state: credit.NewState(credit.NewWallet(org, "UTC"))}
	var out []*credit.Grant
	for _, item := range items {
		err := r.supplyRelated(ctx, "item", item, func(_ string, gs ...*credit.Grant) {
			for _, g := range gs {
				if g.ExpiresAt.Equal(end) && g.Source == credit.Subscription {
					out = append(out, g)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, g := range out {
		if g.Place == credit.InWallet { // its own record does not tell what has been drawn on it
			return nil, unavailable(fmt.Errorf("grant %s of %s can still be drawn on", g.ID, org))
		}
	}
	return out, nil
}

package reconcile

import (
	"context"
	"errors"

	"github.com/fluxori/ai-credits/shared/payments"
)

type handler struct {
	reconciler *payments.Reconciler
	refunder   *payments.Refunder
}

// ran is the answer to a run.
type ran struct {
	payments.Run

	// RefundsEnded is how many refunds of ours were ended that a process began and left.
	RefundsEnded int `json:"refunds_ended"`
}

// run ends what we began, and finds what Stripe did not tell. Neither waits for the other to succeed.
func (h *handler) run(ctx context.Context) (ran, error) {
	ended, left := h.refunder.Resume(ctx)
	walked, err := h.reconciler.Run(ctx)
	return ran{Run: walked, RefundsEnded: ended}, errors.Join(left, err)
}

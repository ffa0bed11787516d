package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/fluxori/ai-credits/shared/payments"
)

type handler struct {
	reconciler *payments.Reconciler
	refunder   *payments.Refunder
	// endTime is for how long a run ends refunds, so that time is left to walk.
	endTime time.Duration
}

// ran is the answer to a run.
type ran struct {
	payments.Run

	// RefundsEnded is how many refunds of ours were ended that a process began and left.
	RefundsEnded int `json:"refunds_ended"`
}

// run ends what we began, and finds what Stripe did not tell. Neither waits for the other to succeed, nor takes its time.
func (h *handler) run(ctx context.Context) (ran, error) {
	ending, cancel := context.WithTimeout(ctx, h.endTime)
	defer cancel()
	ended, left := h.refunder.Resume(ending)
	walked, err := h.reconciler.Run(ctx)
	return ran{Run: walked, RefundsEnded: ended}, errors.Join(left, err)
}

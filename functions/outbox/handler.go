package outbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/problem"
)

const (
	// settleTime is how long a commit's own process has to publish what followed it.
	settleTime = 30 * time.Second
	// workTime and documentsMax bound a run; the rest of the deadline is for its answer.
	workTime     = 40 * time.Second
	documentsMax = 50_000
	// redeemTime is how long a redemption's own process has to grant its credits; redemptionsMax bounds a run.
	redeemTime     = time.Minute
	redemptionsMax = 500
)

type handler struct {
	outbox  *ledger.Ledger
	rewards *campaigns.Giver
	now     func() time.Time // the system's clock, which dates the outbox
	log     *slog.Logger
}

// swept is the answer to a run.
type swept struct {
	// Sent documents were published and removed; Failed ones stand where they are.
	Sent   int `json:"sent"`
	Failed int `json:"failed"`
	// More says that others are left to the next run.
	More bool `json:"more"`
}

// sweep publishes what is old enough.
func (h *handler) sweep(ctx context.Context) (swept, error) {
	work, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	did, err := h.outbox.Sweep(work, h.now().Add(-settleTime), documentsMax)
	if err == nil {
		return swept(did), nil
	}
	h.log.ErrorContext(ctx, "the outbox cannot be emptied", slog.Int("sent", did.Sent), slog.Int("failed", did.Failed), slog.Any("error", err))
	if did.Failed == 0 { // it could not be read
		return swept{}, err
	}
	return swept{}, problem.New(problem.Unavailable, "Some of the outbox could not be published; it stands for the next run.",
		map[string]any{"sent": did.Sent, "failed": did.Failed, "more": did.More})
}

// granted is the answer to a run that looks for redemptions.
type granted struct {
	// Granted redemptions have their credits; Failed ones stand for the next run.
	Granted int  `json:"granted"`
	Failed  int  `json:"failed"`
	More    bool `json:"more"`
}

// grant grants what was redeemed and is old enough.
func (h *handler) grant(ctx context.Context) (granted, error) {
	work, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	did, err := h.rewards.Sweep(work, h.now().Add(-redeemTime), redemptionsMax)
	if err == nil {
		return granted(did), nil
	}
	h.log.ErrorContext(ctx, "redemptions cannot be granted", slog.Int("granted", did.Granted), slog.Int("failed", did.Failed), slog.Any("error", err))
	if did.Failed == 0 { // they could not be read
		return granted{}, err
	}
	return granted{}, problem.New(problem.Unavailable, "Some redemptions could not be granted; they stand for the next run.",
		map[string]any{"granted": did.Granted, "failed": did.Failed, "more": did.More})
}

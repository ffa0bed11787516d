package autotopup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/topups"
)

type handler struct {
	keeper  *topups.Keeper
	letters *deadletters.Store
	log     *slog.Logger
}

// resumed is what a run answers.
type resumed struct {
	Armed int `json:"armed"`
}

// months lets those go on whose cap was reached in a month that is over.
func (h *handler) months(ctx context.Context) (resumed, error) {
	n, err := h.keeper.Resume(ctx)
	return resumed{Armed: n}, err
}

// receive sees to a crossing, or puts its message aside.
func (h *handler) receive(ctx context.Context, p events.Push) error {
	err := h.topUp(ctx, p)
	if err == nil {
		return nil
	}
	code, reason, refused := problem.Refusal(err)
	if !refused {
		return err
	}
	letter, putErr := h.letters.Put(ctx, deadletters.Failure{Push: p, Topic: events.CreditTopUps, Code: code, Reason: reason, Attempts: p.DeliveryAttempt})
	if putErr != nil {
		return putErr
	}
	h.log.ErrorContext(ctx, "an auto top-up is put aside", slog.String("letter", letter), slog.String("message_id", p.MessageID),
		slog.String("code", code), slog.Any("error", err))
	return nil
}

func (h *handler) topUp(ctx context.Context, p events.Push) error {
	e, err := events.DecodeCredit(p.Data)
	switch {
	case errors.Is(err, events.ErrNewer):
		return problem.New(problem.Unavailable, fmt.Sprintf("The event was %v.", events.ErrNewer), nil)
	case err != nil:
		return problem.New(problem.InvalidRequest, fmt.Sprintf("The data is %v.", err), nil)
	}
	prefix := "topup:" + e.OrgID + ":"
	n, err := strconv.ParseInt(strings.TrimPrefix(e.ID, prefix), 10, 64)
	if e.Type != credit.EventTopUpDue || credit.CheckOrg(e.OrgID) != nil || !strings.HasPrefix(e.ID, prefix) || err != nil || n < 1 {
		return problem.New(problem.InvalidRequest, "The event is not of a balance that an auto top-up is to raise.", nil)
	}
	_, err = h.keeper.Run(ctx, e.OrgID, n)
	return err
}

package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/problem"
)

type handler struct {
	notifier *notify.Notifier
	letters  *deadletters.Store
	log      *slog.Logger
}

// receive tells of an alert, or puts its message aside.
func (h *handler) receive(ctx context.Context, p events.Push) error {
	err := h.tell(ctx, p)
	if err == nil {
		return nil
	}
	code, reason, refused := problem.Refusal(err)
	if !refused {
		return err
	}
	letter, putErr := h.letters.Put(ctx, deadletters.Failure{Push: p, Topic: events.CreditAlerts, Code: code, Reason: reason, Attempts: p.DeliveryAttempt})
	if putErr != nil {
		return putErr
	}
	h.log.ErrorContext(ctx, "an alert is put aside", slog.String("letter", letter), slog.String("message_id", p.MessageID),
		slog.String("code", code), slog.Any("error", err))
	return nil
}

func (h *handler) tell(ctx context.Context, p events.Push) error {
	e, err := events.DecodeCredit(p.Data)
	switch {
	case errors.Is(err, events.ErrNewer):
		return problem.New(problem.Unavailable, fmt.Sprintf("The alert was %v.", events.ErrNewer), nil)
	case err != nil:
		return problem.New(problem.InvalidRequest, fmt.Sprintf("The data is %v.", err), nil)
	}
	return h.notifier.Tell(ctx, e)
}

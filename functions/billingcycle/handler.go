package billingcycle

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/fanout"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

type handler struct {
	closer  *payments.Closer
	publish *events.Publisher
	now     func() time.Time // the system's clock
	log     *slog.Logger
}

// request is the data of a billing-cycles message: close one cycle.
type request struct {
	Version int    `json:"v"`
	Cycle   string `json:"cycle"`
}

// requestVersion is the version of request; a message of a newer one is left to a newer release.
const requestVersion = 1

// asked is the answer to a run.
type asked struct {
	// Cycles is how many were asked for.
	Cycles int `json:"cycles"`
	// More says that the run stopped at its bound; the next goes on.
	More bool `json:"more"`
}

// sweep publishes a message for each cycle that is due.
func (h *handler) sweep(ctx context.Context) (asked, error) {
	by, after := h.now(), payments.DueCycle{}
	n, more, err := fanout.Ask(ctx, h.publish, h.log, func(ctx context.Context) ([]events.Message, error) {
		page, err := h.closer.Due(ctx, by, after, fanout.Page)
		if err != nil {
			return nil, err
		}
		messages := make([]events.Message, len(page))
		for i, c := range page {
			data, err := json.Marshal(request{Version: requestVersion, Cycle: c.ID})
			if err != nil {
				return nil, fmt.Errorf("encode a request for %s: %w", c.ID, err)
			}
			messages[i], after = events.Message{Topic: events.BillingCycles, ID: "close:" + c.ID, Data: data}, c
		}
		return messages, nil
	})
	return asked{Cycles: n, More: more}, err
}

// close does what a message asks for. One that can never be done is dropped: the job asks again for whatever is still due.
func (h *handler) close(ctx context.Context, p events.Push) error {
	var r request
	if err := json.Unmarshal(p.Data, &r); err != nil || r.Version < 1 {
		h.log.ErrorContext(ctx, "a message is not understood", slog.String("message_id", p.MessageID), slog.Any("error", err))
		return nil
	}
	if r.Version > requestVersion {
		return problem.New(problem.Unavailable, fmt.Sprintf("The message has version %d, this release knows %d.", r.Version, requestVersion), nil)
	}
	err := h.closer.Close(ctx, r.Cycle)
	if code, why, refused := problem.Refusal(err); err != nil && refused {
		h.log.ErrorContext(ctx, "a cycle cannot be closed", slog.String("cycle", r.Cycle), slog.String("code", code), slog.String("reason", why))
		return nil
	}
	return err
}

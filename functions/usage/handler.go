package usage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/spend"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

const (
	// dataMaxBytes is what POST /debit takes; a message with more is malformed.
	dataMaxBytes = 16 << 10
	// actor is what entries name as who asked for them.
	actor = "pubsub:" + events.Usage
)

type handler struct {
	spender *spend.Spender
	letters *deadletters.Store
	publish *events.Publisher
	log     *slog.Logger
}

// receive charges for the work that a message reports, or puts the message aside.
func (h *handler) receive(ctx context.Context, p events.Push) error {
	err := h.charge(ctx, p)
	if err == nil {
		return nil
	}
	code, reason, refused := problem.Refusal(err)
	if !refused {
		return err
	}
	return h.putAside(ctx, deadletters.Failure{Push: p, Topic: events.Usage, Code: code, Reason: reason, Attempts: p.DeliveryAttempt})
}

func (h *handler) charge(ctx context.Context, p events.Push) error {
	// What was delivered before, or is replayed, has probably been charged for.
	again := p.DeliveryAttempt > 1 || p.Attributes[deadletters.LetterLabel] != ""
	if namesHold(p.Data) {
		c, err := strictjson.Unmarshal[spend.Capture](p.Data, dataMaxBytes)
		if err != nil {
			return err
		}
		_, err = h.spender.Capture(ctx, c, actor, again)
		return err
	}
	r, err := strictjson.Unmarshal[spend.Request](p.Data, dataMaxBytes)
	if err != nil {
		return err
	}
	_, err = h.spender.Usage(ctx, r, actor, again)
	return err
}

// namesHold tells which of the two forms a message has; whether it is well formed is not its matter.
func namesHold(data []byte) bool {
	var form struct {
		HoldID *string `json:"hold_id"`
	}
	return len(data) <= dataMaxBytes && json.Unmarshal(data, &form) == nil && form.HoldID != nil
}

// putAside keeps a message first, then tells of it: what is published names a letter that is there.
func (h *handler) putAside(ctx context.Context, f deadletters.Failure) error {
	letter, err := h.letters.Put(ctx, f)
	if err != nil {
		return err
	}
	if err := h.publish.Publish(ctx, []events.Message{f.Message(events.UsageDead, letter)}); err != nil {
		return err
	}
	h.tell(ctx, f, letter)
	return nil
}

// tell logs at the level that an operator is alerted by.
func (h *handler) tell(ctx context.Context, f deadletters.Failure, letter string) {
	h.log.ErrorContext(ctx, "a usage event is put aside", slog.String("letter", letter), slog.String("message_id", f.Push.MessageID),
		slog.String("code", f.Code), slog.String("reason", f.Reason), slog.Int("attempts", f.Attempts))
}

// undelivered keeps what Pub/Sub forwarded after its last attempt. The other messages of the topic are those of putAside.
func (h *handler) undelivered(ctx context.Context, p events.Push) error {
	if p.Attributes[events.ForwardedFrom] == "" {
		return nil
	}
	attempts, err := strconv.Atoi(p.Attributes[events.ForwardedAfter])
	if err != nil {
		attempts = 0 // the count is Pub/Sub's best effort, and missing from some messages
	}
	f := deadletters.Failure{
		Push: p, Topic: events.Usage, Code: deadletters.Undelivered, Attempts: attempts,
		Reason: fmt.Sprintf("It could not be handled in %d attempts; the logs tell why. Replay it once the cause is gone.", attempts),
	}
	letter, err := h.letters.Put(ctx, f)
	if err != nil {
		return err
	}
	h.tell(ctx, f, letter)
	return nil
}

// Package fanout asks over Pub/Sub for something to be done about each of many: a scheduled run finds them page by page, and publishes a message
// for each, which a push brings back.
//
// Invariants: a page is published before the next is looked for; a run is bounded in number and in time, and says when it stopped at that, since
// the next goes on with what is due still.
//
// It does not own what is due, nor what is to be done about it.
package fanout

import (
	"context"
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/events"
)

const (
	// Page is how many are found, and asked for, at once.
	Page = 500
	// most and workTime bound a run; the rest of its deadline is for its answer.
	most     = 50_000
	workTime = 45 * time.Second
)

// Publisher publishes messages, as an *events.Publisher does.
type Publisher interface {
	Publish(ctx context.Context, messages []events.Message) error
}

// Ask publishes the messages that next finds, at most [Page] at a time in their order, until it finds fewer or the run is at its bound, which is
// logged. It returns how many it published, and whether there may be more.
func Ask(ctx context.Context, to Publisher, log *slog.Logger, next func(ctx context.Context) ([]events.Message, error)) (asked int, more bool, err error) {
	end := time.Now().Add(workTime)
	for {
		page, err := next(ctx)
		if err != nil {
			return 0, false, err
		}
		if err := to.Publish(ctx, page); err != nil {
			return 0, false, err
		}
		asked += len(page)
		if len(page) < Page {
			return asked, false, nil
		}
		if asked >= most || time.Now().After(end) {
			log.WarnContext(ctx, "a run stopped at its bound", slog.Int("asked", asked))
			return asked, true, nil
		}
	}
}

package expiry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/fanout"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/problem"
)

// ahead is how far ahead wallets are looked through for what lapses: the day of the early warning, its end in any zone, and the grace for which a
// subscription's credits are usable after the end that people are shown.
const ahead = (credit.WarnEarlyDays + 3) * 24 * time.Hour

type handler struct {
	ledger  *ledger.Ledger
	publish *events.Publisher
	now     func() time.Time // the system's clock
	log     *slog.Logger
}

// duty is what is to be done about a wallet.
type duty string

const (
	settle duty = "settle" // journal what is due
	warn   duty = "warn"   // raise the warnings of what lapses soon
	fold   duty = "fold"   // sum the days of closed months for reports
)

// request is the data of a credit-expiry message.
type request struct {
	Version int    `json:"v"`
	OrgID   string `json:"org_id"`
	Duty    duty   `json:"duty"`
}

// requestVersion is the version of request; a message of a newer one is left to a newer release.
const requestVersion = 1

// asked is the answer to a run.
type asked struct {
	// Wallets is for how many something was asked.
	Wallets int `json:"wallets"`
	// More says that the run stopped at its bound; the next goes on.
	More bool `json:"more"`
}

// sweep asks for what is due by now to be journaled.
func (h *handler) sweep(ctx context.Context) (asked, error) { return h.ask(ctx, settle, h.now()) }

// warnings asks for warnings where something is due soon.
func (h *handler) warnings(ctx context.Context) (asked, error) {
	return h.ask(ctx, warn, h.now().Add(ahead))
}

// folding asks for the months of wallets to be folded that are closed.
func (h *handler) folding(ctx context.Context) (asked, error) {
	var after ledger.Unfolded
	return h.askAll(ctx, fold, func(ctx context.Context) ([]wanted, error) {
		page, err := h.ledger.UnfoldedWallets(ctx, after, fanout.Page)
		if err != nil {
			return nil, err
		}
		out := make([]wanted, len(page))
		for i, w := range page {
			out[i], after = wanted{w.Org, w.Month}, w
		}
		return out, nil
	})
}

// ask asks for something to be done about each wallet that has something due by a moment.
func (h *handler) ask(ctx context.Context, d duty, by time.Time) (asked, error) {
	var after ledger.Due
	return h.askAll(ctx, d, func(ctx context.Context) ([]wanted, error) {
		page, err := h.ledger.DueWallets(ctx, by, after, fanout.Page)
		if err != nil {
			return nil, err
		}
		out := make([]wanted, len(page))
		for i, w := range page {
			out[i], after = wanted{w.Org, strconv.FormatInt(w.At.UnixMicro(), 10)}, w
		}
		return out, nil
	})
}

// wanted is a wallet about which something is to be done, and since when.
type wanted struct{ org, since string }

// askAll publishes a message for each wallet that find finds, page by page.
func (h *handler) askAll(ctx context.Context, d duty, find func(context.Context) ([]wanted, error)) (asked, error) {
	n, more, err := fanout.Ask(ctx, h.publish, h.log.With(slog.String("duty", string(d))), func(ctx context.Context) ([]events.Message, error) {
		page, err := find(ctx)
		if err != nil {
			return nil, err
		}
		messages := make([]events.Message, len(page))
		for i, w := range page {
			data, err := json.Marshal(request{Version: requestVersion, OrgID: w.org, Duty: d})
			if err != nil {
				return nil, fmt.Errorf("encode a request for %s: %w", w.org, err)
			}
			messages[i] = events.Message{Topic: events.CreditExpiry, ID: string(d) + ":" + w.org + ":" + w.since, Data: data}
		}
		return messages, nil
	})
	return asked{Wallets: n, More: more}, err
}

// see does what a message asks for. One that can never be done is dropped: the jobs ask again for whatever is still due.
func (h *handler) see(ctx context.Context, p events.Push) error {
	var r request
	if err := json.Unmarshal(p.Data, &r); err != nil || r.Version < 1 {
		h.log.ErrorContext(ctx, "a message is not understood", slog.String("message_id", p.MessageID), slog.Any("error", err))
		return nil
	}
	if r.Version > requestVersion {
		return problem.New(problem.Unavailable, fmt.Sprintf("The message has version %d, this release knows %d.", r.Version, requestVersion), nil)
	}
	err := h.do(ctx, r)
	if code, why, refused := problem.Refusal(err); err != nil && refused {
		h.log.ErrorContext(ctx, "a wallet cannot be seen to", slog.String("org", r.OrgID), slog.String("code", code), slog.String("reason", why))
		return nil
	}
	return err
}

func (h *handler) do(ctx context.Context, r request) error {
	switch r.Duty {
	case settle:
		return h.settle(ctx, r.OrgID)
	case warn:
		return h.warn(ctx, r.OrgID)
	case fold:
		_, err := h.ledger.Fold(ctx, r.OrgID)
		return err
	}
	return problem.New(problem.InvalidRequest, fmt.Sprintf("The duty %q is not known.", r.Duty), nil)
}

func (h *handler) settle(ctx context.Context, org string) error {
	if err := credit.CheckOrg(org); err != nil {
		return err
	}
	return h.ledger.Settle(ctx, org)
}

// warn raises the warnings of a wallet. They go out at least once; the alerts function knows them by their ids.
func (h *handler) warn(ctx context.Context, org string) error {
	now := h.now().UTC().Truncate(time.Microsecond)
	w, grants, err := h.ledger.Lapsing(ctx, org, now.Add(ahead))
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		zone = time.UTC // of a wallet whose zone this machine does not know
	}
	lapses := credit.Lapses(grants, zone, now)
	messages := make([]events.Message, len(lapses))
	for i, l := range lapses {
		if messages[i], err = events.Encode(l.Warning(org, now, w.Figures)); err != nil {
			return err
		}
	}
	return h.publish.Publish(ctx, messages)
}

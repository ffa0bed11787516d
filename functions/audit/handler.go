package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/audit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

const (
	// walletsMax bounds the wallets that a run asks for.
	walletsMax = 20_000
	// walletTime is how long one wallet's entries are added up, paymentsTime how long days of payments are begun. The rest of the deadline is for
	// what is compared then.
	walletTime   = 40 * time.Second
	paymentsTime = 70 * time.Second
)

type handler struct {
	auditor    *audit.Auditor
	stripe     *payments.Gateway
	books      *payments.Books
	publish    *events.Publisher
	log        *slog.Logger
	walletTime time.Duration
}

// request is the data of a message of the topic wallet-audits.
type request struct {
	Version int    `json:"v"`
	OrgID   string `json:"org_id"`
	// Whole proves the wallet from its first entry.
	Whole bool `json:"whole,omitempty"`
	// Accept takes what is stored as right from now on, in place of proving it.
	Accept *acceptance `json:"accept,omitempty"`
}

// acceptance is who has mended a wallet, and how.
type acceptance struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// requestVersion is the version of request; a message of a newer one is left to a newer release.
const requestVersion = 1

// asked is the answer to a run.
type asked struct {
	// Wallets is how many were asked for.
	Wallets int `json:"wallets"`
	// More says that the run stopped at its bound; the next goes on.
	More bool `json:"more"`
}

// sweep asks for the wallets that are to be proven.
func (h *handler) sweep(ctx context.Context) (asked, error) {
	n, more, err := h.auditor.Sweep(ctx, walletsMax, h.ask)
	if err != nil {
		return asked{}, err
	}
	if more {
		h.log.WarnContext(ctx, "a run stopped at its bound", slog.Int("wallets", n))
	}
	return asked{Wallets: n, More: more}, nil
}

// ask asks for wallets to be proven.
func (h *handler) ask(ctx context.Context, orgs []string) error {
	messages := make([]events.Message, len(orgs))
	for i, org := range orgs {
		data, err := json.Marshal(request{Version: requestVersion, OrgID: org})
		if err != nil {
			return fmt.Errorf("encode a request for %s: %w", org, err)
		}
		messages[i] = events.Message{Topic: events.WalletAudits, ID: "audit:" + org, Data: data}
	}
	return h.publish.Publish(ctx, messages)
}

// payments compares days of payments with Stripe's.
func (h *handler) payments(ctx context.Context) (audit.Money, error) {
	return h.auditor.Payments(ctx, h.stripe, h.books, paymentsTime)
}

// wallet proves the wallet that a message names. One that can never be proven is dropped: the next run asks for every wallet there is.
func (h *handler) wallet(ctx context.Context, p events.Push) error {
	var r request
	if err := json.Unmarshal(p.Data, &r); err != nil || r.Version < 1 {
		h.log.ErrorContext(ctx, "a message is not understood", slog.String("message_id", p.MessageID), slog.Any("error", err))
		return nil
	}
	if r.Version > requestVersion {
		return problem.New(problem.Unavailable, fmt.Sprintf("The message has version %d, this release knows %d.", r.Version, requestVersion), nil)
	}
	report, err := h.prove(ctx, r)
	if code, why, refused := problem.Refusal(err); err != nil && refused {
		h.log.ErrorContext(ctx, "a wallet cannot be proven", slog.String("org", r.OrgID), slog.String("code", code), slog.String("reason", why))
		return nil
	}
	if err != nil || !report.More {
		return err
	}
	return h.ask(ctx, []string{r.OrgID}) // it goes on behind those that wait
}

// prove does what a message asks for.
func (h *handler) prove(ctx context.Context, r request) (audit.Report, error) {
	if a := r.Accept; a != nil {
		_, err := h.auditor.Accept(ctx, r.OrgID, a.By, a.Reason)
		return audit.Report{}, err
	}
	return h.auditor.Wallet(ctx, r.OrgID, audit.Request{Whole: r.Whole, Time: h.walletTime})
}

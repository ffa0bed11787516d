// Package audit is the function that proves, hour by hour, that what is stored of credits is what their entries and Stripe say.
//
//	POST /audit            each hour: ask for each wallet that moved to be proven, and each day for every other → 200 {wallets, more}
//	POST /audit/payments   each night: compare Stripe's charges with our payments, and these with their grants → 200 {days, until, more, findings}
//	POST /audit/wallet     pushes of the topic wallet-audits {v, org_id, whole?, accept?: {by, reason}}: prove one wallet, from its first entry if
//	                       whole; or accept what is stored of it as right, after somebody has mended it
//
// A wallet is proven from where it was proven last, in 40 seconds at most; one with more entries than that is asked for again, behind those that
// wait. A run asks for at most 20,000 wallets, and the next goes on where it stopped, so that none waits for a busy one.
//
// What does not agree is looked at twice, logged as an error with alert=audit_mismatch, the entry, the field, what was expected and what was
// found, and the wallet is frozen: once, however often it is found again. It stays found until somebody has mended it, or has accepted what is
// stored, by publishing a message. Nothing else is written but checkpoints. Nothing depends on when it runs, or whether, or how often at once.
//
// Runs and pushes carry Google-signed tokens of the one service account of each. It decides nothing: package audit does.
package audit

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/audit"
	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one run, and one push.
const deadline = 110 * time.Second

func init() { serve.Register("audit", build, serve.Deadline(deadline)) }

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	pusher, scheduler, err := c.Trigger.Senders(env)
	if err != nil {
		return nil, err
	}
	stripe, err := payments.NewGateway(payments.GatewayOptions{Key: c.StripeKey.Reveal(), URL: c.StripeURL, Livemode: c.Livemode, Dial: env.Dial})
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, "audit", c.Cloud, env)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	auditor, err := audit.New(audit.Options{Documents: b.Documents, Ledger: b.Ledger, Log: env.Log, Now: env.Now})
	if err != nil {
		return nil, err
	}
	h := &handler{auditor: auditor, stripe: stripe, books: payments.NewBooks(b.Documents), publish: b.Publisher, log: env.Log, walletTime: walletTime}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Job(scheduler, h.sweep))
	r.Handle("POST /payments", trigger.Job(scheduler, h.payments))
	r.Handle("POST /wallet", trigger.Push(pusher, h.wallet))
	return r, nil
}

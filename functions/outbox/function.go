// Package outbox is the function that finishes what a dead process left.
//
//	POST /outbox          each minute: publish and remove what has stood in the outbox for more than 30 s → 200 {sent, failed, more}
//	POST /outbox/rewards  every five minutes: grant what was redeemed more than a minute ago and is not noted as granted → 200 {granted, failed, more}
//
// What must follow a commit stands in an outbox document of that commit, and is published before the callers are answered. Where that
// failed, because the process died or Pub/Sub was down, this finds it. Consumers are idempotent, so a document that two runs publish at
// once does no harm. A run is bounded in time and goes on where the one before it stopped, since what was sent is gone; while anything
// fails it is answered 503 with the same figures, so that Cloud Scheduler's failures are the alert.
//
// A promotion that was redeemed is recorded before its credits are granted, by a key that the record names. Where the process died in between,
// and nobody repeated the request, the second route grants them.
//
// Runs carry a Google-signed token of the one service account of scheduled jobs.
package outbox

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one run. It is shorter than a minute, so that runs hardly overlap.
const deadline = 50 * time.Second

func init() { serve.Register("outbox", build, serve.Deadline(deadline)) }

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	sender, err := c.Trigger.Jobs(env)
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, "outbox", c.Cloud, env)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	giver, err := campaigns.NewGiver(campaigns.Options{Documents: b.Documents, Ledger: b.Ledger, Orgs: b.Orgs, Prices: b.Prices, Now: env.Now, Log: env.Log})
	if err != nil {
		return nil, err
	}
	h := &handler{outbox: b.Ledger, rewards: giver, now: env.Now, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Job(sender, h.sweep))
	r.Handle("POST /rewards", trigger.Job(sender, h.grant))
	return r, nil
}

// Package expiry is the function that sees to wallets which nobody touches: it journals what the clock has decided on them, warns of credits
// that are about to lapse, and folds the usage of months that are over.
//
//	POST /expiry           each 5 minutes: ask for each wallet that has something due to be settled → 200 {wallets, more}
//	POST /expiry/warnings  each morning: ask for each wallet where something may lapse soon to be looked at → 200 {wallets, more}
//	POST /expiry/fold      each night: ask for the closed months of each wallet that has any to be folded → 200 {wallets, more}
//	POST /expiry/settle    pushes of the topic credit-expiry: see to one wallet
//
// Nothing depends on when it runs, or whether: a command on a wallet first journals what is due there, and expired credits cannot be spent.
// Fired twice at once, it finds the second time that all is done; fired late, the entries still bear the clock's moment. A run asks for at
// most 50,000 wallets, the longest due first, and the next goes on, since those that were settled are due no more.
//
// Warnings go out 7 days and 1 day ahead, in calendar days of the organisation's zone: once per day on which credits lapse and distance, by
// the alert's id expiring:{org}:{day}:{7|1}, however often and late the job runs. Nothing left to lapse, nothing said. The wallets are those
// with anything due within the next days, so what is read follows what lapses, not how many organisations there are.
//
// Runs and pushes carry Google-signed tokens of the one service account of each. It decides nothing about credits: packages credit and ledger
// do. Who is told of a warning, and how, is for the alerts function.
package expiry

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one run, and one push.
const deadline = 55 * time.Second

func init() { serve.Register("expiry", build, serve.Deadline(deadline)) }

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	pusher, scheduler, err := c.Trigger.Senders(env)
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, "expiry", c.Cloud, env)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	h := &handler{ledger: b.Ledger, publish: b.Publisher, now: env.Now, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Job(scheduler, h.sweep))
	r.Handle("POST /warnings", trigger.Job(scheduler, h.warnings))
	r.Handle("POST /fold", trigger.Job(scheduler, h.folding))
	r.Handle("POST /settle", trigger.Push(pusher, h.see))
	return r, nil
}

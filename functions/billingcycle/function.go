// Package billingcycle is the function that closes the cycles of subscriptions.
//
//	POST /billingcycle         each 5 minutes: ask for each cycle that is due to be closed → 200 {cycles, more}
//	POST /billingcycle/close   pushes of the topic billing-cycles: close one cycle
//
// A cycle is due when its credits can surely not be used any more: at its end, and the grace in which its renewal is awaited. To close it is to
// write its statement (granted, used, expired, bought) and to tell the organisation, in its feed and by e-mail. If the cycle was to be followed
// by another, whose payment has not come, the organisation is told of that too.
//
// Nothing that people can spend depends on when it runs, or whether: credits begin and end by themselves. Fired twice at once, or killed anywhere
// and fired again, it writes each statement once and tells it under one id, which the alerts function tells once. A run asks for at most
// 50,000 cycles, the longest due first, and the next goes on, since those that were closed are due no more.
//
// Runs and pushes carry Google-signed tokens of the one service account of each. It decides nothing: package payments knows cycles and
// subscriptions, package ledger how credits were left.
package billingcycle

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one run, and one push.
const deadline = 55 * time.Second

func init() { serve.Register("billingcycle", build, serve.Deadline(deadline)) }

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	pusher, scheduler, err := c.Trigger.Senders(env)
	if err != nil {
		return nil, err
	}
	m, err := merchant.Open(ctx, "billingcycle", c.Merchant, env)
	if err != nil {
		return nil, err
	}
	defer m.CloseOnError(&err)
	closer, err := payments.NewCloser(m.Receiver, m.Ledger, m.Publisher)
	if err != nil {
		return nil, err
	}
	h := &handler{closer: closer, publish: m.Publisher, now: env.Now, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Job(scheduler, h.sweep))
	r.Handle("POST /close", trigger.Push(pusher, h.close))
	return r, nil
}

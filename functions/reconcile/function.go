// Package reconcile is the function that finds what Stripe's webhooks did not tell.
//
//	POST /reconcile   each 5 minutes: see to what Stripe's own record has and we have not → 200 {looked, received, owed, uncredited, until, more, refunds_ended}
//
// A run walks Stripe's events in the order of time, from a stored cursor and a quarter of an hour before it, and hands those that were never
// seen to what webhooks are handed to. After a gap of more than 29 days, from which Stripe lists no events, it walks the sessions, invoices,
// refunds and disputes instead. It looks at 5,000 of them, or for 100 seconds, and the next run goes on. A run that finds nothing new writes
// its cursor alone; two runs at once have the effect of one.
//
// Before that it ends, for a minute at most, the refunds of ours that a process began and left. Afterwards it compares the paid checkouts
// and auto top-ups of the last day with our purchases. One that is still not credited a quarter of an hour after it was paid is logged as an error with
// alert=purchase_uncredited, on which the alert is based, in each run until it is credited or a day old, and shown to operators by account.
//
// Runs carry Google-signed tokens of the one service account of the scheduler. It decides nothing about payments: package payments does.
package reconcile

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one run: the time for which it works, and what it is in the middle of then.
const deadline = 240 * time.Second

// endTime is for how long a run ends refunds; the walk takes 100 seconds at most.
const endTime = 60 * time.Second

func init() { serve.Register("reconcile", build, serve.Deadline(deadline)) }

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	scheduler, err := c.Trigger.Jobs(env)
	if err != nil {
		return nil, err
	}
	m, err := merchant.Open(ctx, "reconcile", c.Merchant, env)
	if err != nil {
		return nil, err
	}
	defer m.CloseOnError(&err)
	h := &handler{reconciler: payments.NewReconciler(m.Receiver), refunder: m.Refunder, endTime: endTime}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Job(scheduler, h.run))
	return r, nil
}

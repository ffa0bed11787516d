// Package autotopup is the function that buys credits for organisations whose balance fell to the threshold that they chose for it.
//
//	POST /autotopup         pushes of the topic credit-topups: one balance that fell to its auto top-up threshold
//	POST /autotopup/months  each hour: let those go on whose cap was reached in a month that is over → 200 {armed}
//
// A crossing is one attempt: the card that the organisation has at Stripe is charged once, or not at all, whatever is delivered again. What is
// charged in a calendar month stays within the organisation's cap. A card that is declined, or wants its holder, opens a breaker: nothing more
// is charged until there is another card, or the settings change. The credits come with Stripe's event, to purchasewebhook. People are told what
// became of it, once, by the alerts function.
//
// A push is answered 204 when nothing is left to do; 503, to be pushed again, while Stripe or the store does not answer. What can never be seen
// to (malformed, unknown organisation) is put aside in deadLetters and answered 204. Pushes and runs
// carry Google-signed tokens of the one service account of each.
//
// The topic is one of its own, so that this function is not woken by alerts that are for people, nor they told of what is for it.
//
// It decides nothing: package credit finds crossings, package topups decides and remembers, package payments charges.
package autotopup

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one push. It is shorter than the subscription's ack deadline.
const deadline = 50 * time.Second

func init() {
	serve.Register("autotopup", build, serve.Deadline(deadline), serve.BodyLimit(events.MaxPushBytes))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	pusher, scheduler, err := c.Trigger.Senders(env)
	if err != nil {
		return nil, err
	}
	m, err := merchant.Open(ctx, "autotopup", c.Merchant, env)
	if err != nil {
		return nil, err
	}
	defer m.CloseOnError(&err)
	letters, err := deadletters.NewStore(m.Documents, m.Publisher, env.Now)
	if err != nil {
		return nil, err
	}
	h := &handler{keeper: m.TopUps, letters: letters, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Push(pusher, h.receive))
	r.Handle("POST /months", trigger.Job(scheduler, h.months))
	return r, nil
}

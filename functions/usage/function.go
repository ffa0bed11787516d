// Package usage is the function that charges for work which AI services report over Pub/Sub.
//
//	POST /usage       pushes of the topic ai-usage: the data is the body of POST /debit, or {hold_id, credits} for the capture of a
//	                  hold; the work is done, so what is not there becomes debt
//	POST /usage/dead  pushes of the topic ai-usage-dead: what Pub/Sub itself gave up on is kept for operators
//
// A push is answered 204 once its event is charged for, whichever message brought it: one event id has one effect, however often and under
// however many message ids it comes. What can never succeed as things are (malformed, unknown organisation or feature, out of range, an
// event id used with other content) is put aside in deadLetters, with the reason, published to ai-usage-dead, and answered 204: it never
// stands in the way of the rest, and operators can replay it. Any other failure is answered 503 and comes again.
//
// Work counts for the team that is sent, whether anybody knows it or not, or else for the one team that its user is in.
//
// Pushes carry a Google-signed token of the one service account of push subscriptions. The entry's actor is the topic: who published to it is
// not known.
//
// It decides nothing about credits: package spend prices, package ledger carries out, package deadletters keeps what failed.
package usage

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/spend"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one push. It is longer than a command's own and shorter than the subscription's ack deadline.
const deadline = 25 * time.Second

func init() {
	serve.Register("usage", build, serve.Deadline(deadline), serve.BodyLimit(events.MaxPushBytes))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	sender, err := c.Trigger.Pushes(env)
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, "usage", c.Cloud, env)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	spender, err := spend.New(b.Prices, b.Ledger, spend.WithTeams(b.Orgs))
	if err != nil {
		return nil, err
	}
	letters, err := deadletters.NewStore(b.Documents, b.Publisher, env.Now)
	if err != nil {
		return nil, err
	}
	h := &handler{spender: spender, letters: letters, publish: b.Publisher, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Push(sender, h.receive))
	r.Handle("POST /dead", trigger.Push(sender, h.undelivered))
	return serve.AtOnce(b.Concurrency, r), nil
}

// Package alerts is the function that tells organisations what they should know now.
//
//	POST /alerts  pushes of the topic credit-alerts: low balance, debt, credits that lapse soon, limits, payments
//
// Each alert becomes an entry of the dashboard's feed, an e-mail to each administrator, both or neither, as the organisation chose: once,
// whatever is delivered again. A push is answered 204 when nothing is left to do. While the mail server is down it is answered 503, and comes
// again with growing intervals, for as long as Pub/Sub keeps messages; the feed has its entry at once, and nothing but the mail waits. What
// can never be told (malformed, unknown organisation or kind) is put aside in deadLetters and answered 204.
//
// Pushes carry a Google-signed token of the one service account of push subscriptions.
//
// It decides nothing: package credit raises alerts, package notify words, sends and remembers them, package orgs knows who wants what.
package alerts

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one push. It is shorter than the subscription's ack deadline and than the lease on an alert.
const deadline = 50 * time.Second

func init() {
	serve.Register("alerts", build, serve.Deadline(deadline), serve.BodyLimit(events.MaxPushBytes))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	sender, err := c.Trigger.Pushes(env)
	if err != nil {
		return nil, err
	}
	mailer, err := notify.NewSMTP(c.Mail, env.Dial)
	if err != nil {
		return nil, err
	}
	clients, err := cloud.Open(ctx, c.Cloud, env.Dial)
	if err != nil {
		return nil, err
	}
	defer clients.CloseOnError(&err)
	organisations, err := orgs.NewStore(clients.Documents, env.Log, orgs.Options{Now: env.Now})
	if err != nil {
		return nil, err
	}
	notifier, err := notify.New(notify.Options{
		Client: clients.Documents, Organisations: organisations, Mailer: mailer, Dashboard: c.Dashboard, Logger: env.Log, Now: env.Now,
	})
	if err != nil {
		return nil, err
	}
	letters, err := deadletters.NewStore(clients.Documents, events.NewPublisher(clients.Messages), env.Now)
	if err != nil {
		return nil, err
	}
	h := &handler{notifier: notifier, letters: letters, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Push(sender, h.receive))
	return r, nil
}

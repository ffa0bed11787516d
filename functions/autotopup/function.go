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
// to (malformed, unknown organisation, a package that is sold no more) is put aside in deadLetters and answered 204. Pushes and runs
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

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/topups"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// deadline bounds one push. It is shorter than the subscription's ack deadline.
const deadline = 50 * time.Second

func init() {
	serve.Register("autotopup", build, serve.Deadline(deadline), serve.BodyLimit(events.MaxPushBytes))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env) (_ http.Handler, err error) {
	c, err := serve.Settings[config](ctx, env)
	if err != nil {
		return nil, err
	}
	sender, err := c.Trigger.Pushes()
	if err != nil {
		return nil, err
	}
	scheduler, err := c.Trigger.Jobs()
	if err != nil {
		return nil, err
	}
	stripe, err := payments.NewGateway(payments.GatewayOptions{Key: string(c.StripeKey), URL: c.StripeURL, Livemode: c.Livemode})
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, "autotopup", c.Cloud, env.Now, env.Log)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	known, err := orgs.NewStore(b.Documents, env.Log, orgs.Options{Now: env.Now})
	if err != nil {
		return nil, err
	}
	shop, err := payments.NewShop(payments.ShopOptions{
		Documents: b.Documents, Prices: catalogue.NewStore(b.Documents, env.Log, catalogue.StoreOptions{}), Stripe: stripe, Now: env.Now,
		Checkout: payments.CheckoutOptions{ReturnURL: c.CheckoutReturnURL},
	})
	if err != nil {
		return nil, err
	}
	keeper, err := topups.New(topups.Options{
		Documents: b.Documents, Wallets: b.Ledger, Organisations: known, Till: shop, Publisher: b.Publisher, Log: env.Log, Now: env.Now,
	})
	if err != nil {
		return nil, err
	}
	letters, err := deadletters.NewStore(b.Documents, b.Publisher, env.Now)
	if err != nil {
		return nil, err
	}
	h := &handler{keeper: keeper, letters: letters, log: env.Log}
	r := serve.NewRouter()
	r.Handle("POST /{$}", trigger.Push(sender, h.receive))
	r.Handle("POST /months", trigger.Job(scheduler, h.months))
	return r, nil
}

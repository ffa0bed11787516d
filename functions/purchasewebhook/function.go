// Package purchasewebhook is the function to which Stripe sends its events: it turns paid purchases and paid invoices into credits, and lets
// refunds and disputes take them back.
//
//	POST /purchasewebhook   one event, signed by Stripe, of API version 2023-10-16
//
// An answer 200 means that the event is settled: its credits are committed, or it is put aside for a person, or it is none of our business.
// The body says which: {"outcome": "granted" | "recorded" | "ignored" | "quarantined"}. 503 means that Stripe is to send it again, which it
// does for three days. 400 means that it is not Stripe's, or of another mode or version, and that nothing of it was stored; 413 that it is
// larger than 1 MiB. Errors are application/problem+json with the codes of the HTTP contract.
//
// Of payments without a checkout or an invoice only auto top-ups' own count; a customer's new card lets a top-up that failed go on.
//
// It decides nothing about payments: package payments verifies and settles, and package campaigns gives what a first purchase brings.
package purchasewebhook

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/topups"
)

// deadline bounds one event: what a yearly plan's twelve grants and Stripe's own API may take together. Stripe waits about as long.
const deadline = 25 * time.Second

func init() {
	serve.Register("purchasewebhook", build, serve.Deadline(deadline), serve.BodyLimit(payments.MaxNoticeBytes))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env) (_ http.Handler, err error) {
	c, err := serve.Settings[config](ctx, env)
	if err != nil {
		return nil, err
	}
	// Signatures follow the machine's clock, whatever the system's says.
	verifier, err := payments.NewVerifier(c.secrets(), c.Livemode, time.Now)
	if err != nil {
		return nil, err
	}
	stripe, err := payments.NewGateway(payments.GatewayOptions{Key: string(c.StripeKey), URL: c.StripeURL, Livemode: c.Livemode})
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, "purchasewebhook", c.Cloud, env.Now, env.Log)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	known, err := orgs.NewStore(b.Documents, env.Log, orgs.Options{Now: env.Now})
	if err != nil {
		return nil, err
	}
	prices := catalogue.NewStore(b.Documents, env.Log, catalogue.StoreOptions{})
	giver, err := campaigns.NewGiver(campaigns.Options{Documents: b.Documents, Ledger: b.Ledger, Orgs: known, Prices: prices, Now: env.Now, Log: env.Log})
	if err != nil {
		return nil, err
	}
	keeper, err := topups.New(topups.Options{Documents: b.Documents, Wallets: b.Ledger, Organisations: known, Log: env.Log, Now: env.Now})
	if err != nil {
		return nil, err
	}
	receiver, err := payments.NewReceiver(payments.ReceiverOptions{
		Documents: b.Documents, Ledger: b.Ledger, Prices: prices, Stripe: stripe, Now: env.Now, Log: env.Log, Grace: c.Grace, Bonuses: giver,
		Cards: keeper,
	})
	if err != nil {
		return nil, err
	}
	return newHandler(verifier, receiver), nil
}

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

	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
)

// deadline bounds one event: what a yearly plan's twelve grants and Stripe's own API may take together. Stripe waits about as long.
const deadline = 25 * time.Second

func init() {
	serve.Register("purchasewebhook", build, serve.Deadline(deadline), serve.BodyLimit(payments.MaxNoticeBytes))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	// Signatures follow the machine's clock, whatever the system's says.
	verifier, err := payments.NewVerifier(c.secrets(), c.Merchant.Livemode, time.Now)
	if err != nil {
		return nil, err
	}
	m, err := merchant.Open(ctx, "purchasewebhook", c.Merchant, env)
	if err != nil {
		return nil, err
	}
	return newHandler(verifier, m.Receiver), nil
}

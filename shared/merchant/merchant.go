// Package merchant opens what functions that take money stand on, beyond their backend: Stripe, the shop that sells credits, the receiver that
// settles what Stripe says, the refunder, the campaigns that purchases bring to life, and the keeper of auto top-ups.
//
// Invariants: what it opens is whole, and the same for every function. Whichever of them hears of a payment first (a webhook, a customer who
// asks, an operator's replay, a job) gives its bonus and lets the top-ups of a new card go on.
//
// It owns how these are put together, and the settings that they share. It does not own any of them: Stripe is package payments', gifts are
// package campaigns', top-ups package topups'.
package merchant

import (
	"context"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/secret"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/topups"
)

// Config says which cloud and which Stripe account, and on what terms credits are sold.
type Config struct {
	Cloud cloud.Config
	// StripeKey is the account's secret key; StripeURL is where its API is, Stripe's own when empty; Livemode is true for real money.
	StripeKey secret.Text `env:"STRIPE_API_KEY, required"`
	StripeURL string      `env:"STRIPE_API_URL"`
	Livemode  bool        `env:"STRIPE_LIVEMODE, default=false"`
	// Grace is for how long a subscription's credits can be used after their period while its renewal is awaited.
	Grace time.Duration `env:"SUBSCRIPTION_GRACE, default=2h"`
	// CheckoutReturnURL is the page to which people come back from Stripe.
	CheckoutReturnURL string `env:"CHECKOUT_RETURN_URL, required"`
}

// Merchant is what a function stands on. It lives as long as the function.
type Merchant struct {
	*backend.Backend
	Shop      *payments.Shop
	Receiver  *payments.Receiver
	Refunder  *payments.Refunder
	Campaigns *campaigns.Giver
	TopUps    *topups.Keeper
}

// Open opens what a function stands on.
func Open(ctx context.Context, function string, c Config, env serve.Env) (_ *Merchant, err error) {
	stripe, err := payments.NewGateway(payments.GatewayOptions{Key: c.StripeKey.Reveal(), URL: c.StripeURL, Livemode: c.Livemode, Dial: env.Dial})
	if err != nil {
		return nil, err
	}
	b, err := backend.Open(ctx, function, c.Cloud, env)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	m := &Merchant{Backend: b}
	m.Shop, err = payments.NewShop(payments.ShopOptions{
		Documents: b.Documents, Prices: b.Prices, Stripe: stripe, Now: env.Now, Checkout: payments.CheckoutOptions{ReturnURL: c.CheckoutReturnURL},
	})
	if err != nil {
		return nil, err
	}
	m.Campaigns, err = campaigns.NewGiver(campaigns.Options{Documents: b.Documents, Ledger: b.Ledger, Orgs: b.Orgs, Prices: b.Prices, Now: env.Now, Log: env.Log})
	if err != nil {
		return nil, err
	}
	m.TopUps, err = topups.New(topups.Options{
		Documents: b.Documents, Wallets: b.Ledger, Organisations: b.Orgs, Till: m.Shop, Publisher: b.Publisher, Log: env.Log, Now: env.Now,
	})
	if err != nil {
		return nil, err
	}
	m.Receiver, err = payments.NewReceiver(payments.ReceiverOptions{
		Documents: b.Documents, Ledger: b.Ledger, Prices: b.Prices, Stripe: stripe, Now: env.Now, Log: env.Log, Grace: c.Grace, Bonuses: m.Campaigns, Cards: m.TopUps,
	})
	if err != nil {
		return nil, err
	}
	m.Refunder, err = payments.NewRefunder(payments.RefunderOptions{Documents: b.Documents, Ledger: b.Ledger, Stripe: stripe, Now: env.Now, Log: env.Log})
	if err != nil {
		return nil, err
	}
	return m, nil
}

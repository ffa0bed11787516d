package audit

import (
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/secret"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// config is what the environment says.
type config struct {
	Cloud   cloud.Config
	Trigger trigger.Config
	// StripeKey is the account's secret key; StripeURL is where its API is, Stripe's own when empty; Livemode is true for real money.
	StripeKey secret.Text `env:"STRIPE_API_KEY, required"`
	StripeURL string      `env:"STRIPE_API_URL"`
	Livemode  bool        `env:"STRIPE_LIVEMODE, default=false"`
}

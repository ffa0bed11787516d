package purchasewebhook

import (
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/cloud"
)

// config is what the environment says.
type config struct {
	Cloud cloud.Config
	// WebhookSecrets are the endpoint's signing secrets, separated by commas: two while one is rotated.
	WebhookSecrets []secret `env:"STRIPE_WEBHOOK_SECRETS, required"`
	// Livemode is the mode whose events are taken: true for real money.
	Livemode bool `env:"STRIPE_LIVEMODE, default=false"`
	// StripeKey is the account's secret key; StripeURL is where its API is, Stripe's own when empty.
	StripeKey secret `env:"STRIPE_API_KEY, required"`
	StripeURL string `env:"STRIPE_API_URL"`
	// Grace is for how long a subscription's credits can be used after their period while its renewal is awaited.
	Grace time.Duration `env:"SUBSCRIPTION_GRACE, default=2h"`
}

// secret is a setting that is never logged.
type secret string

// LogValue implements slog.LogValuer.
func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func (c config) secrets() []string {
	out := make([]string, len(c.WebhookSecrets))
	for i, s := range c.WebhookSecrets {
		out[i] = string(s)
	}
	return out
}

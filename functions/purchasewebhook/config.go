package purchasewebhook

import (
	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/secret"
)

// config is what the environment says.
type config struct {
	Merchant merchant.Config
	// WebhookSecrets are the endpoint's signing secrets, separated by commas: two while one is rotated.
	WebhookSecrets []secret.Text `env:"STRIPE_WEBHOOK_SECRETS, required"`
}

func (c config) secrets() []string {
	out := make([]string, len(c.WebhookSecrets))
	for i, s := range c.WebhookSecrets {
		out[i] = s.Reveal()
	}
	return out
}

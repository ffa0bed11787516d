package billingcycle

import (
	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// config is what the environment says.
type config struct {
	Merchant merchant.Config
	Trigger  trigger.Config
}

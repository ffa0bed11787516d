package usage

import (
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// config is what the environment says.
type config struct {
	Cloud   cloud.Config
	Trigger trigger.Config
}

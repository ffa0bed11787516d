package alerts

import (
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/trigger"
)

// config is what the environment says.
type config struct {
	Cloud   cloud.Config
	Trigger trigger.Config
	Mail    notify.SMTPConfig
	// Dashboard is the URL that mails link to.
	Dashboard string `env:"DASHBOARD_URL, required"`
}

package debit

import (
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/identity"
)

// config is what the environment says.
type config struct {
	Cloud cloud.Config
	// Callers are the service accounts that are let in, their roles, and the organisations they are bound to.
	Callers identity.Callers `env:"CALLERS, required"`
	// ServiceIssuer signs the tokens of service accounts; ServiceAudience is what they must be for: this function's URL.
	ServiceIssuer   string `env:"SERVICE_ISSUER, default=https://accounts.google.com"`
	ServiceAudience string `env:"SERVICE_AUDIENCE, required"`
	// PeopleIssuer is known so that a person's token is refused as such, and not as unknown.
	PeopleIssuer   string `env:"PEOPLE_ISSUER"`
	PeopleAudience string `env:"PEOPLE_AUDIENCE"`
}

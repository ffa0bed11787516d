package account

import "github.com/fluxori/ai-credits/shared/cloud"

// config is what the environment says.
type config struct {
	Cloud cloud.Config
	// PeopleIssuer is the OpenID Connect issuer that people sign in with; PeopleAudience is what their tokens must be for.
	PeopleIssuer   string `env:"PEOPLE_ISSUER, required"`
	PeopleAudience string `env:"PEOPLE_AUDIENCE, required"`
	// PeopleClaimPrefix precedes the names of the claims support and platform, for issuers that demand it.
	PeopleClaimPrefix string `env:"PEOPLE_CLAIM_PREFIX"`
}

package account

import (
	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/secret"
)

// config is what the environment says.
type config struct {
	Merchant merchant.Config
	// PeopleIssuer is the OpenID Connect issuer that people sign in with; PeopleAudience is what their tokens must be for.
	PeopleIssuer   string `env:"PEOPLE_ISSUER, required"`
	PeopleAudience string `env:"PEOPLE_AUDIENCE, required"`
	// PeopleClaimPrefix precedes the names of the claims support and platform, for issuers that demand it.
	PeopleClaimPrefix string `env:"PEOPLE_CLAIM_PREFIX"`
	// DashboardKeys seal the cookies of the pages: 32 bytes in base64 each, separated by commas, the one in use first; without any, no pages are
	// served. DashboardURL is where people find them, such as https://credits.example/account/ui/. PeopleClientSecret is theirs at the issuer,
	// where PeopleAudience is their client id; a public client has none.
	DashboardURL       string      `env:"DASHBOARD_URL"`
	DashboardKeys      secret.Text `env:"DASHBOARD_KEYS"`
	PeopleClientSecret secret.Text `env:"PEOPLE_CLIENT_SECRET"`
	// DashboardFrameOrigin may frame the pages. SupportAddress is where people are told to write to.
	DashboardFrameOrigin string `env:"DASHBOARD_FRAME_ORIGIN"`
	SupportAddress       string `env:"SUPPORT_ADDRESS"`
}

package account

import (
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/cloud"
)

// config is what the environment says.
type config struct {
	Cloud cloud.Config
	// PeopleIssuer is the OpenID Connect issuer that people sign in with; PeopleAudience is what their tokens must be for.
	PeopleIssuer   string `env:"PEOPLE_ISSUER, required"`
	PeopleAudience string `env:"PEOPLE_AUDIENCE, required"`
	// PeopleClaimPrefix precedes the names of the claims support and platform, for issuers that demand it.
	PeopleClaimPrefix string `env:"PEOPLE_CLAIM_PREFIX"`
	// StripeKey is the account's secret key; StripeURL is where its API is, Stripe's own when empty; Livemode is true for real money.
	StripeKey secret `env:"STRIPE_API_KEY, required"`
	StripeURL string `env:"STRIPE_API_URL"`
	Livemode  bool   `env:"STRIPE_LIVEMODE, default=false"`
	// Grace is for how long a subscription's credits can be used after their period while its renewal is awaited; as purchasewebhook has it.
	Grace time.Duration `env:"SUBSCRIPTION_GRACE, default=2h"`
	// CheckoutReturnURL is the page to which people come back from Stripe.
	CheckoutReturnURL string `env:"CHECKOUT_RETURN_URL, required"`
	// DashboardKeys seal the cookies of the pages: 32 bytes in base64 each, separated by commas, the one in use first; without any, no pages are
	// served. DashboardURL is where people find them, such as https://credits.example/account/ui/. PeopleClientSecret is theirs at the issuer,
	// where PeopleAudience is their client id; a public client has none.
	DashboardURL       string `env:"DASHBOARD_URL"`
	DashboardKeys      secret `env:"DASHBOARD_KEYS"`
	PeopleClientSecret secret `env:"PEOPLE_CLIENT_SECRET"`
	// DashboardFrameOrigin may frame the pages. SupportAddress is where people are told to write to.
	DashboardFrameOrigin string `env:"DASHBOARD_FRAME_ORIGIN"`
	SupportAddress       string `env:"SUPPORT_ADDRESS"`
}

// secret is a setting that is never logged.
type secret string

// LogValue implements slog.LogValuer.
func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

package account

import (
	"context"
	"time"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/dashboard"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/erasure"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/limitrequests"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/refusals"
	"github.com/fluxori/ai-credits/shared/throttle"
	"github.com/fluxori/ai-credits/shared/topups"
)

// bodyMaxBytes is ample for every body but a catalogue: the largest is a profile.
const bodyMaxBytes = 16 << 10

// prices knows the catalogue in force and those before it, as a *catalogue.Store does.
type prices interface {
	Current(ctx context.Context) (*catalogue.Catalogue, error)
	Version(ctx context.Context, version int64) (*catalogue.Catalogue, error)
	Published(ctx context.Context, version int64) (catalogue.Publication, error)
	Propose(ctx context.Context, data []byte) (catalogue.Proposal, error)
	Publish(ctx context.Context, c *catalogue.Catalogue, by string) error
}

// handler answers people. It decides nothing but who may ask.
type handler struct {
	people    *identity.People
	gate      *throttle.Gate
	store     *orgs.Store
	registrar *orgs.Registrar
	ledger    *ledger.Ledger
	prices    prices
	shop      *payments.Shop
	receiver  *payments.Receiver
	topups    *topups.Keeper
	refunder  *payments.Refunder
	plans     *payments.Plans
	campaigns *campaigns.Giver
	letters   *deadletters.Store
	requests  *limitrequests.Desk
	refusals  *refusals.Store
	// dashboard is nil where no pages are served.
	dashboard *dashboard.Dashboard
	eraser    *erasure.Eraser
	optOuts   *notify.OptOuts
	now       func() time.Time // the system's clock
	// frozen says that nothing may be changed, by requests that read neither.
	frozen bool
	// exports counts those that are being written.
	exports exporting
}

// Package account is the function through which people see and steer their organisation's credits.
//
//	GET  /account/catalogue?country=                    what is sold, in the country's currency
//	GET  /account/orgs                                  the organisations that the caller belongs to, the first 50
//	PUT  /account/orgs/{org}                            register an organisation, or make its profile what is sent (platform)
//	GET  /account/orgs/{org}                            the profile, and what the caller may be there
//	GET  /account/orgs/{org}/overview                   what the first page shows, read at once: balance, limits, usage of two weeks, newest entries
//	GET  /account/orgs/{org}/balance?at=                what is there now, by source and by end; or at a past moment
//	GET  /account/orgs/{org}/entries                    the ledger, newest first
//	GET  /account/orgs/{org}/entries/{id}               one entry, by its id or the caller's event id: its quote, its grants, what reversed it
//	GET  /account/orgs/{org}/statements/{month}?format= a month: opening, what moved by source, feature and day, closing; as JSON or CSV
//	GET  /account/orgs/{org}/usage?from=&to=&group_by=  the report: usage by team, user, feature or day, filtered; as JSON or CSV
//	GET  /account/orgs/{org}/refusals?user=             what was refused and why, newest first; members see their own
//	POST /account/orgs/{org}/adjustments                add or take credits by hand (support, Idempotency-Key)
//	POST /account/orgs/{org}/freeze, …/thaw             have the wallet refuse debits and holds, or no longer (support, Idempotency-Key)
//	GET  /account/orgs/{org}/alerts, PUT                when and how to be warned
//	GET  /account/orgs/{org}/notifications              the dashboard's feed, newest first
//	POST /account/orgs/{org}/notifications/{id}/read    mark one as read
//	POST /account/orgs/{org}/purchases                  begin to buy a package or an amount of credits (Idempotency-Key)
//	GET  /account/orgs/{org}/purchases                  what was bought, newest first, each with its timeline
//	GET  /account/orgs/{org}/purchases/{reference}      a purchase with its timeline
//	POST /account/orgs/{org}/purchases/{reference}/recover   ask Stripe now, and credit it if it is paid
//	GET  /account/purchases/{reference}                 the same by its reference alone (support, platform)
//	GET  /account/organisations?name=                   organisations by the beginning of their names (support, platform)
//	GET  /account/people?email=                         in which organisations somebody with the address is, as member or owner (support, platform)
//	GET  /account/orgs/{org}/purchases/{reference}/receipt   where Stripe shows the payment's receipt
//	GET  /account/orgs/{org}/purchases/{reference}/refund   what a refund would give now
//	POST /account/orgs/{org}/purchases/{reference}/refund   refund what is left, or a part (support, Idempotency-Key)
//	GET  /account/orgs/{org}/subscription               the plan, its period, what the next cycle brings, and a change that is scheduled
//	GET  /account/orgs/{org}/cycles                     the cycles that have begun, newest first, with the statements of those that are closed
//	GET  /account/orgs/{org}/subscription/preview?plan= what a change of plan would cost and bring, and when
//	POST /account/orgs/{org}/subscription/change        a dearer plan at once, a cheaper one with the next period (Idempotency-Key)
//	GET  /account/orgs/{org}/members?team=              who is in the organisation
//	GET  /account/orgs/{org}/members/{user}, PUT        one member, to members only themselves; let in, make administrator or plain member
//	DELETE …/members/{user}                             end a membership; the last administrator stays
//	POST …/members/{user}/erasure                       end a membership and erase the person from the records; go on until next_page_token is empty
//	GET  /account/orgs/{org}/teams?archived=            the teams in use, or those archived
//	GET  /account/orgs/{org}/teams/{team}, PUT, DELETE  one team; make, rename, take into use again; archive
//	PUT  …/teams/{team}/members/{user}, DELETE          put a member in a team, out of any other; take out
//	GET  /account/orgs/{org}/limits, PUT                limits, thresholds and what is used; to members only what binds them
//	GET  /account/orgs/{org}/limits/teams/{team}        one team's, PUT, DELETE; to members only their own team's
//	GET  /account/orgs/{org}/limits/users/{user}        one user's, PUT, DELETE; to members only their own
//	POST /account/orgs/{org}/limit-requests             ask for a higher limit
//	GET  /account/orgs/{org}/limit-requests?state=      the requests that are open, or decided; to members their own
//	GET  …/limit-requests/{request}, POST …/grant, …/decline   one request; raise the limit, or leave it
//	GET  /account/orgs/{org}/auto-top-up, PUT           threshold, package and monthly cap; what was spent, and whether a charge failed
//	POST /account/orgs/{org}/billing-portal             the way to Stripe's page of plans, cards and invoices
//	POST /account/orgs/{org}/promotions/redeem          redeem a promotion's code (Idempotency-Key)
//	GET  /account/orgs/{org}/referral                   the code to pass on, and what it brings
//	POST /account/orgs/{org}/referral/claim             say by whose code the organisation came (Idempotency-Key)
//	GET  /account/operations/catalogue?version=         the version in force, or another, whole (platform)
//	POST /account/operations/catalogue/proposals        what a document would change and break; writes nothing (platform)
//	POST /account/operations/catalogue                  put a document in force, upon the version it was made from (platform)
//	GET  /account/operations/promotions/{code}, PUT     a promotion's terms and how often it was redeemed (platform)
//	GET  /account/operations/dead-letters?state=        messages that could not be handled, newest first (support, platform)
//	POST /account/operations/dead-letters/{id}/replay   send one again, once its reason is gone (support, platform)
//	GET  /account/operations/quarantine?state=          events of Stripe's that wait for a person, newest first (support, platform)
//	POST /account/operations/quarantine/{event}/replay  receive one again, once its cause is mended (support, platform)
//	POST /account/operations/quarantine/{event}/resolve note what was done about it by hand (support, platform)
//	GET  /account/operations/reconciliation             how far Stripe's record was walked, and what is paid and not credited (platform)
//	GET  /account/ui/                                   the dashboard, for people with a browser; package dashboard
//	GET  /account/ui/purchases/return                   the page to which people come back from Stripe, which credits what they paid
//	GET  /account/unsubscribe?token=, POST              leave a topic of an organisation's mails, by the link in one; undo=1 comes back (no sign-in)
//	GET  /account/openapi.json, /account/docs           all of this as OpenAPI 3, and to read; open to anybody
//
// Callers are people with an ID token of the configured OpenID Connect issuer. What they may do is their membership of the organisation, or
// the claims support and platform; the table in routes.go says it all. An organisation that somebody may not see answers like one that does
// not exist. Bodies are strict JSON, unknown parameters are refused, lists are {items, next_page_token}, errors application/problem+json with
// the codes of the design, §6.
//
// It decides nothing about credits: package orgs keeps organisations, package ledger wallets and limits, package limitrequests what members ask
// for, package catalogue prices, package payments purchases, package campaigns promotions and referrals, package refusals what was refused,
// package deadletters what could not be handled.
package account

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/erasure"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/limitrequests"
	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/refusals"
	"github.com/fluxori/ai-credits/shared/serve"
)

// deadline bounds one request. It is longer than a command's own, so that a caller learns what became of it.
const deadline = 20 * time.Second

func init() {
	serve.Register("account", build, serve.Deadline(deadline), serve.BodyLimit(catalogue.DocumentMax+1))
}

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	people, err := identity.NewPeople(identity.Source{Issuer: c.PeopleIssuer, Audience: c.PeopleAudience, Client: env.Client()}, c.PeopleClaimPrefix)
	if err != nil {
		return nil, err
	}
	m, err := merchant.Open(ctx, "account", c.Merchant, env)
	if err != nil {
		return nil, err
	}
	defer m.CloseOnError(&err)
	registrar, err := orgs.NewRegistrar(m.Orgs, m.Ledger, m.Prices)
	if err != nil {
		return nil, err
	}
	letters, err := deadletters.NewStore(m.Documents, m.Publisher, env.Now)
	if err != nil {
		return nil, err
	}
	requests, err := limitrequests.New(limitrequests.Options{
		Documents: m.Documents, Limits: m.Ledger, People: m.Orgs, Publisher: m.Publisher, Logger: env.Log, Now: env.Now,
	})
	if err != nil {
		return nil, err
	}
	refused, err := refusals.NewStore(m.Documents, env.Now)
	if err != nil {
		return nil, err
	}
	eraser, err := erasure.New(erasure.Options{
		People: m.Orgs, Entries: m.Ledger, Requests: requests, Letters: letters, Payments: m.Receiver, Teams: m.Orgs,
	})
	if err != nil {
		return nil, err
	}
	optOuts, err := notify.NewOptOuts(m.Documents, env.Now)
	if err != nil {
		return nil, err
	}
	h := handler{
		people: people, gate: m.Gate, store: m.Orgs, registrar: registrar, ledger: m.Ledger, prices: m.Prices, shop: m.Shop, letters: letters, refusals: refused,
		requests: requests, eraser: eraser, optOuts: optOuts, receiver: m.Receiver, topups: m.TopUps, refunder: m.Refunder,
		plans: payments.NewPlans(m.Receiver), campaigns: m.Campaigns, now: env.Now, frozen: env.Frozen(),
	}
	api := h.router()
	if err := h.openDashboard(api, c, people, env); err != nil {
		return nil, err
	}
	return api, nil
}

// Package debit is the function that AI services call to spend an organisation's credits.
//
//	POST /debit          charge for work, all or nothing, exactly once per event id
//	POST /debit/check    what it would cost, and everything that stands against it; changes nothing
//	POST /debit/reverse  give back the credits of a debit, or of a hold's capture, because its work failed
//
//	POST /debit/holds                    set credits aside for work to come, all or nothing, exactly once per event id
//	GET  /debit/holds/{hold_id}          a hold as it is now
//	POST /debit/holds/{hold_id}/capture  charge for the work: less than was held, all of it, or more
//	POST /debit/holds/{hold_id}/release  give all of it back
//	POST /debit/holds/{hold_id}/extend   let it last longer
//
//	PUT  /debit/features/{feature}/availability            whether a feature can be run by anybody, and until when not
//	PUT  /debit/orgs/{org}/features/{feature}/readiness    whether an organisation has the data for a feature, and what is missing
//
//	GET  /debit/openapi.json, /debit/docs    all of this as OpenAPI 3, and to read; open to anybody who reaches the function
//	GET  /debit/messages.json                what goes over Pub/Sub, as JSON schemas by topic
//
// Callers are service accounts with a Google-signed ID token and the role `spend`, for the last two `operate`; people are refused with 403. Bodies are strict JSON,
// errors application/problem+json with the codes of the design, §6. An answer 503 means that the outcome is not known: the same request
// with the same event id finds it out.
//
// Work counts for the team that is sent, which must be one in use (400, field team_id), or else for the one team that its user is in. Who is in which
// team, and which teams are in use, may be what was true up to five seconds ago.
//
// It decides nothing about credits: package orgs knows teams, package spend prices, package ledger carries out, package readiness knows what can be run. What was refused
// is kept by package refusals, and told by the function account.
package debit

import (
	"context"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/readiness"
	"github.com/fluxori/ai-credits/shared/refusals"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/spend"
)

// deadline bounds one request. It is longer than a command's own, so that a caller learns what became of it.
const deadline = 15 * time.Second

func init() { serve.Register("debit", build, serve.Deadline(deadline), serve.BodyLimit(bodyMaxBytes)) }

// build opens the clients that live as long as the function.
func build(ctx context.Context, env serve.Env, c config) (_ http.Handler, err error) {
	b, err := backend.Open(ctx, "debit", c.Cloud, env)
	if err != nil {
		return nil, err
	}
	defer b.CloseOnError(&err)
	features, err := readiness.NewStore(readiness.Options{Documents: b.Documents, Features: b.Prices, Log: env.Log, Now: env.Now})
	if err != nil {
		return nil, err
	}
	stored, err := refusals.NewStore(b.Documents, env.Now)
	if err != nil {
		return nil, err
	}
	refused, err := refusals.NewLog(stored, env.Log, env.Now)
	if err != nil {
		return nil, err
	}
	spender, err := spend.New(b.Prices, b.Ledger, spend.WithTeams(b.Orgs), spend.WithFeatures(features), spend.WithRefusalLog(refused))
	if err != nil {
		return nil, err
	}
	callers, err := c.callers(env)
	if err != nil {
		return nil, err
	}
	h := &handler{spender: spender, callers: callers, features: features, ledger: b.Ledger, gate: b.Gate}
	return serve.AtOnce(b.Concurrency, h.router()), nil
}

func (c config) callers(env serve.Env) (*identity.Services, error) {
	var people *identity.People
	if c.PeopleIssuer != "" {
		var err error
		people, err = identity.NewPeople(identity.Source{Issuer: c.PeopleIssuer, Audience: c.PeopleAudience, Client: env.Client()}, "")
		if err != nil {
			return nil, err
		}
	}
	return identity.NewServices(identity.Source{Issuer: c.ServiceIssuer, Audience: c.ServiceAudience, Client: env.Client()}, c.Callers, people)
}

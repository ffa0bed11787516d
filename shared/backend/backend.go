// Package backend opens what functions that touch credits stand on: the clients of the cloud, the publisher, a ledger within the function's
// bounds (package limits), the organisations whose credits they are, and the catalogue that prices them.
//
// It owns how these are put together, once. It does not own any of them: connections are package cloud's, bounds package limits', credits
// package ledger's, organisations package orgs', prices package catalogue's. What money needs beside is opened by package merchant.
package backend

import (
	"context"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/throttle"
)

// Backend is what a function stands on. It lives as long as the function.
type Backend struct {
	*cloud.Clients
	Publisher *events.Publisher
	Ledger    *ledger.Ledger
	Orgs      *orgs.Store
	Prices    *catalogue.Store
	// Concurrency is how many requests the function takes at once.
	Concurrency int
	// Gate holds each caller to the function's bound; nil for a function that has none.
	Gate *throttle.Gate
}

// Open opens a function's backend, which is closed when ctx ends.
func Open(ctx context.Context, function string, c cloud.Config, env serve.Env) (_ *Backend, err error) {
	table, err := limits.Load()
	if err != nil {
		return nil, err
	}
	row := table.Function(function)
	bounds, err := row.Ledger()
	if err != nil {
		return nil, err
	}
	gate, err := row.Gate()
	if err != nil {
		return nil, err
	}
	clients, err := cloud.Open(ctx, c, env.Dial)
	if err != nil {
		return nil, err
	}
	defer clients.CloseOnError(&err)
	b := &Backend{
		Clients: clients, Publisher: events.NewPublisher(clients.Messages), Prices: catalogue.NewStore(clients.Documents, env.Log, catalogue.StoreOptions{}),
		Concurrency: row.Concurrency, Gate: gate,
	}
	bounds.Now, bounds.Publish, bounds.Logger, bounds.Telemetry = env.Now, b.Publisher, env.Log, env.Telemetry
	if b.Ledger, err = ledger.New(clients.Commits, clients.Database, bounds); err != nil {
		return nil, err
	}
	if b.Orgs, err = orgs.NewStore(clients.Documents, env.Log, orgs.Options{Now: env.Now}); err != nil {
		return nil, err
	}
	return b, nil
}

// Package backend opens what functions that touch credits stand on: the clients of the cloud, the publisher, and a ledger within the
// function's bounds (package limits).
//
// It owns how these are put together, once. It does not own any of them: connections are package cloud's, bounds package limits', credits
// package ledger's.
package backend

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/throttle"
)

// Backend is what a function stands on. It lives as long as the function.
type Backend struct {
	*cloud.Clients
	Publisher *events.Publisher
	Ledger    *ledger.Ledger
	// Concurrency is how many requests the function takes at once.
	Concurrency int
	// Gate holds each caller to the function's bound; nil for a function that has none.
	Gate *throttle.Gate
}

// Open opens a function's backend. now is the system's clock.
func Open(ctx context.Context, function string, c cloud.Config, now func() time.Time, log *slog.Logger) (*Backend, error) {
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
	clients, err := cloud.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	publisher := events.NewPublisher(clients.Messages)
	bounds.Now, bounds.Publish, bounds.Logger = now, publisher, log
	l, err := ledger.New(clients.Commits, clients.Database, bounds)
	if err != nil {
		return nil, errors.Join(err, clients.Close())
	}
	return &Backend{Clients: clients, Publisher: publisher, Ledger: l, Concurrency: row.Concurrency, Gate: gate}, nil
}

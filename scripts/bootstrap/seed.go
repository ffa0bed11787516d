package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fluxori/ai-credits/shared/backend"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
)

// seedTimeout bounds what is written at first.
const seedTimeout = time.Minute

// tried is the organisation that deployments are tried with. It buys nothing.
const tried = "smoke"

// seedCloud writes to a project's Firestore what nobody could use the system without.
func seedCloud(ctx context.Context, project string) error {
	return seed(ctx, cloud.Config{Project: project, Database: "(default)"}, slog.New(slog.DiscardHandler), time.Now)
}

// seed puts the first catalogue in force, unless one is, and registers the organisation that deployments are tried with. Bounds are those of
// account, through which an operator would do it.
func seed(ctx context.Context, c cloud.Config, log *slog.Logger, now func() time.Time) (err error) {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	first, err := catalogue.Seed()
	if err != nil {
		return err
	}
	b, err := backend.Open(ctx, "account", c, serve.Env{Now: now, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Prices.Seed(ctx, first); err != nil {
		return err
	}
	registrar, err := orgs.NewRegistrar(b.Orgs, b.Ledger, b.Prices)
	if err != nil {
		return err
	}
	_, _, err = registrar.Put(ctx, tried, orgs.Profile{Name: "Deployments are tried with this", Country: "ZA", OwnerEmail: "nobody@fluxori.com"})
	return err
}

// noSources is a source for each function that is never read: the first targets are no functions.
func (b *bootstrap) noSources() (string, error) {
	data, err := os.ReadFile(filepath.Join(b.root, "shared", "limits", "limits.json"))
	if err != nil {
		return "", err
	}
	table, err := limits.Parse(data)
	if err != nil {
		return "", err
	}
	sources := map[string]string{}
	for _, f := range table.Functions {
		sources[f.Name] = f.Name + "-00000000000000000000.zip"
	}
	text, err := json.Marshal(sources)
	return string(text), err
}

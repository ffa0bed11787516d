package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// house registers organisations and makes the teams that their users spend for: the functions take no others.
type house struct {
	store     *orgs.Store
	registrar *orgs.Registrar
}

func openHouse(clients *cloud.Clients, l *ledger.Ledger) (*house, error) {
	log := slog.New(slog.DiscardHandler)
	store, err := orgs.NewStore(clients.Documents, log, orgs.Options{Now: time.Now})
	if err != nil {
		return nil, err
	}
	registrar, err := orgs.NewRegistrar(store, l, catalogue.NewStore(clients.Documents, log, catalogue.StoreOptions{}))
	if err != nil {
		return nil, err
	}
	return &house{store: store, registrar: registrar}, nil
}

// register makes an organisation with its teams.
func (h *house) register(ctx context.Context, org string) error {
	if _, _, err := h.registrar.Put(ctx, org, orgs.Profile{Name: org, Country: "ZA", OwnerEmail: "owner@load.example"}); err != nil {
		return err
	}
	for i := range teams {
		team := fmt.Sprint("team-", i)
		if _, _, err := h.store.ChangeTeam(ctx, org, orgs.TeamChange{ID: team, Name: team}); err != nil {
			return err
		}
	}
	return nil
}

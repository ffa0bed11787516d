package reconcile

import (
	"log/slog"
	"testing"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// TestAPurchaseThatTheWalkFindsBringsItsRewards refers globex by acme, whose first purchase no webhook tells of.
func TestAPurchaseThatTheWalkFindsBringsItsRewards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := slog.New(slog.DiscardHandler)
	prices := catalogue.NewStore(w.Client, log, catalogue.StoreOptions{})
	store, err := orgs.NewStore(w.Client, log, orgs.Options{Now: w.Now})
	check(t, err)
	registrar, err := orgs.NewRegistrar(store, w.ledger, prices)
	check(t, err)
	for _, org := range []string{"acme", "globex"} {
		_, _, err := registrar.Put(t.Context(), org, orgs.Profile{Name: org, Country: "ZA", OwnerEmail: "owner@" + org + ".example"})
		check(t, err)
	}
	giver, err := campaigns.NewGiver(campaigns.Options{Documents: w.Client, Ledger: w.ledger, Orgs: store, Prices: prices, Now: w.Now, Log: log})
	check(t, err)
	referral, err := giver.Referral(t.Context(), "acme")
	check(t, err)
	_, err = giver.Claim(t.Context(), campaigns.Request{Org: "globex", By: "owner", Code: referral.Code, Key: "k"})
	check(t, err)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.buy(t, "globex")
	for range 2 {
		w.run(t)
		w.wantCredits(t, "acme", referral.ReferrerCredits)
		w.wantCredits(t, "globex", 1000+referral.ReferredCredits)
	}
}

package merchant_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/merchant"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/payments/paymentstest"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/topups"
)

// world is a project in which acme and globex are registered, with a merchant that hears what Stripe tells.
type world struct {
	*merchant.Merchant
	stand *stripestand.Stand
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := cloudtest.New(t)
	c.Catalogue(t)
	w := &world{}
	stand, url := paymentstest.Stripe(t, c.Now, func() *payments.Receiver { return w.Receiver })
	config := merchant.Config{Cloud: c.Config(), StripeKey: "sk_test_local", StripeURL: url, Grace: time.Hour, CheckoutReturnURL: "https://fluxori.example/credits"}
	m, err := merchant.Open(t.Context(), "billingcycle", config, serve.Env{Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	t.Cleanup(func() { check(t, m.Close()) })
	w.Merchant, w.stand = m, stand
	registrar, err := orgs.NewRegistrar(w.Orgs, w.Ledger, w.Prices)
	check(t, err)
	for _, org := range []string{"acme", "globex"} {
		_, _, err := registrar.Put(t.Context(), org, orgs.Profile{Name: org, Country: "ZA", OwnerEmail: "owner@" + org + ".example"})
		check(t, err)
	}
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) deliver(t *testing.T) {
	t.Helper()
	check(t, w.stand.Deliver(t.Context()))
}

func (w *world) available(t *testing.T, org string) int64 {
	t.Helper()
	wallet, err := w.Ledger.View(t.Context(), org)
	check(t, err)
	return wallet.Available
}

func TestAPurchaseIsSettledWithWhatCampaignsPromisedForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	referral, err := w.Campaigns.Referral(t.Context(), "globex")
	check(t, err)
	_, err = w.Campaigns.Claim(t.Context(), campaigns.Request{Org: "acme", By: "thandi", Code: referral.Code, Key: "claim"})
	check(t, err)
	started, err := w.Shop.StartPurchase(t.Context(), payments.Order{Org: "acme", Country: "ZA", Package: "credits-500", Key: "first"})
	check(t, err)
	_, session, _ := strings.Cut(started.CheckoutURL, "/pay/")
	check(t, w.stand.PayCheckout(session))
	w.deliver(t)
	if got, want := w.available(t, "acme"), 500+referral.ReferredCredits; got != want {
		t.Errorf("acme has %d credits, want %d", got, want)
	}
	if got, want := w.available(t, "globex"), referral.ReferrerCredits; got != want || want == 0 {
		t.Errorf("globex has %d credits, want %d", got, want)
	}
	quote, err := w.Refunder.Quote(t.Context(), "acme", started.Reference)
	if err != nil || quote.Amount != started.Amount {
		t.Errorf("a refund would give %+v, %v, want %d", quote, err, started.Amount)
	}
}

func TestANewCardLetsTopUpsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer, err := w.stand.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Metadata: map[string]string{"org_id": "acme"}})
	check(t, err)
	_, err = w.stand.SetCard(customer, stripestand.CardFailsLater)
	check(t, err)
	w.deliver(t)
	_, _, err = w.TopUps.Wish(t.Context(), "acme", topups.Wish{Enabled: true, Threshold: 50, Package: "credits-100", MonthlyCap: 100_000})
	check(t, err)
	attempt, err := w.TopUps.Run(t.Context(), "acme", 1)
	if err != nil || attempt.State != topups.Declined {
		t.Fatalf("a card that fails: %+v, %v", attempt, err)
	}
	if s, _, err := w.TopUps.Get(t.Context(), "acme"); err != nil || s.Breaker == nil {
		t.Fatalf("the breaker is closed: %+v, %v", s, err)
	}
	_, err = w.stand.SetCard(customer, stripestand.CardVisa)
	check(t, err)
	w.deliver(t)
	if s, _, err := w.TopUps.Get(t.Context(), "acme"); err != nil || s.Breaker != nil {
		t.Errorf("the breaker is open though there is another card: %+v, %v", s, err)
	}
}

func TestAMerchantIsWholeOrNotOpened(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	good := merchant.Config{Cloud: c.Config(), StripeKey: "sk_test_local", CheckoutReturnURL: "https://fluxori.example/credits"}
	tests := []struct {
		name   string
		change func(*merchant.Config)
		says   string
	}{
		{"no key", func(o *merchant.Config) { o.StripeKey = "" }, "key"},
		{"a key of the other mode", func(o *merchant.Config) { o.Livemode = true }, "mode"},
		{"no page to come back to", func(o *merchant.Config) { o.CheckoutReturnURL = "" }, "return page"},
		{"a grace below none", func(o *merchant.Config) { o.Grace = -time.Second }, "grace"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := good
			tt.change(&config)
			m, err := merchant.Open(t.Context(), "reconcile", config, serve.Env{Now: c.Now, Log: slog.New(slog.DiscardHandler)})
			if m != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("opened as %v: %v", m, err)
			}
		})
	}
}

package account

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// subscribe subscribes an organisation to a plan, after a trial of some days, and returns the subscription.
func (s *system) subscribe(t testing.TB, org, price string, card stripestand.Card, trialDays int64) string {
	t.Helper()
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range seed.Document().Plans {
		month, year := p.Prices["ZAR"].Month, p.Prices["ZAR"].Year
		if err := s.stand.AddProduct(stripestand.Product{ID: p.ID, Name: p.Name}); err != nil {
			t.Fatal(err)
		}
		if err := s.stand.AddPrice(stripestand.Price{ID: month.StripePrice, Product: p.ID, Currency: "zar", UnitAmount: month.Amount, Interval: "month"}); err != nil {
			t.Fatal(err)
		}
		if year == nil {
			continue
		}
		if err := s.stand.AddPrice(stripestand.Price{ID: year.StripePrice, Product: p.ID, Currency: "zar", UnitAmount: year.Amount, Interval: "year"}); err != nil {
			t.Fatal(err)
		}
	}
	metadata := map[string]string{"org_id": org}
	customer, err := s.stand.CreateCustomer(stripestand.NewCustomer{Name: org, Metadata: metadata, Card: card})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.stand.CreateSubscription(stripestand.Subscription{Customer: customer, Price: price, Metadata: metadata, TrialDays: trialDays})
	if err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
	return id
}

// setCard lets the customer of a subscription pay with another card.
func (s *system) setCard(t *testing.T, subscription string, card stripestand.Card) {
	t.Helper()
	record, err := s.Client.Collection("subscriptions").Doc(subscription).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	customer, _ := record.Data()["customer"].(string)
	if _, err := s.stand.SetCard(customer, card); err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
}

func (s *system) change(t *testing.T, plan, key string) answer {
	t.Helper()
	got := s.call(t, s.token(t, "acme-admin"), http.MethodPost, "/orgs/acme/subscription/change", `{"plan":"`+plan+`"}`, "Idempotency-Key", key)
	s.deliver(t)
	return got
}

func TestASubscriptionIsShownWithWhatTheNextCycleBrings(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-member")
	if got := s.call(t, token, http.MethodGet, "/orgs/acme/subscription", ""); got.code() != "not_found" {
		t.Errorf("without one: %d %s", got.status, got.raw)
	}
	id := s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardVisa, 0)
	plan := func(name, id string, credits, amount float64) map[string]any {
		return map[string]any{"plan": id, "name": name, "interval": "month", "credits_per_cycle": credits, "amount": amount, "currency": "ZAR"}
	}
	with := func(a map[string]any, more map[string]any) map[string]any {
		for k, v := range more {
			a[k] = v
		}
		return a
	}
	end := "2026-04-01T08:00:00Z"
	want := with(plan("Starter", "starter", 500, 39900), map[string]any{
		"subscription_id": id, "status": "active", "collection_paused": false, "cancel_at_period_end": false,
		"period":     map[string]any{"start": "2026-03-01T08:00:00Z", "end": end},
		"next_cycle": with(plan("Starter", "starter", 500, 39900), map[string]any{"at": end, "due": 39900.0}),
	})
	if diff := cmp.Diff(want, plain(t, s.must(t, token, http.MethodGet, "/orgs/acme/subscription", ""))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// A cheaper plan begins with the next cycle, and is shown in advance.
	s.advance(10 * 24 * time.Hour)
	want["scheduled_change"] = map[string]any{"plan": "free", "name": "Free", "at": end}
	want["next_cycle"] = with(plan("Free", "free", 50, 0), map[string]any{"at": end, "due": 0.0})
	for range 2 {
		if diff := cmp.Diff(want, plain(t, s.change(t, "free", "k1"))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(want, plain(t, s.must(t, token, http.MethodGet, "/orgs/acme/subscription", ""))); diff != "" || s.available(t, "acme") != 500 {
		t.Errorf("%v available (-want +got):\n%s", s.available(t, "acme"), diff)
	}
	// The plan that it has takes that back.
	if got := plain(t, s.change(t, "starter", "k2")); got["scheduled_change"] != nil {
		t.Errorf("%v", got)
	}
	s.change(t, "free", "k3")
	s.advance(21*24*time.Hour + time.Hour)
	if err := s.stand.Run(t.Context(), s.now()); err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
	if got := plain(t, s.must(t, token, http.MethodGet, "/orgs/acme/subscription", "")); got["plan"] != "free" || got["scheduled_change"] != nil || s.available(t, "acme") != 50 {
		t.Errorf("%v with %v available", got, s.available(t, "acme"))
	}
}

// plain is an answer of 200 without what differs from request to request.
func plain(t *testing.T, a answer) map[string]any {
	t.Helper()
	if a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.raw)
	}
	out := map[string]any{}
	for k, v := range a.body {
		out[k] = floats(v)
	}
	return out
}

// floats makes numbers of an answer plain.
func floats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = floats(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = floats(x)
		}
		return out
	case interface{ Float64() (float64, error) }:
		f, err := v.Float64()
		if err != nil {
			return err
		}
		return f
	}
	return v
}

func TestADearerPlanBeginsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardVisa, 0)
	s.change(t, "free", "before") // is dropped
	s.advance(31 * 24 * time.Hour / 4)
	for range 3 { // three quarters of the month are left
		if got := plain(t, s.change(t, "growth", "k")); got["plan"] != "growth" || got["scheduled_change"] != nil {
			t.Errorf("%v", got)
		}
	}
	if got := s.available(t, "acme"); got != 500+1500*3/4 {
		t.Errorf("%v available", got)
	}
	if got := s.change(t, "scale", "k"); got.code() != "idempotency_conflict" {
		t.Errorf("the key for another plan: %d %s", got.status, got.raw)
	}
}

func TestAPlanThatCannotBeHad(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardFailsLater, 0)
	s.deliver(t)
	tests := []struct{ plan, code string }{{"platinum", "not_found"}, {"", "invalid_request"}}
	for _, tt := range tests {
		if got := s.change(t, tt.plan, "k-"+tt.plan); got.code() != tt.code {
			t.Errorf("%q: %d %s", tt.plan, got.status, got.raw)
		}
	}
	// The first payment of this card was declined already: nothing can be bought with it.
	if got := s.change(t, "growth", "up"); got.code() != "payment_declined" || got.status != http.StatusPaymentRequired {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := plain(t, s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/subscription", "")); got["plan"] != "starter" {
		t.Errorf("%v", got)
	}
}

func TestAnUpgradeThatIsDeclinedChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.subscribe(t, "acme", "price_free_month_zar", stripestand.CardFailsLater, 0)
	if got := s.change(t, "growth", "k"); got.code() != "payment_declined" || !strings.Contains(got.raw, "billing page") {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := plain(t, s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/subscription", "")); got["plan"] != "free" || s.available(t, "acme") != 50 {
		t.Errorf("%v", got)
	}
}

// A change that was planned before the upgrade was declined is still planned.
func TestAnUpgradeThatIsDeclinedLeavesWhatWasPlanned(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	id := s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardVisa, 0)
	if got := plain(t, s.change(t, "free", "down")); got["scheduled_change"] == nil {
		t.Fatalf("%v", got)
	}
	s.setCard(t, id, stripestand.CardFailsLater)
	s.advance(24 * time.Hour)
	for range 2 {
		if got := s.change(t, "growth", "up"); got.code() != "payment_declined" {
			t.Errorf("%d %s", got.status, got.raw)
		}
		got := plain(t, s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/subscription", ""))
		if later, _ := got["scheduled_change"].(map[string]any); got["plan"] != "starter" || later["plan"] != "free" || s.available(t, "acme") != 500 {
			t.Errorf("after the decline: %v", got)
		}
	}
	s.setCard(t, id, stripestand.CardVisa)
	for range 2 {
		if got := plain(t, s.change(t, "growth", "up again")); got["plan"] != "growth" || got["scheduled_change"] != nil {
			t.Errorf("once it is paid: %v", got)
		}
	}
}

func TestACheaperPlanLetsATrialRunOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.subscribe(t, "acme", "price_growth_month_zar", stripestand.CardVisa, 14)
	end := s.now().Add(14 * 24 * time.Hour).Format(time.RFC3339)
	got := plain(t, s.change(t, "starter", "k"))
	if change, ok := got["scheduled_change"].(map[string]any); !ok || got["status"] != "trialing" || change["plan"] != "starter" || change["at"] != end {
		t.Errorf("%v", got)
	}
	s.advance(14*24*time.Hour + time.Hour)
	if err := s.stand.Run(t.Context(), s.now()); err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
	if got := plain(t, s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/subscription", "")); got["plan"] != "starter" || s.available(t, "acme") != 500 {
		t.Errorf("%v with %v available", got, s.available(t, "acme"))
	}
}

func TestASubscriptionThatWasNeverPaidDoesNotHideTheOneThatRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	id := s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardVisa, 0)
	s.advance(time.Hour)
	s.subscribe(t, "acme", "price_growth_month_zar", stripestand.CardFailsLater, 0) // its first payment fails
	if got := plain(t, s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/subscription", "")); got["subscription_id"] != id || got["status"] != "active" {
		t.Errorf("%v", got)
	}
}

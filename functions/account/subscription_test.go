package account

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/payments"
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

func TestCyclesAreListedWithTheirStatements(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	id := s.subscribe(t, "acme", "price_starter_year_zar", stripestand.CardVisa, 0)
	other := s.subscribe(t, "globex", "price_starter_month_zar", stripestand.CardVisa, 0)
	if id == other {
		t.Fatal(id)
	}
	token := s.token(t, "acme-member")
	cycles := func(query string) []any {
		t.Helper()
		items, ok := s.must(t, token, http.MethodGet, "/orgs/acme/cycles"+query, "").body["items"].([]any)
		if !ok {
			t.Fatal("no items")
		}
		return items
	}
	if got := cycles(""); len(got) != 1 { // the other eleven of the year are still to begin
		t.Errorf("%v", got)
	}
	s.debit(t, "acme", "work", 120)
	s.advance(65 * 24 * time.Hour)
	closer, err := payments.NewCloser(s.receiver, s.ledger, unheard{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{cycles("")[2].(map[string]any)["cycle_id"].(string), cycles("")[1].(map[string]any)["cycle_id"].(string)} { //nolint:forcetypeassert // the contract says so
		if err := closer.Close(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	statement := func(used float64) map[string]any {
		return map[string]any{"granted": 500.0, "used": used, "expired": 500 - used, "returned": 0.0, "held": 0.0, "bought": 0.0}
	}
	var want []any
	for m := 2; m >= 0; m-- {
		from := start.AddDate(0, m, 0)
		c := map[string]any{
			"cycle_id": fmt.Sprintf("%s_%d", id, from.Unix()), "subscription_id": id, "plan": "starter", "name": "Starter",
			"period": map[string]any{"start": from.Format(time.RFC3339), "end": from.AddDate(0, 1, 0).Format(time.RFC3339)},
		}
		if m < 2 {
			c["closed_at"], c["statement"] = s.now().Format(time.RFC3339), statement([]float64{120, 0}[m])
		}
		want = append(want, c)
	}
	var got []any
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		page := s.must(t, token, http.MethodGet, "/orgs/acme/cycles?page_size=2&page_token="+after, "")
		got = append(got, page.body["items"].([]any)...)
		after = page.body["next_page_token"].(string)
	}
	if diff := cmp.Diff(want, floats(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// unheard takes what is published, and leads it nowhere.
type unheard struct{}

func (unheard) Publish(context.Context, []events.Message) error { return nil }

func TestAPreviewTellsWhatTheChangeDoes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, has, wants string
		trialDays        int64
		want             map[string]any
	}{
		{"dearer", "price_starter_month_zar", "growth", 0, map[string]any{"when": "at_once", "due": 67500.0, "credits": 1125.0}},
		{"dearer within a paid year", "price_starter_year_zar", "growth", 0, map[string]any{"when": "at_once", "credits": 1125.0}},
		{"from the free plan", "price_free_month_zar", "starter", 0, map[string]any{"when": "at_once", "due": 39900.0, "credits": 500.0}},
		{"dearer within a trial", "price_starter_month_zar", "growth", 14, map[string]any{"when": "at_once", "due": 0.0, "credits": 0.0}},
		{"cheaper", "price_growth_month_zar", "starter", 0, map[string]any{"when": "at_turn", "due": 39900.0, "credits": 500.0}},
		{"the same", "price_growth_month_zar", "growth", 0, map[string]any{"when": "not_at_all", "due": 0.0, "credits": 0.0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.register(t, "acme")
			s.subscribe(t, "acme", tt.has, stripestand.CardVisa, tt.trialDays)
			s.advance(31 * 24 * time.Hour / 4)
			before := s.charged(t)
			had := s.available(t, "acme")
			token := s.token(t, "acme-admin")
			path := "/orgs/acme/subscription/preview?plan=" + tt.wants
			got := plain(t, s.must(t, token, http.MethodGet, path, ""))
			if again := plain(t, s.must(t, token, http.MethodGet, path, "")); !cmp.Equal(got, again) || s.available(t, "acme") != had {
				t.Errorf("it changed something: %v, %v", got, again)
			}
			for k, v := range tt.want {
				if got[k] != v {
					t.Errorf("%s is %v, want %v", k, got[k], v)
				}
			}
			if got["plan"] != tt.wants {
				t.Errorf("%v", got)
			}
			s.change(t, tt.wants, "k")
			if got["when"] == "at_turn" {
				s.advance(31*24*time.Hour*3/4 + time.Hour)
				if err := s.stand.Run(t.Context(), s.now()); err != nil {
					t.Fatal(err)
				}
				s.deliver(t)
				had = 0
			}
			if paid, more := s.charged(t)-before, float64(s.available(t, "acme")-had); paid != got["due"] || more != got["credits"] {
				t.Errorf("%v was charged and %v came, %v told", paid, more, got)
			}
		})
	}
}

func TestAPreviewIsRefusedAsTheChangeWouldBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	preview := func(query string) string {
		t.Helper()
		return s.call(t, token, http.MethodGet, "/orgs/acme/subscription/preview"+query, "").code()
	}
	if got := preview("?plan=growth"); got != "not_found" {
		t.Errorf("without a subscription: %s", got)
	}
	s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardFailsLater, 0)
	for query, want := range map[string]string{"": "invalid_request", "?plan=platinum": "not_found", "?plan=growth": "payment_declined"} {
		if got := preview(query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// charged is all that cards were charged, in minor units.
func (s *system) charged(t *testing.T) (sum float64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.stripe+"/v1/charges?limit=100", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_local")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var list struct {
		Data []struct {
			Amount float64 `json:"amount_captured"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Data {
		sum += c.Amount
	}
	return sum
}

package account

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

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
	type charge struct {
		Amount float64 `json:"amount_captured"`
	}
	for _, c := range listed[charge](t, s, "charges?limit=100") {
		sum += c.Amount
	}
	return sum
}

// listed is what a listing of Stripe's answers.
func listed[T any](t *testing.T, s *system, listing string) []T {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.stripe+"/v1/"+listing, http.NoBody)
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
		Data []T `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list.Data
}

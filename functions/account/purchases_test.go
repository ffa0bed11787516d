package account

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAPurchaseBeginsOncePerKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	references := sync.Map{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			got := s.call(t, token, http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-500"}`, "Idempotency-Key", "k1")
			if got.status == http.StatusServiceUnavailable { // says to repeat with the same key
				got = s.call(t, token, http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-500"}`, "Idempotency-Key", "k1")
			}
			if got.status != http.StatusCreated || number(got.body["amount"]) != 44900 || got.body["currency"] != "ZAR" || number(got.body["credits"]) != 500 ||
				!strings.HasPrefix(fmt.Sprint(got.body["checkout_url"]), s.stripe) {
				t.Errorf("%d %s", got.status, got.raw)
			}
			references.Store(got.body["reference"], true)
		})
	}
	wg.Wait()
	n := 0
	references.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("one key made %d purchases", n)
	}
	if got := s.call(t, token, http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-100"}`, "Idempotency-Key", "k1"); got.code() != "idempotency_conflict" {
		t.Errorf("the key for another order: %d %s", got.status, got.raw)
	}
	other := s.must(t, token, http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-500"}`, "Idempotency-Key", "k2")
	if _, same := references.Load(other.body["reference"]); same {
		t.Error("another key is the same purchase")
	}
}

func TestAPurchaseIsPricedInTheOrganisationsCurrencyAndTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	s.must(t, s.platform(t), http.MethodPut, "/orgs/acme", strings.Replace(acmeProfile, "ZA", "DE", 1))
	token := s.token(t, "acme-admin")
	begun := s.must(t, token, http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-500"}`, "Idempotency-Key", "k")
	reference := fmt.Sprint(begun.body["reference"])
	s.advance(time.Minute)
	got := s.must(t, token, http.MethodGet, "/orgs/acme/purchases/"+reference, "").body
	want := map[string]any{
		"reference": reference, "status": "created", "package": "credits-500", "credits": 500.0, "amount": 2499.0, "currency": "EUR", "price_version": 1.0,
		"checkout_url": begun.body["checkout_url"], "created_at": "2026-03-01T08:00:00Z",
		"timeline": []any{ // two things of one moment, in an order of their own
			map[string]any{"at": "2026-03-01T08:00:00Z", "what": "checkout_opened"}, map[string]any{"at": "2026-03-01T08:00:00Z", "what": "created"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for token, path := range map[string]string{
		s.token(t, "globex-admin"): "/orgs/globex/purchases/" + reference, token: "/orgs/acme/purchases/CR-0000-0000", s.token(t, "a", "support"): "/orgs/acme/purchases/..%2Facme",
	} {
		if got := s.call(t, token, http.MethodGet, path, ""); got.status != http.StatusNotFound || got.code() != "not_found" {
			t.Errorf("%s: %d %s", path, got.status, got.raw)
		}
	}
}

func TestAPurchaseThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
	}{
		"no key":            {`{"package":"credits-500"}`, nil, 400, "invalid_request"},
		"two keys":          {`{"package":"credits-500"}`, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, 400, "invalid_request"},
		"an empty key":      {`{"package":"credits-500"}`, []string{"Idempotency-Key", ""}, 400, "invalid_request"},
		"a long key":        {`{"package":"credits-500"}`, []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400, "invalid_request"},
		"nothing":           {`{}`, []string{"Idempotency-Key", "a"}, 400, "invalid_request"},
		"both":              {`{"package":"credits-500","credits":500}`, []string{"Idempotency-Key", "a"}, 400, "invalid_request"},
		"no credits":        {`{"credits":0}`, []string{"Idempotency-Key", "a"}, 400, "invalid_request"},
		"a price":           {`{"package":"credits-500","amount":1}`, []string{"Idempotency-Key", "a"}, 400, "invalid_request"},
		"a currency":        {`{"package":"credits-500","currency":"USD"}`, []string{"Idempotency-Key", "a"}, 400, "invalid_request"},
		"an unknown one":    {`{"package":"credits-7"}`, []string{"Idempotency-Key", "a"}, 404, "not_found"},
		"too many to price": {`{"credits":1000000000000}`, []string{"Idempotency-Key", "a"}, 422, "credits_out_of_range"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := s.call(t, token, http.MethodPost, "/orgs/acme/purchases", c.body, c.headers...); got.status != c.status || got.code() != c.code {
				t.Errorf("%d %s, want %d %s", got.status, got.raw, c.status, c.code)
			}
		})
	}
}

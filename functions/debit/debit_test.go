package debit

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestADebitTellsWhatItTookAndFromWhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	body := `{"event_id":"job-1","org_id":"acme","user_id":"u1","team_id":"t1","feature":"pricing-recommendation","occurred_at":"2026-02-28T10:00:00Z","metadata":{"sku":"A1"}}`
	status, first := s.post(t, "", body)
	grant := credit.GrantID(credit.SystemKey("grant", "pi_acme"))
	want := fmt.Sprint(map[string]any{
		"event_id": "job-1", "credits": 15, "price_version": 1, "replayed": false,
		"allocations": []any{map[string]any{"grant_id": grant, "source": "purchase", "credits": 15}},
		"balance":     map[string]any{"available": 85, "held": 0, "debt": 0},
	})
	if status != 200 || fmt.Sprint(first) != want {
		t.Errorf("%d %v\nwant 200 %s", status, first, want)
	}
	status, again := s.post(t, "", body)
	wantAgain := maps.Clone(first)
	wantAgain["replayed"] = true
	if status != 200 || fmt.Sprint(again) != fmt.Sprint(wantAgain) {
		t.Errorf("again: %d %v", status, again)
	}
	if got := s.available(t, "acme"); got != 85 {
		t.Errorf("%d are left, want 85", got)
	}
}

func TestPricesBindWhatIsAsked(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	tests := []struct {
		name, fields string
		status       int
		code         string
		credits      float64
	}{
		{"the least", `"feature":"custom-query","credits":10`, 200, "", 10},
		{"the most", `"feature":"custom-query","credits":50`, 200, "", 50},
		{"too few", `"feature":"custom-query","credits":9`, 422, "credits_out_of_range", 0},
		{"too many", `"feature":"custom-query","credits":51`, 422, "credits_out_of_range", 0},
		{"neither credits nor units", `"feature":"custom-query"`, 422, "credits_out_of_range", 0},
		{"few units are clamped", `"feature":"custom-query","units":1`, 200, "", 10},
		{"many units are clamped", `"feature":"custom-query","units":9000000000000000000`, 200, "", 50},
		{"a fixed price", `"feature":"bulk-pricing"`, 200, "", 100},
		{"another than the fixed price", `"feature":"bulk-pricing","credits":99`, 422, "credits_out_of_range", 0},
		{"unknown feature", `"feature":"alchemy"`, 422, "unknown_feature", 0},
		{"negative", `"feature":"custom-query","credits":-10`, 422, "credits_out_of_range", 0},
		{"fractional", `"feature":"custom-query","credits":10.5`, 400, "invalid_request", 0},
		{"whole but written as a fraction", `"feature":"custom-query","credits":10.0`, 400, "invalid_request", 0},
		{"huge", `"feature":"custom-query","credits":99999999999999999999`, 400, "invalid_request", 0},
		{"a string", `"feature":"custom-query","credits":"10"`, 400, "invalid_request", 0},
		{"null", `"feature":"custom-query","credits":null`, 400, "invalid_request", 0},
		{"both credits and units", `"feature":"custom-query","credits":10,"units":1`, 400, "invalid_request", 0},
		{"an unknown field", `"feature":"custom-query","credits":10,"price":1`, 400, "invalid_request", 0},
		{"a price version that never was", `"feature":"custom-query","credits":10,"price_version":99`, 422, "", 0},
		{"a pinned price version", `"feature":"custom-query","credits":10,"price_version":1`, 200, "", 10},
	}
	left := s.available(t, "acme")
	for i, tt := range tests {
		status, got := s.post(t, "", fmt.Sprintf(`{"event_id":"e%d","org_id":"acme",%s}`, i, tt.fields))
		if tt.name == "a price version that never was" {
			if status < 400 || status >= 500 {
				t.Errorf("%s: %d %v", tt.name, status, got)
			}
			continue
		}
		if status != tt.status || (tt.code != "" && got["code"] != tt.code) || (tt.status == 200 && got["credits"] != tt.credits) {
			t.Errorf("%s: %d %v, want %d %s", tt.name, status, got, tt.status, tt.code)
		}
		left -= int64(tt.credits)
		if now := s.available(t, "acme"); now != left {
			t.Errorf("%s: %d are left, want %d", tt.name, now, left)
		}
	}
}

func TestIdsAreStoredSafelyOrRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	for id, want := range map[string]int{
		"a/b/../c": 200, "..": 200, ".": 200, "__x__": 200, "wallets/acme": 200, "é✓": 200, strings.Repeat("x", 128): 200,
		"": 400, "a\x00b": 400, "a\nb": 400, strings.Repeat("x", 129): 400, strings.Repeat("x", 10_000): 400,
	} {
		body, err := json.Marshal(map[string]any{"event_id": id, "org_id": "acme", "feature": "custom-query", "credits": 10})
		if err != nil {
			t.Fatal(err)
		}
		status, got := s.post(t, "", string(body))
		if status != want || (status == 200 && got["event_id"] != id) {
			t.Errorf("event id %.20q: %d %v, want %d", id, status, got, want)
		}
	}
	for org, want := range map[string]int{"other": 404, "Acme": 400, "../acme": 400, "acme/entries/x": 400, "": 400, strings.Repeat("a", 65): 400} {
		body, err := json.Marshal(map[string]any{"event_id": "x", "org_id": org, "feature": "custom-query", "credits": 10})
		if err != nil {
			t.Fatal(err)
		}
		if status, got := s.post(t, "", string(body)); status != want {
			t.Errorf("org %q: %d %v, want %d", org, status, got, want)
		}
	}
	if got := s.available(t, "acme"); got != 1000-7*10 {
		t.Errorf("%d are left, want %d", got, 1000-7*10)
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestBodiesThatAreNotARequestAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	good := `{"event_id":"x","org_id":"acme","feature":"custom-query","credits":10`
	for body, want := range map[string]int{
		"": 400, "null": 400, "[]": 400, "{": 400, good: 400, good + `}{}`: 400, good + `,"credits":11}`: 400,
		good + `,"metadata":[1]}`: 400,
		good + `,"metadata":{"a":"` + strings.Repeat("x", 2100) + `"}}`:         400,
		good + `,"metadata":{"a":"` + strings.Repeat("x", bodyMaxBytes) + `"}}`: 413,
		good + `,"occurred_at":"yesterday"}`:                                    400,
		good + `,"occurred_at":"0000-01-01T00:00:00Z"}`:                         400,
		good + `,"occurred_at":"9999-12-31T23:59:59-23:59"}`:                    400,
	} {
		if status, got := s.post(t, "", body); status != want {
			t.Errorf("%.60q: %d %v, want %d", body, status, got, want)
		}
	}
	if got := s.available(t, "acme"); got != 100 {
		t.Errorf("%d are left, want 100", got)
	}
}

func TestOnlyListedServicesSpend(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	body := `{"event_id":"x","org_id":"acme","feature":"custom-query","credits":10}`
	for name, tt := range map[string]struct {
		authorization string
		want          int
	}{
		"nobody":                       {"", 401},
		"garbage":                      {"Bearer x.y.z", 401},
		"a service that is not listed": {"Bearer " + s.issuer.Service(t, "stranger@test.iam.gserviceaccount.com", audience), 403},
		"a token for another audience": {"Bearer " + s.issuer.Service(t, spender, "https://example.com"), 401},
		"one bound to another org":     {"Bearer " + s.issuer.Service(t, bound, audience), 403},
		"one without the role":         {"Bearer " + s.issuer.Service(t, operator, audience), 403},
		"a person": {"Bearer " + s.people.Token(t, map[string]any{
			"sub": "u1", "aud": "account", "email": "a@example.com", "email_verified": true, "exp": time.Now().Add(time.Hour).Unix(),
		}), 403},
	} {
		for _, path := range []string{"", "/check", "/reverse"} {
			sent := body
			switch path {
			case "/check":
				sent = `{"org_id":"acme","feature":"custom-query","credits":10}`
			case "/reverse":
				sent = `{"event_id":"y","org_id":"acme","debit_event_id":"x","reason":"failed"}`
			}
			if status, got := s.send(t, http.MethodPost, path, tt.authorization, strings.NewReader(sent)); status != tt.want {
				t.Errorf("%s at %q: %d %v, want %d", name, path, status, got, tt.want)
			}
		}
	}
	if status, got := s.send(t, http.MethodGet, "/check", "Bearer "+s.token, nil); status != 405 || got["code"] != "method_not_allowed" {
		t.Errorf("GET: %d %v", status, got)
	}
	if status, got := s.post(t, "/nowhere", body); status != 404 || got["code"] != "not_found" {
		t.Errorf("nowhere: %d %v", status, got)
	}
	if got := s.available(t, "acme"); got != 100 {
		t.Errorf("%d are left, want 100", got)
	}
}

func TestParallelDebitsOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	var passed, refused, replayed atomic.Int64
	var wg sync.WaitGroup
	for i := range 120 {
		wg.Go(func() {
			id := fmt.Sprint("e", i)
			if i >= 100 {
				id = "same"
			}
			status, got := s.post(t, "", fmt.Sprintf(`{"event_id":%q,"org_id":"acme","feature":"custom-query","credits":20}`, id))
			switch {
			case status == 200 && got["replayed"] == true:
				replayed.Add(1)
			case status == 200:
				passed.Add(1)
			case status == 402 && got["code"] == "insufficient_credits":
				refused.Add(1)
			default:
				t.Errorf("%s: %d %v", id, status, got)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 50 || passed.Load()+refused.Load()+replayed.Load() != 120 || s.available(t, "acme") != 0 {
		t.Errorf("%d passed, %d refused, %d replayed, %d left", passed.Load(), refused.Load(), replayed.Load(), s.available(t, "acme"))
	}
	status, got := s.post(t, "", `{"event_id":"e0","org_id":"acme","feature":"custom-query","credits":21}`)
	if passed.Load() == 50 && status != 409 && status != 402 {
		t.Errorf("the same id with another amount: %d %v", status, got)
	}
}

func TestTheSameIDWithOtherContentIsAConflict(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	const base = `{"event_id":"one","org_id":"acme","user_id":"u","feature":"custom-query","credits":20`
	if status, got := s.post(t, "", base+`}`); status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	for _, same := range []string{base + `,"metadata":{"a":1}}`, base + `,"occurred_at":"2026-01-01T00:00:00Z"}`} {
		if status, got := s.post(t, "", same); status != 200 || got["replayed"] != true {
			t.Errorf("%s: %d %v, want a replay", same, status, got)
		}
	}
	for _, other := range []string{
		`{"event_id":"one","org_id":"acme","user_id":"u","feature":"custom-query","credits":21}`,
		`{"event_id":"one","org_id":"acme","user_id":"u","feature":"custom-query","credits":9}`, // not even allowed today
		`{"event_id":"one","org_id":"acme","user_id":"v","feature":"custom-query","credits":20}`,
		`{"event_id":"one","org_id":"acme","user_id":"u","team_id":"t","feature":"custom-query","credits":20}`,
		`{"event_id":"one","org_id":"acme","user_id":"u","feature":"alchemy","credits":20}`,
		`{"event_id":"one","org_id":"acme","user_id":"u","feature":"custom-query","units":20}`,
	} {
		if status, got := s.post(t, "", other); status != 409 || got["code"] != "idempotency_conflict" {
			t.Errorf("%s: %d %v, want a conflict", other, status, got)
		}
	}
	status, got := s.post(t, "/reverse", `{"event_id":"one","org_id":"acme","debit_event_id":"one","reason":"failed"}`)
	if status != 409 {
		t.Errorf("a reversal under the debit's own id: %d %v", status, got)
	}
	if left := s.available(t, "acme"); left != 980 {
		t.Errorf("%d are left, want 980", left)
	}
}

func TestCheckListsAllReasonsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 60)
	const ask = `{"org_id":"acme","feature":"market-trend-report"}`
	if status, got := s.post(t, "/check", ask); status != 200 || got["allowed"] != true || got["credits"] != 50.0 || fmt.Sprint(got["reasons"]) != "[]" {
		t.Errorf("%d %v", status, got)
	}
	// Usage beyond the balance, and a freeze: three reasons at once.
	d := credit.Debit{EventID: "u", Credits: 70, Usage: true, Work: credit.Work{Feature: "custom-query"}}
	if _, err := s.ledger.Do(t.Context(), "acme", d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ledger.Do(t.Context(), "acme", credit.FreezeWallet{Frozen: true, Reason: "suspected fraud"}); err != nil {
		t.Fatal(err)
	}
	status, got := s.post(t, "/check", ask)
	var codes []string
	for _, r := range got["reasons"].([]any) {
		codes = append(codes, r.(map[string]any)["code"].(string))
	}
	if status != 200 || got["allowed"] != false || fmt.Sprint(codes) != "[wallet_frozen in_debt insufficient_credits]" {
		t.Errorf("%d %v", status, got)
	}
	if status, got := s.post(t, "", `{"event_id":"e","org_id":"acme","feature":"market-trend-report"}`); status != 403 || got["code"] != "wallet_frozen" {
		t.Errorf("a debit: %d %v, want the first reason", status, got)
	}
	if status, got := s.post(t, "/check", `{"org_id":"acme","feature":"market-trend-report","event_id":"x"}`); status != 400 {
		t.Errorf("a check with an event id: %d %v", status, got)
	}
}

func TestAReversalGivesTheCreditsBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	if status, got := s.post(t, "", `{"event_id":"job","org_id":"acme","feature":"market-trend-report"}`); status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	part := `{"event_id":"undo-1","org_id":"acme","debit_event_id":"job","credits":20,"reason":"half of it failed"}`
	for i, replayed := range []bool{false, true} {
		status, got := s.post(t, "/reverse", part)
		if status != 200 || got["credits"] != 20.0 || got["replayed"] != replayed {
			t.Errorf("time %d: %d %v", i, status, got)
		}
	}
	if status, got := s.post(t, "/reverse", `{"event_id":"undo-2","org_id":"acme","debit_event_id":"job","reason":"the rest too"}`); status != 200 || got["credits"] != 30.0 {
		t.Errorf("the rest: %d %v", status, got)
	}
	for body, want := range map[string]int{
		`{"event_id":"undo-3","org_id":"acme","debit_event_id":"job","reason":"again"}`:             400,
		`{"event_id":"undo-4","org_id":"acme","debit_event_id":"nothing","reason":"x"}`:             404,
		`{"event_id":"undo-5","org_id":"acme","debit_event_id":"job","credits":0,"reason":"x"}`:     400,
		`{"event_id":"undo-6","org_id":"acme","debit_event_id":"job"}`:                              400,
		`{"event_id":"undo-1","org_id":"acme","debit_event_id":"job","credits":21,"reason":"half"}`: 409,
		`{"event_id":"undo-7","org_id":"nobody","debit_event_id":"job","reason":"x"}`:               404,
	} {
		if status, got := s.post(t, "/reverse", body); status != want {
			t.Errorf("%s: %d %v, want %d", body, status, got, want)
		}
	}
	if left := s.available(t, "acme"); left != 100 {
		t.Errorf("%d are left, want 100", left)
	}
}

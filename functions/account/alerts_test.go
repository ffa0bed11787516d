package account

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/orgs"
)

// withKinds is a body for alerts that chooses for some kinds.
func withKinds(items string) string {
	return strings.Replace(alertsBody, "{", `{"kinds":[`+items+`],`, 1)
}

// told makes an answer's kinds a table: the channels by kind.
func told(t *testing.T, a answer) map[string]string {
	t.Helper()
	out := map[string]string{}
	items, _ := a.body["kinds"].([]any)
	for _, item := range items {
		k, _ := item.(map[string]any)
		kind, _ := k["kind"].(string)
		if name, _ := k["name"].(string); name == "" {
			t.Errorf("kind %q has no name: %s", kind, a.raw)
		}
		out[kind] = joined(k["channels"])
	}
	return out
}

func joined(list any) string {
	items, _ := list.([]any)
	words := make([]string, len(items))
	for i, item := range items {
		words[i], _ = item.(string)
	}
	return strings.Join(words, " ")
}

func TestAlertsAreSetAndTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	both := []any{"email", "dashboard"}
	settings := func(a answer) map[string]any {
		return map[string]any{"low_balance": a.body["low_balance"], "expiry": a.body["expiry"]}
	}
	want := map[string]any{
		"low_balance": map[string]any{"enabled": true, "threshold": 100.0, "channels": both}, "expiry": map[string]any{"enabled": true, "channels": both},
	}
	if diff := cmp.Diff(want, settings(s.must(t, token, http.MethodGet, "/orgs/acme/alerts", ""))); diff != "" {
		t.Errorf("at first: %s", diff)
	}
	want = map[string]any{
		"low_balance": map[string]any{"enabled": true, "threshold": 50.0, "channels": []any{"email"}}, "expiry": map[string]any{"enabled": false, "channels": []any{}},
	}
	for range 2 {
		if diff := cmp.Diff(want, settings(s.must(t, token, http.MethodPut, "/orgs/acme/alerts", alertsBody))); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(want, settings(s.must(t, token, http.MethodGet, "/orgs/acme/alerts", ""))); diff != "" {
		t.Error(diff)
	}
	w, err := s.ledger.View(t.Context(), "acme")
	if err != nil || !w.Low.On || w.Low.Threshold != 50 {
		t.Errorf("the wallet has %+v (%v)", w.Low, err)
	}
	s.must(t, token, http.MethodPut, "/orgs/acme/alerts", strings.Replace(alertsBody, "true", "false", 1))
	if w, err = s.ledger.View(t.Context(), "acme"); err != nil || w.Low.On {
		t.Errorf("switched off, the wallet has %+v (%v)", w.Low, err)
	}
}

// TestAKindThatIsNotSentStaysAsItIs: a program that knows of no kinds takes no choice away, and what an answer says can be sent back.
func TestAKindThatIsNotSentStaysAsItIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	put := func(body string) answer { return s.must(t, token, http.MethodPut, "/orgs/acme/alerts", body) }

	first := s.must(t, token, http.MethodGet, "/orgs/acme/alerts", "")
	if got := told(t, first); len(got) != len(orgs.Kinds())-2 || got["debt"] != "email dashboard" || got["statements"] != "email dashboard" {
		t.Errorf("without a choice: %v", got)
	}
	if got := joined(first.body["billing_contact"]); got != "purchases refunds disputes top_ups top_up_failures statements renewals" {
		t.Errorf("without a choice the billing contact is told of %s", got)
	}
	if got := told(t, put(alertsBody)); got["debt"] != "email" || got["limits"] != "email dashboard" {
		t.Errorf("what nobody chose does not follow the low balance: %v", got)
	}
	put(withKinds(`{"kind":"debt","channels":["dashboard","email"]},{"kind":"purchases","name":"x","channels":[]}`))
	put(strings.Replace(alertsBody, "{", `{"billing_contact":[],`, 1))
	last := put(alertsBody)
	if got := told(t, last); got["debt"] != "email dashboard" || got["purchases"] != "" || got["refunds"] != "email" {
		t.Errorf("kinds that were not sent: %v", got)
	}
	if got := joined(last.body["billing_contact"]); got != "" {
		t.Errorf("the billing contact is told of %s again", got)
	}
	if again := put(last.raw); again.raw != last.raw {
		t.Errorf("what was told, sent back, makes %s of %s", again.raw, last.raw)
	}
}

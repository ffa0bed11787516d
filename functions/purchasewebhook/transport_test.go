package purchasewebhook

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/payments"
)

func TestWhatIsNotStripesIsRefusedAndNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	body := w.unsent(t)
	now := time.Now()
	large := body[:len(body)-1] + strings.Repeat(" ", 2<<20) + "}"
	live := strings.Replace(body, `"livemode":false,"object":"event"`, `"livemode":true,"object":"event"`, 1)
	newer := strings.Replace(body, `"api_version":"2023-10-16"`, `"api_version":"2024-06-20"`, 1)
	tests := []struct {
		name, body, signature string
		status                int
		code                  string
	}{
		{"one byte changed", strings.Replace(body, "acme", "acmf", 1), sign(body, secretNow, now), 400, "invalid_request"},
		{"stale", body, sign(body, secretNow, now.Add(-302*time.Second)), 400, "invalid_request"},
		{"from the future", body, sign(body, secretNow, now.Add(302*time.Second)), 400, "invalid_request"},
		{"by an unknown secret", body, sign(body, "whsec_strange", now), 400, "invalid_request"},
		{"by the empty secret", body, sign(body, "", now), 400, "invalid_request"},
		{"unsigned", body, "", 400, "invalid_request"},
		{"of the other mode", live, sign(live, secretNow, now), 400, "invalid_request"},
		{"of another API version", newer, sign(newer, secretNow, now), 400, "invalid_request"},
		{"2 MiB", large, sign(large, secretNow, now), 413, "too_large"},
		{"empty", "", sign("", secretNow, now), 400, "invalid_request"},
	}
	if live == body || newer == body {
		t.Fatal("the event was not changed")
	}
	before := w.everything(t)
	for _, tt := range tests {
		status, answer := w.post(t.Context(), t, tt.body, tt.signature)
		if status != tt.status || answer["code"] != tt.code {
			t.Errorf("%s: %d %v, want %d %s", tt.name, status, answer, tt.status, tt.code)
		}
	}
	if diff := cmp.Diff(before, w.everything(t)); diff != "" {
		t.Errorf("stored:\n%s", diff)
	}
	w.wantCredits(t, "acme", 0)
	status, answer := w.post(t.Context(), t, body, sign(body, secretBefore, now))
	if status != http.StatusOK || answer["outcome"] != string(payments.Credited) {
		t.Errorf("by the secret before: %d %v", status, answer)
	}
	w.wantCredits(t, "acme", 1000)
}

// everything is what the function might have stored.
func (w *world) everything(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, collection := range []string{"purchases", "payments", "stripeEvents", "quarantine", "wallets", "outbox"} {
		for id, d := range w.documents(t, collection) {
			out[collection+"/"+id] = d
		}
	}
	return out
}

func TestEventsThatChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	w.deliver(t)
	before := w.everything(t)
	body := w.event(t, "checkout.session.completed")
	w.send(t, change(t, body, "checkout.session.completed", "radar.early_fraud_warning.created"), payments.Ignored)
	w.send(t, change(t, body, "checkout.session.completed", "x.y"), payments.Ignored)
	if diff := cmp.Diff(before, w.everything(t)); diff != "" {
		t.Error(diff)
	}
	w.wantCredits(t, "acme", 1000)
}

func TestOnlyPostsToTheFunctionItselfAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for target, want := range map[string]int{"GET /": 405, "PUT /": 405, "POST /x": 404, "GET /health": 200} {
		method, path, _ := strings.Cut(target, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
		check(t, err)
		resp, err := http.DefaultClient.Do(r)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, resp.StatusCode, want)
		}
	}
}

func TestTheFunctionDoesNotStartWithoutWhatKeepsItSafe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := map[string]string{
		"GOOGLE_CLOUD_PROJECT": "p", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
		"STRIPE_API_KEY": "sk_live_1", "STRIPE_LIVEMODE": "true", "STRIPE_WEBHOOK_SECRETS": "whsec_1",
		"CHECKOUT_RETURN_URL": "https://fluxori.example/credits",
	}
	tests := []struct {
		name, setting, value string
		starts               bool
	}{
		{"as it should be", "STRIPE_WEBHOOK_SECRETS", "whsec_1,whsec_2", true},
		{"an empty secret", "STRIPE_WEBHOOK_SECRETS", "", false},
		{"an empty secret beside another", "STRIPE_WEBHOOK_SECRETS", "whsec_1,", false},
		{"a blank secret", "STRIPE_WEBHOOK_SECRETS", "whsec_1, ,whsec_2", false},
		{"a key of the other mode", "STRIPE_LIVEMODE", "false", false},
		{"no key", "STRIPE_API_KEY", "", false},
		{"no page to return to", "CHECKOUT_RETURN_URL", "", false},
		{"a grace that is no time", "SUBSCRIPTION_GRACE", "soon", false},
		{"a grace below none", "SUBSCRIPTION_GRACE", "-1h", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settings := maps.Clone(good)
			settings[tt.setting] = tt.value
			_, err := function(t).Build(t.Context(), w.env(settings))
			if (err == nil) != tt.starts {
				t.Errorf("%v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "whsec_") || strings.Contains(err.Error(), "sk_live_1")) {
				t.Errorf("a secret is told: %v", err)
			}
		})
	}
}

package account

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/payments/paymentstest"
)

// reprice changes what a purchase's record says it costs.
func (s *system) reprice(t testing.TB, reference string, amount int) {
	t.Helper()
	_, err := s.Client.Collection("purchases").Doc(reference).Update(t.Context(), []firestore.Update{{Path: "amount", Value: amount}})
	if err != nil {
		t.Fatal(err)
	}
}

// overpaid has an organisation pay R449 for 500 credits that its record says cost one cent; Stripe's webhooks are dropped, and the event is
// put aside. It returns the purchase's reference and the event.
func (s *system) overpaid(t *testing.T, org, key string) (reference string, told payments.Notice) {
	t.Helper()
	if err := s.stand.WebhookMode(stripestand.ModeDrop); err != nil {
		t.Fatal(err)
	}
	reference, session := s.order(t, org, key)
	s.reprice(t, reference, 1)
	if err := s.stand.PayCheckout(session); err != nil {
		t.Fatal(err)
	}
	if err := s.stand.WebhookMode(stripestand.ModeDeliver); err != nil {
		t.Fatal(err)
	}
	events := listed[paymentstest.Event](t, s, "events?limit=1&type=checkout.session.completed")
	if len(events) != 1 {
		t.Fatal(events)
	}
	told = events[0].Notice()
	s.tell(t, told)
	return reference, told
}

// tell has an event put aside.
func (s *system) tell(t *testing.T, n payments.Notice) {
	t.Helper()
	if outcome, err := s.receiver.Receive(t.Context(), n); err != nil || outcome != payments.Quarantined {
		t.Fatalf("%s is %s: %v", n.ID, outcome, err)
	}
}

// nobodys puts an event aside, of an organisation that no test is about, and returns its id.
func (s *system) nobodys(t *testing.T) (event string) {
	t.Helper()
	s.register(t, "initech")
	_, told := s.overpaid(t, "initech", "k")
	return told.ID
}

func TestWhatWaitsForAPersonIsListed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	var want []string
	for n := range 5 {
		_, told := s.overpaid(t, "acme", fmt.Sprint("k", n))
		want = append([]string{told.ID}, want...)
		s.advance(time.Second)
	}
	token := s.platform(t)
	got := s.walk(t, token, "/operations/quarantine", 2)
	if len(got) != len(want) {
		t.Fatalf("%d are listed, want %d", len(got), len(want))
	}
	for i, a := range got {
		if a["event_id"] != want[i] || a["reason"] != "wrong_amount" || a["org_id"] != "acme" || a["state"] != "waiting" || a["detail"] == "" || a["resolved_at"] != nil {
			t.Errorf("item %d is %v", i, a)
		}
	}
	s.must(t, token, http.MethodPost, "/operations/quarantine/"+want[2]+"/resolve", `{"resolution":"Refunded in Stripe's dashboard."}`)
	for state, n := range map[string]int{"waiting": 4, "resolved": 1} {
		if items, _ := s.must(t, token, http.MethodGet, "/operations/quarantine?state="+state, "").body["items"].([]any); len(items) != n {
			t.Errorf("%d are %s, want %d", len(items), state, n)
		}
	}
	for _, bad := range []struct{ method, path, body, code string }{
		{http.MethodGet, "?state=lost", "", "invalid_request"},
		{http.MethodGet, "?page_token=x", "", "invalid_request"},
		{http.MethodPost, "/evt_none/replay", "", "not_found"},
		{http.MethodPost, "/..%2Forgs/replay", "", "not_found"},
		{http.MethodPost, "/evt_none/resolve", `{"resolution":"Done."}`, "not_found"},
		{http.MethodPost, "/" + want[0] + "/resolve", `{"resolution":" "}`, "invalid_request"},
		{http.MethodPost, "/" + want[0] + "/resolve", `{"resolution":"` + strings.Repeat("x", 501) + `"}`, "invalid_request"},
		{http.MethodPost, "/" + want[0] + "/resolve", `{"reason":"Done."}`, "invalid_request"},
	} {
		if got := s.call(t, token, bad.method, "/operations/quarantine"+bad.path, bad.body); got.code() != bad.code {
			t.Errorf("%s %s: %d %s", bad.method, bad.path, got.status, got.raw)
		}
	}
}

func TestWhatWaitsIsSettledByAReplayOnceItsCauseIsMended(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{"while Stripe lists the event": time.Minute, "by its object after that": 100 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.register(t, "acme")
			reference, told := s.overpaid(t, "acme", "k")
			path := "/operations/quarantine/" + told.ID + "/replay"
			s.advance(after)
			if err := s.stand.Run(t.Context(), s.now()); err != nil {
				t.Fatal(err)
			}
			if got := s.must(t, s.platform(t), http.MethodPost, path, "").body; got["state"] != "waiting" || got["reason"] != "wrong_amount" || s.available(t, "acme") != 0 {
				t.Errorf("not mended: %v", got)
			}
			s.reprice(t, reference, 44900)
			for range 3 {
				got := s.must(t, s.platform(t), http.MethodPost, path, "").body
				if got["state"] != "resolved" || got["resolved_by"] != "fluxori" || got["resolved_at"] == nil || s.available(t, "acme") != 500 {
					t.Errorf("mended: %v", got)
				}
			}
			if p := s.must(t, s.platform(t), http.MethodGet, "/purchases/"+reference, "").body; p["status"] != "paid" {
				t.Errorf("the purchase is %v", p)
			}
		})
	}
}

func TestWhatAPersonResolvedStaysSoThoughItIsToldAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	reference, told := s.overpaid(t, "acme", "k")
	path := "/operations/quarantine/" + told.ID + "/resolve"
	s.must(t, s.platform(t), http.MethodPost, path, `{"resolution":"Paid twice; refunded by hand."}`)
	s.tell(t, told)
	again := s.must(t, s.platform(t), http.MethodPost, path, `{"resolution":"Something else."}`).body
	if again["state"] != "resolved" || again["resolution"] != "Paid twice; refunded by hand." || again["resolved_by"] != "fluxori" {
		t.Errorf("told again: %v", again)
	}
	if _, err := s.Client.Collection("purchases").Doc(reference).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.tell(t, told)
	items, _ := s.must(t, s.platform(t), http.MethodGet, "/operations/quarantine?state=waiting", "").body["items"].([]any)
	if len(items) != 1 || items[0].(map[string]any)["reason"] != "unknown_reference" {
		t.Errorf("for another reason it waits as %v", items)
	}
}

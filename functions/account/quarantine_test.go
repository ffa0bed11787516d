package account

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/customer"

	"github.com/fluxori/ai-credits/shared/catalogue"
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
	told = s.latest(t, "checkout.session.completed")
	s.tell(t, told)
	return reference, told
}

// latest is the latest event of a type that Stripe lists.
func (s *system) latest(t *testing.T, kind string) payments.Notice {
	t.Helper()
	events := listed[paymentstest.Event](t, s, "events?limit=1&type="+kind)
	if len(events) != 1 {
		t.Fatal(events)
	}
	return events[0].Notice()
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

// replayed is how long after an event it is replayed.
var replayed = map[string]time.Duration{"while Stripe lists the event": time.Minute, "by its object after that": 100 * 24 * time.Hour}

func TestWhatWaitsIsSettledByAReplayOnceItsCauseIsMended(t *testing.T) {
	t.Parallel()
	for what, putAside := range map[string]func(*testing.T, *system) (reference string, told payments.Notice){
		"a checkout": func(t *testing.T, s *system) (string, payments.Notice) { return s.overpaid(t, "acme", "k") },
		"an auto top-up": func(t *testing.T, s *system) (string, payments.Notice) {
			reference := s.toppedUp(t, "acme")
			s.reprice(t, reference, 1)
			told := s.latest(t, "payment_intent.succeeded")
			s.tell(t, told)
			return reference, told
		},
	} {
		for name, after := range replayed {
			t.Run(what+" "+name, func(t *testing.T) {
				t.Parallel()
				s := start(t)
				s.register(t, "acme")
				reference, told := putAside(t, s)
				path := "/operations/quarantine/" + told.ID + "/replay"
				s.pass(t, after)
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
}

// pass lets time pass, also at Stripe.
func (s *system) pass(t *testing.T, d time.Duration) {
	t.Helper()
	s.advance(d)
	if err := s.stand.Run(t.Context(), s.now()); err != nil {
		t.Fatal(err)
	}
}

// toppedUp charges an organisation's card for 500 credits by itself, as auto top-up does, and returns the purchase's reference.
func (s *system) toppedUp(t *testing.T, org string) (reference string) {
	t.Helper()
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: s.stripe})
	if err != nil {
		t.Fatal(err)
	}
	shop, err := payments.NewShop(payments.ShopOptions{
		Documents: s.Client, Prices: catalogue.NewStore(s.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}), Stripe: gateway, Now: s.now,
		Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.stand.CreateCustomer(stripestand.NewCustomer{Metadata: map[string]string{"org_id": org}, Card: stripestand.CardVisa})
	if err != nil {
		t.Fatal(err)
	}
	offer, err := shop.PriceOf(t.Context(), "credits-500", "ZA")
	if err != nil {
		t.Fatal(err)
	}
	reference = payments.NewReference()
	charged, err := shop.Charge(t.Context(), payments.TopUp{
		ID: "topup:" + org + ":1", Buyer: payments.Buyer{Org: org}, Reference: reference, Offer: offer, BegunAt: s.now(),
	})
	if err != nil || charged.Status != payments.Paid {
		t.Fatal(charged, err)
	}
	return reference
}

// rename gives the customer that acme is another name, as Stripe's portal does.
func (s *system) rename(t *testing.T, name string) {
	t.Helper()
	customers := customer.Client{B: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: &s.stripe}), Key: "sk_test_local"}
	all := customers.List(&stripe.CustomerListParams{})
	if !all.Next() {
		t.Fatal(all.Err())
	}
	if _, err := customers.Update(all.Customer().ID, &stripe.CustomerParams{Name: &name}); err != nil {
		t.Fatal(err)
	}
}

// TestWhatCouldNotBeReadIsReplayedFromItsOwnKindOfObject puts aside events about a customer, a subscription and its schedule that came in a form
// that nobody knew.
func TestWhatCouldNotBeReadIsReplayedFromItsOwnKindOfObject(t *testing.T) {
	t.Parallel()
	for name, after := range replayed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.register(t, "acme")
			s.subscribe(t, "acme", "price_starter_month_zar", stripestand.CardVisa, 0)
			s.change(t, "free", "k")
			s.rename(t, "Acme Ltd")
			var waiting []string
			for _, kind := range []string{"customer.updated", "customer.subscription.updated", "subscription_schedule.updated"} {
				told := s.latest(t, kind)
				var object struct{ ID string }
				if err := json.Unmarshal(told.Object, &object); err != nil {
					t.Fatal(err)
				}
				told.Object = fmt.Appendf(nil, `{"id":%q,"metadata":7}`, object.ID)
				s.tell(t, told)
				s.advance(time.Second)
				if got := s.walk(t, s.platform(t), "/operations/quarantine", 10)[0]; got["reason"] != "malformed" || got["type"] != kind || got["object"] != object.ID {
					t.Errorf("%s is put aside as %v", kind, got)
				}
				waiting = append(waiting, told.ID)
			}
			s.pass(t, after)
			for _, id := range waiting {
				if got := s.call(t, s.platform(t), http.MethodPost, "/operations/quarantine/"+id+"/replay", ""); got.body["state"] != "resolved" {
					t.Errorf("%s: %d %s", id, got.status, got.raw)
				}
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

package autotopup

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/payments/paymentstest"
	"github.com/fluxori/ai-credits/shared/topups"
)

const price = 9900 // of credits-100, in cents

// system is the function in its cloud, with an organisation acme, and a stand-in for Stripe whose events are settled as the webhook's function does.
type system struct {
	*cloudtest.Cloud
	stand    *stripestand.Stand
	stripe   atomic.Bool // whether Stripe answers
	ledger   *ledger.Ledger
	keeper   *topups.Keeper // as the account function has it
	customer string
	alerts   func() []events.Push
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, card stripestand.Card) *system {
	t.Helper()
	s := &system{Cloud: cloudtest.New(t)}
	s.stripe.Store(true)
	log := slog.New(slog.DiscardHandler)
	var receiver *payments.Receiver
	s.stand, _ = paymentstest.Stripe(t, s.Now, func() *payments.Receiver { return receiver })
	server := httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(server.Close)
	publisher := s.Publisher(t)
	s.ledger = s.Ledger(t, publisher)
	known, err := orgs.NewStore(s.Client, log, orgs.Options{Now: s.Now})
	check(t, err)
	prices := s.Catalogue(t)
	registrar, err := orgs.NewRegistrar(known, s.ledger, prices)
	check(t, err)
	_, _, err = registrar.Put(t.Context(), "acme", orgs.Profile{Name: "Acme", Country: "ZA", Zone: "Africa/Johannesburg", OwnerEmail: "owner@acme.example"})
	check(t, err)
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: server.URL})
	check(t, err)
	shop, err := payments.NewShop(payments.ShopOptions{
		Documents: s.Client, Prices: prices, Stripe: gateway, Now: s.Now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	check(t, err)
	s.keeper, err = topups.New(topups.Options{
		Documents: s.Client, Wallets: s.ledger, Organisations: known, Till: shop, Publisher: publisher, Log: log, Now: s.Now,
	})
	check(t, err)
	receiver, err = payments.NewReceiver(payments.ReceiverOptions{
		Documents: s.Client, Ledger: s.ledger, Prices: prices, Stripe: gateway, Now: s.Now, Log: log, Cards: s.keeper,
	})
	check(t, err)
	s.customer, err = s.stand.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Metadata: map[string]string{"org_id": "acme"}})
	check(t, err)
	s.setCard(t, card)
	s.alerts = s.Record(t, events.CreditAlerts)
	s.Start(t, "autotopup", map[string]string{
		"STRIPE_API_KEY": "sk_test_local", "STRIPE_API_URL": server.URL, "CHECKOUT_RETURN_URL": "https://fluxori.example/return",
	})
	return s
}

// answer is Stripe's, while it does.
func (s *system) answer(w http.ResponseWriter, r *http.Request) {
	if !s.stripe.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"error":{"type":"api_error","message":"down"}}`)
		return
	}
	s.stand.Handler().ServeHTTP(w, r)
}

func (s *system) setCard(t *testing.T, card stripestand.Card) {
	t.Helper()
	_, err := s.stand.SetCard(s.customer, card)
	check(t, err)
}

// wish asks for 100 credits whenever the balance falls to a threshold.
func (s *system) wish(t *testing.T, threshold, monthlyCap int64) {
	t.Helper()
	_, _, err := s.keeper.Wish(t.Context(), "acme", topups.Wish{Enabled: true, Threshold: threshold, Package: "credits-100", MonthlyCap: monthlyCap})
	check(t, err)
}

// settle waits until all pushes are done, and all that Stripe told is settled.
func (s *system) settle(t *testing.T) {
	t.Helper()
	for range 5 { // credits that come may be another crossing
		s.Quiet(t)
		check(t, s.stand.Deliver(t.Context()))
	}
	s.Quiet(t)
}

// crossing is the message of acme's n-th.
func crossing(n int) string {
	return fmt.Sprintf(`{"v":1,"id":"topup:acme:%d","type":"top_up_due","org_id":"acme","at":"2026-03-01T08:00:00Z"}`, n)
}

// want compares what acme has, what was charged this month, its purchases by status, and the notices of top-ups by
// kind, each id once.
func (s *system) want(t *testing.T, credits, spent int64, purchases map[payments.Status]int, told map[credit.EventKind]int) {
	t.Helper()
	s.settle(t)
	w, err := s.ledger.View(t.Context(), "acme")
	check(t, err)
	set, window, err := s.keeper.Get(t.Context(), "acme")
	check(t, err)
	if w.Available != credits || set.SpentIn(window) != spent {
		t.Errorf("%d credits and %d spent, want %d and %d", w.Available, set.SpentIn(window), credits, spent)
	}
	bought := map[payments.Status]int{}
	all, err := s.Client.Collection("purchases").Documents(t.Context()).GetAll()
	check(t, err)
	for _, snapshot := range all {
		var p payments.Purchase
		check(t, snapshot.DataTo(&p))
		bought[p.Status]++
	}
	notices, ids := map[credit.EventKind]int{}, map[string]bool{}
	for _, p := range s.alerts() {
		e, err := events.DecodeCredit(p.Data)
		check(t, err)
		if !ids[e.ID] && strings.HasPrefix(string(e.Type), "top_up") {
			ids[e.ID] = true
			notices[e.Type]++
		}
	}
	if fmt.Sprint(bought) != fmt.Sprint(purchases) || fmt.Sprint(notices) != fmt.Sprint(told) {
		t.Errorf("purchases %v, notices %v; want %v, %v", bought, notices, purchases, told)
	}
}

func TestACrossingThatIsDeliveredFiftyTimesIsOneCharge(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardVisa)
	s.wish(t, 60, 100_000) // nothing is there: a crossing
	s.settle(t)
	for range 50 {
		s.Publish(t, events.CreditTopUps, crossing(1), nil)
	}
	s.want(t, 100, price, map[payments.Status]int{payments.Paid: 1}, map[credit.EventKind]int{events.TopUpMade: 1})
}

func TestACardThatIsDeclinedIsTriedOnceUntilThereIsAnother(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardFailsLater)
	s.wish(t, 60, 100_000)
	s.settle(t)
	for n := range 10 {
		s.Publish(t, events.CreditTopUps, crossing(1+98*(n%2)), nil) // also another, while the breaker is open
	}
	s.want(t, 0, 0, map[payments.Status]int{payments.Failed: 1}, map[credit.EventKind]int{events.TopUpDeclined: 1})
	s.setCard(t, stripestand.CardVisa)
	s.want(t, 100, price, map[payments.Status]int{payments.Failed: 1, payments.Paid: 1}, map[credit.EventKind]int{events.TopUpDeclined: 1, events.TopUpMade: 1})
}

// TestOldNewsOfACardCloseNoBreaker has Stripe tell of a good card after another has taken its place and was declined.
func TestOldNewsOfACardCloseNoBreaker(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardVisa)
	s.setCard(t, stripestand.CardFailsLater)
	s.wish(t, 60, 100_000)
	s.Quiet(t) // declined, before either card is told of
	s.want(t, 0, 0, map[payments.Status]int{payments.Failed: 1}, map[credit.EventKind]int{events.TopUpDeclined: 1})
}

func TestTheMonthsJobArmsWhatReachedItsCapLastMonth(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardVisa)
	s.wish(t, 1000, price) // one package a month, far below the threshold
	made := func(n int) map[credit.EventKind]int {
		return map[credit.EventKind]int{events.TopUpMade: n, events.TopUpCapped: n}
	}
	s.want(t, 100, price, map[payments.Status]int{payments.Paid: 1}, made(1))
	fire := func(armed float64) {
		t.Helper()
		if status, answer := s.Fire(t, "autotopup-months"); status != http.StatusOK || answer["armed"] != armed {
			t.Errorf("%d %v, want %v armed", status, answer, armed)
		}
	}
	fire(0)
	s.Advance(time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC).Sub(s.Now())) // April in Johannesburg
	fire(1)
	fire(0)
	s.want(t, 200, price, map[payments.Status]int{payments.Paid: 2}, made(2))
}

// post pushes a message as Pub/Sub does.
func (s *system) post(t *testing.T, token, data string) (status int, answer map[string]any) {
	t.Helper()
	return s.Post(t, "autotopup", "", token, strings.NewReader(
		`{"message":{"data":"`+base64.StdEncoding.EncodeToString([]byte(data))+`","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`))
}

func TestATopUpIsPushedAgainWhileStripeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardVisa)
	s.settle(t)
	_, err := s.Client.Collection("autoTopUps").Doc("acme").Set(t.Context(), map[string]any{ // as the account function writes it
		"v": 1, "org": "acme", "enabled": true, "threshold": 60, "package": "credits-100", "monthly_cap": price, "currency": "ZAR", "revision": 1,
	})
	check(t, err)
	token := s.Token(t, cloudtest.Pusher, s.Audience("autotopup"))
	s.stripe.Store(false)
	for range 2 {
		if status, answer := s.post(t, token, crossing(1)); status != http.StatusServiceUnavailable || answer["code"] != "unavailable" {
			t.Errorf("%d %v", status, answer)
		}
	}
	s.want(t, 0, price, map[payments.Status]int{}, map[credit.EventKind]int{})
	s.stripe.Store(true)
	if status, answer := s.post(t, token, crossing(1)); status != http.StatusNoContent {
		t.Errorf("%d %v", status, answer)
	}
	s.want(t, 100, price, map[payments.Status]int{payments.Paid: 1}, map[credit.EventKind]int{events.TopUpMade: 1})
}

func TestWhatCanNeverBeToppedUpIsPutAside(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardVisa)
	letters, err := deadletters.NewStore(s.Client, s.Publisher(t), s.Now)
	check(t, err)
	for _, data := range []string{
		`{`,
		`{"v":1,"id":"topup:nobody:1","type":"top_up_due","org_id":"nobody","at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"id":"topup:globex:1","type":"top_up_due","org_id":"acme","at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"id":"topup:acme:0","type":"top_up_due","org_id":"acme","at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"id":"topup:acme:1","type":"low_balance","org_id":"acme","at":"2026-03-01T08:00:00Z"}`,
	} {
		s.Publish(t, events.CreditTopUps, data, nil)
	}
	s.Quiet(t)
	page, err := letters.List(t.Context(), deadletters.Query{})
	check(t, err)
	got := map[string]int{}
	for _, l := range page.Letters {
		got[l.Topic+" "+l.Code]++
	}
	if want := map[string]int{"credit-topups invalid_request": 4, "credit-topups unknown_org": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	s.want(t, 0, 0, map[payments.Status]int{}, map[credit.EventKind]int{})
}

func TestOnlyPubSubAndTheSchedulerCall(t *testing.T) {
	t.Parallel()
	s := start(t, stripestand.CardVisa)
	pusher, scheduler := s.Token(t, cloudtest.Pusher, s.Audience("autotopup")), s.Token(t, cloudtest.Scheduler, s.Audience("autotopup"))
	elsewhere := s.Token(t, cloudtest.Pusher, s.Audience("alerts"))
	for _, tt := range []struct {
		name, token string
		push, job   int
	}{
		{"nobody", "", http.StatusUnauthorized, http.StatusUnauthorized},
		{"a token for another function", elsewhere, http.StatusUnauthorized, http.StatusUnauthorized},
		{"the scheduler", scheduler, http.StatusForbidden, http.StatusOK},
		{"Pub/Sub", pusher, http.StatusServiceUnavailable, http.StatusForbidden}, // the message is of a newer release
	} {
		if status, answer := s.post(t, tt.token, `{"v":2}`); status != tt.push {
			t.Errorf("%s pushes: %d %v, want %d", tt.name, status, answer, tt.push)
		}
		if status, answer := s.Post(t, "autotopup", "/months", tt.token, nil); status != tt.job {
			t.Errorf("%s runs the job: %d %v, want %d", tt.name, status, answer, tt.job)
		}
	}
}

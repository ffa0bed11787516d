package stripestand_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

var start = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

// clock is the system's clock of a test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// sink receives webhooks, checks them with Stripe's own library and keeps them.
type sink struct {
	mu     sync.Mutex
	events []stripe.Event
	status int
	fails  int // how many more to refuse
	bad    []error
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	e, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), stripestand.WebhookSecret)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bad = append(s.bad, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if s.fails > 0 {
		s.fails--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.events = append(s.events, e)
	w.WriteHeader(s.status)
}

// take returns the events received since it was last called.
func (s *sink) take() []stripe.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.events
	s.events = nil
	return out
}

func (s *sink) refuse(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = n
}

// world is a stand-in with a real Stripe client and a receiver of webhooks.
type world struct {
	*stripestand.Stand
	clock  *clock
	sink   *sink
	stripe *client.API
	server *httptest.Server
}

func newWorld(t *testing.T, change ...func(*stripestand.Options)) *world {
	t.Helper()
	w := &world{clock: &clock{at: start}, sink: &sink{status: http.StatusOK}}
	var handler http.Handler
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(w.server.Close)
	opts := stripestand.Options{
		Now: w.clock.now, BaseURL: w.server.URL, Seed: 7, RetryBase: time.Millisecond,
		Endpoints: []stripestand.Endpoint{{Handler: w.sink, Path: "/purchasewebhook"}},
	}
	for _, f := range change {
		f(&opts)
	}
	var err error
	if w.Stand, err = stripestand.New(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if len(w.sink.bad) > 0 {
			t.Errorf("webhooks that Stripe's library refuses: %v", w.sink.bad)
		}
	})
	handler = w.Handler()
	w.stripe = newClient(w.server.URL)
	w.seed(t)
	return w
}

func newClient(url string) *client.API {
	config := &stripe.BackendConfig{
		URL: stripe.String(url), MaxNetworkRetries: stripe.Int64(0), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	}
	api := &client.API{}
	api.Init("sk_test_local", &stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, config)})
	return api
}

func (w *world) seed(t *testing.T) {
	t.Helper()
	for _, p := range []stripestand.Product{
		{ID: "prod_credits", Name: "1,000 credits"}, {ID: "prod_free", Name: "Free"},
		{ID: "prod_starter", Name: "Starter"}, {ID: "prod_growth", Name: "Growth"},
	} {
		check(t, w.AddProduct(p))
	}
	for _, p := range []stripestand.Price{
		{ID: "price_pack", Product: "prod_credits", Currency: "zar", UnitAmount: 15000, LookupKey: "pack"},
		{ID: "price_free", Product: "prod_free", Currency: "zar", Interval: "month"},
		{ID: "price_starter", Product: "prod_starter", Currency: "zar", UnitAmount: 30000, Interval: "month"},
		{ID: "price_growth", Product: "prod_growth", Currency: "zar", UnitAmount: 90000, Interval: "month"},
		{ID: "price_yearly", Product: "prod_growth", Currency: "zar", UnitAmount: 900000, Interval: "year"},
	} {
		check(t, w.AddPrice(p))
	}
	check(t, w.AddCoupon(stripestand.Coupon{ID: "ALLFREE", PercentOff: 100}))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns a call's value or ends the test.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// moveTo moves the clock and does what comes due on the way.
func (w *world) moveTo(t *testing.T, at time.Time) {
	t.Helper()
	w.clock.set(at)
	check(t, w.Run(t.Context(), at))
}

// types delivers what waits and names the types of the events received.
func (w *world) types(t *testing.T) []string {
	t.Helper()
	check(t, w.Deliver(t.Context()))
	var out []string
	for _, e := range w.sink.take() {
		out = append(out, string(e.Type))
	}
	return out
}

// checkout opens a session that sells credits once.
func (w *world) checkout(t *testing.T, change ...func(*stripe.CheckoutSessionParams)) *stripe.CheckoutSession {
	t.Helper()
	p := &stripe.CheckoutSessionParams{
		Mode:       stripe.String("payment"),
		SuccessURL: stripe.String("https://shop.example/done?session={CHECKOUT_SESSION_ID}"),
		CancelURL:  stripe.String("https://shop.example/back"),
		LineItems:  []*stripe.CheckoutSessionLineItemParams{{Price: stripe.String("price_pack"), Quantity: stripe.Int64(2)}},
		Metadata:   map[string]string{"org_id": "acme"},
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{
			Metadata: map[string]string{"org_id": "acme", "reference": "CR-1"},
		},
		ClientReferenceID: stripe.String("CR-1"),
	}
	for _, f := range change {
		f(p)
	}
	return must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.New(p))
}

// paid buys credits and returns the session and its payment intent.
func (w *world) paid(t *testing.T) (sessionID, intentID string) {
	t.Helper()
	c := w.checkout(t)
	check(t, w.PayCheckout(c.ID))
	c = must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(c.ID, nil))
	w.types(t)
	return c.ID, c.PaymentIntent.ID
}

// subscribed makes a customer with a subscription.
func (w *world) subscribed(t *testing.T, price string, card stripestand.Card) (customerID, subID string) {
	t.Helper()
	customerID = must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Email: "ann@acme.example", Card: card}))
	subID = must[string](t)(w.CreateSubscription(stripestand.Subscription{
		Customer: customerID, Price: price, Metadata: map[string]string{"org_id": "acme"},
	}))
	w.types(t)
	return customerID, subID
}

// stripeError asserts that err is Stripe's with the code and returns it.
func stripeError(t *testing.T, err error, code string) *stripe.Error {
	t.Helper()
	e := stripeErrorOf(err)
	if e == nil {
		t.Fatalf("error = %v, want one of Stripe's", err)
	}
	if string(e.Code) != code {
		t.Fatalf("code = %q (%s), want %q", e.Code, e.Msg, code)
	}
	return e
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func equalTypes(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events:\n got %q\nwant %q", got, want)
	}
}

// stripeErrorOf returns Stripe's error in err, nil if there is none.
func stripeErrorOf(err error) *stripe.Error {
	var e *stripe.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

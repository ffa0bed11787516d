package reconcile

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/payments"
)

const day = 24 * time.Hour

// world is the function in its cloud, with a stand-in for Stripe whose webhooks go to a receiver, and a shop.
type world struct {
	*cloudtest.Cloud
	stand    *stripestand.Stand
	stripe   *httptest.Server
	ledger   *ledger.Ledger
	shop     *payments.Shop
	receiver *payments.Receiver
	refunder *payments.Refunder
	// requests counts what Stripe was asked; broken, if set, answers in its place.
	requests atomic.Int64
	broken   atomic.Pointer[http.HandlerFunc]
	// log is what the receiver logged, and what a reconciler upon it did.
	log bytes.Buffer
	// bought are the references of purchases, in their order, and sessions their checkouts.
	bought, sessions []string
}

// newWorld makes one in which acme and globex exist.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{Cloud: cloudtest.New(t)}
	w.stripe = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		if h := w.broken.Load(); h != nil {
			(*h)(rw, r)
			return
		}
		w.stand.Handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(w.stripe.Close)
	w.Catalogue(t)
	w.restart(t)
	w.openStand(t)
	for _, org := range []string{"acme", "globex"} {
		w.Fund(t, w.ledger, org, 0)
	}
	w.Start(t, "reconcile", map[string]string{"STRIPE_API_KEY": "sk_test_local", "STRIPE_API_URL": w.stripe.URL, "CHECKOUT_RETURN_URL": "https://fluxori.example/credits"})
	return w
}

// restart gives the shop and the receiver a process of their own, which knows nothing of the one before.
func (w *world) restart(t testing.TB) {
	t.Helper()
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: w.stripe.URL})
	check(t, err)
	prices := catalogue.NewStore(w.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	w.ledger = w.Ledger(t, nil)
	w.shop, err = payments.NewShop(payments.ShopOptions{
		Documents: w.Client, Prices: prices, Stripe: gateway, Now: w.Now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	check(t, err)
	w.receiver, err = payments.NewReceiver(payments.ReceiverOptions{
		Documents: w.Client, Ledger: w.ledger, Prices: prices, Stripe: gateway, Now: w.Now, Log: slog.New(slog.NewJSONHandler(&w.log, nil)),
	})
	check(t, err)
	w.refunder, err = payments.NewRefunder(payments.RefunderOptions{
		Documents: w.Client, Ledger: w.ledger, Stripe: gateway, Now: w.Now, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
}

// openStand starts the stand-in, whose webhooks go to the receiver as they go to purchasewebhook.
func (w *world) openStand(t testing.TB) {
	t.Helper()
	verifier, err := payments.NewVerifier([]string{stripestand.WebhookSecret}, false, time.Now)
	check(t, err)
	w.stand, err = stripestand.New(stripestand.Options{Now: w.Now, BaseURL: w.stripe.URL, Endpoints: []stripestand.Endpoint{{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			n, err := verifier.Verify(body, r.Header.Get("Stripe-Signature"))
			if err == nil {
				_, err = w.receiver.Receive(r.Context(), n)
			}
			if err != nil {
				rw.WriteHeader(http.StatusServiceUnavailable)
			}
		}),
	}}})
	check(t, err)
	seed, err := catalogue.Seed()
	check(t, err)
	for _, p := range seed.Document().Plans {
		check(t, w.stand.AddProduct(stripestand.Product{ID: "prod_" + p.ID, Name: p.Name}))
		for _, currency := range slices.Sorted(maps.Keys(p.Prices)) {
			check(t, w.stand.AddPrice(stripestand.Price{
				ID: p.Prices[currency].Month.StripePrice, Product: "prod_" + p.ID, Currency: strings.ToLower(string(currency)),
				UnitAmount: p.Prices[currency].Month.Amount, Interval: "month",
			}))
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pass lets time pass: what comes due at Stripe happens, and webhooks go out, if they do.
func (w *world) pass(t testing.TB, d time.Duration) {
	t.Helper()
	w.Advance(d)
	check(t, w.stand.Run(t.Context(), w.Now()))
	check(t, w.stand.Deliver(t.Context()))
}

// order begins a purchase of 1,000 credits for R799, and returns its number.
func (w *world) order(t testing.TB, org string) int {
	t.Helper()
	s, err := w.shop.StartPurchase(t.Context(), payments.Order{Org: org, Country: "ZA", Package: "credits-1000", Key: fmt.Sprint("key-", len(w.bought))})
	check(t, err)
	w.bought, w.sessions = append(w.bought, s.Reference), append(w.sessions, path.Base(s.CheckoutURL))
	return len(w.bought) - 1
}

// buy is order, paid at once; it returns the payment intent beside.
func (w *world) buy(t testing.TB, org string) (n int, intent string) {
	t.Helper()
	n = w.order(t, org)
	check(t, w.stand.PayCheckout(w.sessions[n]))
	check(t, w.stand.Deliver(t.Context()))
	return n, w.intent(t, n)
}

// intent is a session's payment, as Stripe has it.
func (w *world) intent(t testing.TB, n int) string {
	t.Helper()
	status, answer := w.ask(t, "/v1/checkout/sessions/"+w.sessions[n])
	id, _ := answer["payment_intent"].(string)
	if status != http.StatusOK || id == "" {
		t.Fatalf("session %s: %d %v", w.sessions[n], status, answer)
	}
	return id
}

func (w *world) subscribe(t testing.TB, org string) {
	t.Helper()
	customer, err := w.stand.CreateCustomer(stripestand.NewCustomer{Name: org, Email: "owner@" + org + ".example"})
	check(t, err)
	_, err = w.stand.CreateSubscription(stripestand.Subscription{Customer: customer, Price: "price_starter_month_zar", Metadata: map[string]string{"org_id": org}})
	check(t, err)
	check(t, w.stand.Deliver(t.Context()))
}

func (w *world) spend(t testing.TB, org, id string, credits int64) {
	t.Helper()
	_, err := w.ledger.Do(t.Context(), org, credit.Debit{
		EventID: id, Credits: credits, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
	})
	check(t, err)
}

// run fires the job, and returns how many documents it wrote.
func (w *world) run(t testing.TB) (writes int64, answer map[string]any) {
	t.Helper()
	before := w.Hooks.Counts()
	status, answer := w.Fire(t, "reconcile")
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	after := w.Hooks.Counts()
	return after.Writes + after.Deletes - before.Writes - before.Deletes, answer
}

// wantCredits compares an organisation's credits, and has its wallet audited.
func (w *world) wantCredits(t testing.TB, org string, want int64) {
	t.Helper()
	got, err := w.ledger.View(t.Context(), org)
	check(t, err)
	if got.Available != want {
		t.Errorf("%s has %d credits, want %d", org, got.Available, want)
	}
	check(t, w.ledger.Audit(t.Context(), org))
}

// documents are a collection's documents, by id.
func (w *world) documents(t testing.TB, collection string) map[string]map[string]any {
	t.Helper()
	docs, err := w.Client.Collection(collection).Documents(t.Context()).GetAll()
	check(t, err)
	out := map[string]map[string]any{}
	for _, d := range docs {
		out[d.Ref.ID] = d.Data()
	}
	return out
}

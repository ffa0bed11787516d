package purchasewebhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/sethvargo/go-envconfig"
	"github.com/stripe/stripe-go/v76/webhook"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
)

const (
	secretNow    = "whsec_now"
	secretBefore = "whsec_before"
)

// world is the function as it is deployed, behind real HTTP, with a store, a broker and a stand-in for Stripe.
type world struct {
	engine *engine.Engine
	stand  *stripestand.Stand
	shop   *payments.Shop
	ledger *ledger.Ledger
	url    string // the function
	stripe *httptest.Server
	// stripeDown makes Stripe's API fail.
	stripeDown atomic.Bool
	// keepOnly has the events kept that Stripe sends, and not passed on.
	keepOnly atomic.Bool
	seconds  atomic.Int64 // the system's clock

	mu     sync.Mutex
	bodies map[string][]string // events as they were sent, by type
}

func (w *world) now() time.Time { return time.Unix(w.seconds.Load(), 0) }

// newWorld makes one in which the organisation acme exists.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{engine: engine.New(t, engine.Embedded()), bodies: map[string][]string{}}
	w.seconds.Store(time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC).Unix())
	w.startStripe(t)
	w.startFunction(t)
	prices := w.seedPrices(t)
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: w.stripe.URL})
	check(t, err)
	w.shop, err = payments.NewShop(payments.ShopOptions{
		Documents: w.engine.Client, Prices: prices, Stripe: gateway, Now: w.now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	check(t, err)
	w.ledger, err = ledger.New(w.engine.Raw, w.engine.Database(), ledger.Options{Now: w.now})
	check(t, err)
	w.open(t, "acme")
	return w
}

// startStripe starts the stand-in. The function is its endpoint, in this process; what it sends is kept.
func (w *world) startStripe(t *testing.T) {
	t.Helper()
	api := sync.OnceValue(func() http.Handler { return w.stand.Handler() })
	w.stripe = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.stripeDown.Load() {
			rw.WriteHeader(http.StatusBadRequest) // which the client does not repeat
			fmt.Fprint(rw, `{"error":{"type":"api_error","message":"down"}}`)
			return
		}
		api().ServeHTTP(rw, r)
	}))
	t.Cleanup(w.stripe.Close)
	var err error
	w.stand, err = stripestand.New(stripestand.Options{Now: w.now, BaseURL: w.stripe.URL, TaxBasisPoints: 1500, Endpoints: []stripestand.Endpoint{{
		Secret: secretNow,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.keep(string(body))
			if w.keepOnly.Load() {
				return
			}
			status, _ := w.post(r.Context(), t, string(body), r.Header.Get("Stripe-Signature"))
			rw.WriteHeader(status)
		}),
	}}})
	check(t, err)
}

// startFunction builds the function from an environment, as the cloud does, and serves it.
func (w *world) startFunction(t *testing.T) {
	t.Helper()
	firestore, err := w.engine.Server.Listen("127.0.0.1:0")
	check(t, err)
	messages, err := broker.Open(broker.Options{})
	check(t, err)
	t.Cleanup(func() { messages.Close() })
	for _, topic := range []string{events.CreditEvents, events.CreditAlerts} {
		check(t, messages.Topic(t.Context(), "projects/"+w.engine.Project+"/topics/"+topic))
	}
	pubsub, err := messages.Listen(t.Context(), "127.0.0.1:0")
	check(t, err)
	handler, err := function(t).Build(t.Context(), w.env(map[string]string{
		"GOOGLE_CLOUD_PROJECT": w.engine.Project, "FIRESTORE_EMULATOR_HOST": firestore.String(), "PUBSUB_EMULATOR_HOST": pubsub.String(),
		"STRIPE_API_KEY": "sk_test_local", "STRIPE_API_URL": w.stripe.URL, "STRIPE_WEBHOOK_SECRETS": secretNow + "," + secretBefore,
		"CHECKOUT_RETURN_URL": "https://fluxori.example/credits",
	}))
	check(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	w.url = server.URL
}

func (w *world) env(settings map[string]string) serve.Env {
	return serve.Env{Lookup: envconfig.MapLookuper(settings), Log: slog.New(slog.DiscardHandler), Now: w.now}
}

func function(t *testing.T) serve.Function {
	t.Helper()
	all := serve.Functions()
	i := slices.IndexFunc(all, func(f serve.Function) bool { return f.Name() == "purchasewebhook" })
	if i < 0 {
		t.Fatal("the function is not registered")
	}
	return all[i]
}

// seedPrices publishes the catalogue, and makes its plans known to Stripe.
func (w *world) seedPrices(t *testing.T) *catalogue.Store {
	t.Helper()
	prices := catalogue.NewStore(w.engine.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	check(t, err)
	check(t, prices.Seed(t.Context(), seed))
	for _, p := range seed.Document().Plans {
		check(t, w.stand.AddProduct(stripestand.Product{ID: "prod_" + p.ID, Name: p.Name}))
		for currency, price := range p.Prices {
			check(t, w.stand.AddPrice(stripestand.Price{
				ID: price.Month.StripePrice, Product: "prod_" + p.ID, Currency: strings.ToLower(string(currency)), UnitAmount: price.Month.Amount, Interval: "month",
			}))
		}
	}
	check(t, w.stand.AddPrice(stripestand.Price{ID: "price_strange", Product: "prod_starter", Currency: "zar", UnitAmount: 5000, Interval: "month"}))
	return prices
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open gives an organisation its wallet.
func (w *world) open(t *testing.T, org string) {
	t.Helper()
	zone := "Africa/Johannesburg"
	_, err := w.ledger.Do(t.Context(), org, credit.Configure{Zone: &zone})
	check(t, err)
}

// buy begins acme's purchase of 1,000 credits, and returns its reference and session.
func (w *world) buy(t *testing.T) (reference, session string) {
	t.Helper()
	s, err := w.shop.StartPurchase(t.Context(), payments.Order{Org: "acme", Country: "ZA", Package: "credits-1000", Key: fmt.Sprint(len(w.documents(t, "purchases")))})
	check(t, err)
	return s.Reference, s.CheckoutURL[strings.LastIndex(s.CheckoutURL, "/")+1:]
}

// deliver sends the webhooks that wait; each must be taken.
func (w *world) deliver(t *testing.T) {
	t.Helper()
	check(t, w.stand.Deliver(t.Context()))
}

func (w *world) keep(body string) {
	var e struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal([]byte(body), &e) // what is no event is kept under no type
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies[e.Type] = append(w.bodies[e.Type], body)
}

// event is the last event of a type as it was sent.
func (w *world) event(t *testing.T, eventType string) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.bodies[eventType]
	if len(all) == 0 {
		t.Fatalf("no %s was sent", eventType)
	}
	return all[len(all)-1]
}

// post sends a body with a signature, and returns the answer.
func (w *world) post(ctx context.Context, t *testing.T, body, signature string) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	r.Header.Set("Stripe-Signature", signature)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Errorf("answer %q: %v", data, err)
	}
	return resp.StatusCode, answer
}

// send signs a body as Stripe would now, sends it, and wants an outcome.
func (w *world) send(t *testing.T, body string, want payments.Outcome) {
	t.Helper()
	status, answer := w.post(t.Context(), t, body, sign(body, secretNow, time.Now()))
	if status != http.StatusOK || answer["outcome"] != string(want) {
		t.Errorf("%d %v, want the outcome %s", status, answer, want)
	}
}

func sign(body, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: secret, Timestamp: at}).Header
}

// change replaces text in an event, which must be there, and gives the event an id of its own.
func change(t *testing.T, body string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(body, pairs[i]) {
			t.Fatalf("%q is not in %s", pairs[i], body)
		}
		body = strings.ReplaceAll(body, pairs[i], pairs[i+1])
	}
	return strings.Replace(body, `"id":"evt_`, `"id":"evt_changed`, 1)
}

// wantCredits compares a wallet's figure, and has it audited.
func (w *world) wantCredits(t *testing.T, org string, want int64) {
	t.Helper()
	got, err := w.ledger.View(t.Context(), org)
	check(t, err)
	if got.Available != want {
		t.Errorf("%s has %d credits, want %d", org, got.Available, want)
	}
	if err := w.ledger.Audit(t.Context(), org); err != nil {
		t.Error(err)
	}
}

// grants are the grants that a wallet was ever given, the newest first.
func (w *world) grants(t *testing.T, org string) []*credit.Entry {
	t.Helper()
	all, err := w.ledger.Entries(t.Context(), org, time.Time{}, 200)
	check(t, err)
	return slices.DeleteFunc(all, func(e *credit.Entry) bool { return e.Kind != credit.KindGrant })
}

// documents are a collection's documents, by id.
func (w *world) documents(t *testing.T, collection string) map[string]map[string]any {
	t.Helper()
	docs, err := w.engine.Client.Collection(collection).Documents(t.Context()).GetAll()
	check(t, err)
	out := map[string]map[string]any{}
	for _, d := range docs {
		out[d.Ref.ID] = d.Data()
	}
	return out
}

// wantQuarantined wants one event in quarantine, for a reason.
func (w *world) wantQuarantined(t *testing.T, want payments.Reason) map[string]any {
	t.Helper()
	all := w.documents(t, "quarantine")
	if len(all) != 1 {
		t.Fatalf("%d events are in quarantine: %v", len(all), all)
	}
	for _, q := range all {
		if q["reason"] != string(want) {
			t.Errorf("it is there for %v, want %s", q, want)
		}
		return q
	}
	return nil
}

// touching selects requests to the store that name a path.
func touching(path string) func(proto.Message) bool {
	return func(m proto.Message) bool {
		switch r := m.(type) {
		case *pb.CommitRequest:
			return slices.ContainsFunc(r.GetWrites(), func(w *pb.Write) bool { return strings.Contains(w.GetUpdate().GetName(), path) })
		case *pb.BatchGetDocumentsRequest:
			return slices.ContainsFunc(r.GetDocuments(), func(name string) bool { return strings.Contains(name, path) })
		default:
			return false
		}
	}
}

// unsent takes the newest event about a completed checkout from Stripe's list, before it is delivered, and drops what waits.
func (w *world) unsent(t *testing.T) string {
	t.Helper()
	down := w.stripeDown.Swap(false)
	defer w.stripeDown.Store(down)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	check(t, w.stand.WebhookMode(stripestand.ModeDeliver))
	return w.listed(t, "checkout.session.completed")
}

// listed is the newest event of a type in Stripe's list.
func (w *world) listed(t *testing.T, eventType string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.stripe.URL+"/v1/events?limit=1&type="+eventType, nil)
	check(t, err)
	r.Header.Set("Authorization", "Bearer sk_test_local")
	resp, err := http.DefaultClient.Do(r)
	check(t, err)
	defer resp.Body.Close()
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	check(t, json.NewDecoder(resp.Body).Decode(&list))
	if len(list.Data) == 0 {
		t.Fatalf("Stripe lists no %s", eventType)
	}
	return string(list.Data[0])
}

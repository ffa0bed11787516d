package payments_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

// market is a shop with its store and a stand-in for Stripe, whose answers can be replaced.
type market struct {
	*payments.Shop
	engine *engine.Engine
	stand  *stripestand.Stand
	clock  atomic.Int64 // Unix seconds
	// answer, if set, answers for Stripe's checkouts, and with everything set for all of it.
	answer     atomic.Pointer[http.HandlerFunc]
	everything atomic.Bool
	opened     atomic.Int64 // requests for a checkout
	url        string       // where Stripe is
}

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{engine: engine.New(t)}
	m.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	now := func() time.Time { return time.Unix(m.clock.Load(), 0) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/checkout/sessions" {
			m.opened.Add(1)
		}
		if answer := m.answer.Load(); answer != nil && (m.everything.Load() || r.URL.Path == "/v1/checkout/sessions") {
			(*answer)(w, r)
			return
		}
		m.stand.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m.url = server.URL
	var err error
	if m.stand, err = stripestand.New(stripestand.Options{Now: now, BaseURL: server.URL}); err != nil {
		t.Fatal(err)
	}
	prices := catalogue.NewStore(m.engine.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := prices.Seed(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	m.Shop, err = payments.NewShop(payments.ShopOptions{
		Documents: m.engine.Client, Prices: prices, Stripe: gateway, Now: now,
		Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// purchases are all purchases as stored, by reference.
func (m *market) purchases(t *testing.T) map[string]map[string]any {
	t.Helper()
	docs, err := m.engine.Client.Collection("purchases").Documents(t.Context()).GetAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, d := range docs {
		out[d.Ref.ID] = d.Data()
	}
	return out
}

// customer is an organisation's customer at Stripe, as recorded.
func (m *market) customer(t *testing.T, org string) string {
	t.Helper()
	snapshot, err := m.engine.Client.Collection("stripeCustomers").Doc(org).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, _ := snapshot.Data()["customer"].(string)
	return id
}

func order(key string) payments.Order {
	return payments.Order{Org: "acme", Country: "ZA", Package: "credits-1000", Key: key}
}

func TestAnOrderIsPricedInItsCountrysCurrency(t *testing.T) {
	t.Parallel()
	tests := []struct {
		country, pack string
		credits       int64
		want          payments.Started
	}{
		{"ZA", "credits-1000", 0, payments.Started{Amount: 79900, Currency: "ZAR", Credits: 1000}},
		{"DE", "credits-1000", 0, payments.Started{Amount: 4399, Currency: "EUR", Credits: 1000}},
		{"US", "credits-100", 0, payments.Started{Amount: 599, Currency: "USD", Credits: 100}},
		{"", "credits-100", 0, payments.Started{Amount: 599, Currency: "USD", Credits: 100}},
		{"ZA", "", 600, payments.Started{Amount: 59000, Currency: "ZAR", Credits: 600}},
	}
	m := newMarket(t)
	for i, tt := range tests {
		got, err := m.StartPurchase(t.Context(), payments.Order{Org: "acme", Country: tt.country, Package: tt.pack, Credits: tt.credits, Key: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if !payments.ValidReference(got.Reference) || !strings.Contains(got.CheckoutURL, "/pay/cs_test_") {
			t.Errorf("reference %q, checkout at %q", got.Reference, got.CheckoutURL)
		}
		stored := m.purchases(t)[got.Reference]
		if stored["status"] != "created" || stored["org"] != "acme" || stored["amount"] != tt.want.Amount || stored["price_version"] != int64(1) ||
			stored["currency"] != string(tt.want.Currency) || stored["credits"] != tt.want.Credits || len(stored["timeline"].([]any)) != 2 {
			t.Errorf("recorded as %v", stored)
		}
		got.Reference, got.CheckoutURL = "", ""
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("from %q (-want +got):\n%s", tt.country, diff)
		}
	}
}

func TestTheCheckoutNamesItsPurchaseEverywhere(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	var form atomic.Pointer[map[string][]string]
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		values := map[string][]string(r.PostForm)
		values["key"] = r.Header["Idempotency-Key"]
		values["version"] = r.Header["Stripe-Version"]
		form.Store(&values)
		fmt.Fprint(w, `{"id":"cs_1","url":"https://pay.example/cs_1"}`)
	})
	m.answer.Store(&answer)
	got, err := m.StartPurchase(t.Context(), order("1"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"mode": {"payment"}, "client_reference_id": {got.Reference}, "metadata[org_id]": {"acme"}, "metadata[reference]": {got.Reference},
		"payment_intent_data[metadata][org_id]": {"acme"}, "payment_intent_data[metadata][reference]": {got.Reference},
		"customer": {m.customer(t, "acme")}, "invoice_creation[enabled]": {"true"},
		"invoice_creation[invoice_data][metadata][org_id]": {"acme"}, "invoice_creation[invoice_data][metadata][reference]": {got.Reference},
		"line_items[0][quantity]": {"1"}, "line_items[0][price_data][currency]": {"zar"}, "line_items[0][price_data][unit_amount]": {"79900"},
		"line_items[0][price_data][tax_behavior]": {"exclusive"}, "line_items[0][price_data][product_data][name]": {"1000 AI credits"},
		"success_url": {"https://fluxori.example/return?reference=" + got.Reference + "&session_id={CHECKOUT_SESSION_ID}"},
		"cancel_url":  {"https://fluxori.example/return?reference=" + got.Reference + "&cancelled=true"},
		"key":         {"checkout:" + got.Reference}, "version": {"2023-10-16"},
	}
	if diff := cmp.Diff(want, *form.Load()); diff != "" {
		t.Errorf("Stripe was asked (-want +got):\n%s", diff)
	}
}

func TestTheSameOrderAgainIsTheSamePurchase(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	const buyers = 20
	got := make([]payments.Started, buyers)
	var wg sync.WaitGroup
	for i := range buyers {
		wg.Go(func() {
			var err error
			if got[i], err = m.StartPurchase(t.Context(), order("double click")); err != nil {
				t.Errorf("buyer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	first := 0
	for _, s := range got {
		if s.Reference != got[0].Reference || s.CheckoutURL != got[0].CheckoutURL {
			t.Errorf("%+v and %+v", s, got[0])
		}
		if !s.Replayed {
			first++
		}
	}
	if n := len(m.purchases(t)); n != 1 || first != 1 {
		t.Errorf("%d purchases, %d of the answers were the first", n, first)
	}
	for _, o := range []payments.Order{
		{Org: "acme", Country: "ZA", Package: "credits-500", Key: "double click"}, {Org: "acme", Country: "ZA", Credits: 1000, Key: "double click"},
	} {
		_, err := m.StartPurchase(t.Context(), o)
		wantCode(t, err, problem.IdempotencyConflict)
	}
	bravo := order("double click")
	bravo.Org = "bravo"
	if s, err := m.StartPurchase(t.Context(), bravo); err != nil || s.Reference == got[0].Reference {
		t.Errorf("another organisation's order: %+v, %v", s, err)
	}
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	coded, ok := errors.AsType[problem.Coded](err)
	if !ok || coded.Code() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestAnOrderThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	tests := []struct {
		name   string
		change func(*payments.Order)
		want   string
	}{
		{"without a package or credits", func(o *payments.Order) { o.Package = "" }, problem.InvalidRequest},
		{"with both", func(o *payments.Order) { o.Credits = 100 }, problem.InvalidRequest},
		{"of a package that is not sold", func(o *payments.Order) { o.Package = "credits-7" }, problem.NotFound},
		{"of fewer credits than are sold", func(o *payments.Order) { o.Package, o.Credits = "", 49 }, problem.CreditsOutOfRange},
		{"of credits below nothing", func(o *payments.Order) { o.Package, o.Credits = "", -1 }, problem.CreditsOutOfRange},
		{"of nobody", func(o *payments.Order) { o.Org = "" }, problem.InvalidRequest},
		{"without a key", func(o *payments.Order) { o.Key = "" }, problem.InvalidRequest},
		{"with a key too long", func(o *payments.Order) { o.Key = strings.Repeat("k", 129) }, problem.InvalidRequest},
	}
	for _, tt := range tests {
		o := order("1")
		tt.change(&o)
		_, err := m.StartPurchase(t.Context(), o)
		wantCode(t, err, tt.want)
	}
	if n := len(m.purchases(t)); n > 0 || m.opened.Load() > 0 {
		t.Errorf("%d purchases are recorded, %d checkouts were asked for", n, m.opened.Load())
	}
}

func TestAPurchaseIsTakenUpAgainWhileStripeRemembersItsKey(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	down := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"error":{"type":"api_error","message":"down"}}`)
	})
	m.answer.Store(&down)
	for range 2 {
		_, err := m.StartPurchase(t.Context(), order("1"))
		wantCode(t, err, problem.Unavailable)
	}
	_, err := m.StartPurchase(t.Context(), order("2"))
	wantCode(t, err, problem.Unavailable)
	if n := len(m.purchases(t)); n != 2 {
		t.Errorf("%d purchases for 2 orders", n)
	}
	m.answer.Store(nil)
	m.clock.Add(22 * 3600)
	s, err := m.StartPurchase(t.Context(), order("1"))
	if err != nil || !s.Replayed || m.purchases(t)[s.Reference]["checkout_url"] != s.CheckoutURL {
		t.Errorf("taken up as %+v, %v", s, err)
	}
	m.clock.Add(2 * 3600)
	_, err = m.StartPurchase(t.Context(), order("2"))
	wantCode(t, err, problem.IdempotencyConflict)
	if again, err := m.StartPurchase(t.Context(), order("1")); err != nil || again != s {
		t.Errorf("once it has a checkout it is %+v, %v, want %+v", again, err, s)
	}
}

func TestAMistakeOfOursIsNotTakenForAnOutage(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	refusal := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"type":"invalid_request_error","param":"line_items","message":"no"}}`)
	})
	m.answer.Store(&refusal)
	_, err := m.StartPurchase(t.Context(), order("1"))
	if coded, ok := errors.AsType[problem.Coded](err); err == nil || ok {
		t.Errorf("%v (%v)", err, coded)
	}
}

// TestLostAnswersMakeNoSecondPurchase loses the store's answer to each commit in turn.
func TestLostAnswersMakeNoSecondPurchase(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Aborted, codes.DeadlineExceeded, codes.Internal, codes.InvalidArgument} {
		for _, of := range []string{"purchaseKeys", "checkout_url"} {
			t.Run(fmt.Sprint(code, " ", of), func(t *testing.T) {
				t.Parallel()
				m := newMarket(t)
				m.engine.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: code, After: true}, When: func(req proto.Message) bool {
					c, ok := req.(*pb.CommitRequest)
					return ok && strings.Contains(c.String(), of)
				}})
				s, err := m.StartPurchase(t.Context(), order("1"))
				if err != nil || s.Replayed {
					t.Fatalf("%+v, %v", s, err)
				}
				again, err := m.StartPurchase(t.Context(), order("1"))
				if err != nil || again.Reference != s.Reference || len(m.purchases(t)) != 1 || m.opened.Load() != 1 {
					t.Errorf("again: %+v, %v; %d purchases, %d checkouts", again, err, len(m.purchases(t)), m.opened.Load())
				}
			})
		}
	}
}

func TestARecordOfANewerReleaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	s, err := m.StartPurchase(t.Context(), order("1"))
	if err != nil {
		t.Fatal(err)
	}
	ref := m.engine.Client.Collection("purchases").Doc(s.Reference)
	if _, err := ref.Set(t.Context(), map[string]any{"v": 2}); err != nil {
		t.Fatal(err)
	}
	_, err = m.StartPurchase(t.Context(), order("1"))
	wantCode(t, err, problem.Unavailable)
	if diff := cmp.Diff(map[string]any{"v": int64(2)}, m.purchases(t)[s.Reference]); diff != "" {
		t.Error(diff)
	}
}

func TestAShopNeedsAPageToReturnTo(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local"})
	if err != nil {
		t.Fatal(err)
	}
	for page, ok := range map[string]bool{
		"https://a.example/x": true, "http://localhost:8080": true, "": false, "/x": false, "ftp://a.example": false, "https://a.example/?q=1": false,
	} {
		_, err := payments.NewShop(payments.ShopOptions{
			Documents: m.engine.Client, Prices: catalogue.NewStore(m.engine.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}),
			Stripe: gateway, Now: time.Now, Checkout: payments.CheckoutOptions{ReturnURL: page},
		})
		if (err == nil) != ok {
			t.Errorf("page %q: %v", page, err)
		}
	}
}

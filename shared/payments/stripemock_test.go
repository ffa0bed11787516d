package payments

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/needs"
)

// asked keeps which requests were sent to stripe-mock, and what it said against them.
type asked struct {
	mu       sync.Mutex
	requests []string
}

// through passes requests on to stripe-mock. One that its description of the API does not allow fails the test.
func (a *asked) through(t *testing.T, mock string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, mock+r.URL.RequestURI(), bytes.NewReader(sent))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s %s %s: %d %s", r.Method, r.URL, sent, res.StatusCode, body)
		}
		a.mu.Lock()
		a.requests = append(a.requests, r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestEveryRequestIsOneThatStripeTakes sends each kind of request that this package makes to stripe-mock.
func TestEveryRequestIsOneThatStripeTakes(t *testing.T) {
	t.Parallel()
	var a asked
	g, err := NewGateway(GatewayOptions{Key: "sk_test_123", URL: a.through(t, needs.StripeMock(t))})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	purchase := Purchase{Reference: "CR-7F3K-9QX2", Org: "acme", Offer: Offer{Credits: 1000, Amount: 79900, Currency: "ZAR"}}
	purchase.AutomaticTax, purchase.Discounts = true, true
	id, _, err := g.openCheckout(ctx, purchase, customerRecord{Customer: "cus_1"}, CheckoutOptions{ReturnURL: "https://fluxori.example/return"})
	if err != nil || !strings.HasPrefix(id, "cs_") {
		t.Errorf("the session %q, %v", id, err)
	}
	if s, err := g.subscription(ctx, "sub_1"); err != nil || s.Period.Start.Unix() == 0 {
		t.Errorf("the subscription %+v, %v", s, err)
	}
	if _, err := g.customerOrg(ctx, "cus_1"); err != nil {
		t.Error(err)
	}
	if _, _, err := g.lines(ctx, "in_1"); err != nil {
		t.Error(err)
	}
	if _, err := g.findCustomer(ctx, "acme", ""); err != nil {
		t.Error(err)
	}
	if _, err := g.createCustomer(ctx, Buyer{Org: "acme", Name: "Acme", Email: "owner@acme.example"}, 0); err != nil {
		t.Error(err)
	}
	if _, err := g.openPortal(ctx, "cus_1", "https://fluxori.example/return"); err != nil {
		t.Error(err)
	}
	if _, err := g.billed(ctx, "in_1"); err != nil {
		t.Error(err)
	}
	if _, _, err := g.account(ctx, "pi_1"); err != nil {
		t.Error(err)
	}
	if err := g.refund(ctx, Payment{ID: "pi_1", Org: "acme", Reference: purchase.Reference}, OwnRefund{N: 1, Amount: 100}); err != nil {
		t.Error(err)
	}
	span := Period{Start: time.Unix(1_700_000_000, 0), End: time.Unix(1_700_086_400, 0)}
	for _, src := range append([]source{eventSource}, swept...) {
		l := listing{path: src.path, span: span, where: src.where}
		if src.expand != "" {
			l.expand = "data." + src.expand
		}
		if src.name == eventSource.name {
			l.where = ofTypes(walked[0])
		}
		objects, _, err := g.page(ctx, l, "")
		if err != nil || len(objects) != 1 {
			t.Fatalf("%s: %d, %v", src.name, len(objects), err)
		}
		if _, _, err := g.page(ctx, l, objects[0].ID); err != nil {
			t.Error(err)
		}
		object, found, err := g.object(ctx, src.path, objects[0].ID, expands(src)...)
		if err != nil || !found {
			t.Errorf("%s: %v", src.name, err)
		}
		if src.name == eventSource.name {
			continue // the sample is about a plan
		}
		if _, _, err := src.notice(ctx, g, object); err != nil {
			t.Errorf("%s: %v", src.name, err)
		}
	}
	if taken, _, err := g.Taken(ctx, span, ""); err != nil || len(taken) > 1 {
		t.Errorf("%d charges, %v", len(taken), err)
	}
	if _, err := g.RefundedSince(ctx, "ch_1", span.Start, span.End); err != nil {
		t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var kinds []string
	for _, r := range a.requests {
		kinds = append(kinds, objectID.ReplaceAllString(r, "/{id}"))
	}
	slices.Sort(kinds)
	want := []string{
		"GET /v1/charges", "GET /v1/charges/{id}", "GET /v1/checkout/sessions", "GET /v1/checkout/sessions/{id}", "GET /v1/customers/search",
		"GET /v1/customers/{id}", "GET /v1/disputes",
		"GET /v1/disputes/{id}", "GET /v1/events", "GET /v1/events/{id}", "GET /v1/invoices", "GET /v1/invoices/{id}", "GET /v1/invoices/{id}/lines",
		"GET /v1/payment_intents", "GET /v1/payment_intents/{id}",
		"GET /v1/refunds", "GET /v1/refunds/{id}", "GET /v1/subscriptions/{id}", "POST /v1/billing_portal/sessions",
		"POST /v1/checkout/sessions", "POST /v1/customers", "POST /v1/customers/{id}", "POST /v1/refunds",
	}
	if diff := cmp.Diff(want, slices.Compact(kinds)); diff != "" {
		t.Errorf("other kinds of requests were sent than this test knows of:\n%s", diff)
	}
}

// objectID is an id of Stripe's in a path.
var objectID = regexp.MustCompile(`/[a-z]{2,3}_[A-Za-z0-9_]+`)

func TestWhatIsWalkedIsWhatMatters(t *testing.T) {
	t.Parallel()
	for _, group := range walked {
		if len(group) > 20 {
			t.Errorf("%d types; Stripe takes 20", len(group))
		}
	}
	all := slices.Concat(walked...)
	for _, kind := range all {
		if n := (Notice{Type: kind}); !n.matters() {
			t.Errorf("%s is walked, and does not matter", kind)
		}
	}
	for _, kind := range []string{
		sessionCompleted, sessionAsyncSucceeded, sessionAsyncFailed, sessionExpired, invoicePaid, chargeRefunded, chargeRefundUpdated, refundCreated,
		refundUpdated, disputeCreated, disputeUpdated, disputeClosed, disputeWithdrawn, disputeReinstated,
	} {
		if !slices.Contains(all, kind) {
			t.Errorf("%s matters, and is not walked", kind)
		}
	}
	r := &Receiver{opts: ReceiverOptions{Log: slog.New(slog.DiscardHandler)}, store: store{engine.New(t).Client}}
	if got, err := r.Receive(t.Context(), Notice{ID: "evt_1", Type: "customer.created"}); got != Ignored || err != nil {
		t.Errorf("another type: %s, %v", got, err)
	}
}

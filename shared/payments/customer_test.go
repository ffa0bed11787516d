package payments_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"google.golang.org/grpc/codes"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

// customers are all customers that the stand-in has, the newest first.
func (m *market) customers(t *testing.T) []*stripe.Customer {
	t.Helper()
	api := client.New("sk_test_local", &stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(m.url)})})
	var out []*stripe.Customer
	it := api.Customers.List(&stripe.CustomerListParams{})
	for it.Next() {
		out = append(out, it.Customer())
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func buyersOrder(key string) payments.Order {
	o := order(key)
	o.Name, o.Email = "Acme", "billing@acme.example"
	return o
}

func TestAnOrganisationIsOneCustomerHoweverManyItsPurchases(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := m.StartPurchase(t.Context(), buyersOrder(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	url, err := m.Portal(t.Context(), payments.Buyer{Org: "acme", Name: "Renamed", Email: "other@acme.example"})
	if err != nil || !strings.Contains(url, "/portal/") {
		t.Errorf("the portal: %q, %v", url, err)
	}
	all := m.customers(t)
	if len(all) != 1 || all[0].Metadata["org_id"] != "acme" || all[0].Name != "Acme" || all[0].Email != "billing@acme.example" || all[0].ID != m.customer(t, "acme") {
		t.Errorf("%d customers, first %+v, recorded %s", len(all), all[0], m.customer(t, "acme"))
	}
	if _, err := m.Portal(t.Context(), payments.Buyer{Org: "bravo"}); err != nil {
		t.Fatal(err)
	}
	if n := len(m.customers(t)); n != 2 {
		t.Errorf("%d customers of two organisations", n)
	}
}

func TestACustomerThatStripeHasIsTaken(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	ours, err := m.stand.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Metadata: map[string]string{"org_id": "acme"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.StartPurchase(t.Context(), buyersOrder("1")); err != nil {
		t.Fatal(err)
	}
	if got := m.customer(t, "acme"); got != ours || len(m.customers(t)) != 1 {
		t.Errorf("took %s of %d, want %s", got, len(m.customers(t)), ours)
	}
}

func TestACustomerIsMadeOnceThoughTheStoreLosesIt(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		m := newMarket(t)
		m.engine.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Code: codes.Internal, After: after}, When: func(req proto.Message) bool {
			c, ok := req.(*pb.CommitRequest)
			return ok && strings.Contains(c.String(), "stripeCustomers")
		}})
		_, err := m.StartPurchase(t.Context(), buyersOrder("1"))
		if !after {
			wantCode(t, err, problem.Unavailable)
		}
		m.engine.Hooks.Set()
		m.clock.Add(int64((48 * time.Hour).Seconds())) // Stripe has forgotten the idempotency key
		if _, err := m.StartPurchase(t.Context(), buyersOrder("2")); err != nil {
			t.Fatal(err)
		}
		if n := len(m.customers(t)); n != 1 {
			t.Errorf("after=%t: %d customers", after, n)
		}
	}
}

func TestACustomerWhoIsGoneIsReplaced(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	if _, err := m.StartPurchase(t.Context(), buyersOrder("1")); err != nil {
		t.Fatal(err)
	}
	gone := m.customer(t, "acme")
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), "customer="+gone) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"customer","message":"No such customer: '%s'"}}`, gone)
			return
		}
		m.stand.Handler().ServeHTTP(w, r)
	})
	m.answer.Store(&answer)
	if _, err := m.StartPurchase(t.Context(), buyersOrder("2")); err != nil {
		t.Fatal(err)
	}
	if now := m.customer(t, "acme"); now == gone || len(m.customers(t)) != 2 {
		t.Errorf("the customer is %s, of %d", now, len(m.customers(t)))
	}
	if _, err := m.StartPurchase(t.Context(), buyersOrder("3")); err != nil {
		t.Fatal(err)
	}
	if n := len(m.customers(t)); n != 2 {
		t.Errorf("%d customers after another purchase", n)
	}
}

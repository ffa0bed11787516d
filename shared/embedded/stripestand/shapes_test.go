package stripestand_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// fields lists, by kind of object, the fields of stripe-mock v0.183.0's
// fixture, which are always there, and those that its schema allows besides.
// Two of the fixture's fields stand among the latter: a charge lists its refunds
// only when asked, since version 2022-11-15, and a line of type subscription
// has no invoice item.
type fields map[string]struct {
	Always  []string `json:"always"`
	Allowed []string `json:"allowed"`
}

// collect gathers every object in a JSON tree by its kind.
func collect(node any, into map[string][]map[string]any) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			collect(child, into)
		}
	case map[string]any:
		if kind, ok := n["object"].(string); ok && kind != "list" {
			into[kind] = append(into[kind], n)
		}
		for _, child := range n {
			collect(child, into)
		}
	}
}

// raw fetches a path of the API and gathers its objects.
func (w *world) raw(t *testing.T, path string, into map[string][]map[string]any) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+path, nil))
	r.Header.Set("Authorization", "Bearer sk_test_local")
	resp := must[*http.Response](t)(http.DefaultClient.Do(r))
	defer resp.Body.Close()
	body := must[[]byte](t)(io.ReadAll(resp.Body))
	equal(t, path, resp.StatusCode, http.StatusOK)
	var tree any
	check(t, json.Unmarshal(body, &tree))
	collect(tree, into)
}

// TestObjectsHaveTheFieldsOfTheirVersion compares every kind of object with
// what stripe-mock serves for the same API version.
func TestObjectsHaveTheFieldsOfTheirVersion(t *testing.T) {
	t.Parallel()
	var want fields
	check(t, json.Unmarshal(must[[]byte](t)(os.ReadFile("testdata/fields.json")), &want))

	w := newWorld(t)
	_, pi := w.paid(t)
	must[string](t)(w.RefundPayment(pi, 100))
	failed := must[string](t)(w.RefundPayment(pi, 100))
	check(t, w.SettleRefund(failed, false))
	must[string](t)(w.OpenDispute(pi, stripestand.Dispute{}))
	customer, sub := w.subscribed(t, "price_starter", stripestand.CardVisa)
	must[*stripe.SubscriptionSchedule](t)(w.stripe.SubscriptionSchedules.New(
		&stripe.SubscriptionScheduleParams{FromSubscription: stripe.String(sub)}))
	w.moveTo(t, start.AddDate(0, 0, 29))

	got := map[string][]map[string]any{}
	for _, path := range []string{
		"/v1/customers", "/v1/products", "/v1/prices", "/v1/coupons/ALLFREE", "/v1/checkout/sessions?expand[]=data.line_items",
		"/v1/payment_intents", "/v1/charges", "/v1/refunds", "/v1/disputes", "/v1/subscriptions", "/v1/subscription_schedules",
		"/v1/invoices", "/v1/events?limit=100", "/v1/payment_methods?customer=" + customer,
	} {
		w.raw(t, path, got)
	}
	portal := must[*stripe.BillingPortalSession](t)(w.stripe.BillingPortalSessions.New(
		&stripe.BillingPortalSessionParams{Customer: stripe.String(customer), ReturnURL: stripe.String("https://shop.example")}))
	var tree any
	check(t, json.Unmarshal(portal.LastResponse.RawJSON, &tree))
	collect(tree, got)

	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if len(got[kind]) == 0 {
			t.Errorf("no %s was seen", kind)
		}
		for _, object := range got[kind] {
			for _, name := range want[kind].Always {
				if _, ok := object[name]; !ok {
					t.Errorf("%s %v has no field %s", kind, object["id"], name)
				}
			}
			for name := range object {
				if !slices.Contains(want[kind].Always, name) && !slices.Contains(want[kind].Allowed, name) {
					t.Errorf("%s %v has field %s, which the API version does not know", kind, object["id"], name)
				}
			}
		}
	}
}

package stripestand_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// post sends a form as a caller without Stripe's library would.
func (w *world) post(t *testing.T, path, form string, headers map[string]string) *http.Response {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+path, strings.NewReader(form)))
	r.Header.Set("Authorization", "Bearer sk_test_local")
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	resp := must[*http.Response](t)(http.DefaultClient.Do(r))
	resp.Body.Close()
	return resp
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := []struct {
		name, param, code string
		call              func() error
	}{
		{"an unknown parameter", "payment_method_options[card][request_three_d_secure]", "parameter_unknown", func() error {
			p := &stripe.PaymentIntentParams{Amount: stripe.Int64(100), Currency: stripe.String("zar")}
			p.PaymentMethodOptions = &stripe.PaymentIntentPaymentMethodOptionsParams{
				Card: &stripe.PaymentIntentPaymentMethodOptionsCardParams{RequestThreeDSecure: stripe.String("any")},
			}
			_, err := w.stripe.PaymentIntents.New(p)
			return err
		}},
		{"a missing parameter", "amount", "parameter_missing", func() error {
			_, err := w.stripe.PaymentIntents.New(&stripe.PaymentIntentParams{Currency: stripe.String("zar")})
			return err
		}},
		{"an unknown word", "mode", "", func() error {
			_, err := w.stripe.CheckoutSessions.New(&stripe.CheckoutSessionParams{Mode: stripe.String("setup")})
			return err
		}},
		{"an unknown object", "id", "resource_missing", func() error {
			_, err := w.stripe.Customers.Get("cus_none", nil)
			return err
		}},
		{"an unknown price", "line_items[0][price]", "resource_missing", func() error {
			_, err := w.stripe.CheckoutSessions.New(&stripe.CheckoutSessionParams{
				Mode: stripe.String("payment"), SuccessURL: stripe.String("https://shop.example"),
				LineItems: []*stripe.CheckoutSessionLineItemParams{{Price: stripe.String("price_none"), Quantity: stripe.Int64(1)}},
			})
			return err
		}},
		{"a field that cannot be expanded", "expand", "", func() error {
			p := &stripe.PriceParams{}
			p.AddExpand("currency")
			_, err := w.stripe.Prices.Get("price_pack", p)
			return err
		}},
		{"too many types of events", "types", "", func() error {
			p := &stripe.EventListParams{Types: stripe.StringSlice(slices.Repeat([]string{"invoice.paid"}, 21))}
			return w.stripe.Events.List(p).Err()
		}},
		{"a page that is too long", "limit", "parameter_invalid_integer", func() error {
			p := &stripe.EventListParams{}
			p.Limit = stripe.Int64(101)
			return w.stripe.Events.List(p).Err()
		}},
		{"a charge too small", "amount", "amount_too_small", func() error {
			_, err := w.stripe.PaymentIntents.New(&stripe.PaymentIntentParams{Amount: stripe.Int64(49), Currency: stripe.String("zar")})
			return err
		}},
		{"metadata that is too long", "metadata", "", func() error {
			p := &stripe.CustomerParams{}
			p.AddMetadata("k", strings.Repeat("x", 501))
			_, err := w.stripe.Customers.New(p)
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := stripeError(t, tt.call(), tt.code)
			equal(t, "param", e.Param, tt.param)
			equal(t, "type", e.Type, stripe.ErrorTypeInvalidRequest)
		})
	}
}

func TestRefusesRequestsThatStripeWouldNotAdmit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stripestand.Options) { o.Key = "sk_test_local" })
	tests := []struct {
		name    string
		path    string
		headers map[string]string
		want    int
	}{
		{"no key", "/v1/customers", map[string]string{"Authorization": ""}, http.StatusUnauthorized},
		{"another key", "/v1/customers", map[string]string{"Authorization": "Bearer sk_other"}, http.StatusUnauthorized},
		{"another API version", "/v1/customers", map[string]string{"Stripe-Version": "2024-06-20"}, http.StatusBadRequest},
		{"an unknown endpoint", "/v1/terminal/readers", nil, http.StatusNotFound},
		{"the right key and version", "/v1/customers", map[string]string{"Stripe-Version": "2023-10-16"}, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			equal(t, "status", w.post(t, tt.path, "", tt.headers).StatusCode, tt.want)
		})
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := func(email string) (*stripe.Customer, error) {
		p := &stripe.CustomerParams{Email: stripe.String(email)}
		p.SetIdempotencyKey("key-1")
		return w.stripe.Customers.New(p)
	}
	first := must[*stripe.Customer](t)(create("ann@acme.example"))
	again := must[*stripe.Customer](t)(create("ann@acme.example"))
	equal(t, "the same customer", again.ID, first.ID)
	equal(t, "marked", again.LastResponse.Header.Get("Idempotent-Replayed"), "true")
	_, err := create("ben@acme.example")
	equal(t, "type", stripeError(t, err, "").Type, stripe.ErrorTypeIdempotency)

	w.clock.set(start.Add(25 * time.Hour))
	later := must[*stripe.Customer](t)(create("ben@acme.example"))
	if later.ID == first.ID {
		t.Error("a key older than a day was not forgotten")
	}
}

func TestRefusedPaymentIsReplayedUnderItsKeyButARefusedRequestIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example", Card: stripestand.CardFailsLater}))
	c := must[*stripe.Customer](t)(w.stripe.Customers.Get(customer, nil))
	card := c.InvoiceSettings.DefaultPaymentMethod.ID
	topUp := func(key, currency string) (*stripe.PaymentIntent, error) {
		p := &stripe.PaymentIntentParams{
			Amount: stripe.Int64(5000), Customer: stripe.String(customer), PaymentMethod: stripe.String(card),
			OffSession: stripe.Bool(true), Confirm: stripe.Bool(true), Metadata: map[string]string{"org_id": "acme"},
		}
		if currency != "" {
			p.Currency = stripe.String(currency)
		}
		p.SetIdempotencyKey(key)
		return w.stripe.PaymentIntents.New(p)
	}
	_, err := topUp("k", "zar")
	first := stripeError(t, err, "card_declined")
	equal(t, "decline code", first.DeclineCode, stripe.DeclineCodeGenericDecline)
	equal(t, "status", first.HTTPStatusCode, http.StatusPaymentRequired)
	check(t, w.Deliver(t.Context()))
	_, err = topUp("k", "zar")
	again := stripeError(t, err, "card_declined")
	equal(t, "the same intent", again.PaymentIntent.ID, first.PaymentIntent.ID)
	equal(t, "intent", again.PaymentIntent.Status, stripe.PaymentIntentStatusRequiresPaymentMethod)

	_, err = topUp("k2", "")
	stripeError(t, err, "parameter_missing")
	must[string](t)(w.SetCard(customer, stripestand.CardVisa))
	card = must[*stripe.Customer](t)(w.stripe.Customers.Get(customer, nil)).InvoiceSettings.DefaultPaymentMethod.ID
	equal(t, "with a new card", must[*stripe.PaymentIntent](t)(topUp("k2", "zar")).Status, stripe.PaymentIntentStatusSucceeded)
}

func TestOffSessionPaymentMayAskForAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example", Card: stripestand.CardAuthentication}))
	c := must[*stripe.Customer](t)(w.stripe.Customers.Get(customer, nil))
	_, err := w.stripe.PaymentIntents.New(&stripe.PaymentIntentParams{
		Amount: stripe.Int64(5000), Currency: stripe.String("zar"), Customer: stripe.String(customer),
		PaymentMethod: stripe.String(c.InvoiceSettings.DefaultPaymentMethod.ID),
		OffSession:    stripe.Bool(true), Confirm: stripe.Bool(true),
	})
	e := stripeError(t, err, string(stripe.ErrorCodeAuthenticationRequired))
	confirmed := must[*stripe.PaymentIntent](t)(w.stripe.PaymentIntents.Confirm(e.PaymentIntent.ID, &stripe.PaymentIntentConfirmParams{
		PaymentMethod: stripe.String(c.InvoiceSettings.DefaultPaymentMethod.ID),
	}))
	equal(t, "confirmed by the customer", confirmed.Status, stripe.PaymentIntentStatusSucceeded)
}

func TestListsPageThroughEverythingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made []string
	for i := range 25 {
		w.clock.set(start.Add(time.Duration(i) * time.Minute))
		made = append(made, w.checkout(t).ID)
	}
	slices.Reverse(made)
	p := &stripe.CheckoutSessionListParams{}
	p.Limit = stripe.Int64(10)
	var listed []string
	it := w.stripe.CheckoutSessions.List(p)
	for it.Next() {
		listed = append(listed, it.CheckoutSession().ID)
	}
	check(t, it.Err())
	if !slices.Equal(listed, made) {
		t.Errorf("listed %d sessions, made %d, newest first", len(listed), len(made))
	}
	from, to := start.Add(5*time.Minute).Unix(), start.Add(10*time.Minute).Unix()
	check(t, w.PayCheckout(made[18])) // made at minute 6
	ranged := &stripe.CheckoutSessionListParams{
		CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: from, LesserThan: to}, Status: stripe.String("open"),
	}
	var got []string
	it = w.stripe.CheckoutSessions.List(ranged)
	for it.Next() {
		got = append(got, it.CheckoutSession().ID)
	}
	check(t, it.Err())
	if want := []string{made[15], made[16], made[17], made[19]}; !slices.Equal(got, want) {
		t.Errorf("open sessions of five minutes: %v, want %v", got, want)
	}
}

func TestCustomersAreFoundByMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 3 {
		must[*stripe.Customer](t)(w.stripe.Customers.New(&stripe.CustomerParams{
			Email: stripe.String("shared@acme.example"), Metadata: map[string]string{"org_id": fmt.Sprintf("org-%d", i)},
		}))
	}
	find := func(query string) (ids []string, err error) {
		p := &stripe.CustomerSearchParams{}
		p.Query = query
		it := w.stripe.Customers.Search(p)
		for it.Next() {
			ids = append(ids, it.Customer().Metadata["org_id"])
		}
		return ids, it.Err()
	}
	got := must[[]string](t)(find(`metadata['org_id']:'org-1' AND email:"shared@acme.example"`))
	if !slices.Equal(got, []string{"org-1"}) {
		t.Errorf("found %v", got)
	}
	equal(t, "by e-mail", len(must[[]string](t)(find(`email:'shared@acme.example'`))), 3)
	_, err := find(`colour:'red'`)
	stripeError(t, err, "")
}

func TestEventsAreListedForThirtyDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid(t)
	count := func(p *stripe.EventListParams) (n int) {
		it := w.stripe.Events.List(p)
		for it.Next() {
			n++
		}
		check(t, it.Err())
		return n
	}
	equal(t, "all", count(&stripe.EventListParams{}), 4)
	equal(t, "by type", count(&stripe.EventListParams{Types: stripe.StringSlice([]string{"charge.succeeded", "invoice.paid"})}), 1)
	w.clock.set(start.Add(30*24*time.Hour + time.Second))
	equal(t, "after thirty days", count(&stripe.EventListParams{}), 0)
}

func TestSameSeedAndCallsGiveTheSameIDs(t *testing.T) {
	t.Parallel()
	a, b := newWorld(t), newWorld(t)
	c := newWorld(t, func(o *stripestand.Options) { o.Seed = 8 })
	idA, piA := a.paid(t)
	idB, piB := b.paid(t)
	idC, _ := c.paid(t)
	equal(t, "session", idA, idB)
	equal(t, "payment intent", piA, piB)
	if idA == idC {
		t.Error("another seed gave the same id")
	}
}

package stripestand_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

var paidTypes = []string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}

func TestWebhookModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode        stripestand.Mode
		received    int
		undelivered int
	}{
		{stripestand.ModeDeliver, 4, 0},
		{stripestand.ModeHold, 0, 4},
		{stripestand.ModeDrop, 0, 4},
		{stripestand.ModeDuplicate, 8, 0},
		{stripestand.ModeShuffle, 4, 0},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			check(t, w.WebhookMode(tt.mode))
			check(t, w.PayCheckout(w.checkout(t).ID))
			equal(t, "received", len(w.types(t)), tt.received)
			failed := &stripe.EventListParams{DeliverySuccess: stripe.Bool(false)}
			n := 0
			it := w.stripe.Events.List(failed)
			for it.Next() {
				n++
			}
			check(t, it.Err())
			equal(t, "listed as undelivered", n, tt.undelivered)
			equal(t, "counted as undelivered", w.Webhooks().Undelivered, tt.undelivered)
		})
	}
}

func TestWebhookBodyIsTheEventAsTheAPIShowsIt(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	bodies := map[string]map[string]any{}
	w := newWorld(t, func(o *stripestand.Options) {
		o.Endpoints = []stripestand.Endpoint{{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var body map[string]any
			err := json.NewDecoder(r.Body).Decode(&body)
			mu.Lock()
			defer mu.Unlock()
			if id, ok := body["id"].(string); ok && err == nil {
				bodies[id] = body
			}
		})}}
	})
	check(t, w.PayCheckout(w.checkout(t).ID))
	check(t, w.Deliver(t.Context()))
	listed := map[string][]map[string]any{}
	w.raw(t, "/v1/events", listed)
	equal(t, "events", len(listed["event"]), len(paidTypes))
	for _, e := range listed["event"] {
		id, _ := e["id"].(string)
		got := bodies[id]
		equal(t, "pending when sent", got["pending_webhooks"], any(1.0))
		equal(t, "pending after", e["pending_webhooks"], any(0.0))
		delete(got, "pending_webhooks")
		delete(e, "pending_webhooks")
		if !reflect.DeepEqual(got, e) {
			t.Errorf("sent   %v\nlisted %v", got, e)
		}
	}
}

func TestHeldWebhooksGoOutInOrderWhenReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check(t, w.WebhookMode(stripestand.ModeHold))
	check(t, w.PayCheckout(w.checkout(t).ID))
	equal(t, "waiting", w.Webhooks().Waiting, 4)
	check(t, w.WebhookMode(stripestand.ModeDeliver))
	equalTypes(t, w.types(t), paidTypes)
}

func TestShuffledWebhooksAllArriveInAnOrderDrawnFromTheSeed(t *testing.T) {
	t.Parallel()
	received := func(seed uint64) []string {
		w := newWorld(t, func(o *stripestand.Options) { o.Seed = seed })
		check(t, w.WebhookMode(stripestand.ModeShuffle))
		for range 5 {
			check(t, w.PayCheckout(w.checkout(t).ID))
		}
		return w.types(t)
	}
	first, again := received(1), received(1)
	equalTypes(t, again, first)
	if slices.Equal(first, slices.Repeat(paidTypes, 5)) {
		t.Error("the order was not changed")
	}
	slices.Sort(first)
	all := slices.Repeat(paidTypes, 5)
	slices.Sort(all)
	equalTypes(t, first, all)
}

func TestRefusedWebhooksAreSentAgainWithBackOffUntilTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start(t.Context())
	w.sink.refuse(3)
	check(t, w.PayCheckout(w.checkout(t).ID))
	check(t, w.Wait(t.Context()))
	got := w.types(t)
	slices.Sort(got)
	want := slices.Sorted(slices.Values(paidTypes))
	equalTypes(t, got, want)
	equal(t, "undelivered", w.Webhooks().Undelivered, 0)
}

func TestWebhooksAreGivenUpAfterABoundedNumberOfAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stripestand.Options) { o.MaxAttempts = 3 })
	w.Start(t.Context())
	w.sink.refuse(4 * 3)
	check(t, w.PayCheckout(w.checkout(t).ID))
	check(t, w.Wait(t.Context()))
	equal(t, "received", len(w.sink.take()), 0)
	equal(t, "undelivered", w.Webhooks(), stripestand.Webhooks{Mode: stripestand.ModeDeliver, Undelivered: 4})
}

func TestDeliverTriesEachOnceAndTellsOfRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sink.refuse(1)
	check(t, w.PayCheckout(w.checkout(t).ID))
	if err := w.Deliver(t.Context()); err == nil {
		t.Error("a refused webhook was not told of")
	}
	equal(t, "received", len(w.sink.take()), 3)
	equalTypes(t, w.types(t), paidTypes[:1])
}

func TestRedeliverSendsCopiesInAnyMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check(t, w.WebhookMode(stripestand.ModeDrop))
	check(t, w.PayCheckout(w.checkout(t).ID))
	p := &stripe.EventListParams{Type: stripe.String("checkout.session.completed")}
	it := w.stripe.Events.List(p)
	if !it.Next() {
		t.Fatal("the event is not listed")
	}
	id := it.Event().ID
	check(t, w.Redeliver(t.Context(), id, 50))
	got := w.sink.take()
	equal(t, "copies", len(got), 50)
	for _, e := range got {
		equal(t, "event", e.ID, id)
	}
	equal(t, "undelivered", w.Webhooks().Undelivered, 3)
	if err := w.Redeliver(t.Context(), "evt_none", 1); err == nil {
		t.Error("an unknown event was redelivered")
	}
	if err := w.Redeliver(t.Context(), id, 0); err == nil {
		t.Error("an event was redelivered no times")
	}
}

func TestEndpointsReceiveTheirTypesAlone(t *testing.T) {
	t.Parallel()
	var got []string
	remote := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path)
	}))
	t.Cleanup(remote.Close)
	w := newWorld(t)
	check(t, w.AddEndpoint(stripestand.Endpoint{URL: remote.URL + "/hook", Events: []string{"charge.succeeded"}}))
	if err := w.AddEndpoint(stripestand.Endpoint{}); err == nil {
		t.Error("an endpoint that leads nowhere was added")
	}
	check(t, w.PayCheckout(w.checkout(t).ID))
	equalTypes(t, w.types(t), paidTypes)
	equalTypes(t, got, []string{"/hook"})
}

func TestHandlerThatPanicsHasRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stripestand.Options) {
		o.Endpoints = []stripestand.Endpoint{{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("defect") })}}
	})
	check(t, w.PayCheckout(w.checkout(t).ID))
	if err := w.Deliver(t.Context()); err == nil {
		t.Error("a panic counted as delivery")
	}
}

func TestStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stripe.db")
	keep := func(o *stripestand.Options) { o.Path = path }
	w := newWorld(t, keep)
	_, sub := w.subscribed(t, "price_starter", stripestand.CardVisa)
	check(t, w.WebhookMode(stripestand.ModeHold))
	session := w.checkout(t)
	check(t, w.PayCheckout(session.ID))
	open := w.checkout(t)
	check(t, w.Close())

	again := newWorld(t, keep)
	equal(t, "paid", must[*stripe.CheckoutSession](t)(again.stripe.CheckoutSessions.Get(session.ID, nil)).PaymentStatus,
		stripe.CheckoutSessionPaymentStatusPaid)
	check(t, again.WebhookMode(stripestand.ModeDeliver))
	equalTypes(t, again.types(t), paidTypes)
	due, _ := again.Due()
	equal(t, "the open session expires", due.Unix(), open.ExpiresAt)
	again.moveTo(t, start.AddDate(0, 0, 29))
	equal(t, "it renews", len(again.invoices(t, sub)), 2)
	if next := again.checkout(t); next.ID == session.ID || next.ID == open.ID {
		t.Error("an id was given twice")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stripestand.Options) { o.MaxEvents, o.MaxObjects = 10, 14 })
	for range 4 {
		check(t, w.PayCheckout(w.checkout(t, func(p *stripe.CheckoutSessionParams) {
			p.Discounts = []*stripe.CheckoutSessionDiscountParams{{Coupon: stripe.String("ALLFREE")}}
		}).ID))
	}
	_, err := w.stripe.Customers.New(nil)
	equal(t, "status", stripeError(t, err, "rate_limit").HTTPStatusCode, http.StatusTooManyRequests)
}

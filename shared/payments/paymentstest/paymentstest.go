// Package paymentstest gives a test a Stripe to pay at, and has what it tells settled, as the function for webhooks does.
//
// It does not own what becomes of an event (package payments), nor signatures, which it leaves out.
package paymentstest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// Stripe starts a stand-in whose clock is now, and returns it with the URL of its API. What it tells is settled by the receiver there is by
// then; an event that is not settled, or put aside for a person, fails the test. It ends with the test.
func Stripe(t testing.TB, now func() time.Time, receiver func() *payments.Receiver) (*stripestand.Stand, string) {
	t.Helper()
	var stand *stripestand.Stand
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stand.Handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	hear := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		if outcome, err := receiver().Receive(r.Context(), e.Notice()); err != nil || outcome == payments.Quarantined {
			t.Errorf("%s is %s: %v", e.Type, outcome, err)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	stand, err := stripestand.New(stripestand.Options{
		Now: now, BaseURL: server.URL, Endpoints: []stripestand.Endpoint{{Secret: stripestand.WebhookSecret, Handler: hear}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return stand, server.URL
}

// Event is an event as Stripe writes it, as far as payments want it.
type Event struct {
	ID, Type string
	Created  int64
	Data     struct{ Object json.RawMessage }
}

// Notice is the event as one that was verified.
func (e Event) Notice() payments.Notice {
	return payments.Notice{ID: e.ID, Type: e.Type, At: time.Unix(e.Created, 0).UTC(), Object: e.Data.Object}
}

package reconcile

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// newer has a document come from a newer release, which nobody here can read, or no longer.
func (w *world) newer(t testing.TB, doc *firestore.DocumentRef, newer bool) {
	t.Helper()
	v := 1
	if newer {
		v = 2
	}
	_, err := doc.Update(t.Context(), []firestore.Update{{Path: "v", Value: v}})
	check(t, err)
}

// edited lets Stripe's answers through an editor.
func (w *world) edited(edit func(r *http.Request, text string) string) {
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		w.stand.Handler().ServeHTTP(answer, r)
		rw.WriteHeader(answer.Code)
		fmt.Fprint(rw, edit(r, answer.Body.String()))
	})
	w.broken.Store(&h)
}

// TestASessionThatCannotBeReadHoldsUpNoOther has Stripe list one paid session in a form that nobody knows, and no events at all.
func TestASessionThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.buy(t, "acme")
	w.Advance(time.Second)
	bad, _ := w.buy(t, "acme")
	w.Advance(time.Second)
	w.buy(t, "acme")
	w.edited(func(r *http.Request, text string) string {
		switch r.URL.Path {
		case "/v1/events":
			return `{"object":"list","data":[]}`
		case "/v1/checkout/sessions":
			at := strings.Index(text, `"id":"`+w.sessions[bad]+`"`)
			return text[:at] + strings.Replace(text[at:], `"payment_status":`, `"payment_status":[],"payment_then":`, 1)
		}
		return text
	})
	w.run(t)
	w.wantCredits(t, "acme", 2000)
	aside := w.documents(t, "quarantine")["found_"+w.sessions[bad]+"_unreadable"]
	if aside["reason"] != "malformed" || aside["object"] != w.sessions[bad] {
		t.Errorf("put aside were %v", w.documents(t, "quarantine"))
	}
	w.Advance(15 * time.Minute)
	if wrote, answer := w.run(t); wrote != 1 || answer["uncredited"] != 1.0 {
		t.Errorf("the next run wrote %d documents: %v", wrote, answer)
	}
	w.broken.Store(nil)
	a, err := w.receiver.Replay(t.Context(), "found_"+w.sessions[bad]+"_unreadable", "operator")
	check(t, err)
	if a.State != payments.AsideResolved {
		t.Errorf("replayed once it can be read, it is %+v", a)
	}
	w.wantCredits(t, "acme", 3000)
}

// TestAnEventThatCannotBeReadIsPutAsideOnce has Stripe list an event of an unknown form.
func TestAnEventThatCannotBeReadIsPutAsideOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	_, intent := w.buy(t, "acme")
	w.run(t)
	_, err := w.stand.RefundPayment(intent, 0)
	check(t, err)
	w.edited(func(r *http.Request, text string) string {
		if r.URL.Path == "/v1/events" {
			text = strings.ReplaceAll(text, `"type":"charge.refunded"`, `"data":null,"type":"charge.refunded"`)
		}
		return text
	})
	for i, want := range []float64{1, 0} {
		if _, answer := w.run(t); answer["owed"] != 0.0 || answer["received"] != want {
			t.Errorf("run %d: %v", i, answer)
		}
	}
	w.wantCredits(t, "acme", 1000)
	w.broken.Store(nil)
	for id := range w.documents(t, "quarantine") {
		_, err := w.receiver.Replay(t.Context(), id, "operator")
		check(t, err)
	}
	w.wantCredits(t, "acme", 0)
}

// TestWhatIsOwedOutlivesItsEvent leaves a purchase owed, which is settled once it can be: by its event, by its session when Stripe lists the
// event no more, and by a person when it was owed for a month.
func TestWhatIsOwedOutlivesItsEvent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		age   time.Duration // of the event, when it can be settled
		aside bool
	}{
		"a week":                          {age: 7 * day},
		"a month, but it was owed later":  {age: 31 * day},
		"a month, in which it was owed":   {age: 45 * day, aside: true},
		"a month, and no run in the time": {age: 100 * day, aside: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run(t)
			check(t, w.stand.WebhookMode(stripestand.ModeDrop))
			n, _ := w.buy(t, "acme")
			record := w.Client.Collection("purchases").Doc(w.bought[n])
			w.newer(t, record, true)
			w.pass(t, 5*day)
			if _, answer := w.run(t); answer["owed"] != 1.0 {
				t.Errorf("it is not owed: %v", answer)
			}
			w.pass(t, tt.age-5*day)
			if tt.aside {
				w.run(t)
			}
			w.newer(t, record, false)
			w.run(t)
			asides := w.documents(t, "quarantine")
			if (len(asides) == 1) != tt.aside {
				t.Errorf("put aside were %v", asides)
			}
			for id, a := range asides {
				if a["reason"] != "unsettled" || a["type"] != "checkout.session.completed" || a["object"] != w.sessions[n] {
					t.Errorf("put aside is %v", a)
				}
				got, err := w.receiver.Replay(t.Context(), id, "operator")
				check(t, err)
				if got.State != payments.AsideResolved {
					t.Errorf("replayed, it is %+v", got)
				}
			}
			w.wantCredits(t, "acme", 1000)
			if _, answer := w.run(t); answer["owed"] != 0.0 {
				t.Errorf("after that: %v", answer)
			}
		})
	}
}

// TestTheSameSumRefundedAgainInAnotherGapIsFound has a refund fail, and another of the same amount made in a second gap.
func TestTheSameSumRefundedAgainInAnotherGapIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, intent := w.buy(t, "acme")
	w.run(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	first, err := w.stand.RefundPayment(intent, 39950)
	check(t, err)
	w.pass(t, 35*day)
	w.run(t)
	w.wantCredits(t, "acme", 500)
	check(t, w.stand.WebhookMode(stripestand.ModeDeliver))
	check(t, w.stand.SettleRefund(first, false))
	check(t, w.stand.Deliver(t.Context()))
	w.wantCredits(t, "acme", 1000)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	_, err = w.stand.RefundPayment(intent, 39950)
	check(t, err)
	w.pass(t, 35*day)
	w.run(t)
	w.wantCredits(t, "acme", 500)
}

// topUp charges acme's card for 1,000 credits without a checkout, as auto top-up does.
func (w *world) topUp(t testing.TB) (reference string) {
	t.Helper()
	_, err := w.stand.CreateCustomer(stripestand.NewCustomer{Metadata: map[string]string{"org_id": "acme"}, Card: stripestand.CardVisa})
	check(t, err)
	offer, err := w.shop.PriceOf(t.Context(), "credits-1000", "ZA")
	check(t, err)
	reference = payments.NewReference()
	charged, err := w.shop.Charge(t.Context(), payments.TopUp{
		ID: "topup:acme:1", Buyer: payments.Buyer{Org: "acme"}, Reference: reference, Offer: offer, BegunAt: w.Now(),
	})
	check(t, err)
	if charged.Status != payments.Paid {
		t.Fatal(charged)
	}
	return reference
}

// TestAnAutoTopUpWhoseEventNeverCameIsFound has neither webhooks nor events tell of it: its own payment does.
func TestAnAutoTopUpWhoseEventNeverCameIsFound(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"the job", "a member"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			check(t, w.stand.WebhookMode(stripestand.ModeDrop))
			reference := w.topUp(t)
			w.edited(func(r *http.Request, text string) string {
				if r.URL.Path == "/v1/events" {
					return `{"object":"list","data":[]}`
				}
				return text
			})
			for range 2 {
				if who == "the job" {
					w.run(t)
				} else if p, err := w.receiver.Recover(t.Context(), "acme", reference); err != nil || p.Status != payments.Paid {
					t.Errorf("%+v, %v", p, err)
				}
				w.wantCredits(t, "acme", 1000)
			}
		})
	}
}

// TestAPaidTopUpThatIsNotCreditedRaisesTheAlert has one of another amount than its record says, which a person must look at.
func TestAPaidTopUpThatIsNotCreditedRaisesTheAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reference := w.topUp(t)
	_, err := w.Client.Collection("purchases").Doc(reference).Update(t.Context(), []firestore.Update{{Path: "amount", Value: 100}})
	check(t, err)
	check(t, w.stand.Deliver(t.Context()))
	w.Advance(15 * time.Minute)
	w.log.Reset()
	run, err := payments.NewReconciler(w.receiver).Run(t.Context())
	check(t, err)
	if told := alerts(t, &w.log); run.Uncredited != 1 || len(told) != 1 || told[0] != reference {
		t.Errorf("%+v, %v", run, told)
	}
}

// TestWhatStripeCannotTellOfHoldsUpNothingElse has Stripe fail for what is owed alone: what else was paid is credited nevertheless, and that
// once Stripe tells of it.
func TestWhatStripeCannotTellOfHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	stuck, _ := w.buy(t, "acme")
	record := w.Client.Collection("purchases").Doc(w.bought[stuck])
	w.newer(t, record, true)
	if _, answer := w.run(t); answer["owed"] != 1.0 {
		t.Fatalf("it is not owed: %v", answer)
	}
	w.pass(t, 2*day)
	w.run(t) // its event is behind the cursor
	w.newer(t, record, false)
	w.buy(t, "acme")
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/events/") {
			rw.WriteHeader(http.StatusForbidden)
			fmt.Fprint(rw, `{"error":{"type":"invalid_request_error","message":"not now"}}`)
			return
		}
		w.stand.Handler().ServeHTTP(rw, r)
	})
	w.broken.Store(&h)
	if _, answer := w.run(t); answer["owed"] != 1.0 {
		t.Errorf("while Stripe fails for what is owed: %v", answer)
	}
	w.wantCredits(t, "acme", 1000)
	w.broken.Store(nil)
	if _, answer := w.run(t); answer["owed"] != 0.0 || answer["received"] != 1.0 {
		t.Errorf("once Stripe tells of it: %v", answer)
	}
	w.wantCredits(t, "acme", 2000)
}

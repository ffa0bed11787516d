package purchasewebhook

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/payments"
)

func TestAPaidPurchaseIsCreditedOnceHoweverOftenItIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reference, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	w.deliver(t)
	w.wantCredits(t, "acme", 1000)

	purchase := w.documents(t, "purchases")[reference]
	payment := w.documents(t, "payments")[fmt.Sprint(purchase["payment"])]
	grant := w.grants(t, "acme")[0]
	if purchase["status"] != "paid" || purchase["session"] != session || purchase["grant"] != grant.Born.ID || !strings.HasPrefix(fmt.Sprint(purchase["payment"]), "pi_") {
		t.Errorf("recorded as %v", purchase)
	}
	if payment["status"] != "paid" || payment["reference"] != reference || payment["amount"] != int64(79900) || payment["org"] != "acme" || len(payment["grants"].([]any)) != 1 {
		t.Errorf("the payment is recorded as %v", payment)
	}
	if want := fmt.Sprint("grant:", purchase["payment"]); grant.Key.ID != want || !grant.Born.ExpiresAt.IsZero() || grant.Actor != "stripe" || !grant.Born.EffectiveAt.Equal(w.now()) {
		t.Errorf("granted as %+v %+v, want the key %s", grant, grant.Born, want)
	}
	body := w.event(t, "checkout.session.completed")
	for range 10 {
		w.send(t, body, payments.Credited)
	}
	w.wantCredits(t, "acme", 1000)
	for id, e := range w.documents(t, "stripeEvents") {
		if e["type"] == "invoice.paid" && e["outcome"] == "ignored" {
			continue // the receipt
		}
		if e["outcome"] != "granted" || e["type"] != "checkout.session.completed" || e["reference"] != reference || !e["expire_at"].(time.Time).Equal(w.now().AddDate(0, 0, 90)) {
			t.Errorf("event %s was seen as %v", id, e)
		}
	}
}

func TestOneEventFiftyTimesAtOnceIsOneGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reference, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	body := w.unsent(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { w.send(t, body, payments.Credited) })
	}
	wg.Wait()
	w.wantCredits(t, "acme", 1000)
	if n := len(w.grants(t, "acme")); n != 1 {
		t.Errorf("%d grants", n)
	}
	if p := w.documents(t, "purchases")[reference]; p["status"] != "paid" || len(p["timeline"].([]any)) != 3 {
		t.Errorf("recorded as %v", p)
	}
	if n := len(w.documents(t, "payments")); n != 1 {
		t.Errorf("%d payments", n)
	}
}

// TestDifferentEventsAtOnceAreAllRecorded lets none overwrite what another has just written.
func TestDifferentEventsAtOnceAreAllRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reference, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	body := w.unsent(t)
	const at = 8
	var wg sync.WaitGroup
	for n := range at {
		other := strings.Replace(body, `"id":"evt_`, fmt.Sprintf(`"id":"evt_%d`, n), 1)
		wg.Go(func() {
			for range 20 {
				if status, _ := w.post(t.Context(), t, other, sign(other, secretNow, time.Now())); status == http.StatusOK {
					return
				}
			}
			t.Error("an event was never taken")
		})
	}
	wg.Wait()
	if moments := w.documents(t, "purchases")[reference]["timeline"].([]any); len(moments) != 2+at {
		t.Errorf("%d moments: %v", len(moments), moments)
	}
	w.wantCredits(t, "acme", 1000)
}

func TestAPaymentThatSettlesLater(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		success bool
		// late says that the session's completion is told after the settlement.
		late   bool
		want   int64
		status string
	}{
		{"is credited when the money comes", true, false, 1000, "paid"},
		{"is credited though its order is told late", true, true, 1000, "paid"},
		{"is not credited when the money does not come", false, false, 0, "failed"},
		{"stays failed when its order is told late", false, true, 0, "failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			reference, session := w.buy(t)
			check(t, w.stand.PayLater(session))
			if tt.late {
				check(t, w.stand.WebhookMode("drop"))
				check(t, w.stand.WebhookMode("deliver"))
			} else {
				w.deliver(t)
				w.wantCredits(t, "acme", 0)
				if p := w.documents(t, "purchases")[reference]; p["status"] != "pending" {
					t.Errorf("ordered and unpaid, it is %v", p["status"])
				}
			}
			check(t, w.stand.SettleLater(session, tt.success))
			w.deliver(t)
			settled, told := w.event(t, settlement(tt.success)), payments.Credited
			if !tt.success {
				told = payments.Recorded
			}
			late := change(t, settled, settlement(tt.success), "checkout.session.completed")
			late = strings.Replace(late, `"payment_status":"paid"`, `"payment_status":"unpaid"`, 1)
			for range 2 {
				w.send(t, late, payments.Recorded)
				w.send(t, settled, told)
			}
			w.wantCredits(t, "acme", tt.want)
			if p := w.documents(t, "purchases")[reference]; p["status"] != tt.status {
				t.Errorf("it is %v, want %s", p["status"], tt.status)
			}
		})
	}
}

func settlement(success bool) string {
	if success {
		return "checkout.session.async_payment_succeeded"
	}
	return "checkout.session.async_payment_failed"
}

func TestACheckoutThatLapsesIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reference, session := w.buy(t)
	check(t, w.stand.ExpireCheckout(session))
	w.deliver(t)
	if p := w.documents(t, "purchases")[reference]; p["status"] != "expired" || len(w.documents(t, "payments")) != 0 {
		t.Errorf("recorded as %v", p)
	}
	w.wantCredits(t, "acme", 0)
}

func TestWhatBelongsToNobodyOrCostsAnotherPriceWaitsForAPerson(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		pairs func(reference string) []string
		want  payments.Reason
	}{
		{"a wrong amount", func(string) []string { return []string{`"amount_total":79900`, `"amount_total":100`} }, payments.WrongAmount},
		{"tax that was paid from the price", func(string) []string { return []string{`"amount_tax":0`, `"amount_tax":1`} }, payments.WrongAmount},
		{"another currency", func(string) []string { return []string{`"currency":"zar"`, `"currency":"usd"`} }, payments.WrongCurrency},
		{"another organisation", func(string) []string { return []string{`"org_id":"acme"`, `"org_id":"bravo"`} }, payments.WrongOrg},
		{"an unknown reference", func(r string) []string { return []string{`"reference":"` + r, `"reference":"CR-2222-2222`} }, payments.UnknownReference},
		{"a reference that is a path", func(r string) []string { return []string{`"reference":"` + r, `"reference":"../x`} }, payments.UnknownReference},
		{"no metadata", func(r string) []string {
			return []string{`"metadata":{"org_id":"acme","reference":"` + r + `"}`, `"metadata":{}`}
		}, payments.UnknownReference},
		{"another checkout", func(string) []string { return []string{`"id":"cs_`, `"id":"cs_other`} }, payments.WrongSession},
		{"an object of another shape", func(string) []string { return []string{`"amount_total":79900`, `"amount_total":"much"`} }, payments.Malformed},
		{"a payment that is a path", func(string) []string { return []string{`"payment_intent":"pi_`, `"payment_intent":"pi/`} }, payments.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.open(t, "bravo")
			reference, session := w.buy(t)
			check(t, w.stand.PayCheckout(session))
			w.stripeDown.Store(true)
			good := w.unsent(t)
			bad := change(t, good, tt.pairs(reference)...)
			for range 2 {
				w.send(t, bad, payments.Quarantined)
			}
			w.wantCredits(t, "acme", 0)
			w.wantCredits(t, "bravo", 0)
			q := w.wantQuarantined(t, tt.want)
			if q["type"] != "checkout.session.completed" || !strings.HasPrefix(fmt.Sprint(q["event"]), "evt_changed") || q["at"] == nil {
				t.Errorf("it says %v", q)
			}
			if p := w.documents(t, "purchases")[reference]; p["status"] != "created" {
				t.Errorf("the purchase is %v", p)
			}
			w.send(t, good, payments.Credited)
			w.wantCredits(t, "acme", 1000)
		})
	}
}

func TestAPurchaseOfAnOrganisationWithoutAWalletIsSettledOnceItHasOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.shop.StartPurchase(t.Context(), payments.Order{Org: "bravo", Country: "ZA", Package: "credits-100", Key: "1"})
	check(t, err)
	check(t, w.stand.PayCheckout(s.CheckoutURL[strings.LastIndex(s.CheckoutURL, "/")+1:]))
	w.deliver(t)
	q := w.wantQuarantined(t, payments.UnknownOrg)
	if q["org"] != "bravo" || q["reference"] != s.Reference || q["resolved_at"] != nil {
		t.Errorf("it says %v", q)
	}
	w.open(t, "bravo")
	body := w.event(t, "checkout.session.completed")
	for range 2 {
		w.send(t, body, payments.Credited)
	}
	w.wantCredits(t, "bravo", 100)
	if q := w.wantQuarantined(t, payments.UnknownOrg); q["resolved_at"] == nil {
		t.Errorf("it is settled, and says %v", q)
	}
	if e := w.documents(t, "stripeEvents")[fmt.Sprint(q["event"])]; e["outcome"] != "granted" {
		t.Errorf("it was seen as %v", e)
	}
}

// TestFaultsOfTheStoreAreHealedByRedelivery lets one step after the other fail, as when the process dies there.
func TestFaultsOfTheStoreAreHealedByRedelivery(t *testing.T) {
	t.Parallel()
	aborted, internal := firedb.Fault{Code: codes.Aborted}, firedb.Fault{Code: codes.Internal}
	lost := func(code codes.Code) firedb.Fault { return firedb.Fault{Code: code, After: true} }
	tests := []struct {
		name string
		rule firedb.Rule
		// status is the answer while the fault lasts, granted the credits that are there then.
		status  int
		granted int64
	}{
		{"the ledger cannot be read", firedb.Rule{Method: "BatchGetDocuments", Fault: internal, When: touching("/wallets/")}, http.StatusServiceUnavailable, 0},
		{"the purchase cannot be read", firedb.Rule{Method: "BatchGetDocuments", Fault: aborted, When: touching("/purchases/")}, http.StatusServiceUnavailable, 0},
		{"the records cannot be written after the grant", firedb.Rule{Method: "Commit", Fault: aborted, When: touching("/purchases/")}, http.StatusServiceUnavailable, 1000},
		{"the event cannot be noted after the records", firedb.Rule{Method: "Commit", Fault: aborted, When: touching("/stripeEvents/")}, http.StatusServiceUnavailable, 1000},
		{"the answer to the grant is lost", firedb.Rule{Method: "Commit", Count: 1, Fault: lost(codes.Internal), When: touching("/wallets/")}, http.StatusOK, 1000},
		{"the grant is lost to a conflict", firedb.Rule{Method: "Commit", Count: 3, Fault: aborted, When: touching("/wallets/")}, http.StatusOK, 1000},
		{"the answer to the records is lost", firedb.Rule{Method: "Commit", Count: 1, Fault: lost(codes.Aborted), When: touching("/purchases/")}, http.StatusOK, 1000},
		{"that answer says the commit is invalid", firedb.Rule{Method: "Commit", Count: 1, Fault: lost(codes.InvalidArgument), When: touching("/purchases/")}, http.StatusOK, 1000},
		{"the answer to the note is lost", firedb.Rule{Method: "Commit", Count: 1, Fault: lost(codes.Internal), When: touching("/stripeEvents/")}, http.StatusOK, 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			reference, session := w.buy(t)
			check(t, w.stand.PayCheckout(session))
			body := w.unsent(t)
			w.engine.Hooks.Set(tt.rule)
			status, answer := w.post(t.Context(), t, body, sign(body, secretNow, time.Now()))
			w.engine.Hooks.Set()
			if status != tt.status {
				t.Errorf("answered %d %v, want %d", status, answer, tt.status)
			}
			w.wantCredits(t, "acme", tt.granted)
			for range 3 {
				w.send(t, body, payments.Credited)
			}
			w.wantCredits(t, "acme", 1000)
			if p := w.documents(t, "purchases")[reference]; p["status"] != "paid" || len(p["timeline"].([]any)) != 3 {
				t.Errorf("recorded as %v", p)
			}
			if n := len(w.documents(t, "stripeEvents")); n != 1 || len(w.documents(t, "payments")) != 1 {
				t.Errorf("%d events were seen", n)
			}
		})
	}
}

// TestEventsUnderAStormAreGrantedOnceEach sends ten purchases' events five times each while a third of the store's answers is lost.
func TestEventsUnderAStormAreGrantedOnceEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var bodies []string
	for range 10 {
		_, session := w.buy(t)
		check(t, w.stand.PayCheckout(session))
		bodies = append(bodies, w.unsent(t))
	}
	var rules []firedb.Rule
	for _, code := range []codes.Code{codes.Aborted, codes.DeadlineExceeded, codes.Internal} {
		rules = append(rules, firedb.Rule{Method: "Commit", Chance: 0.15, Fault: firedb.Fault{Code: code, After: true}},
			firedb.Rule{Method: "Commit", Chance: 0.05, Fault: firedb.Fault{Code: code}})
	}
	w.engine.Hooks.Set(rules...)
	var wg sync.WaitGroup
	for range 5 {
		for _, body := range bodies {
			wg.Go(func() {
				for range 100 {
					if status, _ := w.post(t.Context(), t, body, sign(body, secretNow, time.Now())); status == http.StatusOK {
						return
					}
				}
				t.Error("an event was never taken")
			})
		}
	}
	wg.Wait()
	w.engine.Hooks.Set()
	w.wantCredits(t, "acme", 10_000)
	for reference, p := range w.documents(t, "purchases") {
		if p["status"] != "paid" {
			t.Errorf("%s is %v", reference, p)
		}
	}
}

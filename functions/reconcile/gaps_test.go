package reconcile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

func TestOnlyTheSchedulerSetsItOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, token := range map[string]string{
		"nobody": "", "the pusher": w.Token(t, "push@test.iam.gserviceaccount.com", w.Audience("reconcile")),
		"the scheduler of another function": w.Token(t, "scheduler@test.iam.gserviceaccount.com", w.Audience("expiry")),
	} {
		if status, answer := w.Post(t, "reconcile", "", token, nil); status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	if n := w.requests.Load(); n != 0 {
		t.Errorf("Stripe was asked %d times", n)
	}
}

// TestAGapLongerThanStripeListsEventsIsMadeUpFor goes through Stripe's objects: the events are gone.
func TestAGapLongerThanStripeListsEventsIsMadeUpFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "globex")
	w.run(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.pass(t, day)
	_, refunded := w.buy(t, "acme")
	w.buy(t, "acme")
	disputed, intent := w.buy(t, "acme")
	lapsed := w.order(t, "acme")
	w.pass(t, time.Hour)
	_, err := w.stand.RefundPayment(refunded, 79900)
	check(t, err)
	_, err = w.stand.OpenDispute(intent, stripestand.Dispute{})
	check(t, err)
	w.pass(t, 74*day) // two renewals; no event of before is listed any more
	check(t, w.stand.CloseDispute(intent, false))
	w.wantCredits(t, "acme", 0)
	wrote, answer := w.run(t)
	t.Logf("the first run wrote %d documents: %v", wrote, answer)
	got := w.documents(t, "purchases")
	for n, want := range map[int]string{0: "paid", 1: "paid", disputed: "paid", lapsed: "expired"} {
		if p := got[w.bought[n]]; p["status"] != want || (want == "paid") != (p["grant"] != nil) {
			t.Errorf("purchase %d is %v", n, p)
		}
	}
	kinds := map[any]int{}
	for _, e := range w.documents(t, "stripeEvents") {
		kinds[e["type"]]++
	}
	if kinds["charge.refunded"] != 1 || kinds["charge.dispute.closed"] == 0 || kinds["session.found"] != 4 {
		t.Errorf("seen were %v", kinds)
	}
	renewals := 0
	for _, e := range w.documents(t, "payments") {
		if e["org"] == "globex" {
			renewals++
		}
	}
	if renewals != 3 {
		t.Errorf("%d invoices of globex are recorded, want 3", renewals)
	}
	w.wantCredits(t, "acme", 1000) // of three purchases one was refunded and one lost to a dispute
	w.wantCredits(t, "globex", 500)
	if wrote, answer := w.run(t); wrote != 1 || answer["received"] != 0.0 {
		t.Errorf("the second run wrote %d documents: %v", wrote, answer)
	}
}

// TestWhatCannotBeSettledHoldsUpNothingElse has one purchase's record from a newer release; the others are settled, and it is once it can be.
func TestWhatCannotBeSettledHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	stuck, _ := w.buy(t, "acme")
	w.buy(t, "acme")
	record := w.Client.Collection("purchases").Doc(w.bought[stuck])
	w.newer(t, record, true)
	if _, answer := w.run(t); answer["owed"] != 1.0 {
		t.Errorf("with a record of a newer release: %v", answer)
	}
	w.wantCredits(t, "acme", 1000)
	w.pass(t, 20*day) // its event is behind the cursor, and listed by no walk any more
	w.run(t)
	w.newer(t, record, false)
	if _, answer := w.run(t); answer["received"] != 1.0 || answer["owed"] != 0.0 {
		t.Errorf("once it can be: %v", answer)
	}
	w.wantCredits(t, "acme", 2000)
	if wrote, _ := w.run(t); wrote != 1 {
		t.Errorf("after that a run wrote %d documents", wrote)
	}
}

// TestWhatIsOwedIsNotForgottenWhenARunFails has the store fail while a debt is paid: what is owed is listed by no walk any more.
func TestWhatIsOwedIsNotForgottenWhenARunFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	n, _ := w.buy(t, "acme")
	record := w.Client.Collection("purchases").Doc(w.bought[n])
	w.newer(t, record, true)
	w.run(t)
	w.pass(t, 20*day)
	w.run(t)
	w.newer(t, record, false)
	w.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}, When: func(m proto.Message) bool {
		return nameOf(m) == "BatchGetDocumentsRequest stripeEvents"
	}})
	if status, answer := w.Fire(t, "reconcile"); status == http.StatusOK {
		t.Errorf("though the store failed: %v", answer)
	}
	w.heal()
	if _, answer := w.run(t); answer["received"] != 1.0 || answer["owed"] != 0.0 {
		t.Errorf("once the store answers: %v", answer)
	}
	w.wantCredits(t, "acme", 1000)
}

// TestRefundsThatCannotBeEndedLeaveTimeToWalk has Stripe not answer about a charge, of which a refund that was left needs to know.
func TestRefundsThatCannotBeEndedLeaveTimeToWalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, intent := w.buy(t, "acme")
	dying, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/v1/refunds":
			cancel() // the process dies with its refund begun
			rw.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/v1/charges" && dying.Err() != nil:
			<-r.Context().Done()
		default:
			w.stand.Handler().ServeHTTP(rw, r)
		}
	})
	w.broken.Store(&slow)
	if _, err := w.refunder.Refund(dying, payments.RefundOrder{Org: "acme", Reference: w.bought[n], Key: "k", By: "agent"}); err == nil {
		t.Fatal("the refund did not die")
	}
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.buy(t, "globex")
	w.pass(t, 10*time.Minute)
	h := &handler{reconciler: payments.NewReconciler(w.receiver), refunder: w.refunder, endTime: 100 * time.Millisecond}
	ctx, done := context.WithTimeout(t.Context(), 10*time.Second) // less than one call of Stripe's may take
	defer done()
	if did, err := h.run(ctx); did.RefundsEnded != 0 || err == nil || did.Received == 0 {
		t.Errorf("%+v, %v", did, err)
	}
	w.wantCredits(t, "globex", 1000)
	if at, _ := w.documents(t, "payments")[intent]["resume_at"].(time.Time); !at.After(w.Now()) {
		t.Errorf("it is to be resumed at %v, before others that wait", at)
	}
}

// alerts are the references of the purchases that a log says are paid and not credited.
func alerts(t *testing.T, log *bytes.Buffer) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(log.String()) {
		var entry struct{ Level, Alert, Reference string }
		check(t, json.Unmarshal([]byte(line), &entry))
		if entry.Alert == "purchase_uncredited" && entry.Level == "ERROR" {
			out = append(out, entry.Reference)
		}
	}
	return out
}

func TestAPaidPurchaseThatIsNotCreditedRaisesTheAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.order(t, "acme")
	_, err := w.Client.Collection("purchases").Doc(w.bought[n]).Update(t.Context(), []firestore.Update{{Path: "amount", Value: 100}})
	check(t, err)
	check(t, w.stand.PayCheckout(w.sessions[n])) // for another amount than was offered: a person must look at it
	check(t, w.stand.Deliver(t.Context()))
	w.order(t, "acme")
	walk := func() payments.Run {
		t.Helper()
		w.log.Reset()
		run, err := payments.NewReconciler(w.receiver).Run(t.Context())
		check(t, err)
		return run
	}
	w.Advance(14 * time.Minute)
	if run := walk(); run.Uncredited != 0 || len(alerts(t, &w.log)) != 0 {
		t.Errorf("after 14 minutes: %+v\n%s", run, &w.log)
	}
	for range 2 {
		w.Advance(time.Minute)
		if run := walk(); run.Uncredited != 1 || len(alerts(t, &w.log)) != 1 || alerts(t, &w.log)[0] != w.bought[n] {
			t.Errorf("after 15 minutes: %+v\n%s", run, &w.log)
		}
	}
	shown, err := w.shop.Reconciliation(t.Context())
	check(t, err)
	if len(shown.Uncredited) != 1 || shown.Uncredited[0].Reference != w.bought[n] || shown.Uncredited[0].Org != "acme" || !shown.RanAt.Equal(w.Now()) {
		t.Errorf("operators see %+v", shown)
	}
	w.Advance(2 * day)
	if run := walk(); run.Uncredited != 0 {
		t.Errorf("two days later: %+v", run)
	}
}

// TestEventsOfAnotherAPIVersionAreReadAnew has Stripe list events as an account of another version does.
func TestEventsOfAnotherAPIVersionAreReadAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.buy(t, "acme")
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		w.stand.Handler().ServeHTTP(answer, r)
		text := answer.Body.String()
		if strings.HasPrefix(r.URL.Path, "/v1/events") {
			text = strings.NewReplacer(`"api_version":"2023-10-16"`, `"api_version":"2025-09-30.clover"`, `"amount_total"`, `"amount_elsewhere"`).Replace(text)
		}
		fmt.Fprint(rw, text)
	})
	w.broken.Store(&h)
	if _, answer := w.run(t); answer["received"] == 0.0 {
		t.Errorf("%v", answer)
	}
	w.wantCredits(t, "acme", 1000)
	if len(w.documents(t, "quarantine")) != 0 {
		t.Error("an event was put aside")
	}
}

// TestARunIsBoundedAndTheNextGoesOn has Stripe list more events than a run looks at, and more in a window than are held in memory. They
// are about nothing of ours, and quickly settled.
func TestARunIsBoundedAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	const events = 6200
	w := newWorld(t)
	last := w.Now().Unix()
	served := 0
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/v1/events" {
			w.stand.Handler().ServeHTTP(rw, r)
			return
		}
		number := func(name string) int64 { n, _ := strconv.ParseInt(q.Get(name), 10, 64); return n }
		var data []string
		more := false
		after, _ := strconv.Atoi(strings.TrimPrefix(q.Get("starting_after"), "evt_"))
		for i := after + 1; i <= events && slices.Contains(q["types[]"], "checkout.session.expired"); i++ { // evt_1 is the newest; one each three minutes
			if at := last - int64(i)*180; at >= number("created[gte]") && at < number("created[lt]") {
				if len(data) == 100 {
					more = true
					break
				}
				data = append(data, fmt.Sprintf(`{"id":"evt_%d","object":"event","api_version":"2023-10-16","created":%d,"type":"checkout.session.expired",`+
					`"data":{"object":{"id":"cs_%d","object":"checkout.session","mode":"subscription"}}}`, i, at, i))
			}
		}
		served += len(data)
		fmt.Fprintf(rw, `{"object":"list","has_more":%t,"data":[%s]}`, more, strings.Join(data, ","))
	})
	w.broken.Store(&h)
	_, first := w.run(t)
	if first["more"] != true || first["received"].(float64) < 5000 || first["received"].(float64) >= 6000 {
		t.Errorf("the first run: %v", first)
	}
	_, second := w.run(t)
	if second["more"] != false || first["received"].(float64)+second["received"].(float64) != events {
		t.Errorf("the second run: %v, after %v", second, first)
	}
	if wrote, third := w.run(t); wrote != 1 || third["received"] != 0.0 {
		t.Errorf("the third run wrote %d documents: %v", wrote, third)
	}
	if got := len(w.documents(t, "stripeEvents")); got != events || served > 2*events {
		t.Errorf("%d events were seen, %d were listed for that", got, served)
	}
}

func TestWhileStripeIsDownTheCursorStaysWhereItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t)
	began := w.Now()
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.buy(t, "acme")
	down := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusBadRequest) // which the client does not repeat
		fmt.Fprint(rw, `{"error":{"type":"api_error","message":"down"}}`)
	})
	w.broken.Store(&down)
	for range 3 {
		w.pass(t, day)
		if status, answer := w.Fire(t, "reconcile"); status != http.StatusServiceUnavailable || answer["code"] != "unavailable" {
			t.Errorf("while Stripe is down: %d %v", status, answer)
		}
	}
	w.wantCredits(t, "acme", 0)
	if shown, err := w.shop.Reconciliation(t.Context()); err != nil || !shown.Until.Equal(began) || !shown.RanAt.Equal(began) {
		t.Errorf("operators see %+v, %v", shown, err)
	}
	w.broken.Store(nil)
	w.run(t)
	w.wantCredits(t, "acme", 1000)
}

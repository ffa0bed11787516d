package account

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// pay pays a purchase that was begun, and lets Stripe tell of it.
func (s *system) pay(t testing.TB, begun answer) {
	t.Helper()
	link := fmt.Sprint(begun.body["checkout_url"])
	if err := s.stand.PayCheckout(link[strings.LastIndex(link, "/")+1:]); err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
}

func (s *system) deliver(t testing.TB) {
	t.Helper()
	if err := s.stand.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// bought is a purchase of 1,000 credits for R799 that is paid; its path and its payment.
func (s *system) bought(t testing.TB) (path, payment string) {
	t.Helper()
	s.register(t, "acme")
	begun := s.must(t, s.token(t, "acme-admin"), http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-1000"}`, "Idempotency-Key", "first")
	s.pay(t, begun)
	reference := fmt.Sprint(begun.body["reference"])
	snapshot, err := s.Client.Collection("purchases").Doc(reference).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return "/orgs/acme/purchases/" + reference, fmt.Sprint(snapshot.Data()["payment"])
}

func (s *system) wantAvailable(t testing.TB, want int64) {
	t.Helper()
	w, err := s.ledger.View(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if w.Available != want || w.Debt != 0 {
		t.Errorf("%+v, want %d available", w.Figures, want)
	}
}

func TestWhatIsLeftOfAPurchaseIsQuotedAndRefundedOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	path, _ := s.bought(t)
	s.debit(t, "acme", "e1", 700)
	reference := path[strings.LastIndex(path, "/")+1:]
	agent := s.token(t, "agent", "support")
	quote := s.must(t, s.token(t, "acme-admin"), http.MethodGet, path+"/refund", "").body
	want := map[string]any{"reference": reference, "amount": 23970.0, "currency": "ZAR", "credits": 300.0}
	if diff := cmp.Diff(want, quote); diff != "" {
		t.Error(diff)
	}
	s.wantAvailable(t, 300)
	s.advance(time.Minute)
	first := s.must(t, agent, http.MethodPost, path+"/refund", `{"reason":"asked by mail"}`, "Idempotency-Key", "k1").body
	if first["stripe_id"] == "" {
		t.Error("Stripe's refund is not told")
	}
	delete(first, "stripe_id")
	want["refund"], want["status"], want["replayed"] = 1.0, "made", false
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	again := s.must(t, agent, http.MethodPost, path+"/refund", `{"reason":"asked by mail"}`, "Idempotency-Key", "k1").body
	if again["replayed"] != true || number(again["refund"]) != 1 {
		t.Errorf("the same key again: %v", again)
	}
	if got := s.call(t, agent, http.MethodPost, path+"/refund", `{"amount":5}`, "Idempotency-Key", "k1"); got.code() != "idempotency_conflict" {
		t.Errorf("the same key for another amount: %d %s", got.status, got.raw)
	}
	s.wantNotRefundable(t, agent, path, "nothing_left")
	s.advance(time.Minute)
	s.deliver(t)
	s.wantAvailable(t, 0)
	var what []string
	for _, m := range s.must(t, agent, http.MethodGet, path, "").body["timeline"].([]any) {
		m := m.(map[string]any)
		what = append(what, fmt.Sprint(m["what"], " ", number(m["amount"])))
	}
	wantTimeline := []string{"checkout.session.completed", "checkout_opened", "created", "charge.refunded 23970", "refund_begun 23970"}
	for i, x := range what {
		if !strings.HasPrefix(x, wantTimeline[i]) {
			t.Errorf("the timeline is %q, want %q", what, wantTimeline)
			break
		}
	}
	if len(what) != len(wantTimeline) {
		t.Errorf("the timeline is %q", what)
	}
}

// wantNotRefundable wants the quote and the refund refused for a reason.
func (s *system) wantNotRefundable(t testing.TB, agent, path, reason string) answer {
	t.Helper()
	var got answer
	for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: "{}"} {
		got = s.call(t, agent, method, path+"/refund", body, "Idempotency-Key", "for "+reason)
		if got.status != http.StatusUnprocessableEntity || got.code() != "not_refundable" || got.body["reason"] != reason {
			t.Errorf("%s: %d %s, want the reason %s", method, got.status, got.raw, reason)
		}
	}
	return got
}

func TestAPartIsRefundedAndNoMoreThanIsLeft(t *testing.T) {
	t.Parallel()
	s := start(t)
	path, _ := s.bought(t)
	agent := s.token(t, "agent", "support")
	if got := s.must(t, agent, http.MethodPost, path+"/refund", `{"amount":7990}`, "Idempotency-Key", "a").body; number(got["credits"]) != 100 || number(got["amount"]) != 7990 {
		t.Errorf("%v", got)
	}
	s.deliver(t)
	s.wantAvailable(t, 900)
	for name, body := range map[string]string{"more than is left": `{"amount":71911}`, "less than a credit": `{"amount":79}`} {
		if got := s.call(t, agent, http.MethodPost, path+"/refund", body, "Idempotency-Key", name); got.body["reason"] != "amount" || number(got.body["amount"]) != 71910 {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	for name, body := range map[string]string{"nothing": `{"amount":0}`, "less": `{"amount":-1}`, "a currency": `{"currency":"USD"}`, "a long reason": `{"reason":"` + strings.Repeat("x", 1025) + `"}`} {
		if got := s.call(t, agent, http.MethodPost, path+"/refund", body, "Idempotency-Key", name); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	if got := s.must(t, agent, http.MethodPost, path+"/refund", `{}`, "Idempotency-Key", "rest").body; number(got["refund"]) != 2 || number(got["amount"]) != 71910 || number(got["credits"]) != 900 {
		t.Errorf("%v", got)
	}
	s.deliver(t)
	s.wantAvailable(t, 0)
}

func TestWhatIsNotRefundedSaysWhatToDoInstead(t *testing.T) {
	t.Parallel()
	s := start(t)
	path, payment := s.bought(t)
	agent := s.token(t, "agent", "support")
	unpaid := s.must(t, s.token(t, "acme-admin"), http.MethodPost, "/orgs/acme/purchases", `{"package":"credits-500"}`, "Idempotency-Key", "second")
	s.wantNotRefundable(t, agent, "/orgs/acme/purchases/"+fmt.Sprint(unpaid.body["reference"]), "not_paid")
	if _, err := s.stand.OpenDispute(payment, stripestand.Dispute{}); err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
	s.wantNotRefundable(t, agent, path, "disputed")
	invoice := map[string]any{"v": 1, "id": "pi_plan", "org": "acme", "invoice": "in_plan", "subscription": "sub_1", "status": "paid", "amount": 4900, "currency": "ZAR"}
	if _, err := s.Client.Collection("payments").Doc("pi_plan").Set(t.Context(), invoice); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"in_plan", "pi_plan"} {
		if got := s.wantNotRefundable(t, agent, "/orgs/acme/purchases/"+name, "subscription"); !strings.Contains(got.raw, "billing portal") || !strings.Contains(got.raw, "dashboard") {
			t.Errorf("it does not say what to do instead: %s", got.raw)
		}
	}
	s.register(t, "globex")
	for _, other := range []string{"/orgs/globex/purchases/in_plan", "/orgs/globex/purchases/pi_plan", strings.Replace(path, "acme", "globex", 1), "/orgs/acme/purchases/in_other", "/orgs/acme/purchases/..%2Fx"} {
		if got := s.call(t, agent, http.MethodPost, other+"/refund", "{}", "Idempotency-Key", "x"); got.code() != "not_found" {
			t.Errorf("%s: %d %s", other, got.status, got.raw)
		}
	}
}

func TestWhatCostNothingHasNothingToRefund(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.republish(t, func(d *catalogue.Document) { d.Checkout.PromotionCodes = true })
	s.register(t, "acme")
	if err := s.stand.AddCoupon(stripestand.Coupon{ID: "GIFT", PercentOff: 100}); err != nil {
		t.Fatal(err)
	}
	reference, session := s.order(t, "acme", "k")
	if err := s.stand.PayCheckoutWithCode(session, "GIFT"); err != nil {
		t.Fatal(err)
	}
	s.deliver(t)
	if got := s.available(t, "acme"); got != 500 {
		t.Errorf("%v credits came for nothing, want 500", got)
	}
	s.wantNotRefundable(t, s.token(t, "agent", "support"), "/orgs/acme/purchases/"+reference, "free")
	if got := s.available(t, "acme"); got != 500 {
		t.Errorf("%v credits are left, want 500", got)
	}
}

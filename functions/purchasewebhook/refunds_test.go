package purchasewebhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// bought is a purchase of 1,000 credits for R799 of acme's, paid and credited: its payment and its reference.
func (w *world) bought(t *testing.T) (payment, reference string) {
	t.Helper()
	payment, reference = w.paid(t)
	w.deliver(t)
	return payment, reference
}

// paid is a purchase that is paid, and that Stripe has yet to tell of.
func (w *world) paid(t *testing.T) (payment, reference string) {
	t.Helper()
	reference, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	_, rest, _ := strings.Cut(w.listed(t, "checkout.session.completed"), `"payment_intent":"`)
	payment, _, _ = strings.Cut(rest, `"`)
	return payment, reference
}

func (w *world) do(t *testing.T, c credit.Command) {
	t.Helper()
	_, err := w.ledger.Do(t.Context(), "acme", c)
	check(t, err)
}

func spend(credits int64) credit.Debit {
	return credit.Debit{EventID: fmt.Sprint("spend-", credits), Credits: credits, Work: credit.Work{Feature: "custom-query"}}
}

// refund refunds an amount in Stripe's dashboard, 0 for all, and lets Stripe tell of it.
func (w *world) refund(t *testing.T, payment string, amount int64) (id string) {
	t.Helper()
	id, err := w.stand.RefundPayment(payment, amount)
	check(t, err)
	w.deliver(t)
	return id
}

func (w *world) wantFigures(t *testing.T, what string, want credit.Figures) {
	t.Helper()
	got, err := w.ledger.View(t.Context(), "acme")
	check(t, err)
	if got.Figures != want {
		t.Errorf("%s: %+v, want %+v", what, got.Figures, want)
	}
	if err := w.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAFullRefundOfSpentCreditsIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payment, _ := w.bought(t)
	w.do(t, spend(700))
	w.refund(t, payment, 0)
	w.wantFigures(t, "refunded", credit.Figures{Debt: 700})
	_, err := w.ledger.Do(t.Context(), "acme", spend(1))
	if no, refused := errors.AsType[*credit.Refusal](err); !refused || no.Code() != credit.CodeInDebt {
		t.Errorf("a debit in debt: %v", err)
	}
	w.bought(t)
	w.wantFigures(t, "bought again", credit.Figures{Available: 300})
}

func TestAFullRefundTakesOtherCreditsBeforeItIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payment, _ := w.bought(t)
	w.do(t, spend(700))
	end := w.now().AddDate(0, 1, 0)
	w.do(t, credit.NewGrant{Key: credit.SystemKey("grant", "in_1", "il_1"), Terms: credit.Terms{
		Source: credit.Subscription, Granted: 1000, EffectiveAt: w.now(), ExpiresAt: end, UsableUntil: end, Item: "si_1",
	}})
	w.refund(t, payment, 0)
	w.wantFigures(t, "refunded", credit.Figures{Available: 300})
}

func TestAFullRefundOfHeldCreditsIsOwedUntilTheyAreReleased(t *testing.T) {
	t.Parallel()
	for captured, after := range map[int64]credit.Figures{0: {Debt: 400}, 300: {Debt: 700}, 100: {Debt: 500}} {
		t.Run(fmt.Sprint(captured, " captured"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			payment, _ := w.bought(t)
			w.do(t, spend(400))
			w.do(t, credit.PlaceHold{EventID: "h", Credits: 300, Work: credit.Work{Feature: "custom-query"}, TTL: time.Hour})
			w.refund(t, payment, 0)
			w.wantFigures(t, "held", credit.Figures{Held: 300, Debt: 700})
			hold := credit.HoldID("acme", "h")
			if captured == 0 {
				w.do(t, credit.Release{Hold: hold})
			} else {
				w.do(t, credit.Capture{Hold: hold, Credits: captured})
			}
			w.wantFigures(t, "settled", after)
		})
	}
}

func TestARefundBeforeItsPurchaseIsAppliedWhenTheCreditsCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keepOnly.Store(true)
	payment, reference := w.paid(t)
	w.refund(t, payment, 31960) // R40 of each R100
	w.keepOnly.Store(false)
	for range 2 {
		w.send(t, w.event(t, "charge.refunded"), payments.Recorded)
	}
	w.wantFigures(t, "refunded", credit.Figures{})
	if p := w.documents(t, "payments")[payment]; p["status"] != "created" || p["reference"] != reference || p["org"] != "acme" || p["refunded"] != int64(31960) || p["amount"] != int64(79900) {
		t.Errorf("recorded as %v", p)
	}
	for range 2 {
		w.send(t, w.event(t, "checkout.session.completed"), payments.Credited)
		w.wantFigures(t, "bought", credit.Figures{Available: 600})
	}
}

func TestARefundAndALostDisputeNeverTakeMoreThanWasGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.bought(t)
	payment, reference := w.bought(t)
	w.refund(t, payment, 39950)
	w.wantFigures(t, "half refunded", credit.Figures{Available: 1500})
	dispute, err := w.stand.OpenDispute(payment, stripestand.Dispute{Amount: 79900})
	check(t, err)
	w.deliver(t)
	w.wantFigures(t, "disputed", credit.Figures{Available: 1000})
	check(t, w.stand.CloseDispute(dispute, false))
	w.deliver(t)
	w.wantFigures(t, "lost", credit.Figures{Available: 1000})
	if p := w.documents(t, "payments")[other]; p["refunded"] != nil && p["refunded"] != int64(0) || p["disputes"] != nil {
		t.Errorf("the other purchase's payment is %v", p)
	}
	var what []string
	for _, m := range w.documents(t, "purchases")[reference]["timeline"].([]any) {
		what = append(what, fmt.Sprint(m.(map[string]any)["what"]))
	}
	for _, want := range []string{"charge.refunded", "charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"} {
		if !strings.Contains(strings.Join(what, " "), want) {
			t.Errorf("the timeline is %v, without %s", what, want)
		}
	}
}

func TestADisputeFreezesWhatRemainsAndGivesItBackWhenItIsWon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payment, _ := w.bought(t)
	w.do(t, spend(700))
	inquiry, err := w.stand.OpenDispute(payment, stripestand.Dispute{Inquiry: true})
	check(t, err)
	w.deliver(t)
	w.wantFigures(t, "an inquiry takes nothing", credit.Figures{Available: 300})
	check(t, w.stand.CloseDispute(inquiry, true))
	w.deliver(t)
	w.do(t, credit.PlaceHold{EventID: "h", Credits: 100, Work: credit.Work{Feature: "custom-query"}, TTL: time.Hour})
	dispute, err := w.stand.OpenDispute(payment, stripestand.Dispute{})
	check(t, err)
	w.deliver(t)
	w.wantFigures(t, "disputed", credit.Figures{Held: 100})
	w.do(t, credit.Capture{Hold: credit.HoldID("acme", "h"), Credits: 60})
	w.wantFigures(t, "a hold on it may be captured", credit.Figures{})
	check(t, w.stand.CloseDispute(dispute, true))
	w.deliver(t)
	w.wantFigures(t, "won", credit.Figures{Available: 240})
}

func TestAPlansInvoiceIsRefundedByShares(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keepOnly.Store(true)
	w.subscribe(t, "price_starter_month_zar", ofAcme)
	w.deliver(t)
	_, rest, _ := strings.Cut(w.listed(t, "invoice.paid"), `"payment_intent":"`)
	payment, _, _ := strings.Cut(rest, `"`)
	w.refund(t, payment, 19950) // half
	w.send(t, w.event(t, "charge.refunded"), payments.Recorded)
	w.wantFigures(t, "before its invoice is told", credit.Figures{})
	w.send(t, w.event(t, "invoice.paid"), payments.Credited)
	w.wantFigures(t, "half", credit.Figures{Available: 250})
	if p := w.documents(t, "payments")[payment]; p["org"] != "acme" || p["reference"] != nil || p["status"] != "paid" {
		t.Errorf("recorded as %v", p)
	}
	w.keepOnly.Store(false)
	w.refund(t, payment, 0)
	w.wantFigures(t, "all", credit.Figures{})
}

// TestARefundOfAnInvoiceOfNobodyWaitsForAPerson tells a refund before its invoice, which names no organisation until a person mends it.
func TestARefundOfAnInvoiceOfNobodyWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keepOnly.Store(true)
	id := w.subscribe(t, "price_starter_month_zar", nil)
	w.deliver(t)
	_, rest, _ := strings.Cut(w.listed(t, "invoice.paid"), `"payment_intent":"`)
	payment, _, _ := strings.Cut(rest, `"`)
	w.refund(t, payment, 19950) // half
	w.send(t, w.event(t, "charge.refunded"), payments.Quarantined)
	w.wantQuarantined(t, payments.UnknownOrg)
	if known := w.documents(t, "payments"); len(known) != 0 {
		t.Errorf("recorded as %v", known)
	}
	_, err := w.api().Subscriptions.Update(id, &stripe.SubscriptionParams{Metadata: ofAcme})
	check(t, err)
	w.send(t, w.event(t, "charge.refunded"), payments.Recorded)
	if p := w.documents(t, "payments")[payment]; p["org"] != "acme" || p["subscription"] != id || p["status"] != "created" {
		t.Errorf("mended, it is recorded as %v", p)
	}
	if q := w.wantQuarantined(t, payments.UnknownOrg); q["state"] != "resolved" {
		t.Errorf("mended, it is put aside as %v", q)
	}
	w.send(t, w.event(t, "invoice.paid"), payments.Credited)
	w.wantFigures(t, "half", credit.Figures{Available: 250})
}

// TestARefundOfAReceiptThatNamesNoPurchaseWaitsForAPerson takes our metadata off a charge: its receipt is an invoice, and of no subscription.
func TestARefundOfAReceiptThatNamesNoPurchaseWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keepOnly.Store(true)
	payment, reference := w.paid(t)
	w.refund(t, payment, 100)
	event := w.event(t, "charge.refunded")
	_, rest, _ := strings.Cut(event, `"id":"ch_`)
	id, _, _ := strings.Cut(rest, `"`)
	_, err := w.api().Charges.Update("ch_"+id, &stripe.ChargeParams{Metadata: map[string]string{"org_id": "", "reference": ""}})
	check(t, err)
	w.send(t, change(t, event, `"metadata":{"org_id":"acme","reference":"`+reference+`"}`, `"metadata":{}`), payments.Quarantined)
	q := w.wantQuarantined(t, payments.UnknownReference)
	if detail := fmt.Sprint(q["detail"]); !strings.Contains(detail, `"in_`) || len(w.documents(t, "payments")) != 0 {
		t.Errorf("it says %v", q)
	}
}

func TestRefundsThatMakeNoSenseWaitForAPerson(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		pairs func(reference, payment string) []string
		want  payments.Reason
	}{
		{"another currency", func(_, _ string) []string { return []string{`"currency":"zar"`, `"currency":"usd"`} }, payments.WrongCurrency},
		{"more than was paid", func(_, _ string) []string { return []string{`"amount_refunded":100`, `"amount_refunded":79901`} }, payments.WrongAmount},
		{"less than nothing", func(_, _ string) []string { return []string{`"amount_refunded":100`, `"amount_refunded":-1`} }, payments.WrongAmount},
		{"another charge's amount", func(_, _ string) []string { return []string{`"amount":79900`, `"amount":79901`} }, payments.WrongAmount},
		{"nobody's", func(r, p string) []string {
			return []string{p, "pi_other", `"metadata":{"org_id":"acme","reference":"` + r + `"}`, `"metadata":{}`, `"invoice":"in_`, `"receipt":"in_`}
		}, payments.UnknownReference},
		{"an unknown purchase's", func(r, p string) []string { return []string{p, "pi_other", r, "CR-2222-2222"} }, payments.UnknownReference},
		{"another organisation's", func(_, p string) []string { return []string{p, "pi_other", `"org_id":"acme"`, `"org_id":"bravo"`} }, payments.WrongOrg},
		{"another payment's", func(_, p string) []string { return []string{p, "pi_other"} }, payments.WrongPayment},
		{"of another shape", func(_, _ string) []string { return []string{`"amount_refunded":100`, `"amount_refunded":"all"`} }, payments.Malformed},
		{"a path's", func(_, p string) []string { return []string{p, "pi/x"} }, payments.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			payment, reference := w.bought(t)
			w.seconds.Add(60)
			w.keepOnly.Store(true)
			w.refund(t, payment, 100)
			bad := change(t, w.event(t, "charge.refunded"), tt.pairs(reference, payment)...)
			for range 2 {
				w.send(t, bad, payments.Quarantined)
			}
			w.wantFigures(t, "nothing happened", credit.Figures{Available: 1000})
			w.wantQuarantined(t, tt.want)
		})
	}
}

func TestWhatIsOlderThanWhatIsKnownIsAskedForOnceStripeAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payment, _ := w.bought(t)
	w.keepOnly.Store(true)
	w.seconds.Add(60)
	w.refund(t, payment, 7990)
	first := w.event(t, "charge.refunded")
	w.seconds.Add(60)
	w.refund(t, payment, 7990)
	w.send(t, w.event(t, "charge.refunded"), payments.Recorded)
	w.stripeDown.Store(true)
	if status, answer := w.post(t.Context(), t, first, sign(first, secretNow, time.Now())); status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", status, answer)
	}
	w.wantFigures(t, "twice", credit.Figures{Available: 800})
	w.stripeDown.Store(false)
	w.send(t, first, payments.Recorded)
	w.wantFigures(t, "twice", credit.Figures{Available: 800})
}

// TestARefundIsSettledThroughFaultsOfTheStore lets one step after the other fail, as when the process dies there, and sends the event again.
func TestARefundIsSettledThroughFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	for path, method := range map[string]string{"/payments/": "Commit", "/wallets/": "Commit", "/stripeEvents/": "Commit", "/purchases/": "BatchGetDocuments"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(method, " ", strings.Trim(path, "/"), " applied ", after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				payment, _ := w.bought(t)
				w.keepOnly.Store(true)
				w.refund(t, payment, 31960)
				body := w.event(t, "charge.refunded")
				w.engine.Hooks.Set(firedb.Rule{Method: method, Count: 8, When: touching(path), Fault: firedb.Fault{Code: codes.Aborted, After: after}})
				w.post(t.Context(), t, body, sign(body, secretNow, time.Now()))
				w.engine.Hooks.Set()
				for range 2 {
					w.send(t, body, payments.Recorded)
				}
				w.wantFigures(t, "refunded", credit.Figures{Available: 600})
			})
		}
	}
}

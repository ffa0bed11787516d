package purchasewebhook

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// sell publishes a catalogue whose checkouts do more than take the money, and opens a shop that knows it.
func (w *world) sell(t *testing.T, c catalogue.Checkout) {
	t.Helper()
	prices := catalogue.NewStore(w.engine.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	check(t, err)
	document := seed.Document()
	document.Version, document.Checkout = 2, c
	next, err := catalogue.New(document)
	check(t, err)
	check(t, prices.Publish(t.Context(), next, "operator"))
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: w.stripe.URL})
	check(t, err)
	w.shop, err = payments.NewShop(payments.ShopOptions{
		Documents: w.engine.Client, Prices: prices, Stripe: gateway, Now: w.now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	check(t, err)
}

func TestWhatIsPaidAfterTaxAndDiscountBringsWhatWasOffered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		checkout catalogue.Checkout
		code     string
		// amount and tax are what is charged for 1,000 credits at 79,900 cents.
		amount, tax int64
	}{
		{"tax on top", catalogue.Checkout{AutomaticTax: true}, "", 91885, 11985},
		{"half off", catalogue.Checkout{PromotionCodes: true}, "HALF", 39950, 0},
		{"half off, and tax on the rest", catalogue.Checkout{AutomaticTax: true, PromotionCodes: true}, "HALF", 45943, 5993},
		{"an amount off", catalogue.Checkout{PromotionCodes: true}, "R100", 69900, 0},
		{"nothing to pay", catalogue.Checkout{PromotionCodes: true}, "FREE", 0, 0},
		{"nothing to pay, and no tax on it", catalogue.Checkout{AutomaticTax: true, PromotionCodes: true}, "FREE", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, c := range []stripestand.Coupon{{ID: "HALF", PercentOff: 50}, {ID: "FREE", PercentOff: 100}, {ID: "R100", AmountOff: 10000, Currency: "zar"}} {
				check(t, w.stand.AddCoupon(c))
			}
			w.sell(t, tt.checkout)
			reference, session := w.buy(t)
			if tt.code == "" {
				check(t, w.stand.PayCheckout(session))
			} else {
				check(t, w.stand.PayCheckoutWithCode(session, tt.code))
			}
			w.deliver(t)
			w.send(t, w.event(t, "checkout.session.completed"), payments.Credited)
			w.wantCredits(t, "acme", 1000)
			purchase := w.documents(t, "purchases")[reference]
			payment := w.documents(t, "payments")[fmt.Sprint(purchase["payment"])]
			if purchase["status"] != "paid" || purchase["amount"] != int64(79900) || payment["amount"] != tt.amount || payment["tax"] != tt.tax {
				t.Errorf("recorded as %v, paid as %v; want %d with tax of %d", purchase, payment, tt.amount, tt.tax)
			}
			// What cost nothing is no first paid purchase.
			if first := w.documents(t, "campaigns")["acme"] != nil; first != (tt.amount > 0) {
				t.Errorf("a first paid purchase: %t", first)
			}
		})
	}
}

func TestADiscountThatWasNotOfferedWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	body := change(t, w.unsent(t), `"amount_total":79900`, `"amount_total":39950`, `"amount_discount":0`, `"amount_discount":39950`)
	w.send(t, body, payments.Quarantined)
	w.wantQuarantined(t, payments.WrongAmount)
	w.wantCredits(t, "acme", 0)
}

// refer has acme come by the code of the organisation referrer.
func (w *world) refer(t *testing.T) {
	t.Helper()
	_, err := w.engine.Client.Doc("campaigns/acme").Set(t.Context(), map[string]any{
		"v": 1, "org": "acme", "referred": map[string]any{
			"code": "R-2222-2222", "referrer": "referrer", "key": "k", "by": "p", "at": w.now(), "referrer_credits": 70, "referred_credits": 30, "life_days": 10,
			"price_version": 1,
		},
	})
	check(t, err)
}

// TestARefundReversesWhatIsUnspentOfAReferral refunds half, then all, before and after the purchase is told, and takes the last refund back.
func TestARefundReversesWhatIsUnspentOfAReferral(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("refund told first %t", early), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.open(t, "referrer")
			w.refer(t)
			reference, session := w.buy(t)
			check(t, w.stand.PayCheckout(session))
			spend := func(org string, credits int64) {
				t.Helper()
				_, err := w.ledger.Do(t.Context(), org, credit.Debit{
					EventID: "work", Credits: credits, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
				})
				check(t, err)
			}
			payment := func() string { return fmt.Sprint(w.documents(t, "purchases")[reference]["payment"]) }
			if early {
				body := w.unsent(t)
				_, err := w.stand.RefundPayment(paymentOf(t, body), 39950)
				check(t, err)
				check(t, w.stand.WebhookMode(stripestand.ModeDeliver))
				w.deliver(t)
				w.send(t, body, payments.Credited)
				w.wantCredits(t, "acme", 500+15)
				w.wantCredits(t, "referrer", 35)
				spend("referrer", 20)
				spend("acme", 5) // of what ends first, which is the reward
			} else {
				w.deliver(t)
				w.wantCredits(t, "acme", 1030)
				w.wantCredits(t, "referrer", 70)
				spend("referrer", 20)
				spend("acme", 5)
				_, err := w.stand.RefundPayment(payment(), 39950)
				check(t, err)
				w.deliver(t)
				w.wantCredits(t, "acme", 500+30-15-5)
				w.wantCredits(t, "referrer", 70-35-20)
			}
			refund, err := w.stand.RefundPayment(payment(), 0)
			check(t, err)
			w.deliver(t)
			w.deliver(t)
			w.wantCredits(t, "acme", 0)
			w.wantCredits(t, "referrer", 0)
			for _, org := range []string{"acme", "referrer"} {
				if got, err := w.ledger.View(t.Context(), org); err != nil || got.Debt != 0 {
					t.Errorf("%s owes %d for what was spent of a reward: %v", org, got.Debt, err)
				}
			}
			check(t, w.stand.SettleRefund(refund, false))
			w.deliver(t)
			w.wantCredits(t, "acme", 500+30-15-5)
			w.wantCredits(t, "referrer", 70-35-20)
		})
	}
}

// paymentOf is the payment that a session's event names.
func paymentOf(t *testing.T, body string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, `"payment_intent":"`)
	id, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		t.Fatalf("no payment in %s", body)
	}
	return id
}

// TestABonusThatCannotBeGivenYetComesWithTheEventsRedelivery has the store refuse the first purchase's rewards: the event is not acknowledged.
func TestABonusThatCannotBeGivenYetComesWithTheEventsRedelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t, "referrer")
	w.refer(t)
	reference, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	body := w.unsent(t)
	w.engine.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Code: codes.PermissionDenied}, When: touching("/campaigns/")})
	if status, answer := w.post(t.Context(), t, body, sign(body, secretNow, time.Now())); status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", status, answer)
	}
	w.wantCredits(t, "referrer", 0)
	w.engine.Hooks.Set()
	for range 3 {
		w.send(t, body, payments.Credited)
	}
	w.wantCredits(t, "acme", 1030)
	w.wantCredits(t, "referrer", 70)
	payment := w.documents(t, "payments")[fmt.Sprint(w.documents(t, "purchases")[reference]["payment"])]
	bonuses, _ := payment["bonuses"].([]any)
	if len(bonuses) != 2 {
		t.Fatalf("the payment is recorded as %v", payment)
	}
	for i, want := range []struct {
		org     string
		credits int64
	}{{"acme", 30}, {"referrer", 70}} {
		b, _ := bonuses[i].(map[string]any)
		grants := w.grants(t, want.org)
		if b["org"] != want.org || b["credits"] != want.credits || b["source"] != "referral" || b["id"] != grants[0].Born.ID {
			t.Errorf("bonus %v, want %+v, the grant %s", b, want, grants[0].Born.ID)
		}
	}
}

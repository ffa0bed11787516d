package purchasewebhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// subscribe makes a customer of acme's and subscribes it.
func (w *world) subscribe(t *testing.T, price string, metadata map[string]string) (subscription string) {
	t.Helper()
	customer, err := w.stand.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Email: "ann@acme.example", Card: stripestand.CardVisa})
	check(t, err)
	subscription, err = w.stand.CreateSubscription(stripestand.Subscription{Customer: customer, Price: price, Metadata: metadata})
	check(t, err)
	return subscription
}

var ofAcme = map[string]string{"org_id": "acme"}

// api is a client of Stripe's, for what its dashboard and portal do.
func (w *world) api() *client.API {
	out := &client.API{}
	out.Init("sk_test_local", &stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(w.stripe.URL), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})})
	return out
}

// moveTo moves the system's clock, and does and delivers what comes due at Stripe.
func (w *world) moveTo(t *testing.T, at time.Time) {
	t.Helper()
	w.seconds.Store(at.Unix())
	check(t, w.stand.Run(t.Context(), at))
	w.deliver(t)
}

func TestAPlanIsGrantedByItsPaidInvoices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_starter_month_zar", ofAcme)
	w.deliver(t)
	w.wantCredits(t, "acme", 500)
	body := w.event(t, "invoice.paid")
	for range 10 {
		w.send(t, body, payments.Credited)
	}
	first := w.grants(t, "acme")
	if len(first) != 1 {
		t.Fatalf("%d grants", len(first))
	}
	born := first[0].Born
	end := time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC)
	if born.Source != "subscription" || !born.EffectiveAt.Equal(w.now()) || !born.ExpiresAt.Equal(end) || !born.UsableUntil.Equal(end.Add(2*time.Hour)) ||
		!strings.HasPrefix(born.Item, "si_") || !strings.HasPrefix(born.Payment, "pi_") || strings.Count(first[0].Key.ID, ":") != 2 {
		t.Errorf("granted as %+v %+v", first[0].Key, born)
	}
	payment := w.documents(t, "payments")[born.Payment]
	if payment["status"] != "paid" || payment["org"] != "acme" || payment["amount"] != int64(39900) || !strings.HasPrefix(payment["invoice"].(string), "in_") {
		t.Errorf("the payment is recorded as %v", payment)
	}

	// The renewal is finalised an hour after the period turned: until then the old credits can be used, afterwards only the new.
	w.moveTo(t, end.Add(59*time.Minute))
	w.wantCredits(t, "acme", 500)
	w.moveTo(t, end.Add(time.Hour))
	w.wantCredits(t, "acme", 500)
	w.send(t, body, payments.Credited)
	if all := w.grants(t, "acme"); len(all) != 2 || len(all[0].Closed) != 1 || all[0].Closed[0] != born.ID || !all[0].Born.EffectiveAt.Equal(end) {
		t.Errorf("the renewal granted %+v", all[0])
	}
	w.wantCredits(t, "acme", 500)
}

func TestTheFreePlanIsGrantedThoughNothingIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_free_month_zar", ofAcme)
	w.deliver(t)
	w.wantCredits(t, "acme", 50)
	if p := w.grants(t, "acme")[0].Born.Payment; !strings.HasPrefix(p, "in_") || w.documents(t, "payments")[p]["amount"] != int64(0) {
		t.Errorf("paid by %s", p)
	}
}

func TestAPlanThatEndsWithItsPeriodHasNoGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.subscribe(t, "price_starter_month_zar", ofAcme)
	_, err := w.api().Subscriptions.Update(id, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	check(t, err)
	w.deliver(t)
	end := time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC)
	if born := w.grants(t, "acme")[0].Born; !born.UsableUntil.Equal(end) {
		t.Errorf("usable until %v, want %v", born.UsableUntil, end)
	}
	w.moveTo(t, end)
	w.wantCredits(t, "acme", 0)
}

func TestAnUpgradeGrantsTheRestOfTheDifference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.subscribe(t, "price_starter_month_zar", ofAcme)
	w.deliver(t)
	w.moveTo(t, w.now().AddDate(0, 0, 7)) // three quarters of the 28 days are left
	sub, err := w.api().Subscriptions.Get(id, nil)
	check(t, err)
	change := func(price string) {
		t.Helper()
		_, err = w.api().Subscriptions.Update(id, &stripe.SubscriptionParams{
			Items:             []*stripe.SubscriptionItemsParams{{ID: stripe.String(sub.Items.Data[0].ID), Price: stripe.String(price)}},
			ProrationBehavior: stripe.String("always_invoice"),
		})
		check(t, err)
		w.deliver(t)
	}
	change("price_growth_month_zar")
	w.wantCredits(t, "acme", 500+(2000-500)*3/4)
	w.send(t, w.event(t, "invoice.paid"), payments.Credited)
	w.wantCredits(t, "acme", 500+(2000-500)*3/4)
	change("price_starter_month_zar") // a downgrade takes nothing
	w.wantCredits(t, "acme", 500+(2000-500)*3/4)
	if n := len(w.documents(t, "quarantine")); n != 0 {
		t.Errorf("%d events are in quarantine", n)
	}
}

func TestWhoseInvoiceItIs(t *testing.T) {
	t.Parallel()
	t.Run("the customer says when the subscription does not", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		customer, err := w.stand.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Metadata: ofAcme})
		check(t, err)
		_, err = w.stand.CreateSubscription(stripestand.Subscription{Customer: customer, Price: "price_starter_month_zar"})
		check(t, err)
		w.deliver(t)
		w.wantCredits(t, "acme", 500)
	})
	t.Run("a person says when nobody does", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.subscribe(t, "price_starter_month_zar", nil)
		w.deliver(t)
		w.wantQuarantined(t, payments.UnknownOrg)
		_, err := w.api().Subscriptions.Update(id, &stripe.SubscriptionParams{Metadata: ofAcme})
		check(t, err)
		w.send(t, w.event(t, "invoice.paid"), payments.Credited)
		w.wantCredits(t, "acme", 500)
	})
	t.Run("it stays the one that it was granted to", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.open(t, "bravo")
		w.subscribe(t, "price_starter_month_zar", ofAcme)
		w.deliver(t)
		w.send(t, change(t, w.event(t, "invoice.paid"), `"org_id":"acme"`, `"org_id":"bravo"`), payments.Quarantined)
		w.wantQuarantined(t, payments.WrongOrg)
		w.wantCredits(t, "acme", 500)
		w.wantCredits(t, "bravo", 0)
	})
}

func TestAPriceThatNoPlanHasWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_strange", ofAcme)
	w.deliver(t)
	w.wantQuarantined(t, payments.UnknownPrice)
	w.wantCredits(t, "acme", 0)
}

func TestLinesThatAnEventLeavesOutAreFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_starter_month_zar", ofAcme)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	body := w.listed(t, "invoice.paid")
	start := strings.Index(body, `"lines":{"data":[`) + len(`"lines":{"data":[`)
	end := start + strings.Index(body[start:], `],"has_more":false`)
	if end < start {
		t.Fatalf("the event's lines are not where they were: %s", body)
	}
	short := body[:start] + strings.Replace(body[end:], `"has_more":false`, `"has_more":true`, 1)
	w.send(t, short, payments.Credited)
	w.wantCredits(t, "acme", 500)
}

func TestASubscriptionThatStripeDoesNotHaveGetsNoGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_starter_month_zar", ofAcme)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.send(t, change(t, w.listed(t, "invoice.paid"), `"subscription":"sub_`, `"subscription":"sub_gone`), payments.Credited)
	if born := w.grants(t, "acme")[0].Born; !born.UsableUntil.Equal(born.ExpiresAt) {
		t.Errorf("it ends at %v, and is usable until %v", born.ExpiresAt, born.UsableUntil)
	}
}

// TestStripesOwnOutageIsWaitedFor covers what an invoice needs to know of its subscription.
func TestStripesOwnOutageIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_starter_month_zar", ofAcme)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	body := w.listed(t, "invoice.paid")
	before := w.everything(t)
	w.stripeDown.Store(true)
	status, answer := w.post(t.Context(), t, body, sign(body, secretNow, time.Now()))
	if status != http.StatusServiceUnavailable || answer["code"] != "unavailable" || len(w.everything(t)) != len(before) {
		t.Errorf("%d %v", status, answer)
	}
	w.stripeDown.Store(false)
	w.send(t, body, payments.Credited)
	w.wantCredits(t, "acme", 500)
}

// TestAReceiptIsNoPlan pays a purchase whose session makes an invoice, too.
func TestAReceiptIsNoPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe(t, "price_starter_month_zar", ofAcme)
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	body := w.listed(t, "invoice.paid")
	_, sub, _ := strings.Cut(body, `"subscription":"sub_`)
	sub, _, _ = strings.Cut(sub, `"`)
	w.send(t, change(t, body, `"subscription":"sub_`+sub+`"`, `"subscription":null`), payments.Ignored)
	w.wantCredits(t, "acme", 0)
}

// TestARecordOfANewerReleaseIsLeftAlone puts such records in the way of each event.
func TestARecordOfANewerReleaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reference, session := w.buy(t)
	check(t, w.stand.PayCheckout(session))
	body := w.unsent(t)
	purchase := w.engine.Client.Collection("purchases").Doc(reference)
	old := w.documents(t, "purchases")[reference]
	_, err := purchase.Set(t.Context(), map[string]any{"v": 2})
	check(t, err)
	status, answer := w.post(t.Context(), t, body, sign(body, secretNow, time.Now()))
	if status != http.StatusServiceUnavailable || len(w.documents(t, "stripeEvents")) != 0 {
		t.Errorf("%d %v", status, answer)
	}
	w.wantCredits(t, "acme", 0)
	_, err = purchase.Set(t.Context(), old)
	check(t, err)
	w.send(t, body, payments.Credited)
	w.wantCredits(t, "acme", 1000)
}

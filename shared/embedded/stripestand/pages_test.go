package stripestand_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// browse sends a request as a browser that follows no redirect, and returns
// the answer with its body.
func browse(t *testing.T, method, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp := must[*http.Response](t)(c.Do(r))
	defer resp.Body.Close()
	return resp, string(must[[]byte](t)(io.ReadAll(resp.Body)))
}

func TestPaymentPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		action, to string
		status     stripe.CheckoutSessionStatus
		payment    stripe.CheckoutSessionPaymentStatus
	}{
		{"pay", "https://shop.example/done?session=", stripe.CheckoutSessionStatusComplete, stripe.CheckoutSessionPaymentStatusPaid},
		{"pay-later", "https://shop.example/done?session=", stripe.CheckoutSessionStatusComplete, stripe.CheckoutSessionPaymentStatusUnpaid},
		{"decline", "https://shop.example/back", stripe.CheckoutSessionStatusOpen, stripe.CheckoutSessionPaymentStatusUnpaid},
	}
	for _, tt := range tests {
		t.Run(tt.action, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.checkout(t)
			resp, body := browse(t, http.MethodGet, c.URL, nil)
			equal(t, "page", resp.StatusCode, http.StatusOK)
			for _, want := range []string{"1,000 credits", "ZAR\u00a0300.00", "Pay later", "Decline"} {
				if !strings.Contains(body, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
			resp, _ = browse(t, http.MethodPost, c.URL, url.Values{"action": {tt.action}, "email": {"ann@acme.example"}})
			equal(t, "redirect", resp.StatusCode, http.StatusSeeOther)
			to := tt.to
			if strings.HasSuffix(to, "=") {
				to += c.ID
			}
			equal(t, "to", resp.Header.Get("Location"), to)
			c = must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(c.ID, nil))
			equal(t, "status", c.Status, tt.status)
			equal(t, "payment", c.PaymentStatus, tt.payment)
		})
	}
}

func TestPaymentPageSaysWhyACardWasDeclined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checkout(t, func(p *stripe.CheckoutSessionParams) { p.CancelURL = nil })
	resp, _ := browse(t, http.MethodPost, c.URL, url.Values{"action": {"decline"}})
	equal(t, "back to the page", resp.Header.Get("Location"), c.URL)
	if _, body := browse(t, http.MethodGet, c.URL, nil); !strings.Contains(body, "Your card was declined.") {
		t.Error("the page does not say that the card was declined")
	}
	check(t, w.PayCheckout(c.ID))
	if _, body := browse(t, http.MethodGet, c.URL, nil); !strings.Contains(body, "This page is closed") {
		t.Error("the page of a paid session can still be paid")
	}
	resp, _ = browse(t, http.MethodPost, c.URL, url.Values{"action": {"pay"}})
	equal(t, "paid twice", resp.StatusCode, http.StatusNotFound)
}

func TestPortal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer, sub := w.subscribed(t, "price_starter", stripestand.CardVisa)
	must[string](t)(w.SetCard(customer, stripestand.CardFailsLater))
	portal := must[*stripe.BillingPortalSession](t)(w.stripe.BillingPortalSessions.New(
		&stripe.BillingPortalSessionParams{Customer: stripe.String(customer), ReturnURL: stripe.String("https://shop.example/billing")}))
	post := func(values url.Values) (*http.Response, string) {
		values.Set("subscription", sub)
		return browse(t, http.MethodPost, portal.URL, values)
	}
	do := func(values url.Values) {
		t.Helper()
		resp, body := post(values)
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != portal.URL {
			t.Fatalf("%v was refused: %s", values, body)
		}
	}
	change := url.Values{"action": {"change"}, "price": {"price_growth"}}
	if _, body := post(change); !strings.Contains(body, ">Your card was declined.<") {
		t.Errorf("an upgrade that the card refuses was not refused: %s", body)
	}
	do(url.Values{"action": {"card"}, "card": {string(stripestand.CardVisa)}})
	do(change)
	equal(t, "a dearer plan begins now", w.subscription(t, sub).Items.Data[0].Price.ID, "price_growth")
	do(url.Values{"action": {"change"}, "price": {"price_starter"}})
	equal(t, "a cheaper one does not", w.subscription(t, sub).Items.Data[0].Price.ID, "price_growth")
	_, body := browse(t, http.MethodGet, portal.URL, nil)
	for _, want := range []string{"Acme", "visa ending in 4242", "then Starter", "https://shop.example/billing"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	w.moveTo(t, time.Date(2026, 2, 28, 11, 0, 0, 0, time.UTC))
	equal(t, "until the next period", w.subscription(t, sub).Items.Data[0].Price.ID, "price_starter")
	w.moveTo(t, time.Date(2026, 3, 31, 11, 0, 0, 0, time.UTC))
	do(url.Values{"action": {"cancel"}})
	equal(t, "cancelled", w.subscription(t, sub).CancelAtPeriodEnd, true)
	do(url.Values{"action": {"keep"}})
	equal(t, "kept", w.subscription(t, sub).CancelAtPeriodEnd, false)
	in := w.invoices(t, sub)[0]
	if _, body := browse(t, http.MethodGet, in.HostedInvoiceURL, nil); !strings.Contains(body, in.Number) {
		t.Error("the invoice's page does not show its number")
	}
}

func TestControlHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	controls := httptest.NewServer(w.ControlHandler())
	t.Cleanup(controls.Close)
	call := func(path, body string) (int, map[string]any) {
		t.Helper()
		r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost,
			controls.URL+"/_local/stripe/"+path, strings.NewReader(body)))
		resp := must[*http.Response](t)(http.DefaultClient.Do(r))
		defer resp.Body.Close()
		var got map[string]any
		check(t, json.NewDecoder(resp.Body).Decode(&got))
		return resp.StatusCode, got
	}
	id := w.checkout(t).ID
	later := w.checkout(t).ID
	_, sub := w.subscribed(t, "price_starter", stripestand.CardVisa)
	customer := w.subscription(t, sub).Customer.ID
	steps := []struct {
		path, body  string
		status      int
		field, want string
	}{
		{"checkouts/" + id + "/decline", "", 200, "status", "open"},
		{"checkouts/" + id + "/pay", `{"card":"pm_card_chargeDeclined"}`, 409, "code", "conflict"},
		{"checkouts/" + id + "/pay", "", 200, "payment_status", "paid"},
		{"checkouts/" + id + "/pay", "", 409, "code", "conflict"},
		{"checkouts/cs_none/pay", "", 404, "code", "not_found"},
		{"checkouts/" + later + "/pay-later", "{}", 200, "payment_status", "unpaid"},
		{"checkouts/" + later + "/settle", `{"success":true}`, 200, "payment_status", "paid"},
		{"payments/PAYMENT/refund", `{"amount":100}`, 200, "object", "refund"},
		{"payments/PAYMENT/refund", `{"amont":100}`, 400, "code", "invalid_request"},
		{"payments/PAYMENT/dispute", `{"amount":500,"reason":"duplicate"}`, 200, "reason", "duplicate"},
		{"payments/PAYMENT/dispute/close", `{"won":false}`, 200, "object", "payment_intent"},
		{"refunds", `{"pending":true}`, 200, "mode", "deliver"},
		{"customers/" + customer + "/card", `{"card":"pm_card_chargeCustomerFail"}`, 200, "object", "payment_method"},
		{"webhooks", `{"mode":"hold"}`, 200, "mode", "hold"},
		{"webhooks", `{"mode":"lose"}`, 409, "code", "conflict"},
	}
	for _, s := range steps {
		if strings.Contains(s.path, "PAYMENT") {
			c := must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(id, nil))
			s.path = strings.ReplaceAll(s.path, "PAYMENT", c.PaymentIntent.ID)
		}
		status, got := call(s.path, s.body)
		equal(t, s.path+" answers", status, s.status)
		equal(t, s.path+" "+s.field, got[s.field], any(s.want))
	}
}

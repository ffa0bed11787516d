package audit

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/payments"
)

const day = 24 * time.Hour

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// world is the function in its cloud, with a stand-in for Stripe whose webhooks become grants.
type world struct {
	*cloudtest.Cloud
	stand  *stripestand.Stand
	ledger *ledger.Ledger
	shop   *payments.Shop
	log    *lines
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Cloud: cloudtest.New(t), log: &lines{}}
	w.Log = slog.New(slog.NewJSONHandler(w.log, nil))
	stripe := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.stand.Handler().ServeHTTP(rw, r) }))
	t.Cleanup(stripe.Close)
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: stripe.URL})
	check(t, err)
	w.ledger = w.Ledger(t, nil)
	prices := w.Catalogue(t)
	w.shop, err = payments.NewShop(payments.ShopOptions{
		Documents: w.Client, Prices: prices, Stripe: gateway, Now: w.Now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	check(t, err)
	w.openStand(t, stripe.URL, gateway, prices)
	for _, org := range []string{"acme", "globex"} {
		w.Fund(t, w.ledger, org, 0)
	}
	w.Start(t, "audit", map[string]string{"STRIPE_API_KEY": "sk_test_local", "STRIPE_API_URL": stripe.URL})
	return w
}

// openStand starts the stand-in, whose webhooks go where purchasewebhook hands them to.
func (w *world) openStand(t *testing.T, url string, gateway *payments.Gateway, prices *catalogue.Store) {
	t.Helper()
	receiver, err := payments.NewReceiver(payments.ReceiverOptions{
		Documents: w.Client, Ledger: w.ledger, Prices: prices, Stripe: gateway, Now: w.Now, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	verifier, err := payments.NewVerifier([]string{stripestand.WebhookSecret}, false, time.Now)
	check(t, err)
	w.stand, err = stripestand.New(stripestand.Options{Now: w.Now, BaseURL: url, Endpoints: []stripestand.Endpoint{{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			check(t, err)
			n, err := verifier.Verify(body, r.Header.Get("Stripe-Signature"))
			check(t, err)
			if _, err := receiver.Receive(r.Context(), n); err != nil {
				t.Error(err)
			}
		}),
	}}})
	check(t, err)
}

// buy buys 1,000 credits for R799, and returns the payment.
func (w *world) buy(t *testing.T, org, key string) payments.Payment {
	t.Helper()
	s, err := w.shop.StartPurchase(t.Context(), payments.Order{Org: org, Country: "ZA", Package: "credits-1000", Key: key})
	check(t, err)
	check(t, w.stand.PayCheckout(path.Base(s.CheckoutURL)))
	check(t, w.stand.Deliver(t.Context()))
	p, err := w.Client.Collection("payments").Where("reference", "==", s.Reference).Documents(t.Context()).GetAll()
	check(t, err)
	if len(p) != 1 {
		t.Fatalf("%d payments of %s", len(p), s.Reference)
	}
	known, err := payments.NewBooks(w.Client).Payments(t.Context(), []string{p[0].Ref.ID})
	check(t, err)
	return known[p[0].Ref.ID]
}

// refund refunds a part of a payment in Stripe's dashboard.
func (w *world) refund(t *testing.T, p payments.Payment, amount int64) {
	t.Helper()
	_, err := w.stand.RefundPayment(p.ID, amount)
	check(t, err)
	check(t, w.stand.Deliver(t.Context()))
}

func (w *world) debit(t *testing.T, org, id string, credits int64) error {
	t.Helper()
	_, err := w.ledger.Do(t.Context(), org, credit.Debit{
		EventID: id, Credits: credits, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
	})
	return err
}

func (w *world) set(t *testing.T, doc, field string, value any) {
	t.Helper()
	_, err := w.Client.Doc(doc).Update(t.Context(), []firestore.Update{{Path: field, Value: value}})
	check(t, err)
}

func (w *world) frozen(t *testing.T, org string) bool {
	t.Helper()
	v, err := w.ledger.View(t.Context(), org)
	check(t, err)
	return v.Frozen
}

// sweep fires the hourly job, and waits until the wallets that it asks for are proven.
func (w *world) sweep(t *testing.T, want float64) {
	t.Helper()
	if status, answer := w.Fire(t, "audit"); status != http.StatusOK || answer["wallets"] != want || answer["more"] != false {
		t.Errorf("%d %v, want %v wallets", status, answer, want)
	}
	w.Quiet(t)
}

const alarm = `"alert":"audit_mismatch"`

func TestWalletsThatMovedAreProvenEachHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.buy(t, "acme", "a")
	check(t, w.debit(t, "acme", "job", 50))
	w.sweep(t, 2)
	w.sweep(t, 0)
	check(t, w.debit(t, "acme", "again", 50))
	w.sweep(t, 1)
	w.Advance(day)
	w.sweep(t, 2)
	if w.log.count(alarm) != 0 || w.frozen(t, "acme") || w.frozen(t, "globex") {
		t.Error("an alarm is raised though all agrees")
	}
}

func TestAWalletThatDoesNotAgreeIsFrozenAndTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, org := range []string{"acme", "globex"} {
		w.buy(t, org, org)
		check(t, w.debit(t, org, "job", 50))
	}
	w.set(t, "wallets/acme", "available", 951)
	w.sweep(t, 2)
	if !w.frozen(t, "acme") || w.frozen(t, "globex") || w.log.count(alarm) != 1 {
		t.Errorf("frozen: %t, globex %t; told %d times", w.frozen(t, "acme"), w.frozen(t, "globex"), w.log.count(alarm))
	}
	if w.debit(t, "acme", "refused", 1) == nil {
		t.Error("a frozen wallet is debited")
	}
	check(t, w.debit(t, "globex", "fine", 1))
	w.sweep(t, 2)
	if got := w.log.count(alarm); got != 2 {
		t.Errorf("told %d times, want in each run until it is mended", got)
	}
}

func TestAWholeAuditIsAskedForByAMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.buy(t, "acme", "a")
	check(t, w.debit(t, "acme", "job", 1000))
	w.sweep(t, 2)
	grants, err := w.Client.Collection("wallets/acme/grants").Documents(t.Context()).GetAll()
	check(t, err)
	w.set(t, "wallets/acme/grants/"+grants[0].Ref.ID, "granted", 1001) // a grant that is spent is not looked at again
	for _, message := range []string{`{"v":1,"org_id":"acme"}`, `{"v":1,"org_id":"acme","whole":true}`} {
		if w.log.count(alarm) != 0 {
			t.Error("told too early")
		}
		w.Publish(t, events.WalletAudits, message, nil)
		w.Quiet(t)
	}
	if w.log.count(alarm) != 1 || !w.frozen(t, "acme") {
		t.Errorf("told %d times", w.log.count(alarm))
	}
}

func TestWhatSomebodyHasMendedIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.buy(t, "acme", "a")
	check(t, w.debit(t, "acme", "job", 50))
	_, err := w.Client.Doc("wallets/acme/entries/" + credit.CallerKey("job").Doc()).Delete(t.Context())
	check(t, err)
	w.sweep(t, 2)
	w.Publish(t, events.WalletAudits, `{"v":1,"org_id":"acme","accept":{"by":"","reason":""}}`, nil) // by nobody
	w.Quiet(t)
	w.sweep(t, 1)
	w.Publish(t, events.WalletAudits, `{"v":1,"org_id":"acme","accept":{"by":"ops@fluxori.example","reason":"restored in part"}}`, nil)
	w.Quiet(t)
	told := w.log.count(alarm)
	w.sweep(t, 0)
	_, err = w.ledger.Do(t.Context(), "acme", credit.FreezeWallet{Frozen: false, Actor: "ops", Reason: "mended"})
	check(t, err)
	check(t, w.debit(t, "acme", "afterwards", 5))
	w.sweep(t, 1)
	if w.frozen(t, "acme") || told != 2 || w.log.count(alarm) != told {
		t.Errorf("frozen %t, told %d times, then %d", w.frozen(t, "acme"), told, w.log.count(alarm))
	}
}

func TestMessagesThatCanNeverBeDoneAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, data := range []string{`{`, `{}`, `{"v":1}`, `{"v":1,"org_id":"nobody"}`, `{"v":1,"org_id":"../x"}`} {
		w.Publish(t, events.WalletAudits, data, nil)
	}
	w.Quiet(t)
	const newer = `{"message":{"data":"eyJ2IjoyfQ==","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`
	if status, _ := w.Post(t, "audit", "/wallet", w.Token(t, cloudtest.Pusher, w.Audience("audit")), strings.NewReader(newer)); status != http.StatusServiceUnavailable {
		t.Errorf("a message of a newer release: %d, want 503", status)
	}
}

func TestOnlyThoseWhoAreWiredAreLetIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	scheduler, pusher := w.Token(t, cloudtest.Scheduler, w.Audience("audit")), w.Token(t, cloudtest.Pusher, w.Audience("audit"))
	const push = `{"message":{"data":"e30=","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`
	for _, tt := range []struct {
		path, token string
		want        int
	}{
		{"", "", 401}, {"", pusher, 403}, {"", scheduler, 200},
		{"/payments", "", 401}, {"/payments", pusher, 403}, {"/payments", scheduler, 200},
		{"/wallet", "", 401}, {"/wallet", scheduler, 403}, {"/wallet", pusher, 204},
	} {
		if status, answer := w.Post(t, "audit", tt.path, tt.token, strings.NewReader(push)); status != tt.want {
			t.Errorf("%s: %d %v, want %d", tt.path, status, answer, tt.want)
		}
	}
}

// compare fires the nightly job, and returns what it found.
func (w *world) compare(t *testing.T) (days []any, findings []any) {
	t.Helper()
	status, answer := w.Fire(t, "audit-payments")
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	days, _ = answer["days"].([]any)
	findings, _ = answer["findings"].([]any)
	return days, findings
}

func TestPaymentsAreWhatStripeSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.buy(t, "acme", "a")
	w.buy(t, "acme", "b")
	w.buy(t, "globex", "c")
	check(t, w.debit(t, "acme", "job", 1500))
	w.refund(t, first, 20000)
	w.Advance(day)
	days, findings := w.compare(t)
	if len(findings) != 0 || len(days) != 1 {
		t.Fatalf("%v, %v", days, findings)
	}
	got := days[0].(map[string]any)
	for field, want := range map[string]any{
		"day": "2026-03-01", "currency": "ZAR", "charges": 3.0, "taken": 239700.0, "recorded": 239700.0, "refunded": 20000.0, "refund_recorded": 20000.0,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	w.refund(t, first, 1)
	w.Advance(day)
	if _, findings := w.compare(t); len(findings) != 0 || w.log.count(alarm) != 0 {
		t.Errorf("found %v", findings)
	}
}

func TestWhatDiffersFromStripeIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		plant func(t *testing.T, w *world, p payments.Payment)
		field string
	}{
		{"the amount", func(t *testing.T, w *world, p payments.Payment) { w.set(t, "payments/"+p.ID, "amount", 79901) }, "amount"},
		{"the currency", func(t *testing.T, w *world, p payments.Payment) { w.set(t, "payments/"+p.ID, "currency", "USD") }, "currency"},
		{"what was refunded", func(t *testing.T, w *world, p payments.Payment) {
			w.refund(t, p, 20000)
			w.set(t, "payments/"+p.ID, "refunded", 19999)
		}, "refunded"},
		{"a refund of which we know nothing", func(t *testing.T, w *world, p payments.Payment) {
			_, err := w.stand.RefundPayment(p.ID, 500)
			check(t, err)
		}, "refunded"},
		{"what was clawed back", func(t *testing.T, w *world, p payments.Payment) {
			w.refund(t, p, 20000)
			_, err := w.ledger.Do(t.Context(), "acme", credit.ClawBack{Grant: p.Grants[0].ID, Returned: 30000, Paid: 79900, Reason: "by hand"})
			check(t, err)
		}, "clawed back of grant"},
		{"a payment without its grant", func(t *testing.T, w *world, p payments.Payment) { w.set(t, "payments/"+p.ID, "grants", []any{}) }, "grants"},
		{"a grant that is not there", func(t *testing.T, w *world, p payments.Payment) {
			w.set(t, "payments/"+p.ID, "grants", []any{map[string]any{"id": "gr_nowhere", "credits": 1000}})
		}, "grant gr_nowhere"},
		{"a grant of other credits", func(t *testing.T, w *world, p payments.Payment) {
			w.set(t, "payments/"+p.ID, "grants", []any{map[string]any{"id": p.Grants[0].ID, "credits": 999}})
		}, "grant "},
		{"a payment that is not recorded", func(t *testing.T, w *world, p payments.Payment) {
			_, err := w.Client.Doc("payments/" + p.ID).Delete(t.Context())
			check(t, err)
		}, "record"},
		{"a payment of which Stripe knows nothing", func(t *testing.T, w *world, p payments.Payment) {
			d, err := w.Client.Doc("payments/" + p.ID).Get(t.Context())
			check(t, err)
			forged := d.Data()
			forged["id"] = "pi_forged"
			_, err = w.Client.Doc("payments/pi_forged").Set(t.Context(), forged)
			check(t, err)
		}, "charge at Stripe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.buy(t, "globex", "fine")
			tt.plant(t, w, w.buy(t, "acme", "a"))
			w.Advance(day)
			_, findings := w.compare(t)
			if len(findings) != 1 {
				t.Fatalf("found %v", findings)
			}
			f := findings[0].(map[string]any)
			if f["org_id"] != "acme" || !strings.HasPrefix(f["field"].(string), tt.field) {
				t.Errorf("found %v", f)
			}
			if !w.frozen(t, "acme") || w.frozen(t, "globex") || w.log.count(alarm) != 1 {
				t.Errorf("frozen %t, globex %t, told %d times", w.frozen(t, "acme"), w.frozen(t, "globex"), w.log.count(alarm))
			}
		})
	}
}

func TestWhatStripeDidJustNowIsLeftTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.buy(t, "acme", "a")
	w.Advance(day)
	_, err := w.stand.RefundPayment(p.ID, 500) // its webhook is on its way
	check(t, err)
	w.Advance(time.Minute)
	days, findings := w.compare(t)
	if len(findings) != 0 || days[0].(map[string]any)["settling"] != 1.0 {
		t.Errorf("%v, %v", days, findings)
	}
}

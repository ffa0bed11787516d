package topups_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/topups"
)

// The price of credits-100, in cents, and the tax on it where the catalogue adds tax.
const (
	price = 9900
	tax   = 1485
)

// world is an organisation acme with a card at Stripe, and what keepers need. It publishes, too.
type world struct {
	engine *engine.Engine
	stand  *stripestand.Stand
	url    string
	clock  time.Time
	prices *catalogue.Store
	orgs   *orgs.Store
	ledger *ledger.Ledger

	mu        sync.Mutex
	customer  string
	published []string
	// die, if set, is asked at each call of Firestore and Stripe whether the process dies there, and whether it is dead.
	die   func() (dies, dead bool)
	after bool // the call at which it dies takes effect
	// taxes counts the sales of which Stripe Tax was told.
	taxes int
}

// Publish implements topups.Publisher and the ledger's.
func (w *world) Publish(_ context.Context, messages []events.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		if m.Topic == events.CreditAlerts && !slices.Contains(w.published, m.ID) {
			w.published = append(w.published, m.ID)
		}
	}
	return nil
}

// dies asks whether the process dies at this call.
func (w *world) dies() (dies, dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.die == nil {
		return false, false
	}
	return w.die()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, card stripestand.Card) *world {
	t.Helper()
	w := &world{engine: engine.New(t, engine.Embedded()), clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(http.HandlerFunc(w.stripe))
	t.Cleanup(server.Close)
	w.url = server.URL
	var err error
	w.stand, err = stripestand.New(stripestand.Options{Now: w.now, BaseURL: server.URL, TaxBasisPoints: 1500})
	check(t, err)
	log := slog.New(slog.DiscardHandler)
	w.prices = catalogue.NewStore(w.engine.Client, log, catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	check(t, err)
	check(t, w.prices.Seed(t.Context(), seed))
	w.orgs, err = orgs.NewStore(w.engine.Client, log, orgs.Options{Now: w.now})
	check(t, err)
	w.ledger, err = ledger.New(w.engine.Raw, w.engine.Database(), ledger.Options{Now: w.now, Publish: w, Logger: log})
	check(t, err)
	registrar, err := orgs.NewRegistrar(w.orgs, w.ledger, w.prices)
	check(t, err)
	_, _, err = registrar.Put(t.Context(), "acme", orgs.Profile{Name: "Acme", Country: "ZA", Zone: "Africa/Johannesburg", OwnerEmail: "owner@acme.example"})
	check(t, err)
	w.customer, err = w.stand.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Metadata: map[string]string{"org_id": "acme"}})
	check(t, err)
	w.setCard(t, card)
	return w
}

func (w *world) now() time.Time { return w.clock }

func (w *world) setCard(t *testing.T, card stripestand.Card) string {
	t.Helper()
	id, err := w.stand.SetCard(w.customer, card)
	check(t, err)
	return id
}

// stripe is Stripe, as far as the process lives to see.
func (w *world) stripe(rw http.ResponseWriter, r *http.Request) {
	dies, dead := w.dies()
	if !dead && (!dies || w.after) && strings.Contains(r.URL.Path, "/tax/transactions/") {
		w.taxes++
	}
	switch {
	case !dies && !dead:
		w.stand.Handler().ServeHTTP(rw, r)
		return
	case dies && w.after:
		w.stand.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	rw.WriteHeader(http.StatusBadRequest) // which the client does not repeat
	fmt.Fprint(rw, `{"error":{"type":"api_error","message":"dead"}}`)
}

// keeper is a process of its own.
func (w *world) keeper(t *testing.T) *topups.Keeper {
	t.Helper()
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: w.url})
	check(t, err)
	shop, err := payments.NewShop(payments.ShopOptions{
		Documents: w.engine.Client, Prices: w.prices, Stripe: gateway, Now: w.now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	})
	check(t, err)
	k, err := topups.New(topups.Options{
		Documents: w.engine.Client, Wallets: w.ledger, Organisations: w.orgs, Till: shop, Publisher: w, Log: slog.New(slog.DiscardHandler), Now: w.now,
	})
	check(t, err)
	return k
}

// charges are the payments that Stripe has, by status.
func (w *world) charges(t *testing.T) map[string]int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/v1/payment_intents?limit=100", http.NoBody)
	check(t, err)
	req.Header.Set("Authorization", "Bearer sk_test_local")
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	defer res.Body.Close()
	var list struct {
		Data []struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	check(t, json.NewDecoder(res.Body).Decode(&list))
	out := map[string]int{}
	for _, pi := range list.Data {
		out[pi.Status]++
	}
	return out
}

func (w *world) wish(t *testing.T, most int64) {
	t.Helper()
	_, _, err := w.keeper(t).Wish(t.Context(), "acme", topups.Wish{Enabled: true, Threshold: 50, Package: "credits-100", MonthlyCap: most})
	check(t, err)
}

func (w *world) settings(t *testing.T) topups.Settings {
	t.Helper()
	s, _, err := w.keeper(t).Get(t.Context(), "acme")
	check(t, err)
	return s
}

func (w *world) run(t *testing.T, n int64, want topups.State) topups.Attempt {
	t.Helper()
	a, err := w.keeper(t).Run(t.Context(), "acme", n)
	if err != nil || a.State != want {
		t.Fatalf("attempt %d: %+v, %v, want %s", n, a, err, want)
	}
	return a
}

// addTax lets the catalogue add tax to prices.
func (w *world) addTax(t *testing.T) {
	t.Helper()
	seed, err := catalogue.Seed()
	check(t, err)
	doc := seed.Document()
	doc.Version++
	doc.Checkout.AutomaticTax = true
	next, err := catalogue.New(doc)
	check(t, err)
	w.prices = catalogue.NewStore(w.engine.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}) // as every process knows it by now
	check(t, w.prices.Publish(t.Context(), next, "operator"))
}

// TestAnAttemptThatIsCutOffAnywhereEndsOnce kills the process at each call of Firestore and of Stripe, before and after it takes effect.
func TestAnAttemptThatIsCutOffAnywhereEndsOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		card   stripestand.Card
		tax    bool
		state  topups.State
		status string
		spent  int64
		notice string
	}{
		{stripestand.CardVisa, false, topups.Made, "succeeded", price, "topup-made:acme:1"},
		{stripestand.CardVisa, true, topups.Made, "succeeded", price + tax, "topup-made:acme:1"},
		{stripestand.CardFailsLater, false, topups.Declined, "requires_payment_method", 0, "topup-declined:acme:1"},
	}
	const most = 60
	for _, tt := range tests {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tax=%t, after=%t", tt.state, tt.tax, after), func(t *testing.T) {
				t.Parallel()
				for point := 1; ; point++ {
					if point == most {
						t.Fatalf("no end after %d points", most)
					}
					w := newWorld(t, tt.card)
					if tt.tax {
						w.addTax(t)
					}
					w.wish(t, 100_000)
					died := w.cutOff(t, point, after)
					w.run(t, 1, tt.state)
					w.run(t, 1, tt.state)
					s := w.settings(t)
					if got := w.charges(t); got[tt.status] != 1 || len(got) != 1 || s.Spent != tt.spent || (s.Breaker != nil) != (tt.state == topups.Declined) {
						t.Fatalf("cut off at %d: %v, %+v", point, got, s)
					}
					if tt.tax != (w.taxes > 0) {
						t.Fatalf("cut off at %d: %d sales with tax were told", point, w.taxes)
					}
					if !slices.Equal(w.published, []string{tt.notice}) {
						t.Fatalf("cut off at %d: told %q", point, w.published)
					}
					if !died {
						return
					}
				}
			})
		}
	}
}

// cutOff runs attempt 1 in a process that dies at its n-th call, and reports whether it got that far.
func (w *world) cutOff(t *testing.T, n int, after bool) (died bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k, calls := w.keeper(t), 0
	w.after = after
	w.die = func() (bool, bool) {
		calls++
		if calls > n || calls == n && !after {
			cancel()
		}
		return calls == n, calls > n
	}
	dies, dead := false, false
	w.engine.Hooks.Set(
		firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied, After: after}, When: func(proto.Message) bool { dies, dead = w.dies(); return dies }},
		firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}, When: func(proto.Message) bool { return dead }},
	)
	if a, err := k.Run(ctx, "acme", 1); err == nil && calls >= n && !after {
		t.Fatalf("the process died at %d, and ended %+v", n, a)
	}
	w.engine.Hooks.Set()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.die = nil
	return calls >= n
}

func TestDeliveriesAtOnceChargeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.wish(t, 100_000)
	var wg sync.WaitGroup
	for range 16 {
		k := w.keeper(t)
		wg.Go(func() {
			for range 20 { // what passes is delivered again
				if a, err := k.Run(t.Context(), "acme", 1); err == nil {
					if a.State != topups.Made {
						t.Errorf("%+v", a)
					}
					return
				}
			}
			t.Error("never done")
		})
	}
	wg.Wait()
	if got := w.charges(t); got["succeeded"] != 1 || len(got) != 1 || w.settings(t).Spent != price {
		t.Errorf("%v, %+v", got, w.settings(t))
	}
}

func TestTaxIsChargedBesideThePriceAndCountsUnderTheCap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.addTax(t)
	w.wish(t, 2*(price+tax)-1)
	w.run(t, 1, topups.Made)
	w.run(t, 1, topups.Made)
	w.run(t, 2, topups.Capped)
	if got, s := w.charges(t), w.settings(t); got["succeeded"] != 1 || s.Spent != price+tax || w.taxes != 1 {
		t.Errorf("%v, %+v, %d sales with tax were told", got, s, w.taxes)
	}
	if w.purchase(t)["amount"] != int64(price) {
		t.Errorf("%v", w.purchase(t))
	}
}

func TestTheCapIsTheCalendarMonthsInTheOrganisationsZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.clock = time.Date(2026, 3, 31, 21, 59, 0, 0, time.UTC) // 23:59 in Johannesburg
	w.wish(t, 2*price)
	w.run(t, 1, topups.Made)
	w.run(t, 2, topups.Made)
	w.run(t, 3, topups.Capped)
	w.clock = w.clock.Add(2 * time.Minute)
	w.run(t, 4, topups.Made)
	w.run(t, 3, topups.Capped) // delivered again in another month
	if s := w.settings(t); s.Window != "2026-04" || s.Spent != price {
		t.Errorf("%+v", s)
	}
	if got := w.charges(t); got["succeeded"] != 3 {
		t.Errorf("%v", got)
	}
	if want := []string{"topup-made:acme:1", "topup-made:acme:2", "topup-capped:acme:2026-03", "topup-made:acme:4"}; !slices.Equal(w.published, want) {
		t.Errorf("told %q", w.published)
	}
}

func TestACapThatWasReachedResumesOnceWithTheMonth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.wish(t, price)
	w.run(t, 1, topups.Made)
	w.run(t, 2, topups.Capped)
	revision := w.settings(t).Revision
	resume := func(want int) {
		t.Helper()
		if n, err := w.keeper(t).Resume(t.Context()); err != nil || n != want {
			t.Errorf("at %v: armed %d, %v, want %d", w.clock, n, err, want)
		}
	}
	w.clock = time.Date(2026, 3, 31, 21, 59, 59, 0, time.UTC) // 23:59:59 in Johannesburg
	resume(0)
	w.clock = w.clock.Add(time.Second)
	resume(1)
	resume(0)
	if s := w.settings(t); s.Revision != revision+1 || s.Resuming || !s.ResumeAt.IsZero() {
		t.Errorf("%+v", s)
	}
	w.run(t, 3, topups.Made)
	w.run(t, 4, topups.Capped)
	w.wish(t, 2*price) // other settings go on by themselves
	w.clock = w.clock.AddDate(0, 2, 0)
	resume(0)
}

func TestTheBreakerIsClosedByAnotherCardOrOtherSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardFailsLater)
	w.wish(t, 100_000)
	w.run(t, 1, topups.Declined)
	w.run(t, 2, topups.Off)
	failed := w.settings(t)
	check(t, w.keeper(t).CardSet(t.Context(), "acme", failed.Breaker.Card)) // told late of the card that failed
	if s := w.settings(t); s.Breaker == nil || s.Revision != failed.Revision {
		t.Errorf("the same card: %+v", s)
	}
	card := w.setCard(t, stripestand.CardVisa)
	for range 2 {
		check(t, w.keeper(t).CardSet(t.Context(), "acme", card))
		if s := w.settings(t); s.Breaker != nil || s.Revision != failed.Revision+1 {
			t.Errorf("another card: %+v", s)
		}
	}
	w.run(t, 3, topups.Made)
	w.setCard(t, stripestand.CardFailsLater)
	w.run(t, 4, topups.Declined)
	w.wish(t, 100_000) // the same wish again, by somebody who saw that it stopped
	if s := w.settings(t); s.Breaker != nil || s.Revision != failed.Revision+2 || s.Spent != price {
		t.Errorf("settings saved again: %+v", s)
	}
	check(t, w.keeper(t).CardSet(t.Context(), "globex", card)) // which wished nothing
}

func TestAnAttemptThatStripeMayHaveForgottenIsNotCharged(t *testing.T) {
	t.Parallel()
	for name, charged := range map[string]bool{"which it never saw": false, "which it charged, and nobody knows": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, stripestand.CardVisa)
			for point := 1; w.purchase(t) == nil || charged && len(w.charges(t)) == 0; point++ { // the process dies once that is done
				w = newWorld(t, stripestand.CardVisa)
				w.wish(t, price)
				w.cutOff(t, point, true)
			}
			w.clock = w.clock.Add(24 * time.Hour)
			if a := w.run(t, 1, topups.Declined); a.Code != "abandoned" || (len(w.charges(t)) == 0) == charged {
				t.Errorf("%+v, %v", a, w.charges(t))
			}
			if s := w.settings(t); s.Breaker == nil || s.Spent != price { // it may have been charged: the cap must not be left behind
				t.Errorf("%+v", s)
			}
			w.wish(t, price)
			w.run(t, 2, topups.Capped)
		})
	}
}

// purchase is the one that is recorded; nil for none.
func (w *world) purchase(t *testing.T) map[string]any {
	t.Helper()
	all, err := w.engine.Client.Collection("purchases").Documents(t.Context()).GetAll()
	check(t, err)
	if len(all) == 0 {
		return nil
	}
	return all[0].Data()
}

func TestWhatIsTooLateToAskButWasToldIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.wish(t, 100_000)
	for point := 1; len(w.charges(t)) == 0; point++ {
		w.cutOff(t, point, true)
	}
	reference, ok := w.purchase(t)["reference"].(string)
	if !ok {
		t.Fatal("no purchase")
	}
	_, err := w.engine.Client.Collection("purchases").Doc(reference).Update(t.Context(), []firestore.Update{{Path: "status", Value: payments.Paid}}) // Stripe's event came
	check(t, err)
	w.clock = w.clock.Add(24 * time.Hour)
	w.run(t, 1, topups.Made)
	if s := w.settings(t); s.Breaker != nil || s.Spent != price {
		t.Errorf("%+v", s)
	}
}

func TestAPackageThatIsSoldNoMoreStopsTopUpsAndIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.wish(t, 100_000)
	for point := 1; len(w.charges(t)) == 0; point++ {
		w.cutOff(t, point, true)
	}
	seed, err := catalogue.Seed()
	check(t, err)
	doc := seed.Document()
	doc.Version++
	doc.Packages = slices.DeleteFunc(doc.Packages, func(p catalogue.Package) bool { return p.ID == "credits-100" })
	next, err := catalogue.New(doc)
	check(t, err)
	w.prices = catalogue.NewStore(w.engine.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}) // as every process knows it by now
	check(t, w.prices.Publish(t.Context(), next, "operator"))
	w.run(t, 1, topups.Made) // what was begun is ended
	for range 2 {
		if a := w.run(t, 2, topups.Declined); a.Code != "not_sold" {
			t.Errorf("%+v", a)
		}
	}
	check(t, w.keeper(t).CardSet(t.Context(), "acme", w.setCard(t, stripestand.CardVisa))) // another card does not help
	if s := w.settings(t); s.Breaker == nil || s.Spent != price {
		t.Errorf("%+v", s)
	}
	w.run(t, 3, topups.Off)
	if want := []string{"topup-made:acme:1", "topup-declined:acme:2"}; !slices.Equal(w.published, want) {
		t.Errorf("told %q", w.published)
	}
}

func TestACapInAnotherCurrencyStopsTopUps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.wish(t, 100_000)
	registrar, err := orgs.NewRegistrar(w.orgs, w.ledger, w.prices)
	check(t, err)
	_, _, err = registrar.Put(t.Context(), "acme", orgs.Profile{Name: "Acme", Country: "NL", Zone: "Europe/Amsterdam", OwnerEmail: "owner@acme.example"})
	check(t, err)
	if a := w.run(t, 1, topups.Declined); a.Code != "other_currency" || len(w.charges(t)) != 0 {
		t.Errorf("%+v, %v", a, w.charges(t))
	}
	w.wish(t, 100_000)
	w.run(t, 2, topups.Made)
}

// TestWhatFailsInAnotherCurrencyLeavesNoRoomUnderTheCap has a charge in rand end after the organisation pays in euro.
func TestWhatFailsInAnotherCurrencyLeavesNoRoomUnderTheCap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stripestand.CardVisa)
	w.wish(t, 100_000)
	w.die = func() (bool, bool) { return true, false } // Stripe does not answer
	if a, err := w.keeper(t).Run(t.Context(), "acme", 1); err == nil {
		t.Fatalf("without Stripe: %+v", a)
	}
	w.die = nil
	registrar, err := orgs.NewRegistrar(w.orgs, w.ledger, w.prices)
	check(t, err)
	_, _, err = registrar.Put(t.Context(), "acme", orgs.Profile{Name: "Acme", Country: "NL", Zone: "Africa/Johannesburg", OwnerEmail: "owner@acme.example"})
	check(t, err)
	w.wish(t, 100_000)
	w.run(t, 2, topups.Made)
	spent := w.settings(t).Spent
	w.setCard(t, stripestand.CardFailsLater)
	w.run(t, 1, topups.Declined)
	if s := w.settings(t); s.Spent != spent || s.Currency != "EUR" || spent == 0 {
		t.Errorf("%+v, of which %d were spent before", s, spent)
	}
}

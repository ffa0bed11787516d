package payments_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/payments"
)

// biller is a till that bills plans, and closes their cycles.
type biller struct {
	*till
	api    *client.API
	closer *payments.Closer
	told   *board
}

// board collects what is published.
type board struct {
	mu    sync.Mutex
	kinds map[credit.EventKind][]events.Credit // each id once
	ids   map[string]bool
}

// Publish implements payments.Publisher.
func (b *board) Publish(_ context.Context, messages []events.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		e, err := events.DecodeCredit(m.Data)
		if err != nil {
			return err
		}
		if !b.ids[e.ID] {
			b.ids[e.ID] = true
			b.kinds[e.Type] = append(b.kinds[e.Type], e)
		}
	}
	return nil
}

func (b *board) of(kind credit.EventKind) []events.Credit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kinds[kind])
}

// anchored is 31 January 2026, 10:00 UTC.
var anchored = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

// turn is 10:00 UTC on a day of 2026, as the periods anchored on 31 January turn.
func turn(month time.Month, day int) time.Time {
	return time.Date(2026, month, day, 10, 0, 0, 0, time.UTC)
}

func newBiller(t *testing.T) *biller {
	t.Helper()
	b := &biller{till: newTill(t), api: &client.API{}, told: &board{kinds: map[credit.EventKind][]events.Credit{}, ids: map[string]bool{}}}
	b.seconds.Store(anchored.Unix())
	b.sellPlans(t)
	b.api.Init("sk_test_local", &stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(b.stripe), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})})
	b.closer = must[*payments.Closer](t)(payments.NewCloser(b.receiver, b.ledger, b.told))
	return b
}

// sellPlans gives the stand-in the catalogue's plans.
func (b *biller) sellPlans(t *testing.T) {
	t.Helper()
	for _, p := range must[*catalogue.Catalogue](t)(catalogue.Seed()).Document().Plans {
		if err := b.stand.AddProduct(stripestand.Product{ID: p.ID, Name: p.Name}); err != nil {
			t.Fatal(err)
		}
		for currency, prices := range p.Prices {
			all := map[string]catalogue.RecurringPrice{"month": prices.Month}
			if prices.Year != nil {
				all["year"] = *prices.Year
			}
			for interval, price := range all {
				if err := b.stand.AddPrice(stripestand.Price{
					ID: price.StripePrice, Product: p.ID, Currency: strings.ToLower(string(currency)), UnitAmount: price.Amount, Interval: interval,
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// subscribed is an organisation with a plan.
type subscribed struct{ org, customer, id string }

func (b *biller) subscribe(t *testing.T, price string, card stripestand.Card, trialDays int64) subscribed {
	t.Helper()
	s := subscribed{org: fmt.Sprint("org-", b.orgs.Add(1))}
	zone := "Africa/Johannesburg"
	b.do(t, s.org, credit.Configure{Zone: &zone})
	s.customer = must[string](t)(b.stand.CreateCustomer(stripestand.NewCustomer{Name: s.org, Email: "ann@" + s.org + ".example", Card: card}))
	s.id = must[string](t)(b.stand.CreateSubscription(stripestand.Subscription{
		Customer: s.customer, Price: price, Metadata: map[string]string{"org_id": s.org}, TrialDays: trialDays,
	}))
	b.deliver(t)
	return s
}

// moveTo moves the clock: what is due at Stripe happens and is delivered at its own moment, and cycles are closed when they are due.
func (b *biller) moveTo(t *testing.T, to time.Time) {
	t.Helper()
	cycles := must[[]payments.DueCycle](t)(b.closer.Due(t.Context(), to, payments.DueCycle{}, 5000))
	for {
		stop := to
		if due, ok := b.stand.Due(); ok && due.Before(stop) {
			stop = due
		}
		if len(cycles) > 0 && cycles[0].At.Before(stop) {
			stop = cycles[0].At
		}
		if stop.After(b.now()) {
			b.seconds.Store(stop.Unix())
		}
		if err := b.stand.Run(t.Context(), stop); err != nil {
			t.Fatal(err)
		}
		b.deliver(t)
		for ; len(cycles) > 0 && !cycles[0].At.After(b.now()); cycles = cycles[1:] {
			if err := b.closer.Close(t.Context(), cycles[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		if !stop.Before(to) {
			break
		}
	}
	b.close(t)
}

// close closes the cycles that have begun and become due on the way.
func (b *biller) close(t *testing.T) {
	t.Helper()
	for _, c := range must[[]payments.DueCycle](t)(b.closer.Due(t.Context(), b.now(), payments.DueCycle{}, 5000)) {
		if err := b.closer.Close(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *biller) mode(t *testing.T, m stripestand.Mode) {
	t.Helper()
	if err := b.stand.WebhookMode(m); err != nil {
		t.Fatal(err)
	}
}

// changePrice changes the first item's price, as the portal does for a dearer plan.
func (b *biller) changePrice(t *testing.T, s subscribed, price string) {
	t.Helper()
	sub := must[*stripe.Subscription](t)(b.api.Subscriptions.Get(s.id, nil))
	must[*stripe.Subscription](t)(b.api.Subscriptions.Update(s.id, &stripe.SubscriptionParams{
		Items:             []*stripe.SubscriptionItemsParams{{ID: &sub.Items.Data[0].ID, Price: &price}},
		ProrationBehavior: stripe.String("always_invoice"),
	}))
	b.deliver(t)
}

// scheduleDowngrade lets a schedule change the price with the next period, as the portal does for a cheaper plan.
func (b *biller) scheduleDowngrade(t *testing.T, s subscribed, price string) {
	t.Helper()
	sub := must[*stripe.Subscription](t)(b.api.Subscriptions.Get(s.id, nil))
	schedule := must[*stripe.SubscriptionSchedule](t)(b.api.SubscriptionSchedules.New(&stripe.SubscriptionScheduleParams{FromSubscription: &s.id}))
	one := stripe.Int64(1)
	must[*stripe.SubscriptionSchedule](t)(b.api.SubscriptionSchedules.Update(schedule.ID, &stripe.SubscriptionScheduleParams{
		EndBehavior: stripe.String("release"),
		Phases: []*stripe.SubscriptionSchedulePhaseParams{
			{
				Items:     []*stripe.SubscriptionSchedulePhaseItemParams{{Price: &sub.Items.Data[0].Price.ID, Quantity: one}},
				StartDate: &sub.CurrentPeriodStart, EndDate: &sub.CurrentPeriodEnd,
			},
			{Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: &price, Quantity: one}}, Iterations: one},
		},
	}))
	b.deliver(t)
}

func (b *biller) update(t *testing.T, s subscribed, p stripe.SubscriptionParams) {
	t.Helper()
	must[*stripe.Subscription](t)(b.api.Subscriptions.Update(s.id, &p))
	b.deliver(t)
}

// born are the terms of an organisation's grants, the oldest first.
func (b *biller) born(t *testing.T, org string) (out []credit.Terms) {
	t.Helper()
	for _, e := range must[[]*credit.Entry](t)(b.ledger.Entries(t.Context(), org, time.Time{}, 1000)) {
		if e.Born != nil {
			out = append(out, *e.Born)
		}
	}
	slices.Reverse(out)
	return out
}

// wantCredits compares what can be drawn on, at a moment to which the clock is moved.
func (b *biller) wantCredits(t *testing.T, at time.Time, org string, want int64) {
	t.Helper()
	b.moveTo(t, at)
	b.wantWallet(t, at.Format(time.RFC3339), org, credit.Figures{Available: want})
}

// buy buys a thousand credits, and pays at once.
func (b *biller) buy(t *testing.T, org, key string) {
	t.Helper()
	started := must[payments.Started](t)(b.shop.StartPurchase(t.Context(), payments.Order{Org: org, Country: "ZA", Package: "credits-1000", Key: key}))
	if err := b.stand.PayCheckout(started.CheckoutURL[strings.LastIndex(started.CheckoutURL, "/")+1:]); err != nil {
		t.Fatal(err)
	}
	b.deliver(t)
}

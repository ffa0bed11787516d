package payments_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
)

func (b *biller) debit(t *testing.T, org, id string, credits int64) {
	t.Helper()
	b.do(t, org, credit.Debit{EventID: id, Credits: credits, Work: credit.Work{Feature: "custom-query"}})
}

func TestPeriodsAreThoseThatStripeStates(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	// At the very turn the old cycle's grace is spent, and the new one's credits are whole when they come.
	b.moveTo(t, turn(time.February, 28))
	b.debit(t, s.org, "at the turn", 120)
	b.wantCredits(t, turn(time.February, 28).Add(time.Minute), s.org, 380)
	b.wantCredits(t, turn(time.February, 28).Add(time.Hour), s.org, 500)
	b.wantCredits(t, turn(time.March, 31).Add(time.Hour), s.org, 500)
	want := []time.Time{turn(time.January, 31), turn(time.February, 28), turn(time.March, 31), turn(time.April, 30)}
	for i, g := range b.born(t, s.org) {
		if !g.EffectiveAt.Equal(want[i]) || !g.ExpiresAt.Equal(want[i+1]) || g.Granted != 500 {
			t.Errorf("cycle %d: %d from %v to %v", i, g.Granted, g.EffectiveAt, g.ExpiresAt)
		}
	}
	closed := b.told.of(events.CycleClosed)
	if len(closed) != 1 || closed[0].Cycle.Used != 120 || closed[0].Cycle.Expired != 380 || closed[0].Cycle.Granted != 500 || closed[0].OrgID != s.org {
		t.Errorf("the statements are %+v", closed)
	}
	b.moveTo(t, turn(time.March, 31).Add(2*time.Hour))
	if closed := b.told.of(events.CycleClosed); len(closed) != 2 || closed[1].Cycle.Expired != 500 || len(b.told.of(events.RenewalMissing)) != 0 {
		t.Errorf("the statements are %+v", closed)
	}
}

func TestNoDebitFailsWhileARenewalIsLate(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	other := must[string](t)(b.stand.CreateSubscription(stripestand.Subscription{
		Customer: s.customer, Price: "price_free_month_zar", Metadata: map[string]string{"org_id": s.org},
	}))
	b.deliver(t)
	b.do(t, s.org, credit.NewGrant{Key: credit.SystemKey("grant", "pi_bought"), Terms: credit.Terms{Source: credit.Purchase, Granted: 7, Payment: "pi_bought"}})
	end := turn(time.February, 28)
	b.mode(t, stripestand.ModeHold)
	b.moveTo(t, end.Add(70*time.Minute))
	b.debit(t, s.org, "in between", 550) // all of both cycles', and none of what was bought
	b.wantCredits(t, end.Add(70*time.Minute), s.org, 7)
	b.mode(t, stripestand.ModeDeliver)
	b.wantCredits(t, end.Add(70*time.Minute), s.org, 557)
	if other == s.id {
		t.Error("there is one subscription only")
	}
}

func TestOldCreditsGoTheMomentTheRenewalIsPaidAndNotByAnothersInvoice(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	end := turn(time.February, 28)
	b.moveTo(t, end.Add(20*time.Minute))
	must[string](t)(b.stand.CreateSubscription(stripestand.Subscription{ // another subscription
		Customer: s.customer, Price: "price_free_month_zar", Metadata: map[string]string{"org_id": s.org},
	}))
	b.wantCredits(t, end.Add(25*time.Minute), s.org, 550)
	b.changePrice(t, s, "price_growth_month_zar") // an upgrade, before the renewal is paid
	left := turn(time.March, 31).Sub(b.now())
	up := 1500 * int64(left/time.Second) / int64(turn(time.March, 31).Sub(end)/time.Second)
	b.wantCredits(t, end.Add(59*time.Minute), s.org, 550+up)
	b.wantCredits(t, end.Add(time.Hour), s.org, 550+up) // the old 500 are gone, the new period's are there
	if n := len(b.told.of(events.RenewalMissing)); n != 0 {
		t.Errorf("%d notices", n)
	}
}

func TestARenewalThatNeverComes(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	failing := must[*stripe.PaymentMethod](t)(b.api.PaymentMethods.Attach(string(stripestand.CardFailsLater), &stripe.PaymentMethodAttachParams{Customer: &s.customer}))
	b.update(t, s, stripe.SubscriptionParams{DefaultPaymentMethod: &failing.ID})
	end := turn(time.February, 28)
	b.wantCredits(t, end.Add(2*time.Hour-time.Second), s.org, 500)
	b.wantCredits(t, end.Add(2*time.Hour), s.org, 0)
	b.moveTo(t, end.AddDate(0, 0, 10))
	missing := b.told.of(events.RenewalMissing)
	if len(missing) != 1 || missing[0].Cycle.Plan != "Starter" || !missing[0].Cycle.End.Equal(end) {
		t.Fatalf("%d notices: %+v", len(missing), missing)
	}
	// Paid after all: the credits of the period that runs are there, and that cycle is closed in its turn.
	must[*stripe.Customer](t)(b.api.Customers.Get(s.customer, nil))
	good := must[*stripe.PaymentMethod](t)(b.api.PaymentMethods.Attach(string(stripestand.CardVisa), &stripe.PaymentMethodAttachParams{Customer: &s.customer}))
	b.update(t, s, stripe.SubscriptionParams{DefaultPaymentMethod: &good.ID})
	sub := must[*stripe.Subscription](t)(b.api.Subscriptions.Get(s.id, nil))
	if err := b.stand.PayInvoice(sub.LatestInvoice.ID); err != nil {
		t.Fatal(err)
	}
	b.deliver(t)
	b.wantCredits(t, end.AddDate(0, 0, 11), s.org, 500)
	b.moveTo(t, turn(time.March, 31).Add(3*time.Hour))
	if closed := b.told.of(events.CycleClosed); len(closed) != 2 || len(b.told.of(events.RenewalMissing)) != 1 {
		t.Errorf("%d statements, %d notices", len(closed), len(b.told.of(events.RenewalMissing)))
	}
}

func TestADowngradeCountsFromTheNextPeriod(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_growth_month_zar", stripestand.CardVisa, 0)
	end := turn(time.February, 28)
	b.moveTo(t, anchored.AddDate(0, 0, 10))
	b.scheduleDowngrade(t, s, "price_starter_month_zar")
	b.wantCredits(t, end.Add(time.Minute), s.org, 2000) // nothing changes, and the old credits have their grace
	b.wantCredits(t, end.Add(time.Hour), s.org, 500)    // the next invoice's: the old ones are gone at once, though the item is another
	items := b.born(t, s.org)
	if len(items) != 2 || items[0].Item == items[1].Item {
		t.Errorf("the grants are %+v", items)
	}
	b.wantCredits(t, turn(time.March, 31).Add(time.Hour), s.org, 500)
	if n := len(b.told.of(events.RenewalMissing)); n != 0 {
		t.Errorf("%d notices", n)
	}
}

func TestWhatWillNotRenewHasNoGrace(t *testing.T) {
	t.Parallel()
	end := turn(time.February, 28)
	cancelNow := func(t *testing.T, b *biller, s subscribed) {
		t.Helper()
		must[*stripe.Subscription](t)(b.api.Subscriptions.Cancel(s.id, nil))
		b.deliver(t)
	}
	atEnd := func(cancel bool) func(*testing.T, *biller, subscribed) {
		return func(t *testing.T, b *biller, s subscribed) {
			t.Helper()
			b.update(t, s, stripe.SubscriptionParams{CancelAtPeriodEnd: &cancel})
		}
	}
	pause := func(t *testing.T, b *biller, s subscribed) {
		t.Helper()
		b.update(t, s, stripe.SubscriptionParams{PauseCollection: &stripe.SubscriptionPauseCollectionParams{Behavior: stripe.String("void")}})
	}
	tests := []struct {
		name  string
		does  []func(*testing.T, *biller, subscribed)
		grace bool
	}{
		{"cancelled at the period's end", []func(*testing.T, *biller, subscribed){atEnd(true)}, false},
		{"cancelled now", []func(*testing.T, *biller, subscribed){cancelNow}, false},
		{"collection paused", []func(*testing.T, *biller, subscribed){pause}, false},
		{"reactivated", []func(*testing.T, *biller, subscribed){atEnd(true), atEnd(false)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBiller(t)
			s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
			b.moveTo(t, anchored.AddDate(0, 0, 5))
			for _, do := range tt.does {
				do(t, b, s)
			}
			b.wantCredits(t, end.Add(-time.Second), s.org, 500)
			after := int64(0)
			if tt.grace {
				after = 500
			}
			b.wantCredits(t, end, s.org, after)
			b.wantCredits(t, end.Add(time.Hour), s.org, after)
			b.moveTo(t, end.Add(5*time.Hour))
			if n := len(b.told.of(events.RenewalMissing)); n != 0 {
				t.Errorf("%d notices of a renewal that was not due", n)
			}
			if n := len(b.told.of(events.CycleClosed)); n != 1 {
				t.Errorf("%d statements", n)
			}
		})
	}
}

func TestPlansOfEachKind(t *testing.T) {
	t.Parallel()
	t.Run("a trial brings the plan's credits, and then its first paid period", func(t *testing.T) {
		t.Parallel()
		b := newBiller(t)
		s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 14)
		b.wantCredits(t, anchored.Add(time.Minute), s.org, 500)
		b.wantCredits(t, anchored.AddDate(0, 0, 14).Add(time.Hour), s.org, 500)
		if n := len(b.born(t, s.org)); n != 2 {
			t.Errorf("%d grants", n)
		}
	})
	t.Run("the free plan renews though nothing is due", func(t *testing.T) {
		t.Parallel()
		b := newBiller(t)
		s := b.subscribe(t, "price_free_month_zar", "", 0)
		b.wantCredits(t, turn(time.March, 31).Add(time.Hour), s.org, 50)
		if n := len(b.born(t, s.org)); n != 3 {
			t.Errorf("%d grants", n)
		}
	})
	t.Run("a year's credits come month by month, each closed", func(t *testing.T) {
		t.Parallel()
		b := newBiller(t)
		s := b.subscribe(t, "price_starter_year_zar", stripestand.CardVisa, 0)
		for m := range time.Month(10) {
			b.wantCredits(t, time.Date(2026, time.March+m, 15, 10, 0, 0, 0, time.UTC), s.org, 500)
		}
		if n := len(b.told.of(events.CycleClosed)); n != 10 || len(b.told.of(events.RenewalMissing)) != 0 {
			t.Errorf("%d statements, %d notices", n, len(b.told.of(events.RenewalMissing)))
		}
	})
	t.Run("several items bring each its own", func(t *testing.T) {
		t.Parallel()
		b := newBiller(t)
		s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
		b.update(t, s, stripe.SubscriptionParams{
			Items:             []*stripe.SubscriptionItemsParams{{Price: stripe.String("price_growth_month_zar"), Quantity: stripe.Int64(2)}},
			ProrationBehavior: stripe.String("none"),
		})
		b.wantCredits(t, turn(time.February, 28).Add(time.Hour), s.org, 4500)
		b.moveTo(t, turn(time.March, 31).Add(3*time.Hour))
		if closed := b.told.of(events.CycleClosed); len(closed) != 2 || closed[1].Cycle.Granted != 4500 || closed[1].Cycle.Expired != 4500 {
			t.Errorf("%+v", closed)
		}
	})
}

func TestEventsOfABillingLifeOutOfOrderAndTwice(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	b.mode(t, stripestand.ModeHold)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	b.moveTo(t, anchored.AddDate(0, 0, 7))
	b.changePrice(t, s, "price_growth_month_zar") // 21 of 28 days are left: 1,125 more
	end := turn(time.February, 28)
	b.moveTo(t, end.Add(90*time.Minute)) // renewed meanwhile; nothing of all this was told
	b.mode(t, stripestand.ModeShuffle)
	b.deliver(t)
	b.wantCredits(t, end.Add(90*time.Minute), s.org, 2000)
	if got := b.born(t, s.org); len(got) != 3 || got[0].Granted+got[1].Granted+got[2].Granted != 500+1125+2000 {
		t.Errorf("the grants are %+v", got)
	}
	b.mode(t, stripestand.ModeDuplicate)
	must[*stripe.Subscription](t)(b.api.Subscriptions.Cancel(s.id, nil))
	b.deliver(t)
	for _, e := range b.events(t) { // everything again, after the end
		if err := b.stand.Redeliver(t.Context(), e, 2); err != nil {
			t.Fatal(err)
		}
	}
	b.wantCredits(t, turn(time.March, 31).Add(-time.Second), s.org, 2000)
	b.wantCredits(t, turn(time.March, 31), s.org, 0)
	if n := len(b.born(t, s.org)); n != 3 {
		t.Errorf("%d grants", n)
	}
}

// events lists the ids of Stripe's events, the newest first.
func (b *biller) events(t *testing.T) (ids []string) {
	t.Helper()
	it := b.api.Events.List(&stripe.EventListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	for it.Next() {
		ids = append(ids, it.Event().ID)
	}
	if it.Err() != nil || len(ids) == 0 {
		t.Fatal(len(ids), it.Err())
	}
	return ids
}

func TestAStatementTellsWhatWasBought(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	for i, at := range []time.Duration{24 * time.Hour, 40 * 24 * time.Hour} { // in the first cycle and in the second
		b.moveTo(t, anchored.Add(at))
		b.buy(t, s.org, fmt.Sprint("key-", i))
	}
	b.moveTo(t, turn(time.April, 30).Add(3*time.Hour))
	closed := b.told.of(events.CycleClosed)
	if len(closed) != 3 || closed[0].Cycle.Bought != 1000 || closed[1].Cycle.Bought != 1000 || closed[2].Cycle.Bought != 0 {
		t.Errorf("%+v", closed)
	}
	b.wantCredits(t, turn(time.April, 30).Add(3*time.Hour), s.org, 2500)
}

package payments_test

import (
	"log/slog"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/payments"
)

func TestAPeriodThatWasCutShortIsFollowedByNone(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]stripestand.Mode{"told at once": stripestand.ModeDeliver, "told afterwards": stripestand.ModeShuffle} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBiller(t)
			if mode != stripestand.ModeDeliver {
				b.mode(t, stripestand.ModeHold)
			}
			s := b.subscribe(t, "price_free_month_zar", stripestand.CardVisa, 0)
			b.moveTo(t, anchored.AddDate(0, 0, 10))
			b.changePrice(t, s, "price_starter_month_zar") // Stripe begins a new period
			b.mode(t, mode)
			b.deliver(t)
			end := turn(time.February, 28) // of the free period, as people were shown it
			b.wantCredits(t, end.Add(-time.Second), s.org, 550)
			b.wantCredits(t, end, s.org, 500)
			b.moveTo(t, end.Add(3*time.Hour))
			closed := b.told.of(events.CycleClosed)
			if len(closed) != 1 || closed[0].Cycle.Plan != "Free" || closed[0].Cycle.Expired != 50 || len(b.told.of(events.RenewalMissing)) != 0 {
				t.Errorf("%+v", closed)
			}
		})
	}
}

func TestWhatEndsWithinItsGraceLosesIt(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	end := turn(time.February, 28)
	b.wantCredits(t, end.Add(20*time.Minute), s.org, 500) // the renewal is not paid yet
	must[*stripe.Subscription](t)(b.api.Subscriptions.Cancel(s.id, nil))
	b.deliver(t)
	b.wantCredits(t, end.Add(21*time.Minute), s.org, 0)
	b.moveTo(t, end.Add(3*time.Hour))
	if closed := b.told.of(events.CycleClosed); len(closed) != 1 || closed[0].Cycle.Expired != 500 || len(b.told.of(events.RenewalMissing)) != 0 {
		t.Errorf("%+v", closed)
	}
}

func TestAnInvoiceToldAgainUnderAnotherCatalogueStaysAsItWas(t *testing.T) {
	t.Parallel()
	b := newBiller(t)
	s := b.subscribe(t, "price_starter_month_zar", stripestand.CardVisa, 0)
	doc := must[*catalogue.Catalogue](t)(catalogue.Seed()).Document()
	doc.Version++
	for i := range doc.Plans {
		doc.Plans[i].CreditsPerCycle += 100
	}
	log := slog.New(slog.DiscardHandler)
	prices := catalogue.NewStore(b.engine.Client, log, catalogue.StoreOptions{})
	if err := prices.Publish(t.Context(), must[*catalogue.Catalogue](t)(catalogue.New(doc)), "operator"); err != nil {
		t.Fatal(err)
	}
	b.receiver = must[*payments.Receiver](t)(payments.NewReceiver(payments.ReceiverOptions{ // one that knows no other
		Documents: b.engine.Client, Ledger: b.ledger, Prices: prices, Now: b.now, Log: log,
		Stripe: must[*payments.Gateway](t)(payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: b.stripe})),
	}))
	for _, id := range b.events(t) {
		if err := b.stand.Redeliver(t.Context(), id, 1); err != nil {
			t.Fatal(err)
		}
	}
	b.wantCredits(t, anchored.Add(time.Hour), s.org, 500)
	for _, snapshot := range must[[]*firestore.DocumentSnapshot](t)(b.engine.Client.Collection("payments").Documents(t.Context()).GetAll()) {
		var p payments.Payment
		if err := snapshot.DataTo(&p); err != nil || len(p.Grants) != 1 || p.Grants[0].Credits != 500 {
			t.Errorf("%+v, %v", p.Grants, err)
		}
	}
	b.wantCredits(t, turn(time.February, 28).Add(time.Hour), s.org, 600)
}

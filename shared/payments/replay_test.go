package payments_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// toldCards keeps the cards that it was told of.
type toldCards []string

func (c *toldCards) CardSet(_ context.Context, org, card string) error {
	*c = append(*c, org+" "+card)
	return nil
}

// TestACardThatCouldNotBeReadIsToldOfByAReplay replays a customer.updated by its event, and by its customer once Stripe lists the event no more.
func TestACardThatCouldNotBeReadIsToldOfByAReplay(t *testing.T) {
	t.Parallel()
	for name, listed := range map[string]bool{"by its event": true, "by its customer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTill(t)
			var cards toldCards
			receiver := must[*payments.Receiver](t)(payments.NewReceiver(payments.ReceiverOptions{
				Documents: m.engine.Client, Ledger: m.ledger, Prices: m.prices, Now: m.now, Log: slog.New(slog.DiscardHandler), Cards: &cards,
				Stripe: must[*payments.Gateway](t)(payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: m.stripe})),
			}))
			customer := must[string](t)(m.stand.CreateCustomer(stripestand.NewCustomer{Metadata: map[string]string{"org_id": "acme"}, Card: stripestand.CardVisa}))
			event := "evt_gone"
			if listed {
				event = m.renamed(t, customer)
			}
			n := payments.Notice{ID: event, Type: "customer.updated", At: m.now(), Object: fmt.Appendf(nil, `{"id":%q,"metadata":7}`, customer)}
			if got, err := receiver.Receive(t.Context(), n); got != payments.Quarantined || err != nil {
				t.Fatalf("%s, %v", got, err)
			}
			m.advance(time.Minute)
			a, err := receiver.Replay(t.Context(), event, "operator")
			if err != nil || a.State != payments.AsideResolved {
				t.Errorf("%+v, %v", a, err)
			}
			if want := (toldCards{"acme " + m.card(t, customer)}); !slices.Equal(cards, want) {
				t.Errorf("told of were %v, want %v", cards, want)
			}
		})
	}
}

package payments_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/payments"
)

// BenchmarkReceive measures what one event costs the store: RPCs, reads and writes, those of the wallet among them.
func BenchmarkReceive(b *testing.B) {
	receivers := map[*engine.Engine]*payments.Receiver{}
	type events func(b *testing.B, e *engine.Engine, n int) payments.Notice
	paid := func(b *testing.B, e *engine.Engine, n int) payments.Notice {
		b.Helper()
		reference := payments.NewReference()
		if _, err := e.Client.Collection("purchases").Doc(reference).Set(b.Context(), map[string]any{
			"v": 1, "reference": reference, "org": "acme", "credits": 1000, "amount": 79900, "currency": "ZAR", "price_version": 1, "status": "created",
		}); err != nil {
			b.Fatal(err)
		}
		return notice(n, "checkout.session.completed", fmt.Sprintf(`{"id":"cs_%d","mode":"payment","payment_status":"paid","amount_total":79900,`+
			`"currency":"zar","payment_intent":"pi_%d","metadata":{"org_id":"acme","reference":"%s"}}`, n, n, reference))
	}
	invoice := func(_ *testing.B, _ *engine.Engine, n int) payments.Notice {
		return notice(n, "invoice.paid", fmt.Sprintf(`{"id":"in_%d","subscription":"sub_1","customer":"cus_1","payment_intent":"pi_%d","currency":"zar",`+
			`"amount_paid":39900,"subscription_details":{"metadata":{"org_id":"acme"}},"lines":{"data":[{"id":"il_%d","subscription_item":"si_%d",`+
			`"price":{"id":"price_starter_month_zar"},"currency":"zar","amount":39900,"quantity":1,"period":{"start":1772366400,"end":1775044800}}]}}`, n, n, n, n))
	}
	var first payments.Notice
	again := func(b *testing.B, e *engine.Engine, n int) payments.Notice {
		b.Helper()
		if n == 0 {
			first = paid(b, e, 0)
		}
		return first
	}
	refund := func(b *testing.B, e *engine.Engine, n int) payments.Notice {
		b.Helper()
		bought := paid(b, e, n)
		if outcome, err := receivers[e].Receive(b.Context(), bought); err != nil || outcome != payments.Credited {
			b.Fatal(outcome, err)
		}
		return notice(n+1_000_000, "charge.refunded", fmt.Sprintf(`{"id":"ch_%d","payment_intent":"pi_%d","amount":79900,"amount_refunded":100,"currency":"zar"}`, n, n))
	}
	var told payments.Notice
	refundAgain := func(b *testing.B, e *engine.Engine, n int) payments.Notice {
		b.Helper()
		if n == 0 {
			told = refund(b, e, 0)
		}
		return told
	}
	for _, bench := range []struct {
		name string
		next events
		want payments.Outcome
	}{
		{"purchase", paid, payments.Credited}, {"purchase again", again, payments.Credited}, {"invoice", invoice, payments.Credited},
		{"refund", refund, payments.Recorded}, {"refund again", refundAgain, payments.Recorded},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e, receiver := newReceiver(b)
			receivers[e] = receiver
			if _, err := receiver.Receive(b.Context(), bench.next(b, e, 0)); err != nil { // the catalogue is read, the wallet cached
				b.Fatal(err)
			}
			var rpcs, reads, writes int64
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				event := bench.next(b, e, n)
				e.Hooks.Reset()
				b.StartTimer()
				if outcome, err := receiver.Receive(b.Context(), event); err != nil || outcome != bench.want {
					b.Fatal(outcome, err)
				}
				b.StopTimer()
				counts := e.Hooks.Counts()
				for _, calls := range counts.RPCs {
					rpcs += calls
				}
				reads, writes = reads+counts.Reads, writes+counts.Writes
				b.StartTimer()
			}
			for unit, total := range map[string]int64{"rpcs/op": rpcs, "reads/op": reads, "writes/op": writes} {
				b.ReportMetric(float64(total)/float64(n), unit)
			}
		})
	}
}

func notice(n int, eventType, object string) payments.Notice {
	return payments.Notice{ID: fmt.Sprintf("evt_%d", n), Type: eventType, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Object: []byte(object)}
}

func newReceiver(b *testing.B) (*engine.Engine, *payments.Receiver) {
	b.Helper()
	e := engine.New(b)
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	zone := "UTC"
	if _, err := l.Do(b.Context(), "acme", credit.Configure{Zone: &zone}); err != nil {
		b.Fatal(err)
	}
	prices := catalogue.NewStore(e.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{Staleness: time.Hour})
	seed, err := catalogue.Seed()
	if err != nil {
		b.Fatal(err)
	}
	if err := prices.Seed(b.Context(), seed); err != nil {
		b.Fatal(err)
	}
	stripe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":"sub_1","status":"active","current_period_start":1772366400,"current_period_end":1775044800}`)
	}))
	b.Cleanup(stripe.Close)
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: stripe.URL})
	if err != nil {
		b.Fatal(err)
	}
	receiver, err := payments.NewReceiver(payments.ReceiverOptions{
		Documents: e.Client, Ledger: l, Prices: prices, Stripe: gateway, Now: now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return e, receiver
}

package reconcile

import (
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// BenchmarkRun measures what a run costs, in calls of the store and of Stripe: one that finds nothing new, with twenty purchases of the last
// quarter of an hour, and one that finds these twenty without their webhooks.
func BenchmarkRun(b *testing.B) {
	const purchases = 20
	for _, bench := range []struct {
		name    string
		webhook stripestand.Mode
	}{{"nothing new", stripestand.ModeDeliver}, {"20 purchases", stripestand.ModeDrop}} {
		b.Run(bench.name, func(b *testing.B) {
			var rpcs, reads, writes, asked, runs int64
			for b.Loop() {
				b.StopTimer()
				w := newWorld(b)
				check(b, w.stand.WebhookMode(bench.webhook))
				for range purchases {
					w.buy(b, "acme")
				}
				w.Advance(time.Minute)
				walk := payments.NewReconciler(w.receiver)
				w.Hooks.Reset()
				w.requests.Store(0)
				b.StartTimer()
				if _, err := walk.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				counts := w.Hooks.Counts()
				for _, calls := range counts.RPCs {
					rpcs += calls
				}
				runs, reads, writes, asked = runs+1, reads+counts.Reads, writes+counts.Writes, asked+w.requests.Load()
				w.wantCredits(b, "acme", 1000*purchases)
				b.StartTimer()
			}
			for unit, total := range map[string]int64{"rpcs/op": rpcs, "reads/op": reads, "writes/op": writes, "stripe-calls/op": asked} {
				b.ReportMetric(float64(total)/float64(runs), unit)
			}
		})
	}
}

package usage

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/events"
)

// benchBurst is how many events one operation is.
const benchBurst = 5_000

// BenchmarkUsage measures events from 64 publishers, each waiting for the answer to one publish before its next, until all are booked: over
// TCP, signed and verified, priced, committed. Each wallet gets its share.
func BenchmarkUsage(b *testing.B) {
	for _, wallets := range []int{1, 100} {
		b.Run(fmt.Sprintf("wallets-%d", wallets), func(b *testing.B) {
			c := cloudtest.New(b)
			c.Catalogue(b)
			l := c.Ledger(b, nil)
			for i := range wallets {
				c.Fund(b, l, fmt.Sprint("org-", i), 1_000_000_000)
			}
			c.Start(b, "usage", nil)
			p := c.Messages.Publisher(events.Usage)
			p.PublishSettings.CountThreshold = 1
			defer p.Stop()
			c.Hooks.Reset()
			var took time.Duration
			burst := 0
			for b.Loop() {
				burst++
				began := time.Now()
				publishBurst(b, p, burst, wallets)
				c.Quiet(b)
				took += time.Since(began)
			}
			b.ReportMetric(float64(burst*benchBurst)/took.Seconds(), "events/s")
			b.ReportMetric(float64(c.Hooks.Counts().RPCs["Commit"])/float64(burst*benchBurst), "commits/event")
			b.ReportMetric(float64(c.Hooks.Counts().Reads)/float64(burst*benchBurst), "reads/event")
			var spent int64
			for i := range wallets {
				w, err := l.View(b.Context(), fmt.Sprint("org-", i))
				if err != nil {
					b.Fatal(err)
				}
				spent += 1_000_000_000 - w.Available
			}
			if want := int64(burst*benchBurst) * 15; spent != want {
				b.Errorf("%d credits spent, want %d", spent, want)
			}
		})
	}
}

func publishBurst(b *testing.B, p *pubsub.Publisher, burst, wallets int) {
	b.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range 64 {
		all.Go(func() {
			for i := range next {
				data := fmt.Sprintf(`{"event_id":"e-%d-%d","org_id":"org-%d","feature":"pricing-recommendation"}`, burst, i, i%wallets)
				if _, err := p.Publish(context.WithoutCancel(b.Context()), &pubsub.Message{Data: []byte(data)}).Get(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range benchBurst {
		next <- i
	}
	close(next)
	all.Wait()
}

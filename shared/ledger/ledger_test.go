package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// clock is a test's time.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.Set(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) Set(t time.Time)         { c.micros.Store(t.UnixMicro()) }
func (c *clock) Advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

func open(t testing.TB) (*ledger.Ledger, *firedb.Hooks, *clock) {
	t.Helper()
	hooks := &firedb.Hooks{}
	s, err := firedb.Open(firedb.Options{Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	client, err := firestore.NewClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); s.Close() })
	c := newClock()
	l, err := ledger.New(client, "projects/p/databases/(default)", ledger.Options{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return l, hooks, c
}

func ptr[T any](v T) *T { return &v }

func fund(t testing.TB, l *ledger.Ledger, org string, n int64) {
	t.Helper()
	if _, err := l.Do(t.Context(), org, credit.Configure{Zone: ptr("Africa/Johannesburg")}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Do(t.Context(), org, credit.NewGrant{Key: credit.SystemKey("grant", "pi_"+org), Terms: credit.Terms{Source: credit.Purchase, Granted: n}}); err != nil {
		t.Fatal(err)
	}
}

func debit(id string, n int64) credit.Debit {
	return credit.Debit{EventID: id, Credits: n, Content: credit.Content{Kind: credit.KindDebit, Credits: &n, Feature: "custom-query"}, Work: credit.Work{Feature: "custom-query"}}
}

func TestParallelDebitsNeverOverspend(t *testing.T) {
	t.Parallel()
	l, _, _ := open(t)
	fund(t, l, "acme", 1000)
	var ok, no atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, err := l.Do(t.Context(), "acme", debit(fmt.Sprint("e", i), 20))
			var r *credit.Refusal
			switch {
			case err == nil:
				ok.Add(1)
			case errors.As(err, &r) && r.Code() == credit.CodeInsufficient:
				no.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 50 || no.Load() != 50 {
		t.Errorf("%d passed and %d were refused", ok.Load(), no.Load())
	}
	if err := l.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func BenchmarkHot(b *testing.B) {
	l, hooks, _ := open(b)
	fund(b, l, "hot", credit.MaxCredits)
	hooks.Reset()
	var n atomic.Int64
	b.SetParallelism(128)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := l.Do(context.Background(), "hot", debit(fmt.Sprint(n.Add(1)), 1)); err != nil {
				b.Error(err)
			}
		}
	})
	c := hooks.Counts()
	b.ReportMetric(float64(c.Writes)/float64(b.N), "writes/op")
	b.ReportMetric(float64(c.Reads)/float64(b.N), "reads/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "debits/s")
}

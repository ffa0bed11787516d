package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	high "cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// BenchmarkDebit counts what a debit costs on one wallet, with 5 ms added to every RPC, beside the naive way: a transaction per debit that
// reads the event and the wallet and writes event, wallet and roll-up.
func BenchmarkDebit(b *testing.B) {
	b.Run("lone-warm", func(b *testing.B) { benchmarkLedger(b, 1, false) })
	b.Run("lone-cold", func(b *testing.B) { benchmarkLedger(b, 1, true) })
	for _, callers := range []int{16, 64, 256, 1024} {
		b.Run(fmt.Sprint(callers, "-callers"), func(b *testing.B) { benchmarkLedger(b, callers, false) })
	}
	b.Run("naive-1-caller", func(b *testing.B) { benchmarkNaive(b, 1) })
	b.Run("naive-64-callers", func(b *testing.B) { benchmarkNaive(b, 64) })
}

func benchmarkLedger(b *testing.B, callers int, cold bool) {
	db := openStore(b)
	l := db.ledger(b, ledger.Options{})
	fund(b, l, "acme", credit.MaxCredits)
	measure(b, db, callers, func(id string) error {
		if cold {
			l = db.ledger(b, ledger.Options{})
		}
		_, err := l.Do(context.Background(), "acme", debit(id, 1))
		return err
	})
}

func benchmarkNaive(b *testing.B, callers int) {
	db := openStore(b)
	client := db.Client
	wallet := client.Doc("naive/acme")
	if _, err := wallet.Set(b.Context(), map[string]any{"available": credit.MaxCredits}); err != nil {
		b.Fatal(err)
	}
	measure(b, db, callers, func(id string) error {
		return client.RunTransaction(context.Background(), func(_ context.Context, tx *high.Transaction) error {
			event := wallet.Collection("entries").Doc(id)
			docs, err := tx.GetAll([]*high.DocumentRef{wallet, event})
			if err != nil {
				return err
			}
			if docs[1].Exists() {
				return status.Error(codes.AlreadyExists, id)
			}
			available, err := docs[0].DataAt("available")
			if err != nil {
				return err
			}
			left := available.(int64) - 1
			if err := tx.Create(event, map[string]any{"credits": 1, "after": left, "at": time.Now()}); err != nil {
				return err
			}
			if err := tx.Set(wallet, map[string]any{"available": left}); err != nil {
				return err
			}
			return tx.Set(wallet.Collection("usage").Doc("day"), map[string]any{"custom-query": high.Increment(1)}, high.MergeAll)
		}, high.MaxAttempts(1000))
	})
}

// measure runs debits through a closed loop of callers and reports what each cost.
func measure(b *testing.B, db *testStore, callers int, do func(id string) error) {
	b.Helper()
	db.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Delay: 5 * time.Millisecond}})
	db.Hooks.Reset()
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if do(fmt.Sprintf("event-%d", n)) != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	c := db.Hooks.Counts()
	var rpcs int64
	for _, n := range c.RPCs {
		rpcs += n
	}
	if failed.Load() > 0 {
		b.Errorf("%d debits failed", failed.Load())
	}
	per := func(n int64, unit string) { b.ReportMetric(float64(n)/float64(b.N), unit+"/debit") }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "debits/s")
	b.ReportMetric(0, "ns/op")
	per(rpcs, "RPCs")
	per(c.Reads, "reads")
	per(c.Writes+c.Deletes, "writes")
}

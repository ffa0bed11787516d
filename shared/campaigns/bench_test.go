package campaigns_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/payments"
)

// BenchmarkGive measures what each of the package's ways costs the store: RPCs, reads and writes, those of wallets among them.
func BenchmarkGive(b *testing.B) {
	ready := func(b *testing.B) *office {
		b.Helper()
		o := newOffice(b)
		o.open(b, "acme")
		o.promote(b, "WELCOME", func(t *campaigns.Terms) { t.TotalMax, t.PerOrgMax = 10_000_000, 1000 })
		return o
	}
	type way struct {
		name string
		// prepare does what is not measured and returns what is.
		prepare func(b *testing.B, o *office, n int) func() error
	}
	buyer := func(b *testing.B, o *office, n int, referred bool) payments.PaidPurchase {
		b.Helper()
		org := fmt.Sprint("org-", n)
		o.open(b, org)
		if referred {
			code, err := o.Referral(b.Context(), "acme")
			check(b, err)
			_, err = o.Claim(b.Context(), campaigns.Request{Org: org, By: org, Code: code.Code, Key: "k"})
			check(b, err)
			o.micros.Add(31 * 24 * 3600 * 1e6) // the next month, whose cap is whole
		}
		return o.purchase(b, org, fmt.Sprint("CR-", n))
	}
	for _, w := range []way{
		{"redeem", func(b *testing.B, o *office, n int) func() error {
			b.Helper()
			org := fmt.Sprint("org-", n)
			o.open(b, org)
			return func() error { _, err := o.redeem(b.Context(), org, "WELCOME", "k"); return err }
		}},
		{"redeem again", func(b *testing.B, o *office, _ int) func() error {
			b.Helper()
			redeem := func() error { _, err := o.redeem(b.Context(), "acme", "WELCOME", "k"); return err }
			check(b, redeem())
			return redeem
		}},
		{"guess", func(b *testing.B, o *office, n int) func() error {
			b.Helper()
			org := fmt.Sprint("org-", n)
			o.open(b, org)
			return func() error {
				if _, err := o.redeem(b.Context(), org, "NEVER-WAS", "k"); err == nil {
					return errors.New("a code that never was is good")
				}
				return nil
			}
		}},
		{"first purchase", func(b *testing.B, o *office, n int) func() error {
			b.Helper()
			p := buyer(b, o, n, false)
			return func() error { _, err := o.PurchasePaid(b.Context(), p); return err }
		}},
		{"first purchase of a referral", func(b *testing.B, o *office, n int) func() error {
			b.Helper()
			p := buyer(b, o, n, true)
			return func() error { _, err := o.PurchasePaid(b.Context(), p); return err }
		}},
		{"later purchase", func(b *testing.B, o *office, n int) func() error {
			b.Helper()
			p := buyer(b, o, n, false)
			_, err := o.PurchasePaid(b.Context(), p)
			check(b, err)
			p.Reference = "CR-LATER"
			return func() error { _, err := o.PurchasePaid(b.Context(), p); return err }
		}},
	} {
		b.Run(w.name, func(b *testing.B) {
			o := ready(b)
			var rpcs, reads, writes int64
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				do := w.prepare(b, o, n)
				o.engine.Hooks.Reset()
				b.StartTimer()
				if err := do(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				counts := o.engine.Hooks.Counts()
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

package credit_test

import (
	"fmt"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

// BenchmarkDebit decides debits of one credit, one after another, on wallets of different sizes: what a commit path pays per item.
func BenchmarkDebit(b *testing.B) {
	for _, grants := range []int{5, credit.MaxLive, 5000} {
		b.Run(fmt.Sprint(grants, " grants"), func(b *testing.B) {
			s := sized(b, grants)
			c, now := debit("e", 1), hour(1)
			b.ReportAllocs()
			for b.Loop() {
				next, _, err := credit.Decide(s, c, now)
				if err != nil {
					b.Fatal(err)
				}
				s = next
			}
		})
	}
}

// BenchmarkLimitedDebit decides batches of 256 debits for 2,000 users in turn, with all three limits, as on a busy wallet.
func BenchmarkLimitedDebit(b *testing.B) {
	const users, batch = 2000, 256
	s := sized(b, 5)
	for _, c := range []credit.Command{limit(company, credit.MaxCredits), limit(sales, credit.MaxCredits), eachUser(credit.MaxCredits)} {
		s.LoadUsage("2026-03", nil)
		next, _, err := credit.Decide(s, c, hour(1))
		if err != nil {
			b.Fatal(err)
		}
		s = next
	}
	var commands []credit.Command
	for i := range users {
		commands = append(commands, by("sales", fmt.Sprint("user-", i), debit(fmt.Sprint("e", i), 1)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		next, _, err := credit.Decide(s, commands[i%users], hour(1))
		if err != nil {
			b.Fatal(err)
		}
		if s = next; i%batch == batch-1 {
			s = s.Forget()
		}
	}
}

// BenchmarkPurchase decides purchases on wallets of different sizes, each on the same state.
func BenchmarkPurchase(b *testing.B) {
	for _, grants := range []int{5, credit.MaxLive, 5000} {
		b.Run(fmt.Sprint(grants, " grants"), func(b *testing.B) {
			s := sized(b, grants)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := credit.Decide(s, buy("new", 1), hour(1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHold decides the placing of a hold, and its capture, each on the same state.
func BenchmarkHold(b *testing.B) {
	for _, grants := range []int{5, credit.MaxLive, 5000} {
		b.Run(fmt.Sprint(grants, " grants"), func(b *testing.B) {
			s := sized(b, grants)
			b.ReportAllocs()
			for b.Loop() {
				next, _, err := credit.Decide(s, hold("h", 10, 2), hour(1))
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := credit.Decide(next, capture("h", 8), hour(1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sized is a wallet with so many grants, as it is after a commit.
func sized(b *testing.B, grants int) *credit.State {
	b.Helper()
	bank := newBank(b)
	many(bank, grants, func(i int) credit.NewGrant { return buy(fmt.Sprint("p", i), credit.MaxCredits) })
	return bank.state
}

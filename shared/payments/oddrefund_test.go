package payments_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/needs"
)

// TestARefundWhoseKeyStripeForgotIsMadeOnce has a process die right after Stripe took the refund, or hear no answer, and nobody look at it until
// Stripe has forgotten its key: the same request would be another refund then.
func TestARefundWhoseKeyStripeForgotIsMadeOnce(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	for _, lost := range []string{"the process", "the answer"} {
		for _, ending := range []string{"swept", "repeated", "another order"} {
			s := m.sell(t)
			m.spend(t, s.org, 700)
			first := m.process(t, 0, false)
			if lost == "the process" {
				first.diesOf = "POST /v1/refunds"
			} else {
				first.losesAnswers = true
			}
			if _, err := first.Refund(first.ctx, s.refund("k")); err == nil {
				t.Errorf("%s: the refund is answered", lost)
			}
			if got := m.refunds(t, s); !slices.Equal(got, []int64{23970}) {
				t.Fatalf("%s: Stripe refunded %v", lost, got)
			}
			m.advance(48 * time.Hour)
			what := lost + " lost, then " + ending
			next := m.process(t, 0, false)
			if ending == "another order" {
				if _, err := next.Refund(t.Context(), s.refund("another")); reason(err) != "nothing_left" {
					t.Errorf("%s: %v", what, err)
				}
			}
			m.endRefund(t, what, s, ending == "swept")
			if calls := strings.Join(next.calls, "\n"); strings.Contains(calls, "POST /v1/refunds") {
				t.Errorf("%s: Stripe was asked for it again:\n%s", what, calls)
			}
		}
	}
}

// TestRefundsOfOddCentsComeToTheRuleOfTheDesign mixes refunds of ours with those of Stripe's dashboard and a dispute, in odd amounts, with some
// credits spent and some held: what is left follows from their sum alone, and Stripe never gives back more than was paid.
func TestRefundsOfOddCentsComeToTheRuleOfTheDesign(t *testing.T) {
	t.Parallel()
	const paid, granted = 79900, 1000
	m := newTill(t)
	p := m.process(t, 0, false)
	histories := uint64(20)
	if needs.Thorough() {
		histories = 300
	}
	for seed := range histories {
		draw := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same each time
		s := m.sell(t)
		spent := draw.Int64N(granted + 1)
		if spent > 0 {
			m.spend(t, s.org, spent)
		}
		held := draw.Int64N(granted - spent + 1)
		if held > 0 {
			m.do(t, s.org, credit.PlaceHold{EventID: "h", Credits: held, Work: credit.Work{Feature: "custom-query"}, TTL: time.Hour})
		}
		returned := int64(0)
		for i := range 1 + draw.IntN(4) {
			m.advance(time.Second)
			amount := 1 + draw.Int64N(paid)
			if draw.IntN(2) == 0 {
				o := s.refund(fmt.Sprint("k", i))
				o.Amount = amount
				r, err := p.Refund(t.Context(), o)
				if err == nil {
					returned += r.Amount
				} else if !slices.Contains([]string{"amount", "nothing_left"}, reason(err)) {
					t.Fatal(err)
				}
			} else if amount = min(amount, paid-returned); amount > 0 {
				if _, err := m.stand.RefundPayment(s.payment, amount); err != nil {
					t.Fatal(err)
				}
				returned += amount
			}
			m.deliver(t)
		}
		if draw.IntN(2) == 0 {
			m.advance(time.Second)
			amount := 1 + draw.Int64N(paid+5000)
			if _, err := m.stand.OpenDispute(s.payment, stripestand.Dispute{Amount: amount}); err != nil {
				t.Fatal(err)
			}
			m.deliver(t)
			m.advance(time.Second)
			if err := m.stand.CloseDispute(s.payment, false); err != nil {
				t.Fatal(err)
			}
			m.deliver(t)
			returned += amount
		}
		back := min(granted, returned*granted/paid)
		left := granted - spent - held - back
		m.wantWallet(t, fmt.Sprintf("seed %d: %d spent, %d held, %d of %d returned", seed, spent, held, returned, paid), s.org,
			credit.Figures{Available: max(left, 0), Held: held, Debt: max(-left, 0)})
		sum := int64(0)
		for _, amount := range m.refunds(t, s) {
			sum += amount
		}
		if sum > paid {
			t.Fatalf("Stripe refunded %d of %d", sum, paid)
		}
	}
}

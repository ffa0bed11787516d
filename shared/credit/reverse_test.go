package credit_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestReversal(t *testing.T) {
	t.Parallel()
	c := credit.GrantID(credit.SystemKey("promotion", "c"))
	tell(t, []story{
		{name: "gives back what was taken", do: []any{buy("p", 100), debit("e", 60), reverse("r", "e", 0)}, available: 100},
		{name: "of a part gives that back", do: []any{buy("p", 100), debit("e", 60), reverse("r", "e", 10)}, available: 50},
		{name: "refills its grants in reverse", do: []any{promote("c", 50, 9), buy("p", 100), debit("e", 60), reverse("r", "e", 20)}, available: 110,
			free: map[string]int64{c: 10, paidBy("p"): 100}},
		{name: "cancels standing debt first", do: []any{buy("p", 60), usage("e", 100), reverse("r", "e", 30)}, debt: 10},
		{name: "cancels no more debt than the debit's own, and the rest repays", do: []any{buy("p", 60), usage("e", 100), usage("f", 50), reverse("r", "e", 0)}, debt: 0, available: 10,
			entries: map[credit.Kind]int{credit.KindRepayment: 1}},
		{name: "gives repaid debt back as an adjustment", do: []any{buy("p", 60), usage("e", 100), buy("q", 40), reverse("r", "e", 0)}, available: 100,
			free: map[string]int64{paidBy("p"): 60, paidBy("q"): 0, credit.GrantID(credit.CallerKey("r")): 40}},
		{name: "of debt repaid in part cancels the rest", do: []any{usage("e", 100), buy("q", 70), reverse("r", "e", 0)}, available: 70},
		{name: "lapses what goes to a grant whose time has passed", until: 9, available: 60, entries: map[credit.Kind]int{credit.KindExpiry: 1},
			do: []any{promote("c", 50, 5), buy("p", 60), debit("e", 110), at{9, reverse("r", "e", 0)}}},
		{name: "of debt over three grants and an expiry", until: 9, available: 30 + 20 + 5, debt: 0, entries: map[credit.Kind]int{credit.KindExpiry: 1},
			do: []any{promote("c", 10, 5), promote("d", 20, 20), buy("p", 30), usage("e", 75), at{9, buy("q", 5)}, reverse("r", "e", 0)}},
		{name: "is refused beyond the debit", do: []any{buy("p", 100), debit("e", 60), reverse("r", "e", 50), refused{credit.CodeInvalid, reverse("s", "e", 11)}}, available: 90},
		{name: "is refused when nothing is left", do: []any{buy("p", 100), debit("e", 60), reverse("r", "e", 0), refused{credit.CodeInvalid, reverse("s", "e", 0)}}, available: 100},
		{name: "of no debit is refused", do: []any{buy("p", 100), adjust("a", -10), refused{credit.CodeNotFound, reverse("r", "x", 0)}, refused{credit.CodeNotFound, reverse("s", "a", 0)}}, available: 90},
		{name: "into a frozen grant stays frozen", do: []any{buy("p", 100), debit("e", 60), freeze("p", true), reverse("r", "e", 0)}, available: 0,
			free: map[string]int64{paidBy("p"): 100}},
	})
}

func TestReversalIsBookedForTheWorkItUndoes(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 10), day)
	work := credit.Work{User: "u", Team: "t", Feature: "bulk-pricing", PriceVersion: 7}
	b.must(credit.Debit{EventID: "e", Credits: 10, Work: work}, day)
	e := b.must(reverse("r", "e", 4), day).Entries[0]
	if e.Work != work || e.Subject != "e" || e.Credits != 4 || e.Key != credit.CallerKey("r") {
		t.Errorf("the reversal is %+v", e)
	}
}

func TestADebitLoadedAgainIsNotReversedTwice(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 10), day)
	b.must(debit("e", 10), day)
	b.commit(true)
	asStored := b.debit("e")
	b.must(reverse("r", "e", 8), day)
	b.state.LoadDebit("e", asStored)
	wantRefusal(t, b, refused{credit.CodeInvalid, reverse("s", "e", 3)}, day)
}

// However a debit is reversed in parts, with nothing between them, all parts end as the whole does.
func TestPartialReversalsEndAsTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(low, high int64, label string) int64 { return rapid.Int64Range(low, high).Draw(rt, label) }
		soon, paid, spent, repaid := draw(1, 50, "soon"), draw(1, 50, "paid"), draw(1, 150, "spent"), draw(0, 60, "repaid")
		when := int(draw(0, 9, "hour"))
		story := func() *bank {
			b := newBank(rt)
			b.must(promote("c", soon, 5), day)
			b.must(buy("p", paid), day)
			b.must(usage("e", spent), day)
			if repaid > 0 {
				b.must(buy("q", repaid), day)
			}
			return b
		}
		whole, parts := story(), story()
		whole.must(reverse("r", "e", 0), hour(when))
		whole.commit(true)
		for left, i := spent, 0; left > 0; i++ {
			n := draw(1, left, "part")
			parts.must(reverse(fmt.Sprint("r", i), "e", n), hour(when))
			if rapid.Bool().Draw(rt, "commit") {
				parts.commit(true)
			}
			left -= n
		}
		parts.commit(true)
		if whole.wallet.Figures != parts.wallet.Figures {
			rt.Fatalf("reversed at once: %+v; in parts: %+v", whole.wallet.Figures, parts.wallet.Figures)
		}
		for _, id := range []string{paidBy("p"), paidBy("q"), credit.GrantID(credit.SystemKey("promotion", "c"))} {
			if w, p := whole.free()[id], parts.free()[id]; w != p {
				rt.Fatalf("reversed at once, grant %s has %d free credits; in parts, %d", id, w, p)
			}
		}
	})
}

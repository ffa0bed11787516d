package credit_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

// setAside is a set-aside for so much of a hundred.
func setAside(payment string, returned int64) credit.SetAside {
	return credit.SetAside{Key: credit.SystemKey("refund", payment, "1"), ClawBack: refund(payment, returned)}
}

func TestSettingAside(t *testing.T) {
	t.Parallel()
	bonus := func(n int64, end int) credit.NewGrant { return linked(promote("b", n, end), "p") }
	later := buy("p", 1000)
	later.Terms.EffectiveAt = hour(5)
	tell(t, []story{
		{name: "takes no bonus's share of a purchase that has not begun", available: 901, until: 6, entries: map[credit.Kind]int{credit.KindClawback: 2},
			do: []any{later, bonus(100, 9), debit("e", 100), refused{credit.CodeInsufficient, setAside("p", 10)}, at{6, setAside("p", 9)}}},
		{name: "takes the purchase's own", do: []any{buy("p", 1000), setAside("p", 40)}, available: 600, entries: map[credit.Kind]int{credit.KindClawback: 1}},
		{name: "a second time changes nothing", do: []any{buy("p", 1000), setAside("p", 40), setAside("p", 40)}, available: 600, entries: map[credit.Kind]int{credit.KindClawback: 1}},
		{name: "is given back by a lower target", do: []any{buy("p", 1000), setAside("p", 40), refund("p", 0)}, available: 1000},
		{name: "is what the refund's clawback would be", do: []any{buy("p", 1000), setAside("p", 40), refund("p", 40)}, available: 600, entries: map[credit.Kind]int{credit.KindClawback: 1}},
		{name: "gives nothing back", do: []any{buy("p", 1000), refund("p", 50), setAside("p", 40)}, available: 500},
		{name: "never takes from others", available: 1300, do: []any{buy("p", 1000), debit("e", 700), buy("q", 1000), refused{credit.CodeInsufficient, setAside("p", 40)}}},
		{name: "takes no held credits", available: 700, held: 300, do: []any{buy("p", 1000), hold("h", 300, 1), refused{credit.CodeInsufficient, setAside("p", 71)}}},
		{name: "takes none of a frozen purchase", do: []any{buy("p", 1000), freeze("p", true), refused{credit.CodeInsufficient, setAside("p", 10)}}},
		{name: "takes the bonus too", do: []any{buy("p", 1000), bonus(100, 9), setAside("p", 40)}, available: 660, entries: map[credit.Kind]int{credit.KindClawback: 2}},
		{name: "lets the purchase stand in for a bonus that is spent", available: 560, free: map[string]int64{paidBy("p"): 560},
			do: []any{buy("p", 1000), bonus(100, 9), debit("e", 100), setAside("p", 40)}},
		{name: "and for no more than it has left", available: 1000,
			do: []any{buy("p", 1000), bonus(100, 9), debit("e", 100), refused{credit.CodeInsufficient, setAside("p", 95)}}},
		{name: "does not ask for what expired", until: 9, do: []any{buy("p", 1000), bonus(100, 5), at{9, setAside("p", 100)}}},
		{name: "of no grant", do: []any{refused{credit.CodeNotFound, setAside("p", 10)}}},
	})
}

func TestAnEntryBearsTheKeyOfWhatIsSetAside(t *testing.T) {
	t.Parallel()
	b := play(t, 0, buy("p", 1000), linked(promote("b", 100, 9), "p"), setAside("p", 40))
	e := b.entries[len(b.entries)-2]
	if e.Key != credit.SystemKey("refund", "p", "1") || e.Kind != credit.KindClawback || e.Subject != paidBy("p") || e.Credits != 400 {
		t.Errorf("the entry is %+v", e)
	}
}

func TestWhatIsCoveredOfARefund(t *testing.T) {
	t.Parallel()
	bonus := linked(promote("b", 100, 5), "p")
	for _, tt := range []struct {
		name                  string
		do                    []any
		until                 int
		returned, paid        int64
		wantMoney, wantCredit int64
	}{
		{"all of an untouched purchase", []any{buy("p", 1000)}, 0, 0, 79900, 79900, 1000},
		{"the share that is left", []any{buy("p", 1000), debit("e", 700)}, 0, 0, 10000, 3000, 300},
		{"a credit's share, rounded up to take the credit", []any{buy("p", 1000), debit("e", 701)}, 0, 0, 79900, 23891, 299},
		{"no cent for what is used", []any{buy("p", 1000), debit("e", 1000)}, 0, 0, 79900, 0, 0},
		{"no cent for others' credits", []any{buy("p", 1000), debit("e", 1000), buy("q", 500)}, 0, 0, 79900, 0, 0},
		{"the rest after an earlier refund", []any{buy("p", 1000), refund("p", 40), debit("e", 100)}, 0, 4000, 10000, 9000, 500},
		{"nothing after all was given back", []any{buy("p", 1000), refund("p", 100)}, 0, 10000, 10000, 10000, 0},
		{"nothing of what cost nothing", []any{buy("p", 1000)}, 0, 0, 0, 0, 0},
		{"nothing while it is frozen", []any{buy("p", 1000), freeze("p", true)}, 0, 0, 10000, 0, 0},
		{"what is free beside what is held", []any{buy("p", 1000), hold("h", 300, 1)}, 0, 0, 10000, 7000, 700},
		{"the purchase and its bonus", []any{buy("p", 1000), bonus}, 0, 0, 10000, 10000, 1100},
		{"the purchase for a bonus that is spent", []any{buy("p", 1000), bonus, debit("e", 100)}, 0, 0, 11000, 9999, 999},
		{"the purchase beside a bonus that expired", []any{buy("p", 1000), bonus, at{9, nil}}, 9, 0, 10000, 10000, 1000},
		{"a cent that is worth several credits only whole", []any{buy("p", 1000), debit("e", 1)}, 0, 0, 500, 499, 998},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := play(t, tt.until, tt.do...)
			got := covered(b, tt.returned, tt.paid)
			if want := (credit.Cover{Returned: max(tt.wantMoney, tt.returned), Credits: tt.wantCredit}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func covered(b *bank, returned, paid int64) credit.Cover {
	b.Helper()
	for range 5 {
		c, err := credit.Covered(b.state, paidBy("p"), returned, paid, paid)
		var missing *credit.Missing
		switch {
		case errors.As(err, &missing):
			b.load(missing)
		case err != nil:
			b.Fatalf("covered: %v", err)
		default:
			return c
		}
	}
	b.Fatalf("covered: no answer after five rounds")
	return credit.Cover{}
}

// Whatever was spent, held and returned before: what is covered can be set aside, takes nothing of others and makes no debt; and of another
// credit's worth more, the same cannot be said.
func TestWhatIsCoveredCanBeSetAsideAndNoCreditMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(low, high int64, label string) int64 { return rapid.Int64Range(low, high).Draw(rt, label) }
		granted, bonus, paid := draw(1, 1000, "granted"), draw(0, 200, "bonus"), draw(1, 3000, "paid")
		b := newBank(rt)
		b.must(buy("p", granted), day)
		if bonus > 0 {
			b.must(linked(promote("b", bonus, 5), "p"), day)
		}
		if n := draw(0, granted+bonus, "spent"); n > 0 {
			b.must(debit("e", n), day)
		}
		if n := draw(0, b.state.Available, "held"); n > 0 {
			b.must(hold("h", n, 10), day)
		}
		b.must(buy("q", draw(1, 500, "beside")), day)
		returned := draw(0, paid, "returned")
		now := hour(int(draw(0, 9, "hour")))
		b.must(refundOf("p", returned, paid), now)
		b.commit(true)
		before, others := b.wallet.Figures, b.free()[paidBy("q")]
		c := covered(b, returned, paid)
		if c.Returned == returned {
			return
		}
		out := b.must(credit.SetAside{Key: credit.SystemKey("refund", "p", "1"), ClawBack: refundOf("p", c.Returned, paid)}, now.Add(time.Second))
		var taken int64
		for _, e := range out.Entries {
			if e.Debt != 0 {
				rt.Fatalf("%+v makes a debt", e)
			}
			for _, ch := range e.Changes {
				taken -= ch.Free
			}
		}
		b.commit(true)
		if got := b.free()[paidBy("q")]; got != others || taken != c.Credits || before.Available-b.wallet.Available != taken {
			rt.Fatalf("%d credits were to be taken, %d are; the other purchase went from %d to %d", c.Credits, taken, others, got)
		}
		if again := covered(b, c.Returned, paid); again.Returned != c.Returned && again.Credits == 0 {
			rt.Fatalf("after %+v another %+v is covered", c, again)
		}
	})
}

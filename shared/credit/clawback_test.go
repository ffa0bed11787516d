package credit_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestClawback(t *testing.T) {
	t.Parallel()
	bonus := func(n int64, end int) credit.NewGrant { return linked(promote("b", n, end), "p") }
	bonusID := credit.GrantID(credit.SystemKey("promotion", "b"))
	referral := credit.NewGrant{Key: credit.SystemKey("grant", "r"), Terms: credit.Terms{Source: credit.Referral, Granted: 100}}
	tell(t, []story{
		{name: "R40 of R100 takes 400 of 1000", do: []any{buy("p", 1000), refund("p", 40)}, available: 600},
		{name: "the same target again takes nothing", do: []any{buy("p", 1000), refund("p", 40), refund("p", 40)}, available: 600, entries: map[credit.Kind]int{credit.KindClawback: 1}},
		{name: "a target is rounded down, and the whole is whole", do: []any{buy("p", 1000), refundOf("p", 1, 3), refundOf("p", 2, 3), refundOf("p", 3, 3)}},
		{name: "a third of 1000 is 333", do: []any{buy("p", 1000), refundOf("p", 1, 3)}, available: 667},
		{name: "more returned than paid takes no more than was granted", do: []any{buy("p", 1000), buy("q", 50), refund("p", 150)}, available: 50},
		{name: "nothing paid takes nothing", do: []any{buy("p", 1000), refundOf("p", 10, 0)}, available: 1000},
		{name: "what was spent becomes debt", do: []any{buy("p", 1000), debit("e", 700), refund("p", 100), refused{credit.CodeInDebt, debit("f", 1)}}, debt: 700},
		{name: "the next purchase pays that debt", do: []any{buy("p", 1000), debit("e", 700), refund("p", 100), buy("q", 1000)}, available: 300},
		{name: "what was spent is taken from others before it is debt", until: 1, available: 300, free: map[string]int64{paidBy("in:1"): 300},
			do: []any{buy("p", 1000), debit("e", 700), subscribe("1", 1000, 0, 10), refund("p", 100)}},
		{name: "others are drawn on in burn-down order", do: []any{buy("p", 100), debit("e", 100), buy("q", 50), promote("c", 80, 9), refund("p", 100)}, available: 30,
			free: map[string]int64{paidBy("q"): 30}},
		{name: "frozen credits of others are not drawn on", do: []any{buy("p", 100), debit("e", 100), buy("q", 50), freeze("q", true), refund("p", 100)}, debt: 100},
		{name: "a failed refund gives back", do: []any{buy("p", 1000), refund("p", 40), refund("p", 0)}, available: 1000, entries: map[credit.Kind]int{credit.KindRestore: 1}},
		{name: "giving back pays the debt it made", do: []any{buy("p", 1000), debit("e", 700), refund("p", 100), refund("p", 0)}, available: 300},
		{name: "giving back a part pays a part of the debt", do: []any{buy("p", 1000), debit("e", 700), refund("p", 100), refund("p", 60)}, debt: 300},
		{name: "a dispute freezes what remains", do: []any{buy("p", 1000), debit("e", 700), freeze("p", true)}},
		{name: "a dispute won", do: []any{buy("p", 1000), debit("e", 700), freeze("p", true), freeze("p", false)}, available: 300},
		{name: "a dispute lost takes the frozen credits first", do: []any{buy("p", 1000), debit("e", 700), buy("q", 900), freeze("p", true), refund("p", 100)}, available: 200},
		{name: "R50 refunded, then a dispute of R100 lost: never more than granted", do: []any{buy("p", 1000), refund("p", 50), refund("p", 150)}},
		{name: "a linked bonus follows by the same ratio", do: []any{buy("p", 1000), bonus(100, 9), refund("p", 40)}, available: 660, free: map[string]int64{bonusID: 60}},
		{name: "a linked bonus is restored by the same ratio", do: []any{buy("p", 1000), bonus(100, 9), refund("p", 40), refund("p", 10)}, available: 990},
		{name: "a bonus that comes late is taken at the next look", do: []any{buy("p", 1000), refund("p", 40), bonus(100, 9), refund("p", 40)}, available: 660},
		{name: "never debt for what expired", until: 9, do: []any{buy("p", 1000), bonus(100, 5), at{9, refund("p", 100)}}},
		{name: "what was spent of an expired bonus is owed", do: []any{buy("p", 1000), bonus(100, 5), debit("e", 30), at{9, refund("p", 100)}}, until: 9, debt: 30},
		{name: "in steps as at once", do: []any{buy("p", 1000), bonus(100, 5), debit("e", 30), at{9, refund("p", 20)}, refund("p", 70), refund("p", 100)}, until: 9, debt: 30},
		{name: "what was owed for an expired bonus comes back to be spent", until: 9, available: 1000,
			do: []any{buy("p", 1000), bonus(100, 5), debit("e", 30), at{9, refund("p", 100)}, refund("p", 0)}},
		{name: "a bonus restored after its time lapses", until: 9, available: 1000, do: []any{buy("p", 1000), bonus(100, 5), refund("p", 100), at{9, refund("p", 0)}}},
		{name: "a part restored after its time is first what others gave", until: 9, available: 500,
			do: []any{buy("p", 1000), bonus(100, 5), debit("e", 30), refund("p", 100), at{9, refund("p", 50)}}},
		{name: "there and back again after its time", until: 9, debt: 30,
			do: []any{buy("p", 1000), bonus(100, 5), debit("e", 30), at{9, refund("p", 100)}, refund("p", 0), refund("p", 100)}},
		{name: "a referral reward is reversed only as far as unspent", do: []any{referral, buy("q", 50), debit("e", 70), refund("r", 100)}, available: 50},
		{name: "a referral reward comes back as far as it was taken", do: []any{referral, buy("q", 50), debit("e", 70), refund("r", 100), refund("r", 0)}, available: 80},
		{name: "a reversed debit fills a grant that was clawed back, and pays for it", available: 300, debt: 0,
			do: []any{buy("p", 1000), debit("e", 700), refund("p", 100), reverse("r", "e", 0), buy("q", 300)}},
		{name: "no such grant", do: []any{refused{credit.CodeNotFound, refund("unknown", 10)}}},
	})
}

func refundOf(payment string, returned, paid int64) credit.ClawBack {
	return credit.ClawBack{Grant: paidBy(payment), Returned: returned, Paid: paid}
}

func TestClawbackOfHeldCreditsTakesOthersThenOwes(t *testing.T) {
	t.Parallel()
	b := play(t, 0, buy("p", 1000), debit("e", 100), hold("h", 300, 1), buy("q", 250), refund("p", 100))
	// 600 of its own; 300 held and 100 spent are claimed from the other's 250, and 150 are owed.
	if want := (credit.Figures{Available: 0, Held: 300, Debt: 150}); b.wallet.Figures != want {
		t.Errorf("the wallet stands at %+v; want %+v", b.wallet.Figures, want)
	}
	g := b.records[paidBy("p")]
	if len(b.wallet.Live) != 0 || g.Place != credit.Reserved || g.Held != 300 || g.TakenOwn != 600 || g.TakenElsewhere != 400 {
		t.Errorf("beside %d grants in the wallet, the grant is %+v", len(b.wallet.Live), g)
	}
}

// Whatever the order and repetition of targets, a payment's grants end as the last target alone would leave them, and so does the wallet.
func TestAPathOfTargetsEndsAsItsLastAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(low, high int64, label string) int64 { return rapid.Int64Range(low, high).Draw(rt, label) }
		granted, beside, spent := draw(1, 1000, "granted"), draw(0, 1000, "beside"), draw(0, 1500, "spent")
		bonus, later := draw(1, 200, "bonus"), int(draw(1, 9, "hour"))
		paid := draw(1, 300, "paid")
		targets := rapid.SliceOfN(rapid.Int64Range(0, paid+10), 1, 8).Draw(rt, "returned")
		end := func(targets []int64) *bank {
			b := newBank(rt)
			b.must(buy("p", granted), day)
			b.must(linked(promote("b", bonus, 5), "p"), day)
			if beside > 0 {
				b.must(buy("q", beside), day)
			}
			if spent > 0 {
				b.must(usage("e", spent), day)
			}
			for _, returned := range targets {
				b.must(refundOf("p", returned, paid), hour(later))
				b.commit(true)
			}
			return b
		}
		path, alone := end(targets), end(targets[len(targets)-1:])
		if path.wallet.Figures != alone.wallet.Figures {
			rt.Fatalf("the targets %v of %d leave %+v, the last alone %+v", targets, paid, path.wallet.Figures, alone.wallet.Figures)
		}
		for _, b := range []*bank{path, alone} {
			for _, g := range []*credit.Grant{b.book.Grants[paidBy("p")], b.book.Grants[credit.GrantID(credit.SystemKey("promotion", "b"))]} {
				want := big.NewInt(targets[len(targets)-1])
				want.Mul(want, big.NewInt(g.Granted)).Quo(want, big.NewInt(paid))
				if got := g.ClawedBack; got != min(g.Granted, want.Int64()) {
					rt.Fatalf("the targets %v of %d end with %d of %d clawed back", targets, paid, got, g.Granted)
				}
			}
		}
	})
}

func TestTargetNeitherOverflowsNorExceedsWhatWasGranted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ granted, returned, paid, want int64 }{
		{1000, 40, 100, 400},
		{1000, 1, 3, 333},
		{1000, 0, 100, 0},
		{1000, 100, 0, 0},
		{1000, 101, 100, 1000},
		{1000, 250, 100, 1000},
		{1, 99, 100, 0},
		{credit.MaxCredits, math.MaxInt64 - 1, math.MaxInt64, credit.MaxCredits - 1},
		{math.MaxInt64, math.MaxInt64 / 2, math.MaxInt64, math.MaxInt64 / 2},
	} {
		if got := credit.Target(tt.granted, tt.returned, tt.paid); got != tt.want {
			t.Errorf("Target(%d, %d, %d) = %d; want %d", tt.granted, tt.returned, tt.paid, got, tt.want)
		}
	}
}

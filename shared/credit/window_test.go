package credit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

// many fills a wallet with so many grants, in batches.
func many(b *bank, grants int, grant func(i int) credit.NewGrant) {
	b.Helper()
	for i := range grants {
		b.must(grant(i), day)
		if i%50 == 49 {
			b.commit(false)
		}
	}
	b.commit(true)
}

// one is a purchase of one credit.
func one(i int) credit.NewGrant { return buy(fmt.Sprint("p", i), 1) }

func TestTheWalletHoldsTheFirstGrantsAndSumsTheOthers(t *testing.T) {
	t.Parallel()
	b := opened(t)
	many(b, credit.MaxLive, one)
	if len(b.wallet.Live) != credit.MaxLive || b.wallet.Waiting.Count != 0 {
		t.Fatalf("of %d grants the wallet holds %d", credit.MaxLive, len(b.wallet.Live))
	}
	b.must(buy("last", 5), day)
	b.must(promote("first", 7, 9), day)
	b.commit(true)
	if want := (credit.Sum{Count: 2, Free: 6}); len(b.wallet.Live) != credit.MaxLive || b.wallet.Waiting != want {
		t.Errorf("the wallet holds %d grants, and %+v wait; want %d, and %+v", len(b.wallet.Live), b.wallet.Waiting, credit.MaxLive, want)
	}
	if b.wallet.Live[0].Source != credit.Promotion || b.wallet.Available != credit.MaxLive+5+7 {
		t.Errorf("first is %+v of %d available", b.wallet.Live[0].Terms, b.wallet.Available)
	}
}

func TestWaitingGrantsAreDrawnOnInTheirTurn(t *testing.T) {
	t.Parallel()
	for _, page := range []int{1, 100, credit.MaxLive} {
		t.Run(fmt.Sprint(page, " at a time"), func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			b.waitPage = page
			many(b, 400, one)
			drawn := b.must(debit("e", 350), day).Entries[0].Changes
			b.commit(true)
			for i, c := range drawn {
				if c.Grant != paidBy(fmt.Sprint("p", i)) {
					t.Fatalf("draw %d is on %s; want that of purchase %d", i, c.Grant, i)
				}
			}
			if b.wallet.Available != 50 || int64(len(b.wallet.Live))+b.wallet.Waiting.Count != 50 {
				t.Errorf("after 350 of 400 the wallet stands at %+v with %d grants, and %+v wait", b.wallet.Figures, len(b.wallet.Live), b.wallet.Waiting)
			}
		})
	}
}

func TestAGrantKnownByChanceIsNotDrawnOnBeforeItsTurn(t *testing.T) {
	t.Parallel()
	const page = 40
	b := opened(t)
	b.waitPage = page
	many(b, 400, one)
	b.must(buy("tail", 1), day) // waits, and is known because it is not committed yet
	drawn := b.must(debit("e", credit.MaxLive+page+1), day).Entries[0].Changes
	if last, want := drawn[len(drawn)-1].Grant, paidBy(fmt.Sprint("p", credit.MaxLive+page)); last != want {
		t.Errorf("the last draw is on %s; want %s", last, want)
	}
}

func TestAWalletThatRunsShortIsRefilled(t *testing.T) {
	t.Parallel()
	b := opened(t)
	many(b, 600, one)
	b.must(debit("e", credit.MaxLive-credit.MinLive+1), day)
	b.commit(true)
	if !b.state.WantsWaiting() {
		t.Fatalf("a wallet with %d grants in it wants no others", len(b.wallet.Live))
	}
	b.load(&credit.Missing{More: true})
	if b.state.WantsWaiting() {
		t.Error("a wallet wants what it was given")
	}
	b.must(debit("f", 1), day)
	b.commit(true)
	if len(b.wallet.Live) != credit.MaxLive || b.rounds != 1 {
		t.Errorf("refilled, the wallet holds %d grants after %d rounds; want %d after one", len(b.wallet.Live), b.rounds, credit.MaxLive)
	}
}

func TestLoadingLeavesNoTraceInTheWallet(t *testing.T) {
	t.Parallel()
	b := opened(t)
	many(b, 600, one)
	before := fmt.Sprintf("%+v", b.state.Wallet)
	b.load(&credit.Missing{More: true})
	b.load(&credit.Missing{Due: day})
	b.load(&credit.Missing{Linked: paidBy("p599")})
	b.load(&credit.Missing{Grants: []string{paidBy("p598"), "unknown"}})
	if after := fmt.Sprintf("%+v", b.state.Wallet); after != before || len(b.state.Dirty()) != 0 {
		t.Errorf("loading changed the wallet: %s to %s", before, after)
	}
}

func TestFiveThousandGrantsAreSpentExpiredAndBought(t *testing.T) {
	t.Parallel()
	const grants = 5200
	b := opened(t)
	many(b, grants/2, func(i int) credit.NewGrant { return promote(fmt.Sprint("c", i), 2, 10) })
	many(b, grants/2, one)
	if b.wallet.Waiting.Count != grants-credit.MaxLive {
		t.Fatalf("%d of %d grants wait", b.wallet.Waiting.Count, grants)
	}
	b.must(debit("e", 2000), hour(1)) // a thousand of those that end
	b.commit(true)
	b.must(buy("new", 3), hour(2))
	b.journal(hour(10))
	b.commit(true)
	if got, want := b.kinds(credit.KindExpiry), grants/2-1000; got != want {
		t.Errorf("%d expiries; want %d", got, want)
	}
	if want := int64(grants/2 + 3); b.wallet.Available != want {
		t.Errorf("%d are available; want %d", b.wallet.Available, want)
	}
	b.must(usage("f", grants), hour(11))
	b.commit(true)
	if want := (credit.Figures{Debt: grants/2 - 3}); b.wallet.Figures != want || len(b.wallet.Live) != 0 || b.wallet.Waiting != (credit.Sum{}) {
		t.Errorf("spent beyond its end the wallet stands at %+v with %d grants, and %+v wait; want %+v", b.wallet.Figures, len(b.wallet.Live), b.wallet.Waiting, want)
	}
}

func TestOneEntryDrawsOnABoundedNumberOfGrants(t *testing.T) {
	t.Parallel()
	b := opened(t)
	many(b, credit.MaxDrawn+10, one)
	for _, c := range []credit.Command{debit("e", credit.MaxDrawn+1), adjust("a", -credit.MaxDrawn-1)} {
		var refusal *credit.Refusal
		if _, err := b.do(c, day); !errors.As(err, &refusal) || refusal.Code() != credit.CodeInvalid {
			t.Errorf("%T over %d grants gives %v", c, credit.MaxDrawn+1, err)
		}
	}
	out := b.must(usage("u", credit.MaxDrawn+5), day)
	b.commit(true)
	if len(out.Entries) != 2 || len(out.Entries[0].Changes) != credit.MaxDrawn || out.Entries[1].Kind != credit.KindRepayment {
		t.Errorf("usage over %d grants makes %d entries", credit.MaxDrawn+5, len(out.Entries))
	}
	if want := (credit.Figures{Available: 5}); b.wallet.Figures != want || b.count(credit.EventDebt) != 0 {
		t.Errorf("the wallet stands at %+v, and debt was told %d times", b.wallet.Figures, b.count(credit.EventDebt))
	}
}

func TestCreditsThatNoGrantHoldsAreAnErrorNotALoop(t *testing.T) {
	t.Parallel()
	w := credit.NewWallet(org, "UTC")
	w.Available, w.Waiting = 10, credit.Sum{Count: 1, Free: 10}
	s := credit.NewState(w)
	_, _, err := credit.Decide(s, debit("e", 5), day)
	var missing *credit.Missing
	if !errors.As(err, &missing) || !missing.More || s.WaitingAfter() != "" {
		t.Fatalf("a debit on waiting credits gives %v", err)
	}
	s.LoadWaiting(false)
	if _, _, err = credit.Decide(s, debit("e", 5), day); err == nil || errors.As(err, &missing) {
		t.Errorf("when none is stored, it gives %v", err)
	}
}

func TestUsageOverAnyNumberOfGrantsLeavesNoDebtBesideCredits(t *testing.T) {
	t.Parallel()
	const grants = 3*credit.MaxDrawn + 1
	waiting := make([]*credit.Grant, grants)
	for i := range waiting {
		id := fmt.Sprintf("g%06d", i)
		waiting[i] = &credit.Grant{Terms: credit.Terms{ID: id, Source: credit.Purchase, Granted: 1}, Free: 1, Started: true, Place: credit.Waiting}
	}
	w := credit.NewWallet(org, "UTC")
	w.Available, w.Waiting = grants, credit.Sum{Count: grants, Free: grants}
	s := credit.NewState(w)
	s.LoadWaiting(true, waiting...)
	next, out, err := credit.Decide(s, usage("e", grants), day)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Entries) != 4 || next.Figures != (credit.Figures{}) || next.Waiting != (credit.Sum{}) {
		t.Errorf("%d entries leave %+v, and %+v waiting", len(out.Entries), next.Figures, next.Waiting)
	}
	for _, e := range out.Entries {
		if len(e.Changes) > credit.MaxDrawn {
			t.Errorf("entry %d draws on %d grants", e.Seq, len(e.Changes))
		}
	}
}

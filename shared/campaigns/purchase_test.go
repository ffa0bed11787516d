package campaigns_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

func onFirstPurchase(t *campaigns.Terms) { t.On, t.PerOrgMax = campaigns.FirstPurchase, 1 }

func TestAFirstPurchaseRewardsBothSidesOnceWhateverFails(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"", "before", "after", "for old", "for new"} {
		t.Run("dies "+when, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.open(t, "old")
			o.open(t, "new")
			code, err := o.Referral(t.Context(), "old")
			check(t, err)
			_, err = o.Claim(t.Context(), campaigns.Request{Org: "new", By: "p", Code: code.Code, Key: "k"})
			check(t, err)
			o.promote(t, "FIRST", onFirstPurchase)
			got, err := o.redeem(t.Context(), "new", "FIRST", "k")
			if err != nil || got.GrantID != "" || got.On != campaigns.FirstPurchase {
				t.Errorf("%+v, %v", got, err)
			}
			o.wantCredits(t, "new", credit.Promotion, 0)
			bought := o.purchase(t, "new", "CR-2222-2222")
			o.dies.Store(when)
			if _, err := o.PurchasePaid(t.Context(), bought); (when != "") != errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			o.dies.Store("")
			o.micros.Add(time.Hour.Microseconds())
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					bonuses, err := o.PurchasePaid(t.Context(), bought)
					if err != nil || len(bonuses) != 3 {
						t.Errorf("%+v, %v", bonuses, err)
					}
				})
			}
			wg.Wait()
			if bonuses, err := o.PurchasePaid(t.Context(), o.purchase(t, "new", "CR-3333-3333")); err != nil || len(bonuses) != 0 {
				t.Errorf("the second purchase brings %+v, %v", bonuses, err)
			}
			o.wantCredits(t, "new", credit.Promotion, 50)
			o.wantCredits(t, "new", credit.Referral, 100)
			o.wantCredits(t, "old", credit.Referral, 100)
			o.wantCredits(t, "new", credit.Purchase, 2000)
		})
	}
}

// TestOfPurchasesPaidAtOnceOneIsTheFirst also has the referral claimed at once: it counts for the first purchase or is refused.
func TestOfPurchasesPaidAtOnceOneIsTheFirst(t *testing.T) {
	t.Parallel()
	for range 5 {
		o := newOffice(t)
		o.open(t, "old")
		o.open(t, "new")
		code, err := o.Referral(t.Context(), "old")
		check(t, err)
		bought := []payments.PaidPurchase{o.purchase(t, "new", "CR-2222-2222"), o.purchase(t, "new", "CR-3333-3333")}
		var claimed atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := o.Claim(t.Context(), campaigns.Request{Org: "new", By: "p", Code: code.Code, Key: "k"})
			claimed.Store(err == nil)
			if err != nil {
				wantCode(t, err, "referral_refused")
			}
		})
		for _, p := range bought {
			wg.Go(func() {
				if _, err := o.PurchasePaid(t.Context(), p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := map[bool]int64{true: 100, false: 0}[claimed.Load()]
		o.wantCredits(t, "new", credit.Referral, want)
		o.wantCredits(t, "old", credit.Referral, want)
	}
}

// TestARefundTakesBackWhatThePurchaseBrought claws the purchase back by half, then wholly: the bonus follows in ratio, what is spent of it as well;
// of a referral's rewards only what is unspent.
func TestARefundTakesBackWhatThePurchaseBrought(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.open(t, "old")
	o.open(t, "new")
	code, err := o.Referral(t.Context(), "old")
	check(t, err)
	_, err = o.Claim(t.Context(), campaigns.Request{Org: "new", By: "p", Code: code.Code, Key: "k"})
	check(t, err)
	o.promote(t, "FIRST", onFirstPurchase)
	_, err = o.redeem(t.Context(), "new", "FIRST", "k")
	check(t, err)
	bought := o.purchase(t, "new", "CR-2222-2222")
	bonuses, err := o.PurchasePaid(t.Context(), bought)
	check(t, err)
	for org, spent := range map[string]int64{"old": 30, "new": 10} {
		_, err := o.ledger.Do(t.Context(), org, credit.Debit{
			EventID: "work", Credits: spent, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
		})
		check(t, err)
	}
	returned := func(part int64) {
		t.Helper()
		// Those in the buyer's own wallet are linked to the purchase's grant; the other is clawed back by itself.
		grants := map[string]string{"new": bought.Grant}
		for _, b := range bonuses {
			if b.Org != "new" {
				grants[b.Org] = b.ID
			}
		}
		for org, id := range grants {
			_, err := o.ledger.Do(t.Context(), org, credit.ClawBack{Grant: id, Returned: part, Paid: 100})
			check(t, err)
		}
	}
	returned(50)
	o.wantCredits(t, "new", credit.Purchase, 500)
	o.wantCredits(t, "new", credit.Promotion, 50-10-25) // the bonus ends first, so it was drawn on
	o.wantCredits(t, "new", credit.Referral, 50)
	o.wantCredits(t, "old", credit.Referral, 20)
	returned(100)
	for _, org := range []string{"old", "new"} {
		b, err := o.ledger.Balance(t.Context(), org)
		check(t, err)
		// What the buyer spent of the bonus was taken from its referral reward, which is gone as well; what the referrer spent is forgiven.
		if b.Available != 0 || b.Debt != 0 {
			t.Errorf("%s has %d credits and owes %d", org, b.Available, b.Debt)
		}
		check(t, o.ledger.Audit(t.Context(), org))
	}
}

func TestABonusWaitsForOnePurchaseOnly(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.open(t, "new")
	o.promote(t, "FIRST", onFirstPurchase)
	o.promote(t, "OTHER", onFirstPurchase)
	_, err := o.redeem(t.Context(), "new", "FIRST", "1")
	check(t, err)
	_, err = o.redeem(t.Context(), "new", "OTHER", "2")
	wantCode(t, err, "promotion_used")
	_, err = o.PurchasePaid(t.Context(), o.purchase(t, "new", "CR-2222-2222"))
	check(t, err)
	_, err = o.redeem(t.Context(), "new", "OTHER", "3")
	wantCode(t, err, problem.NotFound) // not for whoever has bought
	if got, err := o.redeem(t.Context(), "new", "FIRST", "1"); err != nil || !got.Replayed {
		t.Errorf("%+v, %v", got, err)
	}
	o.wantCredits(t, "new", credit.Promotion, 50)
}

package purchasewebhook

import (
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// TestADisputeOfMoreThanWasPaidTakesWhatWasGranted has a bank dispute more than the charge, as it may when it counts in its customer's currency.
func TestADisputeOfMoreThanWasPaidTakesWhatWasGranted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refunded int64 // before
		won      bool
		want     credit.Figures
	}{
		"lost":                 {want: credit.Figures{Debt: 700}},
		"won":                  {won: true, want: credit.Figures{Available: 300}},
		"lost, half refunded":  {refunded: 39950, want: credit.Figures{Debt: 700}},
		"won, a part refunded": {refunded: 7990, won: true, want: credit.Figures{Available: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			payment, _ := w.bought(t)
			w.do(t, spend(700))
			if tt.refunded > 0 {
				w.refund(t, payment, tt.refunded)
			}
			dispute, err := w.stand.OpenDispute(payment, stripestand.Dispute{Amount: 81234})
			check(t, err)
			w.deliver(t)
			if v, err := w.ledger.View(t.Context(), "acme"); err != nil || v.Available != 0 {
				t.Errorf("disputed, %d are available: %v", v.Available, err)
			}
			check(t, w.stand.CloseDispute(dispute, tt.won))
			w.deliver(t)
			w.wantFigures(t, name, tt.want)
			if len(w.documents(t, "quarantine")) != 0 {
				t.Error("an event was put aside")
			}
		})
	}
}

// TestADisputeInAnotherCurrencyWaitsForAPersonAndHoldsUpNoRefund: what share of the charge it is, nobody knows but a person.
func TestADisputeInAnotherCurrencyWaitsForAPersonAndHoldsUpNoRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payment, _ := w.bought(t)
	w.keepOnly.Store(true)
	dispute, err := w.stand.OpenDispute(payment, stripestand.Dispute{Amount: 4321, Inquiry: true})
	check(t, err)
	w.deliver(t)
	w.send(t, change(t, w.event(t, "charge.dispute.created"), `"currency":"zar"`, `"currency":"usd"`), payments.Quarantined)
	w.wantFigures(t, "disputed", credit.Figures{Available: 1000})
	w.wantQuarantined(t, payments.WrongCurrency)
	check(t, w.stand.CloseDispute(dispute, true))
	w.keepOnly.Store(false)
	w.refund(t, payment, 39950)
	w.wantFigures(t, "half refunded", credit.Figures{Available: 500})
}

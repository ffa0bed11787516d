package campaigns_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/credit"
)

func TestADeadProcesssRedemptionIsGrantedByRepetitionOrSweep(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before", "after"} {
		for _, mend := range []string{"repetition", "sweep", "both"} {
			t.Run(when+" "+mend, func(t *testing.T) {
				t.Parallel()
				o := newOffice(t)
				o.open(t, "acme")
				o.promote(t, "WELCOME", nil)
				o.dies.Store(when)
				if _, err := o.redeem(t.Context(), "acme", "WELCOME", "k"); !errors.Is(err, errKilled) {
					t.Fatalf("%v, want the process to die", err)
				}
				o.dies.Store("")
				o.micros.Add(time.Hour.Microseconds())
				if mend != "sweep" {
					got, err := o.redeem(t.Context(), "acme", "WELCOME", "k")
					if err != nil || !got.Replayed || got.Credits != 50 {
						t.Errorf("%+v, %v", got, err)
					}
				}
				if mend != "repetition" {
					want := map[string]int{"sweep": 1, "both": 0}[mend]
					if got, err := o.Sweep(t.Context(), o.now(), 10); err != nil || got.Granted != want {
						t.Errorf("swept %+v, %v, want %d", got, err, want)
					}
				}
				o.wantCredits(t, "acme", credit.Promotion, 50)
				if n := o.redemptions(t, "WELCOME"); n != 1 {
					t.Errorf("%d redemptions", n)
				}
				check(t, o.ledger.Audit(t.Context(), "acme"))
			})
		}
	}
}

func TestASweepGoesOnPastWhatFails(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.promote(t, "WELCOME", nil)
	o.dies.Store("before")
	for i := range 5 {
		org := fmt.Sprint("org-", i)
		o.open(t, org)
		if _, err := o.redeem(t.Context(), org, "WELCOME", "k"); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
	o.dies.Store("for org-0")
	if got, err := o.Sweep(t.Context(), o.now(), 3); err != nil || got != (campaigns.Swept{}) {
		t.Errorf("too early: %+v, %v", got, err)
	}
	o.micros.Add(time.Minute.Microseconds())
	if got, err := o.Sweep(t.Context(), o.now(), 3); !errors.Is(err, errKilled) || got != (campaigns.Swept{Granted: 2, Failed: 1, More: true}) {
		t.Errorf("%+v, %v", got, err)
	}
	o.dies.Store("")
	if got, err := o.Sweep(t.Context(), o.now(), 10); err != nil || got != (campaigns.Swept{Granted: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	o.micros.Add(3 * time.Minute.Microseconds())
	if got, err := o.Sweep(t.Context(), o.now(), 10); err != nil || got != (campaigns.Swept{Granted: 1}) {
		t.Errorf("once what failed is tried again: %+v, %v", got, err)
	}
	for i := range 5 {
		o.wantCredits(t, fmt.Sprint("org-", i), credit.Promotion, 50)
	}
}

// TestWhatCanNeverBeGrantedKeepsNobodyElseWaiting has more redemptions that fail for ever than a sweep looks at, all older than the others.
func TestWhatCanNeverBeGrantedKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	const limit, stuck = 3, 7
	o := newOffice(t)
	o.promote(t, "WELCOME", nil)
	o.dies.Store("before")
	var orgs []string
	for i := range stuck {
		orgs = append(orgs, fmt.Sprint("gone-", i))
	}
	for _, org := range append(orgs, "acme") {
		o.open(t, org)
		if _, err := o.redeem(t.Context(), org, "WELCOME", "k"); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		o.micros.Add(time.Second.Microseconds())
	}
	o.dies.Store("for gone-")
	granted := 0
	for range 5 { // as the job runs, each minute
		o.micros.Add(time.Minute.Microseconds())
		got, _ := o.Sweep(t.Context(), o.now(), limit)
		granted += got.Granted
	}
	o.wantCredits(t, "acme", credit.Promotion, 50)
	o.dies.Store("")
	for range stuck { // each is put off for no longer than it has waited
		o.micros.Add(10 * time.Minute.Microseconds())
		got, err := o.Sweep(t.Context(), o.now(), limit)
		check(t, err)
		granted += got.Granted
	}
	if granted != stuck+1 {
		t.Errorf("%d were granted, want %d", granted, stuck+1)
	}
}

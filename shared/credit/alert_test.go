package credit_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestAlertsAreRaisedOncePerCrossing(t *testing.T) {
	t.Parallel()
	low, due, debt, over := credit.EventLowBalance, credit.EventTopUpDue, credit.EventDebt, credit.EventDebtCeiling
	for _, tt := range []struct {
		name  string
		do    []any
		until int
		want  map[credit.EventKind]int
	}{
		{"150→90→80→120→95 with a threshold of 100", []any{
			alertAt(100), buy("p", 150), debit("a", 60), debit("b", 10), adjust("c", 40), debit("d", 25),
		}, 0, map[credit.EventKind]int{low: 2}},
		{"exactly the threshold is low", []any{alertAt(100), buy("p", 150), debit("a", 50)}, 0, map[credit.EventKind]int{low: 1}},
		{"one above the threshold is not", []any{alertAt(100), buy("p", 150), debit("a", 49)}, 0, map[credit.EventKind]int{low: 0}},
		{"back to exactly the threshold re-arms nothing", []any{
			alertAt(100), buy("p", 150), debit("a", 60), adjust("b", 10), debit("c", 10),
		}, 0, map[credit.EventKind]int{low: 1}},
		{"a top-up that leaves it low is a new crossing", []any{
			alertAt(100), buy("p", 150), debit("a", 140), buy("q", 20), buy("r", 30),
		}, 0, map[credit.EventKind]int{low: 3}},
		{"a bonus beside a top-up is none", []any{
			alertAt(100), buy("p", 150), debit("a", 140), buy("q", 20), linked(promote("b", 2, 9), "q"), adjust("c", 1),
		}, 0, map[credit.EventKind]int{low: 2}},
		{"a top-up that begins later is none yet", []any{
			alertAt(100), buy("p", 150), debit("a", 140), subscribe("1", 20, 5, 9),
		}, 5, map[credit.EventKind]int{low: 1}},
		{"an expiry crosses", []any{alertAt(100), promote("a", 50, 5), buy("p", 60)}, 6, map[credit.EventKind]int{low: 1}},
		{"credits that follow on others leave no gap", []any{
			from(promote("b", 150, 20), 5), promote("a", 150, 5), alertAt(100),
		}, 6, map[credit.EventKind]int{low: 0}},
		{"a renewal leaves no gap", []any{
			alertAt(100), subscribe("1", 150, 0, 10), at{11, subscribe("2", 150, 10, 20)},
		}, 11, map[credit.EventKind]int{low: 0}},
		{"moving the threshold is no crossing", []any{buy("p", 90), alertAt(100), alertAt(80), alertAt(95), debit("a", 1)}, 0, map[credit.EventKind]int{low: 0}},
		{"a moved threshold is watched", []any{buy("p", 90), alertAt(100), alertAt(80), debit("a", 10)}, 0, map[credit.EventKind]int{low: 1}},
		{"switched off", []any{alertAt(100), credit.Configure{LowBalance: &credit.Threshold{Credits: 100}}, buy("p", 150), debit("a", 100)}, 0, map[credit.EventKind]int{low: 0}},
		{"a top-up is due beside the alert, at its own threshold", []any{alertAt(100), buy("p", 150), topUpAt(50, 1), debit("a", 60), debit("b", 40), debit("c", 10)}, 0, map[credit.EventKind]int{low: 1, due: 1}},
		{"a purchase that leaves it low makes another top-up due", []any{buy("p", 150), topUpAt(100, 1), debit("a", 140), buy("q", 20), buy("r", 30)}, 0, map[credit.EventKind]int{due: 3}},
		{"new settings make a top-up due when the balance is low", []any{buy("p", 10), topUpAt(10, 1), topUpAt(10, 2)}, 0, map[credit.EventKind]int{due: 2}},
		{"settings that are repeated, or late, make none due", []any{buy("p", 10), topUpAt(10, 2), topUpAt(10, 2), topUpAt(20, 1)}, 0, map[credit.EventKind]int{due: 1}},
		{"no top-up is due when it is off", []any{topUpAt(10, 1), credit.Configure{TopUp: &credit.TopUpThreshold{Revision: 2}}, usage("a", 5)}, 0, map[credit.EventKind]int{due: 1}},
		{"a refund makes no top-up due", []any{buy("p", 100), topUpAt(50, 1), refund("p", 60)}, 0, map[credit.EventKind]int{due: 0}},
		{"after a refund the next use makes a top-up due", []any{buy("p", 100), topUpAt(50, 1), refund("p", 60), adjust("a", 1), debit("b", 1), debit("c", 1)}, 0, map[credit.EventKind]int{due: 1}},
		{"a refund that is owed makes no top-up due", []any{buy("p", 100), topUpAt(50, 1), debit("a", 40), refund("p", 100)}, 0, map[credit.EventKind]int{due: 0}},
		{"after that the next use makes a top-up due", []any{buy("p", 100), topUpAt(50, 1), debit("a", 40), refund("p", 100), usage("b", 1), usage("c", 1)}, 0, map[credit.EventKind]int{due: 1}},
		{"a dispute makes no top-up due, won or lost", []any{buy("p", 100), topUpAt(50, 1), freeze("p", true), freeze("p", false), freeze("p", true), refund("p", 100), freeze("p", false)}, 0, map[credit.EventKind]int{due: 0}},
		{"debt is told when it begins, not when it grows", []any{usage("a", 10), usage("b", 10)}, 0, map[credit.EventKind]int{debt: 1}},
		{"debt is told again when it begins again", []any{usage("a", 10), buy("p", 10), usage("b", 10)}, 0, map[credit.EventKind]int{debt: 2}},
		{"debt at its ceiling", []any{ceiling(20), usage("a", 19), usage("b", 1), usage("c", 9)}, 0, map[credit.EventKind]int{debt: 1, over: 1}},
		{"debt at its ceiling again", []any{ceiling(20), usage("a", 25), buy("p", 10), usage("b", 5)}, 0, map[credit.EventKind]int{debt: 1, over: 2}},
		{"debt that begins over its ceiling is told as both", []any{ceiling(20), usage("a", 25)}, 0, map[credit.EventKind]int{debt: 1, over: 1}},
		{"a ceiling moved below the debt is no crossing", []any{usage("a", 25), ceiling(20), usage("b", 5)}, 0, map[credit.EventKind]int{debt: 1, over: 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := play(t, tt.until, tt.do...)
			for kind, want := range tt.want {
				if got := b.count(kind); got != want {
					t.Errorf("%d alerts of kind %s; want %d", got, kind, want)
				}
			}
		})
	}
}

func topUpAt(n, revision int64) credit.Configure {
	return credit.Configure{TopUp: &credit.TopUpThreshold{Threshold: credit.Threshold{On: true, Credits: n}, Revision: revision}}
}

func TestCrossingsOfOneBatchAreToldOneByOne(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(alertAt(100), day)
	b.must(buy("p", 150), day)
	for i := range 5 {
		b.must(debit(fmt.Sprint("down", i), 60), day)
		b.must(reverse(fmt.Sprint("up", i), fmt.Sprint("down", i), 0), day)
	}
	b.commit(true)
	if got := b.count(credit.EventLowBalance); got != 5 {
		t.Errorf("%d alerts for 5 crossings in one batch", got)
	}
	for n := range 5 {
		if id := fmt.Sprintf("low:%s:%d", org, n+1); !b.ids[id] {
			t.Errorf("no alert has the id %s", id)
		}
	}
}

func TestHeldCreditsCountAsBalance(t *testing.T) {
	t.Parallel()
	w := credit.NewWallet(org, "UTC")
	w.Live = []*credit.Grant{{Terms: credit.Terms{ID: "p", Source: credit.Purchase, Granted: 100}, Free: 50, Held: 50, Started: true, Place: credit.InWallet}}
	w.Figures, w.Low = credit.Figures{Available: 50, Held: 50}, credit.LowBalance{On: true, Threshold: 60}
	next, out, err := credit.Decide(credit.NewState(w), debit("e", 39), day)
	if err != nil || len(out.Events) != 0 {
		t.Fatalf("at 61 of available and held together: %+v, %v", out, err)
	}
	if _, out, err = credit.Decide(next, debit("f", 1), day); err != nil || len(out.Events) != 1 {
		t.Fatalf("at 60 of available and held together: %+v, %v", out, err)
	}
}

func TestEventsTellWhatTheEntrySays(t *testing.T) {
	t.Parallel()
	b := opened(t)
	out := b.must(buy("p", 100), day)
	e := out.Events[0]
	if e.ID != "granted:acme:1" || e.Kind != credit.EventGranted || e.Credits != 100 || e.After.Available != 100 || !e.At.Equal(day) || e.Kind.Alert() {
		t.Errorf("a purchase tells %+v", e)
	}
	out = b.must(refund("p", 100), day)
	for i, kind := range []credit.EventKind{credit.EventClawedBack, credit.EventTakenBack} {
		if e := out.Events[i]; e.Kind != kind || e.Credits != 100 || e.Grant != paidBy("p") {
			t.Errorf("a clawback tells %+v", e)
		}
	}
	b.must(buy("q", 50), day)
	out = b.must(freeze("q", true), day)
	for i, kind := range []credit.EventKind{credit.EventFrozen, credit.EventDisputed} {
		if e := out.Events[i]; e.Kind != kind || e.Credits != 50 || e.Grant != paidBy("q") || e.Reason != "dispute" {
			t.Errorf("a dispute tells %+v", e)
		}
	}
	out = b.must(freeze("q", false), day)
	for i, kind := range []credit.EventKind{credit.EventThawed, credit.EventGivenBack} {
		if e := out.Events[i]; e.Kind != kind || e.Credits != 50 || e.Grant != paidBy("q") {
			t.Errorf("a dispute that is won tells %+v", e)
		}
	}
	out = b.must(refund("p", 40), day)
	for i, kind := range []credit.EventKind{credit.EventRestored, credit.EventGivenBack} {
		if e := out.Events[i]; e.Kind != kind || e.Credits != 60 || e.Grant != paidBy("p") {
			t.Errorf("a refund that failed tells %+v", e)
		}
	}
	alerts := []credit.EventKind{credit.EventLowBalance, credit.EventDebt, credit.EventDebtCeiling, credit.EventTakenBack, credit.EventDisputed, credit.EventGivenBack}
	for _, k := range []credit.EventKind{credit.EventLowBalance, credit.EventDebt, credit.EventDebtCeiling, credit.EventExpired, credit.EventFrozen, credit.EventTakenBack, credit.EventDisputed, credit.EventGivenBack} {
		if k.Alert() != slices.Contains(alerts, k) {
			t.Errorf("%s is an alert: %t", k, k.Alert())
		}
	}
}

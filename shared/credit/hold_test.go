package credit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// soon is the grant of promote("c", …).
var soon = credit.GrantID(credit.SystemKey("promotion", "c"))

func TestPlacing(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{name: "sets credits aside in burn-down order", do: []any{promote("c", 60, 9), buy("p", 100), hold("h", 80, 1)}, available: 80, held: 80,
			free: map[string]int64{soon: 0, paidBy("p"): 80}},
		{name: "is all or nothing", do: []any{buy("p", 100), refused{credit.CodeInsufficient, hold("h", 101, 1)}}, available: 100},
		{name: "cannot take what others hold", do: []any{buy("p", 100), hold("h", 60, 1), refused{credit.CodeInsufficient, hold("i", 41, 1)}}, available: 40, held: 60},
		{name: "is refused while the wallet is frozen", available: 100,
			do: []any{buy("p", 100), credit.FreezeWallet{Frozen: true}, refused{credit.CodeFrozen, hold("h", 1, 1)}}},
		{name: "is refused while there is debt", debt: 5, do: []any{usage("u", 5), refused{credit.CodeInDebt, hold("h", 1, 1)}}},
		{name: "lasts a quarter of an hour unless it says otherwise", until: 1, available: 100, entries: map[credit.Kind]int{credit.KindRelease: 1},
			do: []any{buy("p", 100), hold("h", 60, 0)}},
	})
}

func TestHeldCreditsCannotExpire(t *testing.T) {
	t.Parallel()
	expired := func(n int) map[credit.Kind]int { return map[credit.Kind]int{credit.KindExpiry: n} }
	// 60 of the hold's 100 come from credits that end at hour 5; nothing of the promotion is free.
	placed := func(more ...any) []any {
		return append([]any{promote("c", 60, 5), buy("p", 50), hold("h", 100, 10)}, more...)
	}
	tell(t, []story{
		{name: "while they are held", until: 9, do: placed(), available: 10, held: 100, entries: expired(0)},
		{name: "what is released of others goes back", do: placed(at{6, capture("h", 80)}), available: 30, entries: expired(0)},
		{name: "what is released of them is journaled as expired", do: placed(at{6, capture("h", 40)}), available: 50, entries: expired(1)},
		{name: "released altogether", do: placed(at{6, release("h")}), available: 50, entries: expired(1)},
		{name: "released before their end they lapse at it", until: 6, do: placed(at{4, release("h")}), available: 50, entries: expired(1)},
		{name: "timed out after their end", until: 11, do: placed(), available: 50, entries: expired(1)},
		{name: "while others of the same grant lapse", until: 6, available: 50, held: 20, entries: expired(1),
			do: []any{promote("c", 60, 5), buy("p", 50), hold("h", 20, 10)}},
	})
}

func TestCapture(t *testing.T) {
	t.Parallel()
	placed := func(more ...any) []any {
		return append([]any{promote("c", 30, 99), buy("p", 100), hold("h", 50, 1)}, more...)
	}
	settled := func(c credit.Command) refused { return refused{credit.CodeHoldSettled, c} }
	tell(t, []story{
		{name: "of all that is held", do: placed(capture("h", 50)), available: 80},
		{name: "of a part draws in the hold's order and releases its end", do: placed(capture("h", 35)), available: 95,
			free: map[string]int64{soon: 0, paidBy("p"): 95}},
		{name: "of more is usage beyond it", do: placed(capture("h", 70)), available: 60},
		{name: "of more than there is makes debt", do: placed(capture("h", 140)), debt: 10},
		{name: "with a grant that comes before the hold's", do: placed(promote("d", 10, 50), capture("h", 50)), available: 90,
			free: map[string]int64{credit.GrantID(credit.SystemKey("promotion", "d")): 10}},
		{name: "twice", do: placed(capture("h", 50), settled(capture("h", 50)), settled(capture("h", 49))), available: 80},
		{name: "after a release", do: placed(release("h"), settled(capture("h", 50))), available: 130},
		{name: "after a time-out is usage", do: placed(at{2, capture("h", 50)}), available: 80},
		{name: "after a time-out is usage, with debt", do: placed(at{2, capture("h", 150)}), debt: 20},
		{name: "after a time-out, twice", do: placed(at{2, capture("h", 50)}, settled(capture("h", 50))), available: 80},
		{name: "of no hold", do: placed(refused{credit.CodeNotFound, capture("x", 1)}), available: 80, held: 50},
		{name: "of another organisation's hold", available: 80, held: 50,
			do: placed(refused{credit.CodeNotFound, credit.Capture{Hold: credit.HoldID("other", "h"), Credits: 1}})},
		{name: "while the wallet is frozen", do: placed(credit.FreezeWallet{Frozen: true}, capture("h", 50)), available: 80},
		{name: "of a hold on a frozen grant", do: placed(freeze("p", true), capture("h", 40)), available: 0,
			free: map[string]int64{paidBy("p"): 90}},
		{name: "releases what repays debt", do: []any{buy("p", 50), hold("h", 50, 1), usage("u", 30), capture("h", 30)}, debt: 10,
			entries: map[credit.Kind]int{credit.KindRepayment: 1}},
	})
}

func TestRelease(t *testing.T) {
	t.Parallel()
	placed := func(more ...any) []any { return append([]any{buy("p", 100), hold("h", 50, 1)}, more...) }
	tell(t, []story{
		{name: "gives all back", do: placed(release("h")), available: 100},
		{name: "after a capture", do: placed(capture("h", 20), refused{credit.CodeHoldSettled, release("h")}), available: 80},
		{name: "again", do: placed(release("h"), refused{credit.CodeHoldSettled, release("h")}), available: 100},
		{name: "of no hold", do: placed(refused{credit.CodeNotFound, release("x")}), available: 50, held: 50},
		{name: "repays debt first", do: placed(usage("u", 80), release("h")), available: 20, entries: map[credit.Kind]int{credit.KindRepayment: 1}},
		{name: "into a frozen grant stays frozen", do: placed(freeze("p", true), release("h")), free: map[string]int64{paidBy("p"): 100}},
		{name: "by time-out repays debt first", until: 2, do: placed(usage("u", 80)), available: 20, entries: map[credit.Kind]int{credit.KindRepayment: 1}},
		{name: "by time-out comes before what else is done", do: placed(at{2, debit("e", 100)}), available: 0},
	})
}

func TestExtension(t *testing.T) {
	t.Parallel()
	extended := func(n int) map[credit.Kind]int { return map[credit.Kind]int{credit.KindExtend: n} }
	tell(t, []story{
		{name: "moves the end", until: 4, do: []any{buy("p", 10), hold("h", 10, 2), at{1, extend("h", 4)}}, held: 10, entries: extended(1)},
		{name: "lasts until then", until: 5, do: []any{buy("p", 10), hold("h", 10, 2), at{1, extend("h", 4)}}, available: 10},
		{name: "never moves it earlier", until: 4, do: []any{buy("p", 10), hold("h", 10, 5), at{1, extend("h", 2)}}, held: 10, entries: extended(0)},
		{name: "goes to a day in all", until: 23, do: []any{buy("p", 10), hold("h", 10, 5), at{4, extend("h", 24)}}, held: 10, entries: extended(1)},
		{name: "goes no further", until: 25, do: []any{buy("p", 10), hold("h", 10, 5), at{4, extend("h", 24)}, at{20, extend("h", 24)}}, available: 10, entries: extended(1)},
		{name: "of a hold that has timed out", do: []any{buy("p", 10), hold("h", 10, 2), at{3, refused{credit.CodeHoldSettled, extend("h", 4)}}}, available: 10},
		{name: "of a hold that was captured", do: []any{buy("p", 10), hold("h", 10, 2), capture("h", 1), refused{credit.CodeHoldSettled, extend("h", 4)}}, available: 9},
		{name: "of no hold", do: []any{buy("p", 10), refused{credit.CodeNotFound, extend("h", 4)}}, available: 10},
	})
}

func TestReversalOfACapture(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{name: "gives back what it took of the hold and beyond", do: []any{promote("c", 30, 99), buy("p", 100), hold("h", 50, 1), capture("h", 70), reverse("r", "h", 0)},
			available: 130, free: map[string]int64{soon: 30, paidBy("p"): 100}},
		{name: "undoes what went beyond first", do: []any{promote("c", 30, 99), buy("p", 100), hold("h", 30, 1), capture("h", 40), reverse("r", "h", 15)},
			available: 105, free: map[string]int64{soon: 5, paidBy("p"): 100}},
		{name: "gives nothing for what was released", do: []any{buy("p", 100), hold("h", 50, 1), capture("h", 20), reverse("r", "h", 0)}, available: 100},
		{name: "cancels its debt", do: []any{buy("p", 50), hold("h", 50, 1), capture("h", 70), reverse("r", "h", 0)}, available: 50},
		{name: "of a late one", do: []any{buy("p", 50), hold("h", 50, 1), at{2, capture("h", 20)}, reverse("r", "h", 0)}, available: 50},
		{name: "lapses what goes to a grant whose time has passed", available: 0, entries: map[credit.Kind]int{credit.KindExpiry: 1},
			do: []any{promote("c", 30, 5), hold("h", 30, 9), at{6, capture("h", 30)}, reverse("r", "h", 0)}},
		{name: "of an open hold is refused", do: []any{buy("p", 50), hold("h", 50, 1), refused{credit.CodeNotFound, reverse("r", "h", 0)}}, held: 50},
		{name: "is refused beyond it", do: []any{buy("p", 50), hold("h", 50, 1), capture("h", 20), refused{credit.CodeInvalid, reverse("r", "h", 21)}}, available: 30},
	})
}

func TestAHoldEndsAtItsVeryEnd(t *testing.T) {
	t.Parallel()
	for before, want := range map[time.Duration]credit.HoldState{time.Microsecond: credit.HoldCaptured, 0: credit.HoldTimedOut} {
		b := opened(t)
		b.must(buy("p", 50), day)
		end := b.must(hold("h", 50, 1), day).Hold.ExpiresAt
		if got := b.must(capture("h", 30), end.Add(-before)).Hold; got.State != want || got.Captured != 30 {
			t.Errorf("captured %v before its end, the hold is %+v", before, got)
		}
	}
}

func TestAReversalRefusedForAnOpenHoldKnowsItsCaptureInTheSameBatch(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 10), day)
	b.must(hold("h", 10, 1), day)
	wantRefusal(t, b, refused{credit.CodeNotFound, reverse("r", "h", 0)}, day)
	b.must(capture("h", 4), day)
	b.must(reverse("r", "h", 0), day)
	b.commit(true)
	if b.wallet.Available != 10 {
		t.Errorf("the wallet stands at %+v", b.wallet.Figures)
	}
}

func TestACaptureIsBookedForTheWorkOfItsHold(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 10), day)
	units := int64(7)
	work := credit.Work{User: "u", Team: "t", Feature: "bulk-pricing", PriceVersion: 3, Units: &units}
	placed := b.must(credit.PlaceHold{EventID: "h", Credits: 10, Work: work, Actor: "a", Metadata: `{"x":1}`}, day)
	e := placed.Entries[0]
	if e.Kind != credit.KindHold || e.Key != credit.CallerKey("h") || e.Subject != credit.HoldID(org, "h") || e.Metadata == "" ||
		!e.Until.Equal(e.At.Add(credit.DefaultHoldTTL)) || placed.Hold.ID != e.Subject {
		t.Errorf("the hold is %+v", e)
	}
	c := b.must(capture("h", 4), day)
	if e := c.Entries[0]; e.Work != work || e.Subject != credit.HoldID(org, "h") || e.Credits != 4 || e.Key != credit.CaptureKey(e.Subject) || c.Hold.Captured != 4 {
		t.Errorf("the capture is %+v", e)
	}
}

func TestTimeOutsBearTheirOwnMoments(t *testing.T) {
	t.Parallel()
	b := play(t, 9, buy("p", 100), hold("h", 30, 2), hold("i", 20, 1), at{8, nil})
	var got []time.Time
	for _, e := range b.entries {
		if e.Kind == credit.KindRelease {
			got = append(got, e.At)
		}
	}
	if want := []time.Time{hour(1), hour(2)}; len(got) != 2 || got[0].Sub(want[0]) > time.Millisecond || got[1].Sub(want[1]) > time.Millisecond {
		t.Errorf("released at %v, want %v", got, want)
	}
	if f := b.at(hour(1).Add(time.Millisecond)); f.Held != 30 {
		t.Errorf("after the first time-out the wallet stood at %+v", f)
	}
}

func TestLowBalanceWatchesWhatIsHeldToo(t *testing.T) {
	t.Parallel()
	b := opened(t)
	low := func(want int, what string) {
		t.Helper()
		if got := b.count(credit.EventLowBalance); got != want {
			t.Errorf("%s: %d alerts, want %d", what, got, want)
		}
	}
	b.must(alertAt(20), day)
	b.must(buy("p", 100), day)
	b.must(hold("h", 95, 1), day)
	low(0, "held")
	b.must(capture("h", 70), day)
	low(0, "captured to 30")
	b.must(hold("i", 25, 1), day)
	b.must(capture("i", 10), day)
	low(1, "captured to 20")
}

func TestAGrantThatIsOnlyHeldLeavesTheWallet(t *testing.T) {
	t.Parallel()
	const grants = 300
	b := opened(t)
	for i := range grants {
		b.must(one(i), day)
		b.must(hold(fmt.Sprint("h", i), 1, 1), day)
	}
	b.commit(true)
	if len(b.wallet.Live) != 0 || b.wallet.Waiting.Count != 0 || b.wallet.OpenHolds != grants || b.wallet.Held != grants {
		t.Fatalf("the wallet holds %d grants, %+v wait, %d holds are open", len(b.wallet.Live), b.wallet.Waiting, b.wallet.OpenHolds)
	}
	b.must(release("h7"), day)
	b.must(capture("h8", 1), day)
	b.commit(true)
	if want := (credit.Figures{Available: 1, Held: grants - 2}); b.wallet.Figures != want || len(b.wallet.Live) != 1 {
		t.Errorf("the wallet stands at %+v with %d grants", b.wallet.Figures, len(b.wallet.Live))
	}
}

func TestAHoldStandsInABoundedNumberOfGrants(t *testing.T) {
	t.Parallel()
	b := opened(t)
	many(b, credit.MaxHoldGrants+1, one)
	wantRefusal(t, b, refused{credit.CodeInvalid, hold("h", credit.MaxHoldGrants+1, 1)}, day)
	b.must(hold("h", credit.MaxHoldGrants, 1), day)
	b.commit(true)
	b.must(release("h"), day)
	b.commit(true)
	if b.wallet.Available != credit.MaxHoldGrants+1 {
		t.Errorf("the wallet stands at %+v", b.wallet.Figures)
	}
}

func TestThousandsOfHoldsTimeOutInBoundedCommits(t *testing.T) {
	t.Parallel()
	for _, page := range []int{1, 7, credit.MaxJournaled} {
		t.Run(fmt.Sprint(page, " at a time"), func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			b.duePage = page
			n := page * 25
			b.must(promote("c", int64(n), 5), day)
			b.must(buy("p", int64(n)), day)
			for i := range n {
				b.must(hold(fmt.Sprint("h", i), 2, 10), day)
			}
			b.commit(true)
			b.journal(hour(11)) // which asserts the bound
			b.commit(true)
			if want := (credit.Figures{Available: int64(n)}); b.wallet.Figures != want || b.wallet.OpenHolds != 0 {
				t.Errorf("the wallet stands at %+v with %d open holds; want %+v", b.wallet.Figures, b.wallet.OpenHolds, want)
			}
			if got := b.kinds(credit.KindRelease); got != n {
				t.Errorf("%d of %d were released", got, n)
			}
		})
	}
}

func TestTimeOutsOverManyGrantsAreJournaledInBoundedCommits(t *testing.T) {
	t.Parallel()
	const holds = 6
	b := opened(t)
	many(b, holds*200, func(i int) credit.NewGrant { return promote(fmt.Sprint("c", i), 1, 5) })
	for i := range holds {
		b.must(hold(fmt.Sprint("h", i), 200, 10), day)
		b.commit(true)
	}
	b.journal(hour(11))
	b.commit(true)
	if b.wallet.Figures != (credit.Figures{}) || b.kinds(credit.KindExpiry) != holds*200 {
		t.Errorf("the wallet stands at %+v after %d expiries", b.wallet.Figures, b.kinds(credit.KindExpiry))
	}
}

func TestAHoldOnAGrantWithoutARecordIsAnErrorNotAPanic(t *testing.T) {
	t.Parallel()
	b := play(t, 0, buy("p", 10), hold("h", 10, 1))
	delete(b.records, paidBy("p"))
	if _, err := b.do(release("h"), day); err == nil || !strings.Contains(err.Error(), "cannot be had") {
		t.Errorf("%v", err)
	}
}

func TestHoldIdsNameTheirOrganisation(t *testing.T) {
	t.Parallel()
	id := credit.HoldID("acme", "job-1")
	if o, doc, err := credit.ParseHoldID(id); err != nil || o != "acme" || "c_"+doc != credit.CallerKey("job-1").Doc() {
		t.Errorf("%s is %q, %q, %v", id, o, doc, err)
	}
	hash := strings.TrimPrefix(id, "acme.")
	for _, bad := range []string{"", ".", "acme", "acme.", "." + hash, "Acme." + hash, "acme." + hash[1:], "acme." + hash + "0", "acme.x" + hash[1:], "a/b." + hash, "acme." + strings.ToUpper("a") + hash[1:]} {
		var refusal *credit.Refusal
		if _, _, err := credit.ParseHoldID(bad); !errors.As(err, &refusal) || refusal.Code() != credit.CodeNotFound {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func TestMalformedHoldCommandsAreTurnedAway(t *testing.T) {
	t.Parallel()
	id := credit.HoldID(org, "h")
	for name, c := range map[string]credit.Command{
		"no event id":            hold("", 1, 1),
		"no credits":             hold("h", 0, 1),
		"a negative life":        credit.PlaceHold{EventID: "h", Credits: 1, Work: credit.Work{Feature: "f"}, TTL: -1},
		"more than a day":        credit.PlaceHold{EventID: "h", Credits: 1, Work: credit.Work{Feature: "f"}, TTL: 24*time.Hour + 1},
		"no extension":           credit.Extend{Hold: id},
		"an extension too long":  credit.Extend{Hold: id, TTL: 25 * time.Hour},
		"a capture of nothing":   credit.Capture{Hold: id},
		"a negative capture":     credit.Capture{Hold: id, Credits: -1},
		"a release at length":    credit.Release{Hold: id, Reason: strings.Repeat("x", credit.MaxReasonBytes+1)},
		"too much metadata":      credit.PlaceHold{EventID: "h", Credits: 1, Work: credit.Work{Feature: "f"}, Metadata: strings.Repeat("x", 3000)},
		"a capture beyond range": credit.Capture{Hold: id, Credits: credit.MaxCredits + 1},
	} {
		var refusal *credit.Refusal
		if err := credit.Check(c); !errors.As(err, &refusal) || refusal.Code() != credit.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

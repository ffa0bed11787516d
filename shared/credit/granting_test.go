package credit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestCyclesAndExpiry(t *testing.T) {
	t.Parallel()
	expired := func(n int) map[credit.Kind]int { return map[credit.Kind]int{credit.KindExpiry: n} }
	tell(t, []story{
		{name: "what is unused of a cycle expires, purchases stay", until: 13, available: 300, entries: expired(1),
			do: []any{subscribe("1", 500, 0, 10), buy("p", 300), at{1, debit("e", 200)}}},
		{name: "nothing expires within the grace", until: 11, available: 600, do: []any{subscribe("1", 500, 0, 10), buy("p", 100)}, entries: expired(0)},
		{name: "purchased credits never expire", until: 24 * 36500, available: 7, do: []any{buy("p", 7)}, entries: expired(0)},
		{name: "a spent grant expires without an entry", until: 13, do: []any{subscribe("1", 50, 0, 10), debit("e", 50)}, entries: expired(0)},
		{name: "the next paid line of the item ends the grace at once", until: 11, available: 400, entries: expired(1),
			do: []any{subscribe("1", 500, 0, 10), at{11, subscribe("2", 400, 10, 20)}}},
		{name: "the next line paid early lets the old credits live to their end", until: 9, available: 500, entries: expired(0),
			do: []any{subscribe("1", 500, 0, 10), at{9, subscribe("2", 400, 10, 20)}}},
		{name: "the next line paid early leaves no grace", until: 10, available: 400, entries: expired(1),
			do: []any{subscribe("1", 500, 0, 10), at{9, subscribe("2", 400, 10, 20)}}},
		{name: "a line that comes after the next period's has no grace", until: 10, available: 400, entries: expired(1),
			do: []any{subscribe("2", 400, 10, 20), subscribe("1", 500, 0, 10)}},
		{name: "an upgrade within the period ends no grace", until: 11, available: 550, entries: expired(0),
			do: []any{subscribe("1", 500, 0, 10), at{5, subscribe("up", 50, 5, 10)}}},
		{name: "the next period ends the upgrade's grace too", until: 11, available: 400, entries: expired(2),
			do: []any{subscribe("1", 500, 0, 10), at{5, subscribe("up", 50, 5, 10)}, at{11, subscribe("2", 400, 10, 20)}}},
		{name: "another item's line ends no grace", until: 11, available: 900, entries: expired(0),
			do: []any{subscribe("1", 500, 0, 10), at{11, item(subscribe("2", 400, 10, 20), "other")}}},
		{name: "an upgrade paid in the grace, before the renewal, does not end it", until: 11, available: 510, entries: expired(0),
			do: []any{subscribe("1", 500, 0, 10), at{11, prorated(subscribe("up", 10, 10, 20))}}},
		{name: "another item's line ends the grace of an item that is gone", until: 11, available: 400, entries: expired(1),
			do: []any{subscribe("1", 500, 0, 10), at{11, following(item(subscribe("2", 400, 10, 20), "new"), "si")}}},
		{name: "the last line of an item that is gone has no grace once another followed", until: 11, available: 400, entries: expired(1),
			do: []any{item(subscribe("2", 400, 10, 20), "new"), following(subscribe("1", 500, 0, 10), "new")}},
		{name: "what will not renew ends with its period", until: 10, entries: map[credit.Kind]int{credit.KindGrace: 1, credit.KindExpiry: 1},
			do: []any{subscribe("1", 500, 0, 10), at{5, await(10, 10)}}},
		{name: "telling twice that it will not renew is once", until: 9, available: 500, entries: map[credit.Kind]int{credit.KindGrace: 1},
			do: []any{subscribe("1", 500, 0, 10), at{5, await(10, 10)}, at{6, await(10, 10)}}},
		{name: "what renews after all has its grace again", until: 11, available: 500, entries: map[credit.Kind]int{credit.KindGrace: 2, credit.KindExpiry: 0},
			do: []any{subscribe("1", 500, 0, 10), at{5, await(10, 10)}, at{6, await(10, 12)}}},
		{name: "what will not renew, told in its grace, ends then", until: 11, entries: map[credit.Kind]int{credit.KindGrace: 1, credit.KindExpiry: 1},
			do: []any{subscribe("1", 500, 0, 10), at{11, await(10, 10)}}},
		{name: "what has ended does not come back", until: 11, entries: map[credit.Kind]int{credit.KindGrace: 1, credit.KindExpiry: 1},
			do: []any{subscribe("1", 500, 0, 10), at{5, await(10, 10)}, at{11, await(10, 12)}}},
		{name: "what the next period followed has no grace, whatever is awaited", until: 10, available: 400, entries: expired(1),
			do: []any{subscribe("1", 500, 0, 10), at{9, subscribe("2", 400, 10, 20)}, at{9, await(10, 12)}}},
		{name: "other periods are not touched", until: 9, available: 500, entries: map[credit.Kind]int{credit.KindGrace: 0},
			do: []any{subscribe("1", 500, 0, 10), await(20, 20)}},
		{name: "an end that a later period cut short is followed by none", until: 11, available: 400, entries: map[credit.Kind]int{credit.KindGrace: 1, credit.KindExpiry: 1},
			do: []any{subscribe("1", 500, 0, 10), at{5, subscribe("2", 400, 5, 20)}, at{6, cutting(5, await(20, 22))}, at{7, cutting(5, await(20, 22))}}},
		{name: "an end at which the period began is not cut short", until: 11, available: 500,
			do: []any{subscribe("1", 500, 0, 10), at{10, cutting(10, await(20, 22))}}},
		{name: "a line that comes when all is over is granted and expired", until: 30, entries: expired(1), do: []any{at{30, subscribe("1", 500, 0, 10)}}},
		{name: "credits come back to a grant in its grace", until: 11, available: 500, do: []any{subscribe("1", 500, 0, 10), debit("e", 100), at{11, reverse("r", "e", 0)}}},
		{name: "an expiry touches its own grant alone", until: 6, available: 12, entries: expired(1), do: []any{promote("a", 5, 5), promote("b", 7, 9), buy("p", 5)}},
		{name: "a frozen grant's time passes", until: 6, entries: expired(1),
			do: []any{promote("a", 5, 5), credit.FreezeGrant{Grant: credit.GrantID(credit.SystemKey("promotion", "a")), Frozen: true}}},
		{name: "a grant frozen before its start has started when thawed after it", until: 6, available: 5,
			do: []any{from(buy("p", 5), 4), freeze("p", true), at{6, freeze("p", false)}}},
		{name: "a grant frozen and thawed before its start starts in time", until: 6, available: 5, entries: map[credit.Kind]int{credit.KindStart: 1},
			do: []any{from(buy("p", 5), 4), freeze("p", true), freeze("p", false), at{4, debit("e", 5)}, reverse("r", "e", 0)}},
		{name: "a grant clawed back before its start and restored after it has started", until: 6, available: 5,
			do: []any{from(buy("p", 5), 4), refund("p", 100), at{6, refund("p", 0)}}},
	})
}

func prorated(c credit.NewGrant) credit.NewGrant {
	c.Prorated = true
	return c
}

func following(c credit.NewGrant, items ...string) credit.NewGrant {
	c.Follows = items
	return c
}

// await says until which hour the credits of a period can be used.
func await(end, until int) credit.AwaitRenewal {
	return credit.AwaitRenewal{Items: []string{"si"}, End: hour(end), Until: hour(until), Reason: "the subscription"}
}

// cutting says in which hour the period began.
func cutting(start int, c credit.AwaitRenewal) credit.AwaitRenewal {
	c.Start = hour(start)
	return c
}

func item(c credit.NewGrant, item string) credit.NewGrant {
	c.Terms.Item = item
	return c
}

func TestExpiryBearsTheClocksMomentWheneverItIsWritten(t *testing.T) {
	t.Parallel()
	b := play(t, 50, promote("a", 5, 10), from(promote("b", 7, 30), 20), buy("p", 1))
	for _, tt := range []struct {
		at   time.Time
		want int64
	}{
		{day.Add(-time.Microsecond), 0},
		{hour(1), 6},
		{hour(10).Add(-time.Microsecond), 6},
		{hour(10), 1},
		{hour(20).Add(-time.Microsecond), 1},
		{hour(20), 8},
		{hour(30), 1},
		{hour(50), 1},
	} {
		if got := b.at(tt.at).Available; got != tt.want {
			t.Errorf("at %v %d were available; want %d", tt.at, got, tt.want)
		}
	}
}

func TestJournalWritesAtMostItsBoundOldestFirst(t *testing.T) {
	t.Parallel()
	const grants = 250
	b := opened(t)
	for i := range grants {
		b.must(promote(string(rune('a'+i%26))+string(rune('a'+i/26)), 1, 10+(i*7)%5), day)
	}
	b.commit(true)
	var sizes []int
	for more := true; more; {
		next, out, again, err := credit.Journal(b.state, hour(100))
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.Entries))
		b.gather(next, out, op{nil, hour(100)})
		b.commit(true)
		more = again
	}
	if len(sizes) != 3 || sizes[0] != credit.MaxJournaled || sizes[1] != credit.MaxJournaled || sizes[2] != grants-2*credit.MaxJournaled {
		t.Errorf("%d expiries were journaled as %v", grants, sizes)
	}
	ends := map[string]time.Time{}
	for _, g := range b.find(func(*credit.Grant) bool { return true }) {
		ends[g.ID] = g.UsableUntil
	}
	expiries := b.entries[grants:]
	for i := 1; i < len(expiries); i++ {
		if ends[expiries[i].Subject].Before(ends[expiries[i-1].Subject]) {
			t.Fatalf("expiry %d is of a grant that ended before that of the expiry before it", i)
		}
	}
	if !b.wallet.NextDueAt.IsZero() {
		t.Errorf("after the last expiry something is due at %v", b.wallet.NextDueAt)
	}
}

func TestNothingIsDecidedBeforeWhatIsDueIsJournaled(t *testing.T) {
	t.Parallel()
	b := play(t, 1, promote("a", 5, 10))
	_, _, err := credit.Decide(b.state, debit("e", 1), hour(10))
	var missing *credit.Missing
	if !errors.As(err, &missing) || missing.Due.IsZero() {
		t.Errorf("a debit on credits whose expiry is not journaled gives %v", err)
	}
}

func TestAnEndWaitsForStartsOfItsMomentThatAreNotLoaded(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.duePage = 1
	b.must(alertAt(100), day)
	b.must(promote("ends", 150, 10), day)
	b.must(from(promote("starts", 60, 20), 10), day)
	b.must(from(promote("starts too", 60, 20), 10), day)
	b.commit(true)
	b.journal(hour(11))
	b.commit(true)
	if want := (credit.Figures{Available: 120}); b.wallet.Figures != want || b.count(credit.EventLowBalance) != 0 {
		t.Errorf("the wallet stands at %+v after %d alerts; want %+v and none", b.wallet.Figures, b.count(credit.EventLowBalance), want)
	}
}

package credit_test

import (
	"slices"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

// counting is a wallet in which something is counted by each kind of entry that counts.
func counting(t *testing.T) *bank {
	t.Helper()
	b := opened(t)
	for _, c := range []credit.Command{
		buy("p", 1000), by("sales", "thandi", debit("a", 40)), limit(sales, 500), eachUser(500),
		by("sales", "thandi", debit("b", 10)), by("sales", "sipho", hold("h", 30, 1)), by("sales", "sipho", hold("i", 30, 1)),
		capture("h", 20), credit.Release{Hold: credit.HoldID(org, "i")}, reverse("r", "b", 5),
	} {
		b.must(c, day)
	}
	b.commit(true)
	return b
}

func TestReplayRefusesCountsThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		kind   credit.Kind
		tamper func(c *credit.Count)
	}{
		{"a debit that counts less than it charges", credit.KindDebit, func(c *credit.Count) { c.Credits--; c.Used-- }},
		{"a hold that counts less than it holds", credit.KindHold, func(c *credit.Count) { c.Credits--; c.Used-- }},
		{"a capture that counts more than it charges", credit.KindCapture, func(c *credit.Count) { c.Used += 21 - c.Credits; c.Credits = 21 }},
		{"a release that counts", credit.KindRelease, func(c *credit.Count) { c.Used += 1 - c.Credits; c.Credits = 1 }},
		{"a release of more than was held", credit.KindRelease, func(c *credit.Count) { c.Used -= 1; c.Credits = -31 }},
		{"a reversal of more than it gives back", credit.KindReversal, func(c *credit.Count) { c.Credits--; c.Used-- }},
		{"a seed that is none", credit.KindLimits, func(c *credit.Count) { c.Used++ }},
		{"what is used, and does not follow", credit.KindRelease, func(c *credit.Count) { c.Used++ }},
		{"less than nothing used", credit.KindReversal, func(c *credit.Count) { c.ID = "nobody"; c.Used = c.Credits }},
		{"another window", credit.KindReversal, func(c *credit.Count) { c.Window = "2026-02" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := counting(t)
			i := slices.IndexFunc(b.entries, func(e *credit.Entry) bool { return e.Kind == tt.kind && len(e.Counts) > 0 })
			e := copied(b.entries[i])
			e.Counts = slices.Clone(e.Counts)
			tt.tamper(&e.Counts[0])
			if _, err := credit.Replay(org, append(slices.Clone(b.entries[:i]), e)); err == nil {
				t.Errorf("%+v passes for true", e.Counts)
			}
		})
	}
	t.Run("a purchase that counts", func(t *testing.T) {
		t.Parallel()
		e := copied(counting(t).entries[0])
		e.Counts = []credit.Count{{Subject: sales, Window: "2026-03", Credits: e.Credits, Used: e.Credits}}
		if _, err := credit.Replay(org, []*credit.Entry{e}); err == nil {
			t.Error("it passes for true")
		}
	})
}

func TestVerifyFindsEveryDifferenceOfCounters(t *testing.T) {
	t.Parallel()
	page := credit.CounterPage{Window: "2026-03"}
	for _, tt := range []struct {
		name   string
		tamper func(b *bank, pages *[]credit.Counters)
	}{
		{"less used", func(b *bank, _ *[]credit.Counters) {
			b.counters[page][sales] = credit.Counter{Used: 1, Peak: b.counters[page][sales].Peak}
		}},
		{"another peak", func(b *bank, _ *[]credit.Counters) {
			b.counters[page][sales] = credit.Counter{Used: b.counters[page][sales].Used, Peak: b.counters[page][sales].Peak + 1}
		}},
		{"a counter gone", func(b *bank, _ *[]credit.Counters) { delete(b.counters[page], thandi) }},
		{"a counter of nobody", func(b *bank, _ *[]credit.Counters) { b.counters[page][company] = credit.Counter{} }},
		{"a document gone", func(_ *bank, pages *[]credit.Counters) { *pages = nil }},
		{"a document twice", func(_ *bank, pages *[]credit.Counters) { *pages = append(*pages, (*pages)[0]) }},
		{"more documents than there are", func(b *bank, _ *[]credit.Counters) {
			b.wallet.Windows = []credit.CountedWindow{{Key: "2026-03", Pages: 8}}
		}},
		{"a change of limits that is not in the entries", func(b *bank, _ *[]credit.Counters) { b.wallet.LimitChanges++ }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := counting(t)
			pages := b.allCounters()
			if err := b.book.Verify(&b.wallet, nil, b.allHolds(), pages); err != nil {
				t.Fatalf("before it is falsified: %v", err)
			}
			tt.tamper(b, &pages)
			if err := b.book.Verify(&b.wallet, nil, b.allHolds(), pages); err == nil {
				t.Error("it passes for true")
			}
		})
	}
}

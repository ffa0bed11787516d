package credit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestRandomHistoriesOfLargeWalletsFollowTheRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		if rapid.IntRange(0, 15).Draw(rt, "kind") > 0 { // one in sixteen: they are slow
			return
		}
		h := newHistory(rt)
		for range h.between(1, 4, "bursts") {
			h.burst()
			for range h.between(1, 25, "steps") {
				h.step()
			}
			h.spendMost()
		}
		h.finish()
	})
}

// burst adds so many grants that some must wait outside the wallet, many of them ending at one moment.
func (h *history) burst() {
	size := h.between(150, 330, "burst")
	end := later(h.now, h.state.LastAt).Add(time.Duration(h.between(2, 300, "end")) * time.Hour)
	pendingUntil := end.Add(-time.Hour)
	for i := range int(size) {
		t := credit.Terms{Source: credit.Promotion, Granted: 1 + int64(i)%5, Priority: int32(i % 3), ExpiresAt: end, UsableUntil: end}
		switch i % 7 {
		case 0, 1:
			t = credit.Terms{Source: credit.Purchase, Granted: 1 + int64(i)%5, Priority: int32(i % 3)}
		case 2:
			t.EffectiveAt = pendingUntil
		case 3:
			t.ExpiresAt = end.Add(time.Duration(i) * time.Minute)
			t.UsableUntil = t.ExpiresAt
		}
		h.both(credit.NewGrant{Key: credit.SystemKey("promotion", h.id("p")), Terms: t})
	}
}

// spendMost takes what the wallet holds and more, so that waiting grants must be loaded.
func (h *history) spendMost() {
	if have := h.model.available(); have > 1 {
		h.both(credit.Debit{EventID: h.id("e"), Credits: have - have/10, Work: credit.Work{Feature: "bulk-pricing"}, Usage: true})
	}
}

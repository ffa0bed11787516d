package credit_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/needs"
)

// lived is a wallet with some of everything behind it.
func lived(t *testing.T) *bank {
	t.Helper()
	return play(t, 12, buy("p", 100), subscribe("1", 50, 0, 10), from(promote("c", 5, 40), 30), debit("e", 40), buy("q", 20), freeze("q", true), refund("p", 50),
		credit.FreezeWallet{Frozen: true, Reason: "fraud"}, at{12, usage("u", 60)}, reverse("r", "u", 30))
}

func copied(e *credit.Entry) *credit.Entry {
	c := *e
	c.Changes = slices.Clone(e.Changes)
	if e.Born != nil {
		born := *e.Born
		c.Born = &born
	}
	return &c
}

func TestReplayRefusesEntriesThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	index := func(b *bank, kind credit.Kind) int {
		return slices.IndexFunc(b.entries, func(e *credit.Entry) bool { return e.Kind == kind })
	}
	for _, tt := range []struct {
		name   string
		kind   credit.Kind // of the entry that is falsified
		tamper func(e *credit.Entry)
	}{
		{"a gap in the sequence", credit.KindDebit, func(e *credit.Entry) { e.Seq++ }},
		{"time standing still", credit.KindDebit, func(e *credit.Entry) { e.At = e.At.Add(-time.Hour) }},
		{"a key twice", credit.KindDebit, func(e *credit.Entry) { e.Key = credit.SystemKey("grant", "p") }},
		{"a grant born twice", credit.KindDebit, func(e *credit.Entry) { e.Born = &credit.Terms{ID: paidBy("p")} }},
		{"the closing of an unknown grant", credit.KindDebit, func(e *credit.Entry) { e.Closed = []string{"x"} }},
		{"a change of an unknown grant", credit.KindDebit, func(e *credit.Entry) { e.Changes[0].Grant = "x" }},
		{"a draw on a frozen grant", credit.KindReversal, func(e *credit.Entry) { e.Changes[0].Grant, e.Changes[0].Free = paidBy("q"), -1 }},
		{"a draw on a grant not started", credit.KindDebit, func(e *credit.Entry) { e.Changes[0].Grant = credit.GrantID(credit.SystemKey("promotion", "c")) }},
		{"more drawn than there is", credit.KindDebit, func(e *credit.Entry) { e.Changes[0].Free = -1000 }},
		{"more free than granted", credit.KindDebit, func(e *credit.Entry) { e.Changes[0].Free = 1 }},
		{"less than nothing held", credit.KindDebit, func(e *credit.Entry) { e.Changes[0].Held = -1 }},
		{"figures that do not follow", credit.KindDebit, func(e *credit.Entry) { e.After.Available++ }},
		{"less than no debt", credit.KindDebit, func(e *credit.Entry) { e.Debt = -1 }},
		{"a subject that is unknown", credit.KindFreeze, func(e *credit.Entry) { e.Subject = "x" }},
		{"more clawed back than granted", credit.KindClawback, func(e *credit.Entry) { e.Credits = 101 }},
		{"more taken than clawed back", credit.KindClawback, func(e *credit.Entry) { e.Credits = 1 }},
		{"a purchase's expiry", credit.KindExpiry, func(e *credit.Entry) { e.Subject, e.Changes[0].Grant = paidBy("p"), paidBy("p") }},
		{"an expiry before its time", credit.KindExpiry, func(e *credit.Entry) { e.At = e.At.Add(-time.Microsecond) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := lived(t)
			i := index(b, tt.kind)
			if i < 0 {
				t.Fatalf("the wallet has no entry of kind %s", tt.kind)
			}
			if _, err := credit.Replay(org, b.entries[:i+1]); err != nil {
				t.Fatalf("before it is falsified: %v", err)
			}
			e := copied(b.entries[i])
			tt.tamper(e)
			if _, err := credit.Replay(org, append(slices.Clone(b.entries[:i]), e)); err == nil {
				t.Errorf("%+v passes for true", *e)
			}
		})
	}
}

func TestVerifyFindsEveryDifference(t *testing.T) {
	t.Parallel()
	p := func(w *credit.Wallet) *credit.Grant {
		i := slices.IndexFunc(w.Live, func(g *credit.Grant) bool { return g.Source == credit.Purchase })
		return w.Live[i]
	}
	for _, tt := range []struct {
		name   string
		tamper func(w *credit.Wallet, outside *[]*credit.Grant)
	}{
		{"sequence", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Seq++ }},
		{"last moment", func(w *credit.Wallet, _ *[]*credit.Grant) { w.LastAt = w.LastAt.Add(1000) }},
		{"available", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Available++ }},
		{"debt", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Debt++ }},
		{"frozen", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Frozen = false }},
		{"reason of the freeze", func(w *credit.Wallet, _ *[]*credit.Grant) { w.FrozenReason = "" }},
		{"repayments", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Repayments++ }},
		{"moves", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Moves++ }},
		{"next due", func(w *credit.Wallet, _ *[]*credit.Grant) { w.NextDueAt = time.Time{} }},
		{"next due too late", func(w *credit.Wallet, _ *[]*credit.Grant) { w.NextDueAt = w.NextDueAt.Add(time.Microsecond) }},
		{"waiting", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Waiting.Count++ }},
		{"pending", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Pending.Free-- }},
		{"aside", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Aside.Held++ }},
		{"free of a grant", func(w *credit.Wallet, _ *[]*credit.Grant) { p(w).Free-- }},
		{"moves of a grant", func(w *credit.Wallet, _ *[]*credit.Grant) { p(w).Moves++ }},
		{"what was taken of a grant", func(w *credit.Wallet, _ *[]*credit.Grant) { p(w).TakenOwn-- }},
		{"birth of a grant", func(w *credit.Wallet, _ *[]*credit.Grant) { p(w).CreatedAt = hour(3) }},
		{"terms of a grant", func(w *credit.Wallet, _ *[]*credit.Grant) { p(w).Payment = "other" }},
		{"place of a grant", func(w *credit.Wallet, _ *[]*credit.Grant) { p(w).Place = credit.Waiting }},
		{"a grant missing in the wallet", func(w *credit.Wallet, _ *[]*credit.Grant) { w.Live = w.Live[1:] }},
		{"a grant missing outside", func(_ *credit.Wallet, out *[]*credit.Grant) { *out = (*out)[1:] }},
		{"a grant twice", func(w *credit.Wallet, out *[]*credit.Grant) { *out = append(*out, w.Live[0]) }},
		{"a grant from nowhere", func(_ *credit.Wallet, out *[]*credit.Grant) { *out = append(*out, &credit.Grant{Place: credit.Gone}) }},
		{"a live grant outside", func(w *credit.Wallet, out *[]*credit.Grant) { *out, w.Live = append(*out, w.Live[0]), w.Live[1:] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := lived(t)
			w := stored(b.wallet)
			outside := b.find(func(g *credit.Grant) bool {
				return !slices.ContainsFunc(w.Live, func(l *credit.Grant) bool { return l.ID == g.ID })
			})
			if err := b.book.Verify(&w, outside, b.allHolds(), b.allCounters()); err != nil {
				t.Fatalf("before it is falsified: %v", err)
			}
			tt.tamper(&w, &outside)
			if err := b.book.Verify(&w, outside, b.allHolds(), b.allCounters()); err == nil {
				t.Errorf("a wallet with another %s passes for true", tt.name)
			}
		})
	}
}

func TestVerifyKnowsTheOrderAndSizeOfTheWallet(t *testing.T) {
	t.Parallel()
	b := opened(t)
	many(b, credit.MaxLive+2, one)
	outside := func() []*credit.Grant { return b.find(func(g *credit.Grant) bool { return g.Place == credit.Waiting }) }
	moved := func(g *credit.Grant, to credit.Place) *credit.Grant {
		c := *g
		c.Place = to
		return &c
	}
	swapped := stored(b.wallet)
	swapped.Live[3], swapped.Live[4] = swapped.Live[4], swapped.Live[3]
	if err := b.book.Verify(&swapped, outside(), nil, nil); err == nil {
		t.Error("a wallet out of order passes for true")
	}
	wait := outside()
	slices.SortFunc(wait, credit.Compare)
	large := stored(b.wallet)
	large.Live = append(large.Live, moved(wait[0], credit.InWallet))
	large.Waiting = credit.Sum{Count: 1, Free: 1}
	if err := b.book.Verify(&large, wait[1:], nil, nil); err == nil {
		t.Error("a wallet beyond its bound passes for true")
	}
	gap := stored(b.wallet)
	gap.Live[credit.MaxLive-1] = moved(wait[0], credit.InWallet)
	if err := b.book.Verify(&gap, append(wait[1:], moved(b.wallet.Live[credit.MaxLive-1], credit.Waiting)), nil, nil); err == nil {
		t.Error("a wallet that holds a grant before which another waits passes for true")
	}
}

// TestTheBalanceAtEachEntrysTimeIsItsRunningFigures asks short histories, 10,000 when thorough, for the balance at each entry's moment, and
// holds it against what the entries up to then make of the grants.
func TestTheBalanceAtEachEntrysTimeIsItsRunningFigures(t *testing.T) {
	t.Parallel()
	rounds := 1
	if needs.Thorough() {
		rounds = 50 // of 200 histories
	}
	for i := range rounds {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				h := newHistory(rt)
				for range h.between(1, 30, "steps") {
					h.step()
				}
				h.finish()
				book := credit.NewBook(org)
				for _, e := range h.entries {
					if err := book.Add(e); err != nil {
						h.Fatalf("%v", err)
					}
					var sums credit.Figures
					for _, g := range book.Grants {
						if g.Started && !g.Frozen {
							sums.Available += g.Free
						}
						sums.Held += g.Held
					}
					sums.Debt = book.Debt
					if got := h.at(e.At); got != sums || got != e.After {
						h.Fatalf("at entry %d, %s at %v: %+v; it says %+v, its grants %+v", e.Seq, e.Kind, e.At, got, e.After, sums)
					}
				}
			})
		})
	}
}

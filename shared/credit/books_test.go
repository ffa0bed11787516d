package credit_test

import (
	"maps"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// verify compares what is stored with what the entries say.
func (b *bank) verify() {
	b.Helper()
	live := map[string]bool{}
	for _, g := range b.wallet.Live {
		live[g.ID] = true
	}
	outside := b.find(func(g *credit.Grant) bool { return !live[g.ID] })
	if err := b.book.Verify(&b.wallet, outside, b.allHolds(), b.allCounters()); err != nil {
		b.Fatalf("verify: %v", err)
	}
}

// usage is what the roll-ups of a window say: what debits and captures in it charged, less what reversals in it gave back.
func (b *bank) usage(window string) map[credit.Subject]int64 {
	out := map[credit.Subject]int64{}
	for _, e := range slices.Concat(b.entries, b.batch) {
		if e.At.In(johannesburg).Format("2006-01") != window {
			continue
		}
		credits := e.Credits
		switch e.Kind {
		case credit.KindDebit, credit.KindCapture:
		case credit.KindReversal:
			credits = -credits
		default:
			continue
		}
		out[credit.Subject{Scope: credit.ScopeOrganisation}] += credits
		out[credit.Subject{Scope: credit.ScopeTeam, ID: e.Work.Team}] += credits
		out[credit.Subject{Scope: credit.ScopeUser, ID: e.Work.User}] += credits
	}
	delete(out, credit.Subject{Scope: credit.ScopeTeam})
	delete(out, credit.Subject{Scope: credit.ScopeUser})
	return out
}

// johannesburg is the tests' zone, two hours before UTC all year.
var johannesburg = time.FixedZone("SAST", 2*60*60)

func (b *bank) allCounters() []credit.Counters {
	var out []credit.Counters
	for p, by := range b.counters {
		out = append(out, credit.Counters{CounterPage: p, By: by})
	}
	return out
}

func (b *bank) allHolds() []*credit.Hold {
	out := make([]*credit.Hold, 0, len(b.holds))
	for _, h := range b.holds {
		out = append(out, &h)
	}
	return out
}

// held is what each grant that has held credits holds for holds, as stored.
func (b *bank) held() map[string]int64 {
	out := map[string]int64{}
	for id, g := range b.records {
		out[id] = g.Held
	}
	for _, g := range b.wallet.Live {
		out[g.ID] = g.Held
	}
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

// free is what each grant that has free credits holds, as stored.
func (b *bank) free() map[string]int64 {
	out := map[string]int64{}
	for id, g := range b.records {
		out[id] = g.Free
	}
	for _, g := range b.wallet.Live {
		out[g.ID] = g.Free
	}
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

// count is how many events of a kind were told.
func (b *bank) count(kind credit.EventKind) int { return b.told[kind] }

// at is the balance at a moment: what the last entry at or before it says.
func (b *bank) at(t time.Time) credit.Figures {
	i := sortSearch(b.entries, t)
	if i == 0 {
		return credit.Figures{}
	}
	return b.entries[i-1].After
}

// sortSearch is how many entries are at or before t.
func sortSearch(entries []*credit.Entry, t time.Time) int {
	i, _ := slices.BinarySearchFunc(entries, t, func(e *credit.Entry, t time.Time) int {
		if e.At.After(t) {
			return 1
		}
		return -1
	})
	return i
}

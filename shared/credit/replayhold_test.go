package credit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestReplayRefusesHoldsThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	told := func(t *testing.T) *bank {
		t.Helper()
		return play(t, 3, promote("c", 30, 99), buy("p", 100), hold("h", 50, 1), extend("h", 2), hold("i", 10, 1), capture("h", 40), hold("j", 5, 9), release("j"), at{2, capture("i", 3)})
	}
	for _, tt := range []struct {
		name   string
		kind   credit.Kind
		nth    int
		tamper func(e *credit.Entry)
	}{
		{"a hold of more than it takes", credit.KindHold, 0, func(e *credit.Entry) { e.Credits++ }},
		{"a hold under another's id", credit.KindHold, 0, func(e *credit.Entry) { e.Subject = credit.HoldID(org, "x") }},
		{"a hold of more than a day", credit.KindHold, 0, func(e *credit.Entry) { e.Until = e.At.Add(25 * time.Hour) }},
		{"a hold that has ended", credit.KindHold, 0, func(e *credit.Entry) { e.Until = e.At }},
		{"a hold that gives", credit.KindHold, 0, func(e *credit.Entry) { e.Changes[0].Held = -1 }},
		{"an extension to an earlier end", credit.KindExtend, 0, func(e *credit.Entry) { e.Until = e.At }},
		{"an extension of nothing", credit.KindExtend, 0, func(e *credit.Entry) { e.Subject = "x" }},
		{"an extension that moves credits", credit.KindExtend, 0, func(e *credit.Entry) { e.Changes = []credit.Change{{Grant: soon}} }},
		{"a capture in another's grants", credit.KindCapture, 0, func(e *credit.Entry) { e.Changes[0].Grant = paidBy("p") }},
		{"a capture that charges less", credit.KindCapture, 0, func(e *credit.Entry) { e.Credits-- }},
		{"a capture under another's key", credit.KindCapture, 0, func(e *credit.Entry) { e.Key = credit.SystemKey("x") }},
		{"a capture after its time", credit.KindCapture, 0, func(e *credit.Entry) { e.At = hour(9) }},
		{"a capture that leaves a grant out", credit.KindCapture, 0, func(e *credit.Entry) { e.Changes = e.Changes[:1] }},
		{"a late capture of held credits", credit.KindCapture, 1, func(e *credit.Entry) { e.Changes[0].Held, e.Changes[0].Free = e.Changes[0].Free, 0 }},
		{"a release of a settled hold", credit.KindRelease, 0, func(e *credit.Entry) { e.Subject = credit.HoldID(org, "h") }},
		{"a release of a part", credit.KindRelease, 0, func(e *credit.Entry) { e.Changes[0].Free-- }},
		{"held credits moved by a debit", credit.KindGrant, 0, func(e *credit.Entry) { e.Changes[0].Held++ }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := told(t)
			nth := tt.nth
			i := slices.IndexFunc(b.entries, func(e *credit.Entry) bool {
				if e.Kind == tt.kind {
					nth--
				}
				return nth < 0
			})
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

func TestVerifyFindsEveryDifferenceOfHolds(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(w *credit.Wallet, holds *[]*credit.Hold){
		"count":              func(w *credit.Wallet, _ *[]*credit.Hold) { w.OpenHolds++ },
		"end":                func(_ *credit.Wallet, hs *[]*credit.Hold) { (*hs)[0].ExpiresAt = hour(99) },
		"state":              func(_ *credit.Wallet, hs *[]*credit.Hold) { (*hs)[0].State = credit.HoldReleased },
		"allocation":         func(_ *credit.Wallet, hs *[]*credit.Hold) { (*hs)[0].Allocations = nil },
		"captured":           func(_ *credit.Wallet, hs *[]*credit.Hold) { (*hs)[0].Captured++ },
		"work":               func(_ *credit.Wallet, hs *[]*credit.Hold) { (*hs)[0].Work.User = "x" },
		"missing hold":       func(_ *credit.Wallet, hs *[]*credit.Hold) { *hs = (*hs)[1:] },
		"hold that is twice": func(_ *credit.Wallet, hs *[]*credit.Hold) { *hs = append(*hs, (*hs)[0]) },
		"hold from nowhere":  func(_ *credit.Wallet, hs *[]*credit.Hold) { *hs = append(*hs, &credit.Hold{ID: "x"}) },
		"next due":           func(w *credit.Wallet, _ *[]*credit.Hold) { w.NextDueAt = hour(50) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := play(t, 0, buy("p", 100), hold("h", 50, 1), hold("i", 10, 1))
			w, holds := stored(b.wallet), b.allHolds()
			if err := b.book.Verify(&w, nil, holds, nil); err != nil {
				t.Fatalf("before it is falsified: %v", err)
			}
			tamper(&w, &holds)
			if err := b.book.Verify(&w, nil, holds, nil); err == nil {
				t.Errorf("another %s passes for true", name)
			}
		})
	}
}

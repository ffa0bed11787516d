package credit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestDebitDrawsInBurnDownOrder(t *testing.T) {
	t.Parallel()
	terms := func(edit func(*credit.Terms)) credit.Terms {
		c := credit.Terms{Source: credit.Adjustment, Granted: 10, EffectiveAt: hour(-5), ExpiresAt: hour(50), UsableUntil: hour(50)}
		edit(&c)
		return c
	}
	never := func(c *credit.Terms) { c.ExpiresAt, c.UsableUntil = time.Time{}, time.Time{} }
	for _, tt := range []struct {
		name          string
		first, second func(*credit.Terms)
	}{
		{"lower priority before sooner expiry", func(c *credit.Terms) { c.Priority = -1; never(c) }, func(c *credit.Terms) { c.Priority = 0 }},
		{"sooner expiry before later", func(*credit.Terms) {}, func(c *credit.Terms) { c.ExpiresAt, c.UsableUntil = hour(51), hour(51) }},
		{"any expiry before never", func(*credit.Terms) {}, never},
		{"expiry as shown counts, not the grace", func(c *credit.Terms) { c.Source, c.UsableUntil = credit.Subscription, hour(99) },
			func(c *credit.Terms) { c.ExpiresAt, c.UsableUntil = hour(51), hour(51) }},
		{"sooner expiry before older", func(*credit.Terms) {}, func(c *credit.Terms) { never(c); c.EffectiveAt = hour(-50) }},
		{"free before paid", never, func(c *credit.Terms) { never(c); c.Source = credit.Purchase }},
		{"free before older paid", never, func(c *credit.Terms) { never(c); c.Source = credit.Purchase; c.EffectiveAt = hour(-50) }},
		{"older start before newer", func(c *credit.Terms) { c.EffectiveAt = hour(-6) }, func(*credit.Terms) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, b := credit.SystemKey("grant", "a"), credit.SystemKey("grant", "b")
			one, two := credit.NewGrant{Key: a, Terms: terms(tt.first)}, credit.NewGrant{Key: b, Terms: terms(tt.second)}
			for _, order := range [][]any{{one, two, debit("e", 15)}, {two, one, debit("e", 15)}} {
				bank := play(t, 1, order...)
				changes := bank.entries[2].Changes
				if len(changes) != 2 || changes[0].Grant != credit.GrantID(a) || changes[0].Free != -10 || changes[1].Free != -5 {
					t.Errorf("drew %+v; want 10 of %s, then 5", changes, credit.GrantID(a))
				}
			}
		})
	}
}

func TestEqualTermsAreDrawnOldestCreatedFirst(t *testing.T) {
	t.Parallel()
	b := play(t, 1, from(buy("second-by-id", 10), 0), from(buy("another", 10), 0), from(buy("third", 10), 0), debit("e", 25))
	var drawn []string
	for _, c := range b.entries[3].Changes {
		drawn = append(drawn, c.Grant)
	}
	if want := []string{paidBy("second-by-id"), paidBy("another"), paidBy("third")}; !slices.Equal(drawn, want) {
		t.Errorf("drew on %v; want %v", drawn, want)
	}
}

// Every moment here is exact to the microsecond, the precision of the wallet.
func TestGrantCanBeDrawnOnFromItsStartUntilItsEnd(t *testing.T) {
	t.Parallel()
	start, end, grace := hour(10), hour(20), hour(22)
	line := subscribe("1", 100, 10, 20)
	for _, tt := range []struct {
		name string
		at   time.Time
		can  bool
	}{
		{"before its start", start.Add(-time.Microsecond), false},
		{"at its start", start, true},
		{"at the end shown", end, true},
		{"at the grace's last microsecond", grace.Add(-time.Microsecond), true},
		{"at the grace's end", grace, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			b.must(line, hour(1))
			_, err := b.do(debit("e", 1), tt.at)
			if (err == nil) != tt.can {
				t.Errorf("a debit at %v gives %v", tt.at, err)
			}
		})
	}
}

func TestSpending(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{name: "a debit is all or nothing", do: []any{buy("p", 100), refused{credit.CodeInsufficient, debit("e", 101)}, debit("f", 100)}},
		{name: "a refused event id may succeed later", do: []any{refused{credit.CodeInsufficient, debit("e", 10)}, buy("p", 10), debit("e", 10)}},
		{name: "usage takes what there is and owes the rest", do: []any{buy("p", 60), usage("e", 100)}, debt: 40, entries: map[credit.Kind]int{credit.KindDebit: 1}},
		{name: "debts add up", do: []any{usage("e", 30), usage("f", 12)}, debt: 42},
		{name: "debits are refused while there is debt", do: []any{usage("e", 1), refused{credit.CodeInDebt, debit("f", 1)}}, debt: 1},
		{name: "a purchase repays debt first", do: []any{usage("e", 30), buy("p", 100), debit("f", 70)}, entries: map[credit.Kind]int{credit.KindRepayment: 1}},
		{name: "a purchase smaller than the debt is used up", do: []any{usage("e", 30), buy("p", 10)}, debt: 20},
		{name: "an adjustment repays debt", do: []any{usage("e", 30), adjust("a", 50)}, available: 20},
		{name: "a thaw repays debt", do: []any{buy("p", 100), freeze("p", true), usage("e", 30), freeze("p", false)}, available: 70},
		{name: "a start repays debt when it comes", do: []any{from(promote("c", 50, 9), 5), usage("e", 30), at{6, nil}}, until: 6, available: 20},
		{name: "a grant that starts and ends unseen repays debt while it lasts", do: []any{from(promote("c", 50, 9), 5), usage("e", 30)}, until: 20,
			entries: map[credit.Kind]int{credit.KindStart: 1, credit.KindRepayment: 1, credit.KindExpiry: 1}},
		{name: "a frozen wallet refuses debits", do: []any{buy("p", 10), credit.FreezeWallet{Frozen: true}, refused{credit.CodeFrozen, debit("e", 1)}}, available: 10},
		{name: "a frozen wallet refuses nothing else", do: []any{
			buy("p", 10), credit.FreezeWallet{Frozen: true}, usage("e", 4), buy("q", 10), adjust("a", -1), reverse("r", "e", 1), refund("q", 50),
		}, available: 11},
		{name: "a thawed wallet spends again", do: []any{buy("p", 10), credit.FreezeWallet{Frozen: true}, credit.FreezeWallet{}, debit("e", 10)}},
		{name: "people's freezes leave an entry each", do: []any{
			buy("p", 10), credit.FreezeWallet{EventID: "f", Frozen: true}, credit.FreezeWallet{EventID: "g", Frozen: true}, credit.FreezeWallet{Frozen: true},
			refused{credit.CodeFrozen, debit("e", 1)}, credit.FreezeWallet{EventID: "h"}, credit.FreezeWallet{EventID: "i"}, debit("e", 10),
		}, entries: map[credit.Kind]int{credit.KindFreeze: 2, credit.KindThaw: 2}},
		{name: "freezing twice is once", do: []any{credit.FreezeWallet{Frozen: true}, credit.FreezeWallet{Frozen: true}}, entries: map[credit.Kind]int{credit.KindFreeze: 1}},
		{name: "a frozen grant is not drawn on", do: []any{buy("p", 10), freeze("p", true), refused{credit.CodeInsufficient, debit("e", 1)}}},
		{name: "an adjustment takes all or nothing", do: []any{buy("p", 10), refused{credit.CodeInsufficient, adjust("a", -11)}, adjust("b", -10)}},
		{name: "an adjustment may expire", do: []any{credit.Adjust{EventID: "a", Credits: 5, ExpiresAt: hour(3)}, at{2, debit("e", 1)}}, until: 4},
		{name: "an adjustment may not have expired", do: []any{at{3, refused{credit.CodeInvalid, credit.Adjust{EventID: "a", Credits: 5, ExpiresAt: hour(3)}}}}, until: 3},
	})
}

func TestRefusalsComeInTheirOrder(t *testing.T) {
	t.Parallel()
	refusals := func(w credit.Wallet, credits int64) []*credit.Refusal {
		t.Helper()
		rs, err := credit.Refusals(credit.NewState(w), credit.Work{Team: "sales", User: "thandi"}, credits, day)
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	w := credit.NewWallet(org, "UTC")
	w.Debt, w.Frozen = 5, true
	w.Limits = &credit.Limits{
		Organisation: &credit.Limit{Credits: 9}, DefaultUser: &credit.Limit{Credits: 7}, Teams: map[string]credit.Limit{"sales": {Credits: 8}},
	}
	var codes []string
	var scopes []any
	for _, r := range refusals(w, 10) {
		codes = append(codes, r.Code())
		if r.Public() == "" || r.Error() == "" {
			t.Errorf("refusal %s says nothing", r.Code())
		}
		if r.Code() == credit.CodeLimit {
			scopes = append(scopes, r.Details()["scope"])
		}
	}
	if want := []string{credit.CodeFrozen, credit.CodeInDebt, credit.CodeLimit, credit.CodeLimit, credit.CodeLimit, credit.CodeInsufficient}; !slices.Equal(codes, want) {
		t.Errorf("reasons are %v; want %v", codes, want)
	}
	if want := []any{credit.ScopeOrganisation, credit.ScopeTeam, credit.ScopeUser}; !slices.Equal(scopes, want) {
		t.Errorf("limits are of %v; want %v", scopes, want)
	}
	w = credit.NewWallet(org, "UTC")
	w.Available = 10
	if got := refusals(w, 10); len(got) != 0 {
		t.Errorf("spending all there is meets %v", got)
	}
	if got := refusals(w, 11)[0].Details()["available"]; got != int64(10) {
		t.Errorf("the refusal says that %v is available; want 10", got)
	}
}

func TestTimeOfDecisionNeverGoesBack(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 10), hour(5))
	b.must(debit("e", 1), hour(4))
	b.must(debit("f", 1), hour(5).Add(999*time.Nanosecond))
	b.commit(true)
	for i, want := range []time.Time{hour(5), hour(5).Add(time.Microsecond), hour(5).Add(2 * time.Microsecond)} {
		if got := b.entries[i].At; !got.Equal(want) {
			t.Errorf("entry %d is at %v; want %v", i+1, got, want)
		}
	}
}

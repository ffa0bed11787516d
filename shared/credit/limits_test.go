package credit_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// The tests' teams and users.
var (
	company = credit.Subject{Scope: credit.ScopeOrganisation}
	sales   = credit.Subject{Scope: credit.ScopeTeam, ID: "sales"}
	thandi  = credit.Subject{Scope: credit.ScopeUser, ID: "thandi"}
)

func limit(s credit.Subject, credits int64) credit.SetLimits {
	return credit.SetLimits{Changes: []credit.LimitChange{{Subject: s, Limit: &credit.Limit{Credits: credits}}}}
}

func soft(s credit.Subject, credits int64) credit.SetLimits {
	return credit.SetLimits{Changes: []credit.LimitChange{{Subject: s, Limit: &credit.Limit{Credits: credits, Soft: true}}}}
}

func unlimit(s credit.Subject) credit.SetLimits {
	return credit.SetLimits{Changes: []credit.LimitChange{{Subject: s}}}
}

func eachUser(credits int64) credit.SetLimits {
	return credit.SetLimits{Changes: []credit.LimitChange{{Default: true, Limit: &credit.Limit{Credits: credits}}}}
}

// by is a command of a team's user.
func by(team, user string, c credit.Command) credit.Command {
	work := credit.Work{Feature: "custom-query", Team: team, User: user}
	switch c := c.(type) {
	case credit.Debit:
		c.Work = work
		return c
	case credit.PlaceHold:
		c.Work = work
		return c
	}
	return c
}

// used is what a subject used now, whether it is limited or not.
func (b *bank) used(t time.Time, s credit.Subject) int64 {
	b.Helper()
	for range 10 {
		_, uses, err := credit.LimitUses(b.state, t, s)
		var missing *credit.Missing
		if !errors.As(err, &missing) {
			if err != nil {
				b.Fatalf("what %v used: %v", s, err)
			}
			return uses[0].Used
		}
		b.load(missing)
	}
	b.Fatalf("what %v used: no answer", s)
	return 0
}

// april is when the window after that of the tests' day begins in Johannesburg.
var april = time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)

func TestADenialNamesTheLimitThatBlocked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		set   []credit.SetLimits
		scope credit.Scope
		who   string
		limit int64
	}{
		{"the organisation's", []credit.SetLimits{limit(company, 30), limit(sales, 30), limit(thandi, 30)}, credit.ScopeOrganisation, org, 30},
		{"the team's", []credit.SetLimits{limit(company, 50), limit(sales, 30), limit(thandi, 30)}, credit.ScopeTeam, "sales", 30},
		{"the user's own", []credit.SetLimits{limit(sales, 50), eachUser(50), limit(thandi, 30)}, credit.ScopeUser, "thandi", 30},
		{"the default of users", []credit.SetLimits{limit(company, 50), eachUser(30)}, credit.ScopeUser, "thandi", 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			b.must(buy("p", 1000), day)
			for _, c := range tt.set {
				b.must(c, day)
			}
			b.must(by("sales", "thandi", debit("e", 25)), hour(1))
			b.commit(true)
			for _, c := range []credit.Command{debit("f", 6), hold("g", 6, 1)} {
				_, err := b.do(by("sales", "thandi", c), hour(2))
				var no *credit.Refusal
				if !errors.As(err, &no) || no.Code() != credit.CodeLimit {
					t.Fatalf("%T: %v", c, err)
				}
				want := map[string]any{"scope": tt.scope, "subject": tt.who, "limit": tt.limit, "used": int64(25), "resets_at": april}
				for name, value := range want {
					if no.Details()[name] != value {
						t.Errorf("%s is %v; want %v", name, no.Details()[name], value)
					}
				}
			}
			b.must(by("sales", "thandi", debit("h", 5)), hour(3))
			b.must(by("sales", "thandi", usage("i", 5)), hour(3)) // is not dropped
			b.commit(true)
			if got := b.used(hour(4), credit.Subject{Scope: tt.scope, ID: map[bool]string{false: tt.who}[tt.who == org]}); got != 35 {
				t.Errorf("%d used; want 35", got)
			}
		})
	}
}

func TestTheNextWindowBeginsAtMidnightOfTheOrganisation(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 1000), day)
	b.must(limit(sales, 30), day)
	b.must(by("sales", "", debit("e", 30)), hour(1))
	b.commit(true)
	var no *credit.Refusal
	if _, err := b.do(by("sales", "", debit("f", 1)), april.Add(-time.Microsecond)); !errors.As(err, &no) {
		t.Fatalf("before the window ends: %v", err)
	}
	b.must(by("sales", "", debit("f", 30)), april)
	b.commit(true)
	if got := b.used(april, sales); got != 30 || len(b.wallet.Windows) != 2 {
		t.Errorf("%d used in %v; want 30 in the second of two", got, b.wallet.Windows)
	}
}

func TestNoticesFireOncePerThresholdAndWindow(t *testing.T) {
	t.Parallel()
	percents := func(out *credit.Outcome) (ps []int64) {
		for _, e := range out.Events {
			if e.Limit != nil {
				if full := e.Kind == credit.EventLimitFull; full != (e.Limit.Percent == 100) {
					t.Errorf("%+v is told as %s", *e.Limit, e.Kind)
				}
				ps = append(ps, e.Limit.Percent)
			}
		}
		return ps
	}
	b := opened(t)
	b.must(buy("p", 10_000), day)
	b.must(limit(company, 100), day)
	for i, step := range []struct {
		do   credit.Command
		at   time.Time
		want []int64
	}{
		{debit("a", 49), hour(1), nil},
		{debit("b", 1), hour(1), []int64{50}},
		{debit("c", 41), hour(1), []int64{75, 90}},                           // one jumps over two
		{reverse("r", "c", 41), hour(2), nil},                                // back to 50
		{debit("d", 45), hour(2), nil},                                       // 95 again is told already
		{usage("e", 100), hour(2), []int64{100}},                             // 195
		{limit(company, 400), hour(3), nil},                                  // moving a threshold is no crossing
		{debit("f", 100), hour(3), []int64{50}},                              // 295: 50 % of 400 is 200, crossed now
		{debit("g", 5), hour(3), []int64{75}},                                // 300
		{credit.SetLimits{Thresholds: []int64{80, 76, 80}}, hour(4), nil},    // of their choice
		{debit("h", 20), hour(4), []int64{76, 80}},                           // 320
		{debit("i", 80), april, nil},                                         // anew
		{hold("j", 300, 1), april, []int64{76, 80}},                          // holds count: 380
		{credit.Release{Hold: credit.HoldID(org, "j")}, april, nil},          // 80
		{debit("k", 320), april.Add(time.Hour), []int64{100}},                // 400
		{credit.SetLimits{Thresholds: []int64{}}, april.Add(time.Hour), nil}, // only the limit itself
		{debit("l", 400), april.AddDate(0, 1, 0), []int64{100}},
	} {
		if got := percents(b.must(step.do, step.at)); !slices.Equal(got, step.want) {
			t.Errorf("step %d, %T: told of %v; want %v", i, step.do, got, step.want)
		}
		b.commit(i%2 == 0)
	}
}

func TestASoftLimitTellsAndBlocksNothing(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 100), day)
	b.must(soft(sales, 10), day)
	out := b.must(by("sales", "thandi", debit("e", 50)), day)
	if len(out.Events) != 4 || out.Events[3].Kind != credit.EventLimitFull || !out.Events[3].Limit.Limit.Soft {
		t.Errorf("told of %+v", out.Events)
	}
	b.commit(true)
}

func TestAMovedUsersNewUsageCountsForTheNewTeam(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 1000), day)
	b.must(limit(sales, 10), day)
	b.must(limit(credit.Subject{Scope: credit.ScopeTeam, ID: "support"}, 100), day)
	b.must(by("sales", "thandi", debit("a", 10)), day)
	b.must(by("support", "thandi", debit("b", 10)), day)
	b.commit(true)
	for _, team := range []string{"sales", "support"} {
		if got := b.used(day, credit.Subject{Scope: credit.ScopeTeam, ID: team}); got != 10 {
			t.Errorf("%s used %d; want 10", team, got)
		}
	}
}

func TestHoldsCountWhereTheyWerePlaced(t *testing.T) {
	t.Parallel()
	before := april.Add(-time.Hour)
	id := credit.HoldID(org, "h")
	for _, tt := range []struct {
		name         string
		settle       any
		march, later int64
	}{
		{"released in the next window", credit.Release{Hold: id}, 0, 0},
		{"timed out in the next window", at{}, 0, 0},
		{"captured in part", credit.Capture{Hold: id, Credits: 10}, 10, 0},
		{"captured whole", credit.Capture{Hold: id, Credits: 30}, 30, 0},
		{"captured beyond it", credit.Capture{Hold: id, Credits: 45}, 30, 15},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			b.must(buy("p", 1000), day)
			b.must(limit(sales, 40), day)
			h := by("sales", "thandi", hold("h", 30, 1)).(credit.PlaceHold)
			h.TTL = 2 * time.Hour
			b.must(h, before)
			b.commit(true)
			if got := b.used(before, sales); got != 30 {
				t.Fatalf("%d used while it is held; want 30", got)
			}
			if c, ok := tt.settle.(credit.Command); ok {
				b.must(c, april.Add(time.Minute))
			} else {
				b.journal(april.Add(24 * time.Hour))
			}
			b.commit(true)
			if got := b.used(april.Add(48*time.Hour), sales); got != tt.later {
				t.Errorf("%d used in the next window; want %d", got, tt.later)
			}
			if got := b.counters[credit.CounterPage{Window: "2026-03"}][sales].Used; got != tt.march {
				t.Errorf("%d used in the window of placing; want %d", got, tt.march)
			}
			if tt.march+tt.later > 0 {
				b.must(reverse("r", "h", 0), april.Add(72*time.Hour))
				b.commit(true)
				if now, then := b.used(april.Add(72*time.Hour), sales), b.counters[credit.CounterPage{Window: "2026-03"}][sales].Used; now != 0 || then != 0 {
					t.Errorf("reversed, %d and %d are used; want none", now, then)
				}
			}
		})
	}
}

func TestAHoldPlacedBeforeItsLimitCountsWhenItIsCaptured(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 1000), day)
	b.must(by("sales", "thandi", hold("h", 30, 1)), day)
	b.must(by("sales", "thandi", hold("i", 30, 1)), day)
	b.must(limit(sales, 40), day)
	b.commit(true)
	b.must(credit.Release{Hold: credit.HoldID(org, "i")}, day)
	if got := b.used(day, sales); got != 0 {
		t.Errorf("%d used before any was", got)
	}
	b.must(credit.Capture{Hold: credit.HoldID(org, "h"), Credits: 20}, day)
	b.commit(true)
	if got := b.used(day, sales); got != 20 {
		t.Errorf("%d used; want the 20 captured", got)
	}
	b.must(reverse("r", "h", 5), day)
	b.commit(true)
	if got := b.used(day, sales); got != 15 {
		t.Errorf("%d used; want 15", got)
	}
}

func TestCountersSpreadOverMoreDocumentsAsSubjectsCome(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 1_000_000), day)
	b.must(eachUser(5), day)
	const users = credit.MaxPageSubjects + 200
	for i := range users {
		b.must(by("", fmt.Sprint("u", i), debit(fmt.Sprint("e", i), 1)), day)
		if i%500 == 499 {
			b.commit(i%1000 == 499)
		}
	}
	b.commit(true)
	if len(b.wallet.Windows) != 1 || b.wallet.Windows[0].Pages != 2 || len(b.counters) != 2 {
		t.Fatalf("%d users are counted in %v, %d documents", users, b.wallet.Windows, len(b.counters))
	}
	for i := 0; i < users; i += 97 {
		if got := b.used(day, credit.Subject{Scope: credit.ScopeUser, ID: fmt.Sprint("u", i)}); got != 1 {
			t.Errorf("user %d used %d", i, got)
		}
	}
	b.must(by("", "u1", debit("next", 1)), april)
	b.commit(true)
	if w := b.wallet.Windows; len(w) != 2 || w[1].Pages != 2 {
		t.Errorf("the next window is counted in %v", w)
	}
}

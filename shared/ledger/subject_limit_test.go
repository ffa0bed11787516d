package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

var (
	company = credit.Subject{Scope: credit.ScopeOrganisation}
	sales   = credit.Subject{Scope: credit.ScopeTeam, ID: "sales"}
	thandi  = credit.Subject{Scope: credit.ScopeUser, ID: "thandi"}
)

// limits sets hard limits; the zero subject stands for the default of users.
func limits(by map[credit.Subject]int64) credit.SetLimits {
	var c credit.SetLimits
	for s, n := range by {
		c.Changes = append(c.Changes, credit.LimitChange{Subject: s, Default: s == (credit.Subject{}), Limit: &credit.Limit{Credits: n}})
	}
	return c
}

// by is a debit for a team's user.
func by(team, user string, c credit.Debit) credit.Debit {
	c.Work.Team, c.Work.User = team, user
	c.Content.Team, c.Content.User = team, user
	return c
}

func do(t testing.TB, l *ledger.Ledger, c credit.Command) ledger.Result {
	t.Helper()
	r, err := l.Do(t.Context(), "acme", c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return r
}

// used is what a subject used now, as a process that knows nothing yet reads it.
func used(t testing.TB, s *testStore, subject credit.Subject) int64 {
	t.Helper()
	_, use, err := s.ledger(t, ledger.Options{}).LimitOf(t.Context(), "acme", subject)
	if err != nil {
		t.Fatal(err)
	}
	return use.Used
}

func TestOfManyDebitsAtOnceAsManyPassAsATeamHasRoomFor(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *testStore) {
		first, second := s.ledger(t, ledger.Options{}), s.ledger(t, ledger.Options{})
		fund(t, first, "acme", 100_000)
		do(t, first, limits(map[credit.Subject]int64{company: 5000, sales: 375, {}: 4000}))
		var passed, denied atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			l := first
			if i%2 == 1 {
				l = second
			}
			all.Go(func() {
				_, err := l.Do(t.Context(), "acme", by("sales", fmt.Sprint("u", i%7), debit(fmt.Sprint("e", i), 10)))
				var no *credit.Refusal
				switch {
				case err == nil:
					passed.Add(1)
				case errors.As(err, &no) && no.Code() == credit.CodeLimit:
					denied.Add(1)
					d := no.Details()
					if d["scope"] != credit.ScopeTeam || d["subject"] != "sales" || d["limit"] != int64(375) || d["used"] != int64(370) ||
						d["resets_at"] != time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC) {
						t.Errorf("denied with %v", d)
					}
				default:
					t.Errorf("debit %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if passed.Load() != 37 || denied.Load() != 163 {
			t.Errorf("%d passed and %d were denied; want 37 and 163", passed.Load(), denied.Load())
		}
		if got := used(t, s, sales); got != 370 {
			t.Errorf("%d are used; want 370", got)
		}
		audit(t, first, "acme")
		s.clock.Advance(time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC).Sub(s.clock.Now()))
		do(t, second, by("sales", "u1", debit("next", 10)))
		if got := used(t, s, sales); got != 10 {
			t.Errorf("in the next window %d are used; want 10", got)
		}
		audit(t, first, "acme")
	})
}

func TestALimitSetWithinAMonthStartsFromTheRollUps(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *testStore) {
		l := s.ledger(t, ledger.Options{})
		fund(t, l, "acme", 1000)
		for i := range 5 {
			do(t, l, by("sales", "thandi", debit(fmt.Sprint("a", i), 10)))
			do(t, l, by("support", "sipho", debit(fmt.Sprint("b", i), 1)))
			s.clock.Advance(36 * time.Hour)
		}
		if got := used(t, s, sales); got != 50 { // without a limit, what the roll-ups say
			t.Errorf("%d used before there is a limit; want 50", got)
		}
		do(t, l, limits(map[credit.Subject]int64{sales: 60, {}: 55}))
		for subject, want := range map[credit.Subject]int64{company: 55, sales: 50, thandi: 50, {Scope: credit.ScopeUser, ID: "sipho"}: 5, {Scope: credit.ScopeUser, ID: "new"}: 0} {
			if got := used(t, s, subject); got != want {
				t.Errorf("%v used %d; want %d", subject, got, want)
			}
		}
		var no *credit.Refusal
		if _, err := s.ledger(t, ledger.Options{}).Do(t.Context(), "acme", by("sales", "thandi", debit("c", 6))); !errors.As(err, &no) || no.Details()["scope"] != credit.ScopeUser {
			t.Errorf("beyond the default limit: %v", err)
		}
		do(t, l, by("sales", "lerato", debit("d", 10)))
		if _, err := l.Do(t.Context(), "acme", by("sales", "lerato", debit("e", 1))); !errors.As(err, &no) || no.Details()["scope"] != credit.ScopeTeam {
			t.Errorf("beyond the team's limit: %v", err)
		}
		audit(t, l, "acme")
	})
}

func TestLimitsAreShownWithWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1000)
	if v, err := l.Limits(t.Context(), "acme"); err != nil || v.Organisation.Limit != nil || v.Window.Key != "2026-03" || len(v.Teams)+len(v.Users) != 0 {
		t.Errorf("without limits: %+v, %v", v, err)
	}
	set := limits(map[credit.Subject]int64{company: 500, sales: 60, thandi: 0, {}: 55})
	set.Changes = append(set.Changes, credit.LimitChange{Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "a b`c"}, Limit: &credit.Limit{Credits: 7, Soft: true}})
	set.Thresholds = []int64{80}
	do(t, l, set)
	do(t, l, by("a b`c", "lerato", debit("a", 9)))
	v, err := s.ledger(t, ledger.Options{}).Limits(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if v.Organisation.Used != 9 || v.Organisation.Limit.Credits != 500 || v.Limits.DefaultUser.Credits != 55 || len(v.Limits.Thresholds) != 1 {
		t.Errorf("the organisation's: %+v", v)
	}
	if len(v.Teams) != 2 || v.Teams[0].Used != 9 || !v.Teams[0].Limit.Soft || v.Teams[1].Subject != sales || v.Teams[1].Used != 0 {
		t.Errorf("the teams': %+v", v.Teams)
	}
	if len(v.Users) != 1 || v.Users[0].Subject != thandi || v.Users[0].Limit.Credits != 0 {
		t.Errorf("the users': %+v", v.Users)
	}
	if _, use, err := l.LimitOf(t.Context(), "acme", credit.Subject{Scope: credit.ScopeUser, ID: "lerato"}); err != nil || use.Used != 9 || use.Limit.Credits != 55 {
		t.Errorf("a user's under the default: %+v, %v", use, err)
	}
	reasons, err := l.Refusals(t.Context(), "acme", credit.Work{User: "thandi", Team: "sales"}, 5000)
	if err != nil || len(reasons) != 4 {
		t.Errorf("what stands against more than all: %v, %v", reasons, err)
	}
	audit(t, l, "acme")
}

func TestThresholdsThatOneDebitJumpsOverAreToldEachOnce(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	p := &published{}
	l := s.ledger(t, ledger.Options{Publish: p})
	fund(t, l, "acme", 1000)
	do(t, l, limits(map[credit.Subject]int64{company: 100, sales: 200}))
	do(t, l, by("sales", "thandi", debit("a", 80)))                                 // 50 and 75 % of the organisation's
	do(t, s.ledger(t, ledger.Options{Publish: p}), by("sales", "", debit("b", 20))) // 90 and all of it, and half of the team's
	do(t, l, credit.Reverse{EventID: "r", Debit: "b"})
	do(t, l, by("sales", "", debit("c", 20)))
	var told []string
	for _, id := range p.ids {
		if strings.HasPrefix(id, "credit-alerts limit:") {
			told = append(told, id)
		}
	}
	slices.Sort(told)
	if want := []string{"credit-alerts limit:acme:1", "credit-alerts limit:acme:2", "credit-alerts limit:acme:3", "credit-alerts limit:acme:4", "credit-alerts limit:acme:5"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	audit(t, l, "acme")
}

// TestWithAllLimitsADebitOfABusyWalletCostsLittleMore counts what 256 callers' debits for 2,000 users write.
func TestWithAllLimitsADebitOfABusyWalletCostsLittleMore(t *testing.T) {
	t.Parallel()
	const callers, users, each = 256, 2000, 12
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1_000_000)
	do(t, l, limits(map[credit.Subject]int64{company: 900_000, sales: 900_000, {}: 900_000}))
	cost := s.cost(func() {
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				for n := range each {
					d := by("sales", fmt.Sprint("u", (c*each+n)%users), debit(fmt.Sprint(c, "/", n), 1))
					if _, err := l.Do(t.Context(), "acme", d); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
	if perDebit := float64(cost.writes) / (callers * each); perDebit > 1.3 {
		t.Errorf("%.3f writes per debit (%+v), want 1.3 at most", perDebit, cost)
	}
	if got := used(t, s, company); got != callers*each {
		t.Errorf("%d used, want %d", got, callers*each)
	}
	audit(t, l, "acme")
}

func TestCountersOfWalletsAtRestAreBounded(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{CachedCounters: 3})
	for _, org := range []string{"acme", "beta"} {
		fund(t, l, org, 100)
		if _, err := l.Do(t.Context(), org, limits(map[credit.Subject]int64{company: 90, {}: 90})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		for _, org := range []string{"acme", "beta"} {
			d := by("", fmt.Sprint("u", i), debit(fmt.Sprint(i), 10))
			if _, err := l.Do(t.Context(), org, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	cold := s.cost(func() { do(t, l, by("", "u1", debit("next", 10))) })
	if cold.reads == 0 {
		t.Error("no counter was dropped")
	}
	if got := used(t, s, company); got != 40 {
		t.Errorf("%d used, want 40", got)
	}
	audit(t, l, "acme")
}

// TestAnyUserCanBeLimited sets limits for users whose ids Firestore does not take as names of fields, or that look like what stands for them.
func TestAnyUserCanBeLimited(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *testStore) {
		l := s.ledger(t, ledger.Options{})
		fund(t, l, "acme", 1000)
		users := []string{"__thandi__", "____", "__", "__x", "a.b`c\\", "a/b", ".", "*", "✓", "'; --", strings.Repeat("x", credit.MaxIDBytes)}
		for i, user := range users {
			do(t, l, limits(map[credit.Subject]int64{{Scope: credit.ScopeUser, ID: user}: 15}))
			do(t, l, by("", user, debit(fmt.Sprint("in", i), 10)))
			wantRefusal(t, l, by("", user, debit(fmt.Sprint("over", i), 6)), credit.CodeLimit)
		}
		v, err := s.ledger(t, ledger.Options{}).Limits(t.Context(), "acme")
		if err != nil || len(v.Users) != len(users) {
			t.Fatalf("%+v, %v", v.Users, err)
		}
		for _, u := range v.Users {
			if !slices.Contains(users, u.ID) || u.Used != 10 || u.Limit == nil || u.Limit.Credits != 15 {
				t.Errorf("%+v", u)
			}
		}
		audit(t, l, "acme")
	})
}

package credit_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestDrawOrderDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(rt, "grants")
		commands := make([]credit.Command, n)
		for i := range commands {
			// Terms differ in at least one thing, so that the age of a grant never decides.
			terms := credit.Terms{
				Source: credit.Adjustment, Granted: int64(1 + i), EffectiveAt: day.Add(time.Duration(-i) * time.Hour),
				Priority: rapid.Int32Range(-1, 1).Draw(rt, "priority"),
			}
			if rapid.Bool().Draw(rt, "paid") {
				terms.Source = credit.Purchase
			} else if rapid.Bool().Draw(rt, "ends") {
				terms.ExpiresAt = day.Add(time.Duration(rapid.IntRange(1, 3).Draw(rt, "end")) * time.Hour)
				terms.UsableUntil = terms.ExpiresAt
			}
			commands[i] = credit.NewGrant{Key: credit.SystemKey("grant", fmt.Sprint(i)), Terms: terms}
		}
		amount := rapid.Int64Range(1, int64(n*(n+1)/2)).Draw(rt, "debit")
		drawn := func(order []credit.Command) []credit.Change {
			b := newBank(rt)
			for _, c := range order {
				b.must(c, day)
			}
			b.commit(true)
			return b.must(credit.Debit{EventID: "e", Credits: amount, Work: credit.Work{Feature: "custom-query"}}, day).Entries[0].Changes
		}
		if got, want := drawn(rapid.Permutation(commands).Draw(rt, "order")), drawn(commands); !reflect.DeepEqual(got, want) {
			rt.Fatalf("in another order of arrival a debit draws %v instead of %v", got, want)
		}
	})
}

func TestOrderKeysSortAsGrantsDo(t *testing.T) {
	t.Parallel()
	grant := func(rt *rapid.T, label string) *credit.Grant {
		moment := rapid.Custom(func(rt *rapid.T) time.Time {
			return day.Add(time.Duration(rapid.Int64Range(-2, 2).Draw(rt, "µs")) * time.Microsecond)
		})
		g := &credit.Grant{Terms: credit.Terms{
			ID: rapid.SampledFrom([]string{"a", "b", "b.c", "c"}).Draw(rt, label), Priority: rapid.Int32().Draw(rt, label),
			Source: rapid.SampledFrom(credit.Sources).Draw(rt, label), EffectiveAt: moment.Draw(rt, label),
		}, CreatedAt: moment.Draw(rt, label)}
		if rapid.Bool().Draw(rt, label) {
			g.Priority = 0
		}
		if rapid.Bool().Draw(rt, label) {
			g.ExpiresAt = moment.Draw(rt, label)
		}
		if rapid.Bool().Draw(rt, label) {
			g.EffectiveAt = time.Time{}
		}
		return g
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := grant(rt, "a"), grant(rt, "b")
		order, keys := credit.Compare(a, b), strings.Compare(credit.OrderKey(a), credit.OrderKey(b))
		if order != keys {
			rt.Fatalf("grants compare as %d, their keys %q and %q as %d", order, credit.OrderKey(a), credit.OrderKey(b), keys)
		}
		if order != -credit.Compare(b, a) {
			rt.Fatalf("the order of %+v and %+v depends on which comes first", a, b)
		}
	})
}

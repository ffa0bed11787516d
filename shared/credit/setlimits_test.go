package credit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestALimitSetWithinAWindowStartsFromWhatWasUsed(t *testing.T) {
	t.Parallel()
	b := opened(t)
	b.must(buy("p", 1000), day)
	b.must(by("sales", "thandi", debit("a", 40)), day)
	b.must(by("sales", "sipho", debit("b", 5)), day)
	b.commit(true)
	b.must(by("sales", "thandi", debit("c", 20)), hour(1)) // of the same batch
	out := b.must(limit(sales, 70), hour(1))
	b.must(eachUser(60), hour(1))
	b.commit(true)
	if own := out.Entries[out.Own]; own.Kind != credit.KindLimits || len(own.Counts) != 1 || own.Counts[0].Used != 65 {
		t.Errorf("the entry is %+v", own)
	}
	for subject, want := range map[credit.Subject]int64{sales: 65, thandi: 60, {Scope: credit.ScopeUser, ID: "sipho"}: 5} {
		if got := b.used(hour(2), subject); got != want {
			t.Errorf("%v used %d; want %d", subject, got, want)
		}
	}
	var no *credit.Refusal
	if _, err := b.do(by("", "thandi", debit("d", 1)), hour(2)); !errors.As(err, &no) || no.Details()["used"] != int64(60) {
		t.Errorf("beyond what was used before: %v", err)
	}
	b.must(reverse("r", "a", 10), hour(2)) // was counted by the seed
	b.commit(true)
	if team, user := b.used(hour(3), sales), b.used(hour(3), thandi); team != 55 || user != 50 {
		t.Errorf("after a reversal %d and %d used; want 55 and 50", team, user)
	}
	b.must(unlimit(sales), hour(3))
	b.must(by("sales", "thandi", debit("e", 7)), hour(3))
	b.must(limit(sales, 70), hour(4))
	b.commit(true)
	if got := b.used(hour(4), sales); got != 62 {
		t.Errorf("after the limit was gone for a while %d used; want 62", got)
	}
}

func TestLimitsOfAnOlderRevisionChangeNothing(t *testing.T) {
	t.Parallel()
	b := opened(t)
	newer, older := limit(company, 20), limit(company, 10)
	newer.Revision, older.Revision = 2, 1
	b.must(newer, day)
	b.commit(true)
	if out := b.must(older, day); len(out.Entries) != 0 {
		t.Errorf("it makes %d entries", len(out.Entries))
	}
	if out := b.must(newer, day); len(out.Entries) != 0 {
		t.Errorf("the same again makes %d entries", len(out.Entries))
	}
	if got := b.state.Limits.Organisation.Credits; got != 20 {
		t.Errorf("the limit is %d; want 20", got)
	}
	all := credit.SetLimits{Replace: true, Revision: 3, Changes: []credit.LimitChange{{Subject: sales, Limit: &credit.Limit{Credits: 7}}}}
	b.must(all, day)
	if l := b.state.Limits; l.Organisation != nil || l.Teams["sales"].Credits != 7 {
		t.Errorf("replaced, they are %+v", *l)
	}
}

func TestLimitsOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	many := credit.SetLimits{}
	for i := range credit.MaxLimits + 1 {
		many.Changes = append(many.Changes, credit.LimitChange{
			Subject: credit.Subject{Scope: credit.ScopeUser, ID: fmt.Sprint("u", i)}, Limit: &credit.Limit{Credits: 1},
		})
	}
	for name, c := range map[string]credit.SetLimits{
		"below nothing":             limit(company, -1),
		"too large":                 limit(company, credit.MaxCredits+1),
		"of nobody":                 limit(credit.Subject{Scope: credit.ScopeTeam}, 1),
		"of an organisation's id":   limit(credit.Subject{Scope: credit.ScopeOrganisation, ID: "x"}, 1),
		"of another scope":          limit(credit.Subject{Scope: "region", ID: "x"}, 1),
		"a default with a subject":  {Changes: []credit.LimitChange{{Subject: thandi, Default: true}}},
		"a threshold of nothing":    {Thresholds: []int64{0}},
		"a threshold at the limit":  {Thresholds: []int64{100}},
		"too many thresholds":       {Thresholds: make([]int64, credit.MaxThresholds+1)},
		"too many limits":           many,
		"a revision below nothing":  {Revision: -1},
		"a reason that is too long": {Reason: string(make([]byte, credit.MaxReasonBytes+1))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var no *credit.Refusal
			if _, err := opened(t).do(c, day); !errors.As(err, &no) || no.Code() != credit.CodeInvalid {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestALimitThatIsRaisedIsNeverLowered(t *testing.T) {
	t.Parallel()
	raise := func(s credit.Subject, to int64) credit.SetLimits {
		return credit.SetLimits{Changes: []credit.LimitChange{{Subject: s, Default: s == credit.Subject{}, Limit: &credit.Limit{Credits: to}, Raise: true}}}
	}
	b := opened(t)
	soft := limit(sales, 30)
	soft.Changes[0].Limit.Soft = true
	for _, c := range []credit.SetLimits{limit(company, 50), soft, eachUser(20)} {
		b.must(c, day)
	}
	nobody := credit.Subject{}
	for _, tt := range []struct {
		subject  credit.Subject
		to, want int64
		soft     bool
	}{
		{company, 60, 60, false}, {company, 55, 60, false}, {company, 60, 60, false}, {sales, 31, 31, true}, {sales, 1, 31, true},
		{thandi, 10, 20, false}, {nobody, 25, 25, false}, {nobody, 24, 25, false}, {thandi, 26, 26, false},
	} {
		b.must(raise(tt.subject, tt.to), day)
		got, ok := b.state.Limits.Of(tt.subject)
		if tt.subject == nobody {
			got = *b.state.Limits.DefaultUser
		}
		if want := (credit.Limit{Credits: tt.want, Soft: tt.soft}); !ok || got != want {
			t.Errorf("%v raised to %d is %+v, want %+v", tt.subject, tt.to, got, want)
		}
	}
	other := credit.Subject{Scope: credit.ScopeTeam, ID: "unlimited"}
	if out := b.must(raise(other, 5), day); len(out.Entries) != 0 || len(b.state.Limits.Teams) != 1 {
		t.Errorf("raised where none binds, the limits are %+v", *b.state.Limits)
	}
	var no *credit.Refusal
	if _, err := b.do(credit.SetLimits{Changes: []credit.LimitChange{{Subject: company, Raise: true}}}, day); !errors.As(err, &no) || no.Code() != credit.CodeInvalid {
		t.Errorf("raised to nothing: %v", err)
	}
}

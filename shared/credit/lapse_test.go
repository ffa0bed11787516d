package credit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestLapsesAreWarnedOfByDay(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Africa/Johannesburg")
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, zone).UTC() }
	date := func(day int) time.Time { return time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC) }
	now := at(1, 8)
	grant := func(free int64, end time.Time, edit ...func(*credit.Grant)) *credit.Grant {
		g := &credit.Grant{Terms: credit.Terms{EffectiveAt: at(1, 0), ExpiresAt: end, UsableUntil: end}, Free: free, Started: true}
		for _, e := range edit {
			e(g)
		}
		return g
	}
	grace := func(g *credit.Grant) { g.UsableUntil = g.ExpiresAt.Add(2 * time.Hour) }
	tests := []struct {
		name   string
		grants []*credit.Grant
		want   []credit.Lapse
	}{
		{"never", []*credit.Grant{grant(5, time.Time{})}, nil},
		{"in eight days", []*credit.Grant{grant(5, at(9, 0))}, nil},
		{"late on the seventh day", []*credit.Grant{grant(5, at(8, 23))}, []credit.Lapse{{Day: date(8), At: at(8, 23), Credits: 5, Distance: 7}}},
		{"in two days", []*credit.Grant{grant(5, at(3, 0))}, []credit.Lapse{{Day: date(3), At: at(3, 0), Credits: 5, Distance: 7}}},
		{"tomorrow", []*credit.Grant{grant(5, at(2, 23))}, []credit.Lapse{{Day: date(2), At: at(2, 23), Credits: 5, Distance: 1}}},
		{"today", []*credit.Grant{grant(5, at(1, 9))}, []credit.Lapse{{Day: date(1), At: at(1, 9), Credits: 5, Distance: 1}}},
		{"its end has passed, its grace has not", []*credit.Grant{grant(5, at(1, 7), grace)}, nil},
		{"shown without its grace", []*credit.Grant{grant(5, at(2, 7), grace)}, []credit.Lapse{{Day: date(2), At: at(2, 7), Credits: 5, Distance: 1}}},
		{"nothing left", []*credit.Grant{grant(0, at(2, 0), func(g *credit.Grant) { g.Held = 5 })}, nil},
		{"frozen", []*credit.Grant{grant(5, at(2, 0), func(g *credit.Grant) { g.Frozen = true })}, nil},
		{"not begun", []*credit.Grant{grant(5, at(4, 0), func(g *credit.Grant) { g.EffectiveAt = at(2, 0) })}, nil},
		{
			"a day's ends together, the first of them told", []*credit.Grant{grant(5, at(4, 10)), grant(7, at(4, 3)), grant(1, at(2, 5))},
			[]credit.Lapse{{Day: date(2), At: at(2, 5), Credits: 1, Distance: 1}, {Day: date(4), At: at(4, 3), Credits: 12, Distance: 7}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := credit.Lapses(tt.grants, zone, now)
			if len(tt.want) == 0 && len(got) == 0 {
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestADaysWarningIsOneAlertPerDistance(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	grants := []*credit.Grant{{Terms: credit.Terms{ExpiresAt: end, UsableUntil: end}, Free: 3, Started: true}}
	seen := map[string]int{}
	for now := end.AddDate(0, 0, -20); now.Before(end.AddDate(0, 0, 3)); now = now.Add(time.Hour) {
		for _, l := range credit.Lapses(grants, time.UTC, now) {
			e := l.Warning("acme", now, credit.Figures{})
			if !e.Kind.Alert() || e.Credits != 3 || !e.ExpiresAt.Equal(end) {
				t.Errorf("%+v", e)
			}
			seen[e.ID]++
		}
	}
	want := map[string]int{"expiring:acme:2026-03-10:7": 6 * 24, "expiring:acme:2026-03-10:1": 24 + 12}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

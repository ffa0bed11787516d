package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// TestAnOverviewIsWhatBalanceLimitsUsageAndEntriesTell holds overviews of random histories, with limits and without, against the four.
func TestAnOverviewIsWhatBalanceLimitsUsageAndEntriesTell(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := &past{testStore: openStore(t), rnd: rand.New(rand.NewPCG(uint64(i), 17)), kinds: map[credit.Kind]bool{}}
			p.ledger = p.testStore.ledger(t, ledger.Options{})
			zone := []string{"Africa/Johannesburg", "America/New_York", "Pacific/Kiritimati"}[i%3]
			for round := range 4 {
				p.live(t, zone, 60)
				if round == 2 {
					do(t, p.ledger, limits(map[credit.Subject]int64{{Scope: credit.ScopeOrganisation}: 100_000, {}: 50_000}))
				}
				got, err := p.ledger.Overview(t.Context(), "acme", "u1")
				if err != nil {
					t.Fatal(err)
				}
				want := ledger.Overview{Window: got.Window}
				if want.Balance, err = p.ledger.Balance(t.Context(), "acme"); err != nil {
					t.Fatal(err)
				}
				view, err := p.ledger.Limits(t.Context(), "acme")
				if err != nil || view.Window != got.Window {
					t.Fatalf("%v, %+v", err, view.Window)
				}
				want.Organisation = view.Organisation
				if view.Limits.DefaultUser != nil {
					_, use, err := p.ledger.LimitOf(t.Context(), "acme", credit.Subject{Scope: credit.ScopeUser, ID: "u1"})
					if err != nil {
						t.Fatal(err)
					}
					want.User = &use
				}
				if want.Recent, err = p.ledger.Entries(t.Context(), "acme", time.Time{}, 5); err != nil {
					t.Fatal(err)
				}
				want.Days = p.lastDays(t, zone)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("round %d (-want +got):\n%s", round, diff)
				}
			}
		})
	}
}

// lastDays are the last 14 days of a zone, by what Usage tells.
func (p *past) lastDays(t *testing.T, zone string) []ledger.DayUse {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	today := p.clock.Now().In(location)
	sums := map[string]int64{}
	for u, n := range usedIn(t, p.ledger, today.AddDate(0, 0, -13).Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly)) {
		sums[u.Day] += n
	}
	var out []ledger.DayUse
	for back := 13; back >= 0; back-- {
		day := today.AddDate(0, 0, -back).Format(time.DateOnly)
		out = append(out, ledger.DayUse{Day: day, Credits: sums[day]})
	}
	return out
}

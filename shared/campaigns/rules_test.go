package campaigns

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/payments"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// terms are good ones.
func terms() Terms {
	return Terms{
		Name: "Welcome", On: Redemption, Credits: 50, LifeDays: 30, StartsAt: noon.Add(-time.Hour), EndsAt: noon.Add(time.Hour), TotalMax: 10, PerOrgMax: 1,
	}
}

// TestNoHistoryOfRedemptionsPassesACap redeems at random, with terms that change on the way, and counts for itself.
func TestNoHistoryOfRedemptionsPassesACap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, err := Promotion{Code: "CODE"}.amended(drawTerms(t), "op", noon)
		if err != nil {
			t.Fatal(err)
		}
		byOrg := map[string]int64{}
		now := noon
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				// A change that is refused leaves the promotion as it was.
				if changed, err := p.amended(drawTerms(t), "op", now); err == nil {
					p = changed
				}
			}
			org := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "org")
			r := redeemer{org: org, country: "ZA", redeemed: byOrg[org], bought: rapid.Bool().Draw(t, "bought"), waiting: rapid.Bool().Draw(t, "waiting")}
			if p.judge(r, now) != accepted {
				continue
			}
			p.Redeemed++
			byOrg[org]++
			switch {
			case p.Redeemed > p.TotalMax, byOrg[org] > p.PerOrgMax:
				t.Fatalf("redeemed %d of %d, by %s %d of %d", p.Redeemed, p.TotalMax, org, byOrg[org], p.PerOrgMax)
			case now.Before(p.StartsAt), !now.Before(p.EndsAt), p.Paused:
				t.Fatalf("redeemed at %v: %+v", now, p.Terms)
			case len(p.Orgs) == 1 && p.Orgs[0] != org:
				t.Fatalf("redeemed by %s: %+v", org, p.Terms)
			case p.On == FirstPurchase && (r.bought || r.waiting):
				t.Fatalf("a first purchase's bonus for %+v", r)
			}
		}
	})
}

func drawTerms(t *rapid.T) Terms {
	out := terms()
	out.TotalMax = rapid.Int64Range(1, 8).Draw(t, "total")
	out.PerOrgMax = rapid.Int64Range(1, 4).Draw(t, "per org")
	out.StartsAt = noon.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "start")) * time.Minute)
	out.EndsAt = out.StartsAt.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "length")) * time.Minute)
	out.Paused = rapid.IntRange(0, 4).Draw(t, "paused") == 0
	if rapid.Bool().Draw(t, "for one") {
		out.Orgs = []string{"a"}
	}
	if rapid.Bool().Draw(t, "on purchase") {
		out.On, out.PerOrgMax = FirstPurchase, 1
	}
	return out
}

func TestGuessesAreBoundedInEachWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var person, org guesses
		now := noon
		var looked []time.Time
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			who := guesser{person: person.at(now), org: org.at(now)}
			if until, yes := who.limited(); yes {
				if !until.After(now) || until.After(now.Add(guessWindow)) {
					t.Fatalf("limited at %v until %v", now, until)
				}
				continue
			}
			who = who.missed()
			person, org = who.person, who.org
			looked = append(looked, now)
			if n := len(looked) - 2*guessesPerPerson - 1; n >= 0 && now.Sub(looked[n]) < guessWindow {
				t.Fatalf("%d codes were looked at within %v", 2*guessesPerPerson+1, now.Sub(looked[n]))
			}
		}
	})
}

func TestOwnersAreToldApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"thandi@acme.example", "thandi@acme.example", true},
		{"Thandi@ACME.example", "thandi@acme.example ", true},
		{"thandi+shop@acme.example", "thandi@acme.example", true},
		{"thandi@acme.example", "thandi@globex.example", false},
		{"thandi@acme.example", "pieter@acme.example", false},
		{"", "", false},
		{"nonsense", "nonsense", false},
	} {
		if got := sameOwner(c.a, c.b); got != c.same {
			t.Errorf("sameOwner(%q, %q) = %t", c.a, c.b, got)
		}
	}
}

func TestCodesAreTakenHoweverTheyAreTyped(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"WELCOME": "WELCOME", " welcome\t": "WELCOME", "r-7f3k-9qx2": "R-7F3K-9QX2", "AB12": "AB12",
		"abc": "", "-ABCD": "", "ABCD-": "", "AB CD": "", "ÄBCD": "", "A/B/C": "", "": "", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456": "",
	} {
		got, ok := NormalCode(typed)
		if ok != (want != "") || (ok && got != want) {
			t.Errorf("NormalCode(%q) = %q, %t", typed, got, ok)
		}
	}
	for range 100 {
		if code, ok := NormalCode(newCode()); !ok || len(code) != len("R-7F3K-9QX2") {
			t.Fatalf("drew %q", code)
		}
	}
}

func TestAMonthIsTheReferrersOwn(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)
	for zone, want := range map[string]string{"Africa/Johannesburg": "2026-03", "UTC": "2026-02", "America/New_York": "2026-02", "Nowhere/AtAll": "2026-02"} {
		if got := monthIn(at, zone); got != want {
			t.Errorf("in %s it is %s, want %s", zone, got, want)
		}
	}
}

func TestAFirstPurchaseBringsWhatWasPromised(t *testing.T) {
	t.Parallel()
	p := payments.PaidPurchase{Org: "new", Reference: "CR-2222-2222", Payment: "pi_1", Grant: "g1", Begun: noon}
	came := &referred{Code: "R-AAAA-AAAA", Referrer: "old", ReferrerCredits: 70, ReferredCredits: 30, LifeDays: 10}
	bonus := &waiting{Code: "FIRST", N: 3, Credits: 25, Until: noon.Add(time.Second)}
	late := *bonus
	late.Until = noon
	for name, c := range map[string]struct {
		standing standing
		want     []string
	}{
		"nothing":                  {standing{}, nil},
		"a referral":               {standing{Referred: came}, []string{"new 30 referral:CR-2222-2222:referred g1 pi_1", "old 70 referral:CR-2222-2222:referrer  "}},
		"a bonus":                  {standing{Waiting: bonus}, []string{"new 25 promotion:FIRST:3 g1 pi_1"}},
		"a bonus begun too late":   {standing{Waiting: &late}, nil},
		"both":                     {standing{Waiting: bonus, Referred: came}, []string{"new 25 promotion:FIRST:3 g1 pi_1", "new 30 referral:CR-2222-2222:referred g1 pi_1", "old 70 referral:CR-2222-2222:referrer  "}},
		"what else is there stays": {standing{Code: "R-OWN0-CODE", Claims: 3}, nil},
	} {
		after := c.standing.pays(p, noon)
		if after.Waiting != nil || after.First == nil || after.First.Reference != p.Reference || after.Code != c.standing.Code || after.Claims != c.standing.Claims {
			t.Errorf("%s: %+v", name, after)
			continue
		}
		var got []string
		for _, r := range after.First.Rewards {
			got = append(got, fmt.Sprintf("%s %d %s %s %s", r.Org, r.Credits, r.Key, r.LinkedTo, r.Payment))
			if err := credit.Check(r.grant()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if r.Source == credit.Referral && !r.EndsAt.Equal(noon.AddDate(0, 0, 10)) || r.Source == credit.Promotion && !r.EndsAt.IsZero() {
				t.Errorf("%s: ends at %v", name, r.EndsAt)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

package limitrequests

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

func code(err error) string {
	if coded, ok := errors.AsType[interface {
		error
		Code() string
	}](err); ok {
		return coded.Code()
	}
	return ""
}

func TestAGrantMovesTheLimitToAFigure(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	n := func(n int64) *int64 { return &n }
	asked := Request{ID: "r", Limit: 300, Credits: 200, State: Open, Subject: credit.Subject{Scope: credit.ScopeUser, ID: "m"}}
	open := asked
	open.Credits = 0
	for name, c := range map[string]struct {
		request Request
		limit   *int64
		now     current
		target  *int64
		code    string
	}{
		"by what was asked for":              {asked, nil, &credit.Limit{Credits: 300}, n(500), ""},
		"from what it was when asked":        {asked, nil, &credit.Limit{Credits: 400}, n(500), ""},
		"never down":                         {asked, nil, &credit.Limit{Credits: 900}, n(900), ""},
		"no further than limits go":          {Request{State: Open, Limit: credit.MaxCredits, Credits: 9}, nil, &credit.Limit{Credits: 1}, n(credit.MaxCredits), ""},
		"to a figure":                        {asked, n(310), &credit.Limit{Credits: 300}, n(310), ""},
		"of an open wish, to a figure":       {open, n(310), &credit.Limit{Credits: 300}, n(310), ""},
		"of an open wish, without one":       {open, nil, &credit.Limit{Credits: 300}, nil, "invalid_request"},
		"to what it is":                      {asked, n(300), &credit.Limit{Credits: 300}, nil, "invalid_request"},
		"beyond bounds":                      {asked, n(credit.MaxCredits + 1), &credit.Limit{Credits: 300}, nil, "invalid_request"},
		"below zero":                         {asked, n(-1), &credit.Limit{Credits: 300}, nil, "invalid_request"},
		"where there is no limit any more":   {asked, nil, nil, nil, ""},
		"to a figure where there is no more": {asked, n(500), nil, nil, "invalid_request"},
	} {
		got, changed, err := c.request.grant(c.limit, c.now, "boss", at)
		if code(err) != c.code || changed != (err == nil) {
			t.Errorf("%s: %v, changed %t", name, err, changed)
			continue
		}
		if err != nil {
			continue
		}
		if (got.Target == nil) != (c.target == nil) || got.Target != nil && *got.Target != *c.target || got.State != Granting || got.DecidedBy != "boss" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestARequestIsDecidedOnce repeats decisions at random: the first stands, the same again changes nothing, another is a conflict, and the limit is
// never lowered.
func TestARequestIsDecidedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.Int64Range(0, 5)
		now := &credit.Limit{Credits: limits.Draw(t, "now"), Soft: rapid.Bool().Draw(t, "soft")}
		r := Request{ID: "r", Limit: limits.Draw(t, "limit"), Credits: limits.Draw(t, "credits"), State: Open, Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "t"}}
		var first State
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			before := r
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				var limit *int64
				if rapid.Bool().Draw(t, "to a figure") {
					v := limits.Draw(t, "figure")
					limit = &v
				}
				next, changed, err := r.grant(limit, now, "a", time.Time{})
				if changed != (err == nil && before.State == Open) || err != nil && next != before {
					t.Fatalf("%+v: %+v, %t, %v", before, next, changed, err)
				}
				if before.State == Declined && code(err) != "idempotency_conflict" {
					t.Fatalf("granted what is declined: %v", err)
				}
				r = next
			case 1:
				next, changed, err := r.decline("no", "b", time.Time{})
				if changed != (before.State == Open) || (before.State == Granting || before.State == Granted) != (code(err) == "idempotency_conflict") {
					t.Fatalf("%+v: %+v, %t, %v", before, next, changed, err)
				}
				r = next
			case 2: // somebody changes the limit meanwhile
				now = &credit.Limit{Credits: limits.Draw(t, "meanwhile"), Soft: now.Soft}
			case 3:
				if r.State != Granting {
					break
				}
				if c, ok := r.raise(now).(credit.SetLimits); ok {
					to := c.Changes[0]
					if to.Limit.Credits <= now.Credits || !to.Raise || to.Limit.Credits != *r.Target || to.Subject != r.Subject {
						t.Fatalf("%+v raises %+v by %+v", r, now, to)
					}
					now = &credit.Limit{Credits: to.Limit.Credits, Soft: now.Soft}
				}
				if now.Credits < *r.Target {
					t.Fatalf("granted %d, the limit is %d", *r.Target, now.Credits)
				}
				r.State = Granted
			}
			if first == "" && r.Decided() {
				first = r.State
			}
			if first != "" && r.State != first {
				t.Fatalf("decided %s, then %s", first, r.State)
			}
		}
	})
}

func TestAMemberAsksTenTimesADay(t *testing.T) {
	t.Parallel()
	var q requester
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for i := range MaxRecent {
		if err := q.admit(credit.Subject{Scope: credit.ScopeUser, ID: "m"}, "r", at.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	err := q.admit(credit.Subject{}, "r", at.Add(23*time.Hour))
	if limited, ok := errors.AsType[*Error](err); !ok || limited.Code() != "rate_limited" || limited.RetryAfter() != time.Hour {
		t.Errorf("the eleventh: %v", err)
	}
	if err := q.admit(credit.Subject{}, "r", at.Add(24*time.Hour)); err != nil || len(q.recent) != MaxRecent {
		t.Errorf("a day after the first: %v, %d remembered", err, len(q.recent))
	}
}

package debit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestAUsersDebitsAreHeldToTheTeamsLimit(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	limit := credit.LimitChange{Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "t1"}, Limit: &credit.Limit{Credits: 30}}
	if _, err := s.ledger.Do(t.Context(), "acme", credit.SetLimits{Changes: []credit.LimitChange{limit}}); err != nil {
		t.Fatal(err)
	}
	body := func(id string) string {
		return `{"event_id":"` + id + `","org_id":"acme","user_id":"u2","feature":"custom-query","credits":20}`
	}
	if status, got := s.post(t, "", body("one")); status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	for _, path := range []string{"", "/holds"} {
		status, got := s.post(t, path, body("two"))
		if status != 403 || got["code"] != "limit_exceeded" || got["scope"] != "team" || got["subject"] != "t1" || got["limit"] != 30.0 || got["used"] != 20.0 ||
			got["resets_at"] != "2026-03-31T22:00:00Z" {
			t.Errorf("%q: %d %v", path, status, got)
		}
	}
	// Somebody who is in no team is not held to it.
	if status, got := s.post(t, "", `{"event_id":"three","org_id":"acme","user_id":"u9","feature":"custom-query","credits":20}`); status != 200 {
		t.Errorf("%d %v", status, got)
	}
}

// TestExactlyAsManyPassAsTheTeamsLimitHasRoomFor sends 200 debits at once against room for 37, and one as the month turns in Johannesburg.
func TestExactlyAsManyPassAsTheTeamsLimitHasRoomFor(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 10_000)
	limit := credit.LimitChange{Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "t1"}, Limit: &credit.Limit{Credits: 375}}
	if _, err := s.ledger.Do(t.Context(), "acme", credit.SetLimits{Changes: []credit.LimitChange{limit}}); err != nil {
		t.Fatal(err)
	}
	body := func(id int) string {
		return fmt.Sprintf(`{"event_id":"e%d","org_id":"acme","user_id":"u2","feature":"custom-query","credits":10}`, id)
	}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			switch status, got := s.post(t, "", body(i)); {
			case status == 200:
				passed.Add(1)
			case status != 403 || got["code"] != "limit_exceeded" || got["subject"] != "t1" || got["resets_at"] != "2026-03-31T22:00:00Z":
				t.Errorf("%d %v", status, got)
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 37 {
		t.Errorf("%d passed, want 37", n)
	}
	turn := time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)
	s.passed.Add(int64(turn.Sub(s.now())/time.Second) - 1)
	if status, got := s.post(t, "", body(200)); status != 403 || got["used"] != 370.0 {
		t.Errorf("a second before the month turns: %d %v", status, got)
	}
	s.passed.Add(1)
	if status, got := s.post(t, "", body(200)); status != 200 {
		t.Errorf("as the month turns: %d %v", status, got)
	}
}

func TestATeamThatIsNotInUseIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	people := s.organise(t, "acme", "old")
	archived := true
	if _, _, err := people.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "old", Name: "Old", Archived: &archived}); err != nil {
		t.Fatal(err)
	}
	for _, team := range []string{"old", "absent"} {
		for _, path := range []string{"", "/holds", "/check"} {
			body := `"org_id":"acme","team_id":"` + team + `","feature":"custom-query","credits":20}`
			if path != "/check" {
				body = `"event_id":"x",` + body
			}
			status, got := s.post(t, path, "{"+body)
			if status != 400 || got["code"] != "invalid_request" || got["field"] != "team_id" || got["reason"] != "unknown_team" {
				t.Errorf("%q for %s: %d %v", path, team, status, got)
			}
		}
	}
	if left := s.available(t, "acme"); left != 1000 {
		t.Errorf("%d are left", left)
	}
}

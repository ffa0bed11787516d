package debit

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// limit sets a hard limit; the zero subject stands for the default of users.
func (s *system) limit(t *testing.T, subject credit.Subject, credits int64) {
	t.Helper()
	c := credit.SetLimits{Changes: []credit.LimitChange{{Subject: subject, Default: subject == credit.Subject{}, Limit: &credit.Limit{Credits: credits}}}}
	if _, err := s.ledger.Do(t.Context(), "acme", c); err != nil {
		t.Fatal(err)
	}
}

// join registers the organisation, and puts a member into a team.
func (s *system) join(t *testing.T, user, team string) {
	t.Helper()
	store, err := orgs.NewStore(s.engine.Client, slog.New(slog.DiscardHandler), orgs.Options{Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	registrar, err := orgs.NewRegistrar(store, s.ledger, s.catalog)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := registrar.Put(t.Context(), "acme", orgs.Profile{Name: "Acme", Country: "ZA", Zone: "Africa/Johannesburg", OwnerEmail: "o@acme.test"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: team, Name: team}); err != nil {
		t.Fatal(err)
	}
	if err := store.PutMember(t.Context(), "acme", orgs.Member{Sub: user, Role: orgs.RoleMember}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.JoinTeam(t.Context(), "acme", team, user); err != nil {
		t.Fatal(err)
	}
}

func TestADenialOverHTTPNamesTheLimit(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	s.organise(t, "acme", "sales")
	s.limit(t, credit.Subject{Scope: credit.ScopeOrganisation}, 90)
	s.limit(t, credit.Subject{Scope: credit.ScopeTeam, ID: "sales"}, 60)
	s.limit(t, credit.Subject{}, 50)
	const report = `"org_id":"acme","feature":"market-trend-report"`
	if status, got := s.post(t, "", `{"event_id":"a",`+report+`,"user_id":"thandi","team_id":"sales"}`); status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	for _, tt := range []struct {
		name, who, scope, subject string
		limit                     float64
	}{
		{"the organisation's", ``, "organisation", "acme", 90},
		{"the organisation's before the others", `,"user_id":"thandi","team_id":"sales"`, "organisation", "acme", 90},
		{"the team's", `,"user_id":"sipho","team_id":"sales"`, "team", "sales", 60},
		{"the user's", `,"user_id":"thandi"`, "user", "thandi", 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ask := report + tt.who
			want := fmt.Sprintf("limit_exceeded %s %s %v 50 2026-03-31T22:00:00Z", tt.scope, tt.subject, tt.limit)
			if tt.scope != "organisation" {
				ask = `"org_id":"acme","feature":"custom-query","credits":30` + tt.who
			}
			for _, path := range []string{"", "/holds"} {
				status, got := s.post(t, path, fmt.Sprintf(`{"event_id":%q,%s}`, tt.name+path, ask))
				if text := told(got); status != 403 || text != want {
					t.Errorf("%s: %d %s, want %s", path, status, text, want)
				}
			}
			_, got := s.post(t, "/check", "{"+ask+"}")
			if reasons, ok := got["reasons"].([]any); !ok || len(reasons) == 0 || told(reasons[0].(map[string]any)) != want {
				t.Errorf("a check: %v", got)
			}
		})
	}
}

// told is what a denial says of its limit.
func told(got map[string]any) string {
	return fmt.Sprint(got["code"], " ", got["scope"], " ", got["subject"], " ", got["limit"], " ", got["used"], " ", got["resets_at"])
}

func TestWorkCountsForTheTeamThatItsUserIsIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	s.join(t, "thandi", "sales")
	s.join(t, "lerato", "support")
	s.limit(t, credit.Subject{Scope: credit.ScopeTeam, ID: "sales"}, 50)
	ask := func(event, who string) string {
		return fmt.Sprintf(`{"event_id":%q,"org_id":"acme","feature":"market-trend-report"%s}`, event, who)
	}
	for _, step := range []struct {
		name, who string
		status    int
	}{
		{"a member of the team", `,"user_id":"thandi"`, 200},
		{"the same again", `,"user_id":"thandi"`, 403},
		{"for another team", `,"user_id":"thandi","team_id":"support"`, 200},
		{"a member of another team", `,"user_id":"lerato"`, 200},
		{"that member for the team", `,"user_id":"lerato","team_id":"sales"`, 403},
		{"somebody unknown", `,"user_id":"stranger"`, 200},
		{"the service itself", ``, 200},
	} {
		if status, got := s.post(t, "", ask(step.name, step.who)); status != step.status {
			t.Errorf("%s: %d %v, want %d", step.name, status, got, step.status)
		}
	}
	// Who moved is the same event's user all the same.
	s.join(t, "thandi", "support")
	if status, got := s.post(t, "", ask("a member of the team", `,"user_id":"thandi"`)); status != 200 || got["replayed"] != true {
		t.Errorf("repeated after a move: %d %v", status, got)
	}
	_, use, err := s.ledger.LimitOf(t.Context(), "acme", credit.Subject{Scope: credit.ScopeTeam, ID: "sales"})
	if err != nil || use.Used != 50 {
		t.Errorf("the team used %d (%v), want 50", use.Used, err)
	}
}

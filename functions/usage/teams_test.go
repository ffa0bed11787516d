package usage

import (
	"log/slog"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// TestUsageCountsForTheUsersTeamAndIsNeverLostToOne sends usage without a team, and for one that nobody knows.
func TestUsageCountsForTheUsersTeamAndIsNeverLostToOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 500)
	people, err := orgs.NewStore(s.Client, slog.New(slog.DiscardHandler), orgs.Options{Now: s.Now})
	if err != nil {
		t.Fatal(err)
	}
	// The document as package orgs writes it, as far as teams need it.
	if _, err := s.Client.Doc("orgs/acme").Set(t.Context(), map[string]any{"v": 1, "org": "acme", "name": "Acme"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := people.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "design", Name: "Design"}); err != nil {
		t.Fatal(err)
	}
	if err := people.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleMember}); err != nil {
		t.Fatal(err)
	}
	if _, err := people.JoinTeam(t.Context(), "acme", "design", "m"); err != nil {
		t.Fatal(err)
	}
	s.Publish(t, events.Usage, event("own", "bulk-pricing", `"user_id":"m"`), nil)
	s.Publish(t, events.Usage, event("sent", "bulk-pricing", `"user_id":"m","team_id":"nobody-knows"`), nil)
	s.Quiet(t)
	for id, want := range map[string]string{"own": "design", "sent": "nobody-knows"} {
		if e, err := s.ledger.Entry(t.Context(), "acme", credit.CallerKey(id)); err != nil || e.Work.Team != want {
			t.Errorf("%s counts for %q (%v), want %q", id, e.Work.Team, err, want)
		}
	}
	if got := s.figures(t, "acme"); got.Available != 300 || len(s.reasons(t)) != 0 {
		t.Errorf("%+v, put aside %v", got, s.reasons(t))
	}
}

package spend_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/spend"
)

var _ spend.Teams = (*orgs.Store)(nil)

// company is an organisation whose user m is in team design, of design and sales.
type company struct {
	*engine.Engine
	micros  atomic.Int64 // of the machine's clock
	spender *spend.Spender
	people  *orgs.Store // those of another process
	ledger  *ledger.Ledger
}

func (c *company) machineNow() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

// know lets what the spender remembers of teams become too old.
func (c *company) know() { c.micros.Add((5 * time.Second).Microseconds()) }

func openCompany(t *testing.T) *company {
	t.Helper()
	c := &company{Engine: engine.New(t, engine.Embedded())}
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	c.micros.Store(now.UnixMicro())
	log := slog.New(slog.DiscardHandler)
	store := func() *orgs.Store {
		s, err := orgs.NewStore(c.Client, log, orgs.Options{Now: func() time.Time { return now }, MachineNow: c.machineNow})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	c.people = store()
	var err error
	if c.ledger, err = ledger.New(c.Raw, c.Database(), ledger.Options{Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	zone := "Africa/Johannesburg"
	for _, command := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 1000}},
	} {
		if _, err := c.ledger.Do(t.Context(), "acme", command); err != nil {
			t.Fatal(err)
		}
	}
	// The document as package orgs writes it, as far as teams need it.
	if _, err := c.Client.Doc("orgs/acme").Set(t.Context(), map[string]any{"v": 1, "org": "acme", "name": "Acme"}); err != nil {
		t.Fatal(err)
	}
	for _, team := range []string{"design", "sales"} {
		if _, _, err := c.people.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: team, Name: team}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.people.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleMember}); err != nil {
		t.Fatal(err)
	}
	c.join(t, "design")
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if c.spender, err = spend.New(&priceList{versions: []*catalogue.Catalogue{seed}}, c.ledger, spend.WithTeams(store())); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *company) join(t *testing.T, team string) {
	t.Helper()
	if _, err := c.people.JoinTeam(t.Context(), "acme", team, "m"); err != nil {
		t.Fatal(err)
	}
}

func (c *company) archive(t *testing.T, team string) {
	t.Helper()
	if _, err := c.people.ArchiveTeam(t.Context(), "acme", team); err != nil {
		t.Fatal(err)
	}
	c.know()
}

func by(id, user, team string, credits int64) spend.Request {
	r := request(id, "custom-query", credits)
	r.UserID, r.TeamID = user, team
	return r
}

func TestWorkCountsForTheTeamSentOrElseTheUsersOne(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	for name, tc := range map[string]struct{ user, team, want string }{
		"the user's": {"m", "", "design"}, "the one sent": {"m", "sales", "sales"}, "sent without a user": {"", "sales", "sales"},
		"of an unknown user": {"stranger", "", ""}, "the service itself": {"", "", ""},
	} {
		r, err := c.spender.Debit(t.Context(), by("debit "+name, tc.user, tc.team, 10), "svc")
		if err != nil || r.Entry.Work.Team != tc.want {
			t.Errorf("debit, %s: %q, %v, want %q", name, r.Entry.Work.Team, err, tc.want)
		}
		r, err = c.spender.Hold(t.Context(), spend.HoldRequest{Request: by("hold "+name, tc.user, tc.team, 10)}, "svc")
		if err != nil || r.Entry.Work.Team != tc.want {
			t.Errorf("hold, %s: %q, %v, want %q", name, r.Entry.Work.Team, err, tc.want)
		}
		r, err = c.spender.Usage(t.Context(), by("usage "+name, tc.user, tc.team, 10), "svc", false)
		if err != nil || r.Entry.Work.Team != tc.want {
			t.Errorf("usage, %s: %q, %v, want %q", name, r.Entry.Work.Team, err, tc.want)
		}
	}
}

// TestAMovedUsersNewUseCountsForTheNewTeam also repeats what was charged before the move: that is the same request, and the same result.
func TestAMovedUsersNewUseCountsForTheNewTeam(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	limit := func(team string, credits int64) {
		t.Helper()
		s := credit.Subject{Scope: credit.ScopeTeam, ID: team}
		if _, err := c.ledger.Do(t.Context(), "acme", credit.SetLimits{Changes: []credit.LimitChange{{Subject: s, Limit: &credit.Limit{Credits: credits}}}}); err != nil {
			t.Fatal(err)
		}
	}
	limit("design", 30)
	limit("sales", 20)
	debit := func(id string) (ledger.Result, error) {
		return c.spender.Debit(t.Context(), by(id, "m", "", 20), "svc")
	}
	if _, err := debit("one"); err != nil {
		t.Fatal(err)
	}
	_, err := debit("two")
	wantCode(t, err, credit.CodeLimit)
	_, reasons, err := c.spender.Check(t.Context(), by("", "m", "", 20).Ask)
	if err != nil || len(reasons) != 1 || reasons[0].Details()["subject"] != "design" || reasons[0].Details()["used"] != int64(20) {
		t.Errorf("check: %v, %v", reasons, err)
	}
	c.join(t, "sales")
	c.know()
	if again, err := debit("one"); err != nil || !again.Replayed || again.Entry.Work.Team != "design" {
		t.Errorf("charged before the move: %+v, %v", again.Entry, err)
	}
	if r, err := debit("two"); err != nil || r.Entry.Work.Team != "sales" {
		t.Errorf("refused before the move: %+v, %v", r.Entry, err)
	}
	_, err = debit("three")
	wantCode(t, err, credit.CodeLimit)
	for team, want := range map[string]int64{"design": 20, "sales": 20} {
		if _, use, err := c.ledger.LimitOf(t.Context(), "acme", credit.Subject{Scope: credit.ScopeTeam, ID: team}); err != nil || use.Used != want {
			t.Errorf("%s used %d (%v), want %d", team, use.Used, err, want)
		}
	}
}

func TestATeamThatCannotBeSpentForIsRefusedButWorkDoneIsCharged(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	if _, err := c.spender.Debit(t.Context(), by("before", "m", "sales", 10), "svc"); err != nil {
		t.Fatal(err)
	}
	c.archive(t, "sales")
	for _, team := range []string{"sales", "absent", "No Team"} {
		_, err := c.spender.Debit(t.Context(), by("debit", "m", team, 10), "svc")
		wantCode(t, err, credit.CodeInvalid)
		_, err = c.spender.Hold(t.Context(), spend.HoldRequest{Request: by("hold", "m", team, 10)}, "svc")
		wantCode(t, err, credit.CodeInvalid)
		_, _, err = c.spender.Check(t.Context(), by("", "m", team, 10).Ask)
		wantCode(t, err, credit.CodeInvalid)
		r, err := c.spender.Usage(t.Context(), by("usage "+team, "m", team, 10), "svc", false)
		if err != nil || r.Entry.Work.Team != team {
			t.Errorf("usage of %s: %q, %v", team, r.Entry.Work.Team, err)
		}
	}
	// What was charged while the team was in use is answered as before.
	if again, err := c.spender.Debit(t.Context(), by("before", "m", "sales", 10), "svc"); err != nil || !again.Replayed {
		t.Errorf("%+v, %v", again.Entry, err)
	}
	_, err := c.spender.Debit(t.Context(), by("before", "m", "absent", 10), "svc")
	wantCode(t, err, credit.CodeConflict)
	c.archive(t, "design")
	if r, err := c.spender.Debit(t.Context(), by("after", "m", "", 10), "svc"); err != nil || r.Entry.Work.Team != "" {
		t.Errorf("of a member whose team is archived: %q, %v", r.Entry.Work.Team, err)
	}
}

func TestWithoutKnowingTheTeamNothingIsCharged(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	c.Hooks.Set(firedb.Rule{Method: "BatchGetDocuments", Count: 1, Fault: firedb.Fault{Code: codes.PermissionDenied}})
	_, err := c.spender.Debit(t.Context(), by("one", "m", "", 10), "svc")
	wantCode(t, err, "unavailable")
	if r, err := c.spender.Debit(t.Context(), by("one", "m", "", 10), "svc"); err != nil || r.Replayed || r.Entry.Work.Team != "design" {
		t.Errorf("repeated: %+v, %v", r.Entry, err)
	}
}

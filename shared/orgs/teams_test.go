package orgs_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// people makes an organisation with an administrator, members and teams.
func (h *house) people(t testing.TB, org string, members, teams []string) {
	t.Helper()
	h.put(t, org, acme())
	if err := h.store.PutMember(t.Context(), org, orgs.Member{Sub: "admin", Role: orgs.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	for _, sub := range members {
		if err := h.store.PutMember(t.Context(), org, orgs.Member{Sub: sub, Role: orgs.RoleMember, Name: "Name of " + sub}); err != nil {
			t.Fatal(err)
		}
	}
	for _, team := range teams {
		if _, created, err := h.store.ChangeTeam(t.Context(), org, orgs.TeamChange{ID: team, Name: "Team " + team}); err != nil || !created {
			t.Fatal(created, err)
		}
	}
}

func (h *house) join(t testing.TB, org, team, sub string) {
	t.Helper()
	if m, err := h.store.JoinTeam(t.Context(), org, team, sub); err != nil || m.Team != team {
		t.Fatalf("%+v, %v", m, err)
	}
}

// teamOf asks a process that remembers nothing.
func (h *house) teamOf(t testing.TB, org, sub string) string {
	t.Helper()
	team, err := h.another(t).TeamOf(t.Context(), org, sub)
	if err != nil {
		t.Fatal(err)
	}
	return team
}

func yes() *bool { v := true; return &v }

func no() *bool { v := false; return &v }

func TestAMemberIsInOneTeamAtMost(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		h.people(t, "acme", []string{"m", "auth0|n"}, []string{"design", "sales"})
		h.join(t, "acme", "design", "m")
		h.join(t, "acme", "design", "m")
		h.join(t, "acme", "design", "auth0|n")
		h.join(t, "acme", "sales", "m")
		if got := h.teamOf(t, "acme", "m"); got != "sales" {
			t.Errorf("moved, the member is in %q", got)
		}
		// Changing something else of a member leaves the team.
		if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		if m, err := h.store.Member(t.Context(), "acme", "m"); err != nil || m.Team != "sales" || m.Role != orgs.RoleAdmin {
			t.Errorf("%+v, %v", m, err)
		}
		if _, err := h.store.LeaveTeam(t.Context(), "acme", "design", "m"); code(err) != "not_found" {
			t.Errorf("leaving a team that the member is not in: %v", err)
		}
		if m, err := h.store.LeaveTeam(t.Context(), "acme", "sales", "m"); err != nil || m.Team != "" {
			t.Errorf("%+v, %v", m, err)
		}
		if got := h.teamOf(t, "acme", "m"); got != "" {
			t.Errorf("having left, the member is in %q", got)
		}
		for name, err := range map[string]error{
			"an unknown team": second(h.store.JoinTeam(t.Context(), "acme", "absent", "m")), "no team's id": second(h.store.JoinTeam(t.Context(), "acme", "A/b", "m")),
			"no member": second(h.store.JoinTeam(t.Context(), "acme", "design", "stranger")),
		} {
			if code(err) != "not_found" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.store.JoinTeam(t.Context(), "nowhere", "design", "m"); code(err) != "unknown_org" {
			t.Errorf("in an organisation that does not exist: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestAnArchivedTeamHasNoMembersAndGetsNone(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.people(t, "acme", []string{"m", "n"}, []string{"design", "sales"})
	h.join(t, "acme", "design", "m")
	h.join(t, "acme", "design", "n")
	for range 2 {
		if team, err := h.store.ArchiveTeam(t.Context(), "acme", "design"); err != nil || !team.ArchivedAt.Equal(h.now()) {
			t.Fatalf("%+v, %v", team, err)
		}
	}
	if got := h.teamOf(t, "acme", "m"); got != "" {
		t.Errorf("a member of an archived team is in %q", got)
	}
	if err := h.another(t).CheckTeam(t.Context(), "acme", "design"); code(err) != "invalid_request" {
		t.Errorf("an archived team can be spent for: %v", err)
	}
	if err := second(h.store.JoinTeam(t.Context(), "acme", "design", "m")); code(err) != "invalid_request" {
		t.Errorf("an archived team gets a member: %v", err)
	}
	if m, err := h.store.Member(t.Context(), "acme", "m"); err != nil || m.Team != "" {
		t.Errorf("%+v, %v", m, err)
	}
	if all, err := h.store.Members(t.Context(), "acme", orgs.MemberPage{Team: "design", Limit: 9}); err != nil || len(all) != 0 {
		t.Errorf("an archived team has %v (%v)", all, err)
	}
	// Renaming does not take it into use; asking for it does, and who was not moved is in it again.
	h.join(t, "acme", "sales", "n")
	if team, _, err := h.store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "design", Name: "Old design"}); err != nil || !team.Archived() {
		t.Errorf("%+v, %v", team, err)
	}
	if team, created, err := h.store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "design", Name: "Design", Archived: no()}); err != nil || team.Archived() || created {
		t.Errorf("%+v, %t, %v", team, created, err)
	}
	if m, n := h.teamOf(t, "acme", "m"), h.teamOf(t, "acme", "n"); m != "design" || n != "sales" {
		t.Errorf("taken into use again, m is in %q, n in %q", m, n)
	}
	if err := second(h.store.ArchiveTeam(t.Context(), "acme", "absent")); code(err) != "not_found" {
		t.Errorf("a team that is none: %v", err)
	}
}

func TestTeamsAndMembersAreBoundedAndPaged(t *testing.T) {
	t.Parallel()
	h := open(t)
	var err error
	h.store, err = orgs.NewStore(h.Client, slog.New(slog.DiscardHandler), orgs.Options{Now: h.now, MachineNow: h.now, TeamsMax: 3, MembersMax: 6})
	if err != nil {
		t.Fatal(err)
	}
	h.people(t, "acme", []string{"a/b", "c", "auth0|d", ".e", "f"}, []string{"t1", "t2", "t3"})
	if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "one-more", Role: orgs.RoleMember}); code(err) != "invalid_request" {
		t.Errorf("a seventh member: %v", err)
	}
	if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "c", Role: orgs.RoleAdmin}); err != nil {
		t.Errorf("one of the six: %v", err)
	}
	another := orgs.TeamChange{ID: "t4", Name: "T"}
	if _, _, err := h.store.ChangeTeam(t.Context(), "acme", another); code(err) != "invalid_request" {
		t.Errorf("a fourth team: %v", err)
	}
	if _, err := h.store.ArchiveTeam(t.Context(), "acme", "t2"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.store.ChangeTeam(t.Context(), "acme", another); err != nil {
		t.Errorf("a third team in use: %v", err)
	}
	if _, _, err := h.store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "t2", Name: "T", Archived: no()}); code(err) != "invalid_request" {
		t.Errorf("the archived one as a fourth: %v", err)
	}
	h.join(t, "acme", "t1", "c")
	h.join(t, "acme", "t1", "f")
	walk := func(team string) (subs []string) {
		p := orgs.MemberPage{Team: team, Limit: 2}
		for range 9 {
			page, err := h.store.Members(t.Context(), "acme", p)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page {
				subs = append(subs, m.Sub)
			}
			if len(page) < p.Limit {
				break
			}
			p.After = page[len(page)-1].Sub
		}
		return subs
	}
	all := walk("")
	slices.Sort(all)
	if want := []string{".e", "a/b", "admin", "auth0|d", "c", "f"}; !slices.Equal(all, want) {
		t.Errorf("members: %q, want %q", all, want)
	}
	if got := walk("t1"); !slices.Equal(got, []string{"c", "f"}) {
		t.Errorf("members of t1: %q", got)
	}
	teams, err := h.store.Teams(t.Context(), "acme", orgs.TeamPage{After: "t1", Limit: 9})
	if err != nil || len(teams) != 2 || teams[0].ID != "t3" || teams[1].ID != "t4" {
		t.Errorf("teams in use after t1: %+v, %v", teams, err)
	}
	archived, err := h.store.Teams(t.Context(), "acme", orgs.TeamPage{Archived: true, Limit: 9})
	if err != nil || len(archived) != 1 || archived[0].ID != "t2" || !archived[0].Archived() {
		t.Errorf("archived teams: %+v, %v", archived, err)
	}
	for _, c := range []orgs.TeamChange{{ID: "T", Name: "n"}, {ID: "", Name: "n"}, {ID: "a/b", Name: "n"}, {ID: "a", Name: " "}, {ID: "a", Name: "a\nb"}} {
		if _, _, err := h.store.ChangeTeam(t.Context(), "acme", c); code(err) != "invalid_request" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestATeamIsRememberedForFiveSecondsAndCostsNoRead(t *testing.T) {
	t.Parallel()
	h := openOn(t, engine.New(t, engine.Embedded()))
	members := make([]string, 50)
	for i := range members {
		members[i] = fmt.Sprintf("m%d", i)
	}
	h.people(t, "acme", members, []string{"design", "sales"})
	elsewhere := h.another(t)
	team := func(sub string) string {
		t.Helper()
		got, err := h.store.TeamOf(t.Context(), "acme", sub)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, sub := range members {
		h.join(t, "acme", "design", sub)
	}
	for _, sub := range members {
		if got := team(sub); got != "design" {
			t.Fatalf("%s is in %q", sub, got)
		}
	}
	h.Hooks.Reset()
	for range 5 {
		for _, sub := range members {
			team(sub)
		}
		if err := h.store.CheckTeam(t.Context(), "acme", "design"); err != nil {
			t.Error(err)
		}
		h.micros.Add(time.Second.Microseconds())
	}
	if reads := h.Hooks.Counts().Reads; reads != 0 {
		t.Errorf("%d reads within five seconds", reads)
	}
	for _, sub := range members {
		team(sub)
	}
	if reads := h.Hooks.Counts().Reads; reads != 1 {
		t.Errorf("%d reads for fifty members after five seconds of peace, want 1", reads)
	}
	if _, err := elsewhere.JoinTeam(t.Context(), "acme", "sales", "m0"); err != nil {
		t.Fatal(err)
	}
	h.micros.Add((5*time.Second - time.Microsecond).Microseconds())
	if got := team("m0"); got != "design" {
		t.Errorf("just before five seconds: %q", got)
	}
	h.micros.Add(1)
	if got := team("m0"); got != "sales" {
		t.Errorf("after five seconds: %q", got)
	}
}

func TestOfPeopleWhoAreNotThereNoTeamIsTold(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.people(t, "acme", []string{"m"}, []string{"design"})
	for _, c := range [][2]string{{"acme", "stranger"}, {"acme", ""}, {"acme", "m"}, {"nowhere", "m"}, {"Not An Id", "m"}, {"acme", "a\nb"}} {
		if got, err := h.store.TeamOf(t.Context(), c[0], c[1]); got != "" || err != nil {
			t.Errorf("%v: %q, %v", c, got, err)
		}
	}
	for _, c := range [][2]string{{"acme", "absent"}, {"acme", ""}, {"acme", "a/b"}, {"nowhere", "design"}, {"acme", "Design"}} {
		if err := h.store.CheckTeam(t.Context(), c[0], c[1]); code(err) != "invalid_request" {
			t.Errorf("%v: %v", c, err)
		}
	}
	if err := h.store.CheckTeam(t.Context(), "acme", "design"); err != nil {
		t.Error(err)
	}
}

// TestPeopleBehaveAsAMapOfThem does changes at random, some of whose answers are lost, and compares with a map; every process, once five seconds
// have passed, tells the same.
func TestPeopleBehaveAsAMapOfThem(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := openOn(t, engine.New(t, engine.Embedded()))
			h.people(t, "acme", nil, nil)
			r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // the same history each time is the point
			members, teams := map[string]string{}, map[string]bool{}
			processes := []*orgs.Store{h.store, h.another(t)}
			for step := range 120 {
				s := processes[r.IntN(2)]
				sub, team := fmt.Sprintf("m%d", r.IntN(4)), fmt.Sprintf("t%d", r.IntN(3))
				_, isMember := members[sub]
				used, isTeam := teams[team]
				want := ""
				var change func() error
				switch r.IntN(6) {
				case 0:
					if !isMember {
						members[sub] = ""
					}
					change = func() error { return s.PutMember(t.Context(), "acme", orgs.Member{Sub: sub, Role: orgs.RoleMember}) }
				case 1:
					if isMember { // and if the answer is lost, the repetition finds nobody
						if err := second(s.RemoveMember(t.Context(), "acme", sub)); err != nil {
							t.Fatal(err)
						}
					}
					delete(members, sub)
					want, change = "not_found", func() error { return second(s.RemoveMember(t.Context(), "acme", sub)) }
				case 2:
					archived := yes()
					if r.IntN(2) == 0 {
						archived = no()
					}
					teams[team] = !*archived
					change = func() error {
						_, _, err := s.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: team, Name: "T", Archived: archived})
						return err
					}
				default:
					switch {
					case !isMember || !isTeam:
						want = "not_found"
					case !used:
						want = "invalid_request"
					default:
						members[sub] = team
					}
					change = func() error { return second(s.JoinTeam(t.Context(), "acme", team, sub)) }
				}
				if r.IntN(3) == 0 {
					h.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: codes.Internal, After: true}})
				}
				err := change()
				if h.Hooks.Set(); code(err) == "unavailable" {
					err = change()
				}
				if code(err) != want {
					t.Fatalf("step %d: %v, want %q", step, err, want)
				}
				h.micros.Add((5 * time.Second).Microseconds())
				for i, process := range processes {
					for _, sub := range []string{"m0", "m1", "m2", "m3"} {
						want := members[sub]
						if !teams[want] {
							want = ""
						}
						if got, err := process.TeamOf(t.Context(), "acme", sub); err != nil || got != want {
							t.Fatalf("step %d, process %d: %s is in %q (%v), want %q", step, i, sub, got, err, want)
						}
					}
				}
			}
		})
	}
}

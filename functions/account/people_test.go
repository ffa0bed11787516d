package account

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnAdministratorKeepsMembersAndTeams(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	admin := s.token(t, "acme-admin")
	made := s.must(t, admin, http.MethodPut, "/orgs/acme/members/pieter", `{"role":"member","name":"Pieter","email":"pieter@acme.example"}`)
	want := map[string]any{"user_id": "pieter", "role": "member", "name": "Pieter", "email": "pieter@acme.example", "joined_at": "2026-03-01T08:00:00Z"}
	if diff := cmp.Diff(want, made.body); diff != "" || made.status != http.StatusCreated {
		t.Errorf("%d: %s", made.status, diff)
	}
	s.advance(time.Hour)
	// What is left out stays as it is, and the same again is the same.
	for range 2 {
		if got := s.must(t, admin, http.MethodPut, "/orgs/acme/members/pieter", `{"role":"member"}`); got.status != http.StatusOK || cmp.Diff(want, got.body) != "" {
			t.Errorf("%d %s", got.status, got.raw)
		}
	}
	for i, name := range []string{"Design", "Design and print", "Design and print"} {
		got := s.must(t, admin, http.MethodPut, "/orgs/acme/teams/design", `{"name":"`+name+`"}`)
		wantTeam := map[string]any{"team_id": "design", "name": name, "archived": false, "created_at": "2026-03-01T09:00:00Z"}
		if diff := cmp.Diff(wantTeam, got.body); diff != "" || (got.status == http.StatusCreated) != (i == 0) {
			t.Errorf("time %d: %d %s", i, got.status, diff)
		}
	}
	s.must(t, admin, http.MethodPut, "/orgs/acme/teams/sales", `{"name":"Sales"}`)
	for _, team := range []string{"design", "sales", "sales"} {
		want["team_id"] = team
		if got := s.must(t, admin, http.MethodPut, "/orgs/acme/teams/"+team+"/members/pieter", ""); cmp.Diff(want, got.body) != "" {
			t.Error(got.raw)
		}
	}
	if items := s.walk(t, admin, "/orgs/acme/teams", 1); len(items) != 2 || items[0]["team_id"] != "design" || items[1]["team_id"] != "sales" {
		t.Errorf("teams: %v", items)
	}
	if items := s.walk(t, admin, "/orgs/acme/members", 1); len(items) != 3 || items[2]["user_id"] != "pieter" {
		t.Errorf("members: %v", items)
	}
	if got := s.must(t, admin, http.MethodGet, "/orgs/acme/members?team=sales", ""); !strings.Contains(got.raw, `"items":[{"user_id":"pieter"`) {
		t.Errorf("members of sales: %s", got.raw)
	}
	// An archived team is out of sight, and nobody is in it.
	for range 2 {
		if got := s.must(t, admin, http.MethodDelete, "/orgs/acme/teams/sales", ""); got.body["archived"] != true || got.body["archived_at"] != "2026-03-01T09:00:00Z" {
			t.Error(got.raw)
		}
	}
	delete(want, "team_id")
	if got := s.must(t, s.token(t, "pieter"), http.MethodGet, "/orgs/acme/members/pieter", ""); cmp.Diff(want, got.body) != "" {
		t.Error(got.raw)
	}
	if got := s.must(t, admin, http.MethodGet, "/orgs/acme/teams?archived=true", ""); !strings.Contains(got.raw, `[{"team_id":"sales"`) {
		t.Error(got.raw)
	}
	s.must(t, admin, http.MethodDelete, "/orgs/acme/members/pieter", "")
	if got := s.call(t, s.token(t, "pieter"), http.MethodPost, "/orgs/acme/notifications/x/read", ""); got.code() != "unknown_org" {
		t.Errorf("a former member: %d %s", got.status, got.raw)
	}
	s.must(t, admin, http.MethodPut, "/orgs/acme/members/pieter", `{"role":"member"}`)
	s.must(t, s.token(t, "pieter"), http.MethodGet, "/orgs/acme/balance", "")
}

func TestAMemberSeesOnlyItself(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	member := s.token(t, "acme-member")
	s.must(t, member, http.MethodGet, "/orgs/acme/members/acme-member", "")
	for _, other := range []string{"acme-admin", "nobody"} { // who is there is not told either
		if got := s.call(t, member, http.MethodGet, "/orgs/acme/members/"+other, ""); got.code() != "forbidden" {
			t.Errorf("%s: %d %s", other, got.status, got.raw)
		}
	}
}

func TestChangesOfPeopleThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.team(t, "acme", "design", "designer")
	s.team(t, "acme", "old")
	admin := s.token(t, "acme-admin")
	s.must(t, admin, http.MethodDelete, "/orgs/acme/teams/old", "")
	for name, c := range map[string]struct {
		method, path, body string
		code, field        string
	}{
		"the last administrator goes":       {"DELETE", "/members/acme-admin", "", "invalid_request", "role"},
		"the last administrator steps back": {"PUT", "/members/acme-admin", `{"role":"member"}`, "invalid_request", "role"},
		"no role":                           {"PUT", "/members/x", `{}`, "invalid_request", "role"},
		"another role":                      {"PUT", "/members/x", `{"role":"platform"}`, "invalid_request", "role"},
		"no address":                        {"PUT", "/members/x", `{"role":"member","email":"x"}`, "invalid_request", "email"},
		"another's id":                      {"PUT", "/members/x", `{"role":"member","user_id":"y"}`, "invalid_request", "user_id"},
		"a team beside the role":            {"PUT", "/members/x", `{"role":"member","team_id":"design"}`, "invalid_request", "team_id"},
		"an id too long":                    {"PUT", "/members/" + strings.Repeat("x", 256), `{"role":"member"}`, "invalid_request", "user_id"},
		"nobody goes":                       {"DELETE", "/members/nobody", "", "not_found", ""},
		"nobody is asked for":               {"GET", "/members/nobody", "", "not_found", ""},
		"a team in capitals":                {"PUT", "/teams/Design", `{"name":"D"}`, "invalid_request", "team_id"},
		"a team without a name":             {"PUT", "/teams/x", `{}`, "invalid_request", "name"},
		"a team with members":               {"PUT", "/teams/x", `{"name":"X","members":[]}`, "invalid_request", "members"},
		"no team":                           {"GET", "/teams/absent", "", "not_found", ""},
		"no team to archive":                {"DELETE", "/teams/absent", "", "not_found", ""},
		"no team to join":                   {"PUT", "/teams/absent/members/designer", "", "not_found", ""},
		"an archived team to join":          {"PUT", "/teams/old/members/designer", "", "invalid_request", "team_id"},
		"nobody joins":                      {"PUT", "/teams/design/members/nobody", "", "not_found", ""},
		"leaving another team":              {"DELETE", "/teams/old/members/designer", "", "not_found", ""},
		"an odd question":                   {"GET", "/teams?archived=maybe", "", "invalid_request", "archived"},
		"a page of another list":            {"GET", "/teams?page_token=" + tokenOf(t, position{List: membersList, ID: "x"}), "", "invalid_request", "page_token"},
		"a page of the other teams":         {"GET", "/teams?page_token=" + tokenOf(t, position{List: archivedTeamsList, ID: "x"}), "", "invalid_request", "page_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.call(t, admin, c.method, "/orgs/acme"+c.path, c.body)
			if field, _ := got.body["field"].(string); got.code() != c.code || field != c.field {
				t.Errorf("%d %s, want %s for %q", got.status, got.raw, c.code, c.field)
			}
		})
	}
}

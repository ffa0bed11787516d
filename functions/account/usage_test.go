package account

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestUsageIsReportedAsJSONAndCSV(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 1000, time.Time{})
	spend := func(id, feature, team, user string, credits int64) {
		t.Helper()
		s.do(t, "acme", credit.Debit{EventID: id, Credits: credits, Work: credit.Work{Feature: feature, Team: team, User: user, PriceVersion: 1}})
	}
	spend("a", "bulk-pricing", "red", "thandi", 100)
	spend("b", "custom-query", "red", "=HYPERLINK(1)", 20)
	s.advance(14 * time.Hour) // 2 March, 00:00 in Johannesburg
	spend("c", "custom-query", "", "", 30)
	s.do(t, "acme", credit.Reverse{EventID: "undo", Debit: "a", Credits: 40, Reason: "failed"})
	token := s.token(t, "acme-admin")
	get := func(query string) map[string]any {
		t.Helper()
		return s.must(t, token, http.MethodGet, "/orgs/acme/usage"+query, "").body
	}
	type row = map[string]any
	for query, want := range map[string][]any{
		"": {row{"day": "2026-03-01", "credits": 120.0}, row{"day": "2026-03-02", "credits": -10.0}},
		"?from=2026-03-01&to=2026-03-02&group_by=feature": {row{"feature": "bulk-pricing", "credits": 100.0}, row{"feature": "custom-query", "credits": 20.0}},
		"?group_by=team":                             {row{"team": "", "credits": 30.0}, row{"team": "red", "credits": 80.0}},
		"?group_by=user&feature=bulk-pricing":        {row{"user": "thandi", "credits": 60.0}},
		"?group_by=user,feature&team=":               {row{"user": "", "feature": "custom-query", "credits": 30.0}},
		"?group_by=day&user=nobody":                  {},
		"?from=2026-03-02&to=2026-03-03&format=json": {row{"day": "2026-03-02", "credits": -10.0}},
	} {
		if diff := cmp.Diff(want, get(query)["items"]); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	all := get("?group_by=feature,team")
	delete(all, "items")
	head := row{"org_id": "acme", "from": "2026-03-01", "to": "2026-03-03", "time_zone": "Africa/Johannesburg", "group_by": []any{"feature", "team"}, "total": 110.0}
	if diff := cmp.Diff(head, all); diff != "" {
		t.Error(diff)
	}
	lines := []string{}
	for _, cells := range s.table(t, token, "/orgs/acme/usage?group_by=user,day&format=csv") {
		lines = append(lines, strings.Join(cells, "|"))
	}
	want := []string{"user|day|credits", "|2026-03-02|30", "'=HYPERLINK(1)|2026-03-01|20", "thandi|2026-03-01|100", "thandi|2026-03-02|-40"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{
		"?group_by=month", "?group_by=", "?group_by=day,day", "?from=yesterday", "?from=2026-03-02&to=2026-03-02", "?from=2020-01-01&to=2026-01-01", "?format=pdf", "?limit=1",
	} {
		if got := s.call(t, token, http.MethodGet, "/orgs/acme/usage"+query, ""); got.code() != "invalid_request" {
			t.Errorf("%s: %d %s", query, got.status, got.raw)
		}
	}
}

// TestMembersSeeTheirOwnWorkAndNotWhoseTheOthersIs asks as one of two members, of whom both have worked.
func TestMembersSeeTheirOwnWorkAndNotWhoseTheOthersIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "g", credit.Purchase, 1000, time.Time{})
	for id, user := range map[string]string{"mine": "acme-member", "other": "acme-admin"} {
		s.do(t, "acme", credit.Debit{EventID: id, Credits: 10, Metadata: `{"sku":"7"}`, Work: credit.Work{Feature: "custom-query", User: user, PriceVersion: 1}})
	}
	token := s.token(t, "acme-member")
	if got := s.must(t, token, http.MethodGet, "/orgs/acme/usage?group_by=user", ""); number(got.body["total"]) != 10 || strings.Contains(got.raw, "acme-admin") {
		t.Errorf("%s", got.raw)
	}
	if got := s.call(t, token, http.MethodGet, "/orgs/acme/usage?user=acme-admin", ""); got.code() != "forbidden" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	for _, path := range []string{"/orgs/acme/entries", "/orgs/acme/overview", "/orgs/acme/entries/mine"} {
		if got := s.must(t, token, http.MethodGet, path, ""); !strings.Contains(got.raw, "acme-member") || !strings.Contains(got.raw, "sku") || strings.Contains(got.raw, "acme-admin") {
			t.Errorf("%s: %s", path, got.raw)
		}
	}
	if got := s.must(t, token, http.MethodGet, "/orgs/acme/entries/other", ""); number(got.body["credits"]) != 10 || strings.Contains(got.raw, "acme-admin") || strings.Contains(got.raw, "sku") {
		t.Errorf("%s", got.raw)
	}
}

func TestSupportFindsPeopleByTheirAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	support := s.token(t, "sam", "support")
	for email, want := range map[string][]any{
		"ACME-Member@people.example": {map[string]any{"org_id": "acme", "name": "Acme", "user_id": "acme-member", "role": "member"}},
		"thandi@globex.example":      {map[string]any{"org_id": "globex", "name": "Acme", "role": "owner"}},
		"nobody@people.example":      {},
	} {
		if diff := cmp.Diff(want, s.must(t, support, http.MethodGet, "/people?email="+email, "").body["items"]); diff != "" {
			t.Errorf("%s: %s", email, diff)
		}
	}
	if got := s.call(t, support, http.MethodGet, "/people?email=Sam", ""); got.code() != "invalid_request" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	s.must(t, s.token(t, "acme-admin"), http.MethodDelete, "/orgs/acme/members/acme-member", "")
	if got := s.must(t, support, http.MethodGet, "/people?email=acme-member@people.example", ""); strings.Contains(got.raw, "acme-member") {
		t.Errorf("after the membership's end: %s", got.raw)
	}
}

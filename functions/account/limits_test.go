package account

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
)

// work charges credits to a user and a team.
func (s *system) work(t *testing.T, org, id, user, team string, credits int64) error {
	t.Helper()
	_, err := s.ledger.Do(t.Context(), org, credit.Debit{
		EventID: id, Credits: credits, Actor: "reports@test", Content: credit.Content{Kind: credit.KindDebit, Org: org, User: user, Team: team},
		Work: credit.Work{Feature: "custom-query", User: user, Team: team, PriceVersion: 1},
	})
	return err
}

func TestLimitsAreSetAndTellWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.team(t, "acme", "design", "acme-member", "designer")
	s.team(t, "acme", "sales")
	s.grant(t, "acme", "g", credit.Purchase, 10_000, time.Time{})
	admin, member := s.token(t, "acme-admin"), s.token(t, "acme-member")
	resets := "2026-03-31T22:00:00Z"
	use := func(scope, subject string, credits any, soft bool, used, left any) map[string]any {
		out := map[string]any{"scope": scope, "used": used, "resets_at": resets}
		if subject != "" {
			out["subject"] = subject
		}
		if credits != nil {
			out["limit"], out["left"] = map[string]any{"credits": credits, "soft": soft}, left
		}
		return out
	}
	whole := func(organisation map[string]any, defaultUser any, thresholds, teams, users []any) map[string]any {
		out := map[string]any{
			"window": "2026-03", "starts_at": "2026-02-28T22:00:00Z", "resets_at": resets, "thresholds": thresholds, "organisation": organisation, "teams": teams, "users": users,
		}
		if defaultUser != nil {
			out["default_user"] = defaultUser
		}
		return out
	}
	want := func(what string, got answer, want map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, got.body); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	want("at first", s.must(t, admin, http.MethodGet, "/orgs/acme/limits", ""), whole(use("organisation", "", nil, false, 0.0, nil), nil, []any{50.0, 75.0, 90.0}, []any{}, []any{}))
	// A limit that is set in mid-month starts from what was used.
	if err := s.work(t, "acme", "before", "acme-member", "design", 30); err != nil {
		t.Fatal(err)
	}
	each := map[string]any{"credits": 100.0, "soft": false}
	for range 2 {
		want("set", s.must(t, admin, http.MethodPut, "/orgs/acme/limits", `{"organisation":{"credits":1000,"soft":true},"default_user":{"credits":100},"thresholds":[80]}`),
			whole(use("organisation", "", 1000.0, true, 30.0, 970.0), each, []any{80.0}, []any{}, []any{}))
	}
	want("a team's", s.must(t, admin, http.MethodPut, "/orgs/acme/limits/teams/design", `{"credits":50}`), use("team", "design", 50.0, false, 30.0, 20.0))
	want("a user's", s.must(t, admin, http.MethodPut, "/orgs/acme/limits/users/designer", `{"credits":10}`), use("user", "designer", 10.0, false, 0.0, 10.0))
	if err := s.work(t, "acme", "too-much", "acme-member", "design", 21); err == nil {
		t.Error("a debit passes the team's limit")
	}
	want("all of them", s.must(t, admin, http.MethodGet, "/orgs/acme/limits", ""),
		whole(use("organisation", "", 1000.0, true, 30.0, 970.0), each, []any{80.0}, []any{use("team", "design", 50.0, false, 30.0, 20.0)}, []any{use("user", "designer", 10.0, false, 0.0, 10.0)}))
	want("what binds a member", s.must(t, member, http.MethodGet, "/orgs/acme/limits", ""),
		whole(use("organisation", "", 1000.0, true, 30.0, 970.0), nil, []any{80.0}, []any{use("team", "design", 50.0, false, 30.0, 20.0)}, []any{use("user", "acme-member", 100.0, false, 30.0, 70.0)}))
	want("its own", s.must(t, member, http.MethodGet, "/orgs/acme/limits/users/acme-member", ""), use("user", "acme-member", 100.0, false, 30.0, 70.0))
	want("its team's", s.must(t, member, http.MethodGet, "/orgs/acme/limits/teams/design", ""), use("team", "design", 50.0, false, 30.0, 20.0))
	for _, path := range []string{"/users/designer", "/teams/sales", "/teams/absent"} {
		if got := s.call(t, member, http.MethodGet, "/orgs/acme/limits"+path, ""); got.code() != "forbidden" {
			t.Errorf("a member at %s: %d %s", path, got.status, got.raw)
		}
	}
	// A limit below what is used leaves nothing, and not less.
	want("lowered", s.must(t, admin, http.MethodPut, "/orgs/acme/limits/teams/design", `{"credits":20}`), use("team", "design", 20.0, false, 30.0, 0.0))
	// What is taken away binds nobody; a user falls under the default again.
	for range 2 {
		want("a team's taken away", s.must(t, admin, http.MethodDelete, "/orgs/acme/limits/teams/design", ""), use("team", "design", nil, false, 30.0, nil))
		want("a user's taken away", s.must(t, admin, http.MethodDelete, "/orgs/acme/limits/users/designer", ""), use("user", "designer", 100.0, false, 0.0, 100.0))
	}
	want("no more limits", s.must(t, admin, http.MethodPut, "/orgs/acme/limits", `{"thresholds":[]}`), whole(use("organisation", "", nil, false, 30.0, nil), nil, []any{}, []any{}, []any{}))
}

func TestLimitsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.team(t, "acme", "old")
	admin := s.token(t, "acme-admin")
	s.must(t, admin, http.MethodDelete, "/orgs/acme/teams/old", "")
	for name, c := range map[string]struct{ method, path, body, code, field string }{
		"no thresholds":          {"PUT", "", `{}`, "invalid_request", "thresholds"},
		"a threshold of nothing": {"PUT", "", `{"thresholds":[0]}`, "invalid_request", ""},
		"a threshold of all":     {"PUT", "", `{"thresholds":[100]}`, "invalid_request", ""},
		"too many thresholds":    {"PUT", "", `{"thresholds":[1,2,3,4,5,6,7,8,9,10,11]}`, "invalid_request", ""},
		"no figure":              {"PUT", "", `{"thresholds":[],"organisation":{}}`, "invalid_request", "organisation.credits"},
		"no figure for each":     {"PUT", "", `{"thresholds":[],"default_user":{"soft":true}}`, "invalid_request", "default_user.credits"},
		"null":                   {"PUT", "", `{"thresholds":[],"organisation":null}`, "invalid_request", "organisation"},
		"below nothing":          {"PUT", "/users/x", `{"credits":-1}`, "invalid_request", ""},
		"a fraction":             {"PUT", "/users/x", `{"credits":1.5}`, "invalid_request", "credits"},
		"no credits":             {"PUT", "/users/x", `{}`, "invalid_request", "credits"},
		"beyond bounds":          {"PUT", "/users/x", fmt.Sprintf(`{"credits":%d}`, credit.MaxCredits+1), "invalid_request", ""},
		"a long user":            {"PUT", "/users/" + strings.Repeat("x", 129), `{"credits":1}`, "invalid_request", ""},
		"no team":                {"PUT", "/teams/absent", `{"credits":1}`, "not_found", ""},
		"an archived team":       {"PUT", "/teams/old", `{"credits":1}`, "invalid_request", "team_id"},
		"no team to look at":     {"GET", "/teams/absent", "", "not_found", ""},
		"no team to free":        {"DELETE", "/teams/absent", "", "not_found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.call(t, admin, c.method, "/orgs/acme/limits"+c.path, c.body)
			if field, _ := got.body["field"].(string); got.code() != c.code || field != c.field {
				t.Errorf("%d %s, want %s for %q", got.status, got.raw, c.code, c.field)
			}
		})
	}
}

// TestABlockedMemberAsksAndIsGranted goes the whole way: blocked, asked, granted, and the work passes; each told once.
func TestABlockedMemberAsksAndIsGranted(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.broker.Topic(t.Context(), "projects/"+s.Project+"/topics/"+events.CreditAlerts); err != nil {
		t.Fatal(err)
	}
	s.register(t, "acme")
	s.grant(t, "acme", "g", credit.Purchase, 10_000, time.Time{})
	admin, member := s.token(t, "acme-admin"), s.token(t, "acme-member")
	s.must(t, admin, http.MethodPut, "/orgs/acme/limits/users/acme-member", `{"credits":50}`)
	if err := s.work(t, "acme", "w1", "acme-member", "", 60); err == nil {
		t.Fatal("the limit does not bind")
	}
	made := s.must(t, member, http.MethodPost, "/orgs/acme/limit-requests", `{"scope":"user","credits":30,"reason":"The catalogue"}`)
	id := fmt.Sprint(made.body["request_id"])
	want := map[string]any{
		"request_id": id, "user_id": "acme-member", "scope": "user", "subject": "acme-member", "credits": 30.0, "limit": 50.0, "reason": "The catalogue",
		"state": "open", "created_at": "2026-03-01T08:00:00Z",
	}
	if diff := cmp.Diff(want, made.body); diff != "" || made.status != http.StatusCreated {
		t.Errorf("%d: %s", made.status, diff)
	}
	if again := s.must(t, member, http.MethodPost, "/orgs/acme/limit-requests", `{"scope":"user","subject":"acme-member","reason":"Please"}`); again.status != http.StatusOK || again.raw != made.raw {
		t.Errorf("asked again: %d %s", again.status, again.raw)
	}
	for _, token := range []string{admin, member} {
		if items := s.walk(t, token, "/orgs/acme/limit-requests", 1); len(items) != 1 || items[0]["request_id"] != id {
			t.Errorf("the list has %v", items)
		}
	}
	if got := s.call(t, s.token(t, "acme-admin-two"), http.MethodGet, "/orgs/acme/limit-requests/"+id, ""); got.code() != "unknown_org" {
		t.Errorf("a stranger: %d %s", got.status, got.raw)
	}
	s.advance(time.Hour)
	path := "/orgs/acme/limit-requests/" + id
	granted := s.must(t, admin, http.MethodPost, path+"/grant", `{}`)
	want["state"], want["decided_at"], want["decided_by"], want["granted_limit"] = "granted", "2026-03-01T09:00:00Z", "acme-admin", 80.0
	if diff := cmp.Diff(want, granted.body); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{`{}`, `{"limit":80}`} {
		if again := s.must(t, admin, http.MethodPost, path+"/grant", body); again.raw != granted.raw {
			t.Errorf("granted again: %s", again.raw)
		}
	}
	for what, body := range map[string]string{"/grant": `{"limit":90}`, "/decline": `{"reason":"no"}`} {
		if got := s.call(t, admin, http.MethodPost, path+what, body); got.status != http.StatusConflict || got.code() != "idempotency_conflict" {
			t.Errorf("%s after all: %d %s", what, got.status, got.raw)
		}
	}
	if err := s.work(t, "acme", "w1", "acme-member", "", 60); err != nil {
		t.Errorf("after the grant: %v", err)
	}
	if items := s.walk(t, admin, "/orgs/acme/limit-requests", 1); len(items) != 0 {
		t.Errorf("open: %v", items)
	}
	if got := s.must(t, member, http.MethodGet, "/orgs/acme/limit-requests?state=decided", ""); !strings.Contains(got.raw, id) {
		t.Errorf("decided: %s", got.raw)
	}
}

func TestLimitRequestsOfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, id := s.populate(t, "acme")
	_, other := s.populate(t, "globex")
	designer := s.token(t, "designer")
	for _, id := range []string{id, other, "absent"} {
		if got := s.call(t, designer, http.MethodGet, "/orgs/acme/limit-requests/"+id, ""); got.code() != "not_found" {
			t.Errorf("%d %s", got.status, got.raw)
		}
	}
	if got := s.call(t, s.token(t, "acme-admin"), http.MethodPost, "/orgs/acme/limit-requests/"+other+"/grant", `{}`); got.code() != "not_found" {
		t.Errorf("another organisation's: %d %s", got.status, got.raw)
	}
	if items := s.walk(t, designer, "/orgs/acme/limit-requests", 9); len(items) != 0 {
		t.Errorf("another member sees %v", items)
	}
	for name, c := range map[string]struct{ path, body, code, field string }{
		"no scope":    {"", `{"reason":"x"}`, "invalid_request", "scope"},
		"no reason":   {"", `{"scope":"user"}`, "invalid_request", "reason"},
		"nothing":     {"", `{"scope":"user","reason":"x","credits":0}`, "invalid_request", "credits"},
		"for another": {"", `{"scope":"user","reason":"x","subject":"acme-member"}`, "invalid_request", "subject"},
		"no limit":    {"", `{"scope":"organisation","reason":"x"}`, "invalid_request", "scope"},
	} {
		got := s.call(t, designer, http.MethodPost, "/orgs/acme/limit-requests"+c.path, c.body)
		if field, _ := got.body["field"].(string); got.code() != c.code || field != c.field {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	if got := s.call(t, designer, http.MethodGet, "/orgs/acme/limit-requests?state=lost", ""); got.code() != "invalid_request" {
		t.Errorf("an odd state: %d %s", got.status, got.raw)
	}
}

package debit

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/refusals"
)

// operate sends a body as the operator does.
func (s *system) operate(t *testing.T, path, body string) (int, map[string]any) {
	t.Helper()
	return s.send(t, http.MethodPut, path, "Bearer "+s.issuer.Service(t, operator, audience), strings.NewReader(body))
}

// codes are those of a check's reasons.
func (s *system) codes(t *testing.T, ask string) (out []string) {
	t.Helper()
	status, got := s.post(t, "/check", ask)
	reasons, _ := got["reasons"].([]any)
	for _, r := range reasons {
		m, _ := r.(map[string]any)
		code := fmt.Sprint(m["code"])
		if m["scope"] != nil {
			code += fmt.Sprint(":", m["scope"], ":", m["subject"])
		}
		out = append(out, code)
	}
	if status != 200 || got["allowed"] != (len(out) == 0) {
		t.Errorf("check: %d %v", status, got)
	}
	return out
}

const (
	askReport = `{"org_id":"acme","user_id":"u1","team_id":"t1","feature":"market-trend-report"}`
	report    = `,"org_id":"acme","user_id":"u1","team_id":"t1","feature":"market-trend-report"}`
)

// arrange makes an organisation in which exactly the named things stand against a report of 50 credits.
func (s *system) arrange(t *testing.T, things ...string) {
	t.Helper()
	s.fund(t, "acme", 100)
	do := func(c credit.Command) {
		t.Helper()
		if _, err := s.ledger.Do(t.Context(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
	for _, thing := range things {
		switch thing {
		case "wallet_frozen":
			do(credit.FreezeWallet{Frozen: true, Reason: "suspected fraud"})
		case "in_debt":
			do(credit.Debit{EventID: "usage", Credits: 130, Usage: true, Work: credit.Work{Feature: "custom-query"}})
		case "feature_unavailable":
			if status, got := s.operate(t, "/features/market-trend-report/availability", `{"available":false,"reason":"model down","until":"2026-03-01T08:10:00Z"}`); status != 200 {
				t.Fatalf("%d %v", status, got)
			}
		case "data_required":
			if status, got := s.operate(t, "/orgs/acme/features/market-trend-report/readiness", `{"ready":false,"missing":["90 days of sales"]}`); status != 200 {
				t.Fatalf("%d %v", status, got)
			}
		case "organisation", "team", "user":
			subject := map[string]credit.Subject{
				"organisation": {Scope: credit.ScopeOrganisation}, "team": {Scope: credit.ScopeTeam, ID: "t1"}, "user": {Scope: credit.ScopeUser, ID: "u1"},
			}[thing]
			do(credit.SetLimits{Changes: []credit.LimitChange{{Subject: subject, Limit: &credit.Limit{Credits: 49}}}})
		case "insufficient_credits":
			do(credit.Debit{EventID: "spent", Credits: 60, Work: credit.Work{Feature: "custom-query"}})
		}
	}
}

// TestEachReasonStandsAloneAndWithTheOthers asks by check, hold and debit. What is known of the feature refuses only what has not begun.
func TestEachReasonStandsAloneAndWithTheOthers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		things             []string
		check              string
		holds, holdCode    any
		debits, debitsCode any
	}{
		"nothing":     {nil, "[]", 201, nil, 200, nil},
		"frozen":      {[]string{"wallet_frozen"}, "[wallet_frozen]", 403, "wallet_frozen", 403, "wallet_frozen"},
		"debt":        {[]string{"in_debt"}, "[in_debt insufficient_credits]", 402, "in_debt", 402, "in_debt"},
		"unavailable": {[]string{"feature_unavailable"}, "[feature_unavailable]", 503, "feature_unavailable", 200, nil},
		"data":        {[]string{"data_required"}, "[data_required]", 422, "data_required", 200, nil},
		"credits":     {[]string{"insufficient_credits"}, "[insufficient_credits]", 402, "insufficient_credits", 402, "insufficient_credits"},
		"the organisation's limit": {
			[]string{"organisation"}, "[limit_exceeded:organisation:acme]", 403, "limit_exceeded", 403, "limit_exceeded",
		},
		"the team's limit":   {[]string{"team"}, "[limit_exceeded:team:t1]", 403, "limit_exceeded", 403, "limit_exceeded"},
		"the user's limit":   {[]string{"user"}, "[limit_exceeded:user:u1]", 403, "limit_exceeded", 403, "limit_exceeded"},
		"data and no credit": {[]string{"data_required", "insufficient_credits"}, "[data_required insufficient_credits]", 422, "data_required", 402, "insufficient_credits"},
		"all": {
			[]string{"user", "in_debt", "feature_unavailable", "team", "data_required", "organisation", "wallet_frozen"},
			"[wallet_frozen in_debt feature_unavailable data_required limit_exceeded:organisation:acme limit_exceeded:team:t1 limit_exceeded:user:u1 insufficient_credits]", 403, "wallet_frozen", 403, "wallet_frozen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.arrange(t, tc.things...)
			if got := fmt.Sprint(s.codes(t, askReport)); got != tc.check {
				t.Errorf("check: %s, want %s", got, tc.check)
			}
			if status, got := s.post(t, "/holds", `{"event_id":"h"`+report); status != tc.holds || got["code"] != tc.holdCode {
				t.Errorf("hold: %d %v, want %v %v", status, got, tc.holds, tc.holdCode)
			}
			if status, got := s.post(t, "", `{"event_id":"d"`+report); status != tc.debits || got["code"] != tc.debitsCode {
				t.Errorf("debit: %d %v, want %v %v", status, got, tc.debits, tc.debitsCode)
			}
		})
	}
}

func TestAReasonSaysWhatAProgramNeeds(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.arrange(t, "feature_unavailable", "data_required")
	_, got := s.post(t, "/check", askReport)
	want := fmt.Sprint([]any{
		map[string]any{"code": "feature_unavailable", "detail": `The feature "market-trend-report" is not available now.`, "feature": "market-trend-report",
			"reason": "model down", "until": "2026-03-01T08:10:00Z"},
		map[string]any{"code": "data_required", "detail": `The organisation does not have the data that the feature "market-trend-report" needs.`,
			"feature": "market-trend-report", "missing": []any{"90 days of sales"}},
	})
	if fmt.Sprint(got["reasons"]) != want || got["credits"] != 50.0 || got["price_version"] != 1.0 {
		t.Errorf("%v\nwant %s", got, want)
	}
	if status, got := s.post(t, "/check", `{"org_id":"acme","feature":"custom-query","credits":10}`); status != 200 || got["allowed"] != true {
		t.Errorf("another feature: %d %v", status, got)
	}
}

func TestUntilPassesByItself(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.arrange(t, "feature_unavailable")
	s.passed.Store(599)
	if status, got := s.post(t, "/holds", `{"event_id":"h"`+report); status != 503 || got["until"] != "2026-03-01T08:10:00Z" {
		t.Errorf("a second before: %d %v", status, got)
	}
	s.passed.Store(600)
	if got := s.codes(t, askReport); len(got) != 0 {
		t.Errorf("at the end: %v", got)
	}
	if status, got := s.post(t, "/holds", `{"event_id":"h"`+report); status != 201 {
		t.Errorf("at the end: %d %v", status, got)
	}
}

// TestAHoldPlacedBeforeAnOutageIsStillAnswered repeats the placing, and captures the work that goes on.
func TestAHoldPlacedBeforeAnOutageIsStillAnswered(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.arrange(t)
	_, placed := s.post(t, "/holds", `{"event_id":"h"`+report)
	if status, got := s.operate(t, "/features/market-trend-report/availability", `{"available":false}`); status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	if status, got := s.post(t, "/holds", `{"event_id":"h"`+report); status != 201 || got["replayed"] != true || got["hold_id"] != placed["hold_id"] {
		t.Errorf("again: %d %v", status, got)
	}
	if status, got := s.post(t, "/holds", `{"event_id":"h","org_id":"acme","feature":"custom-query","credits":10}`); status != 409 {
		t.Errorf("with other content: %d %v", status, got)
	}
	if status, got := s.post(t, fmt.Sprintf("/holds/%s/capture", placed["hold_id"]), `{"credits":50}`); status != 200 {
		t.Errorf("capture: %d %v", status, got)
	}
	if status, got := s.operate(t, "/features/market-trend-report/availability", `{"available":true}`); status != 200 || got["available"] != true {
		t.Errorf("%d %v", status, got)
	}
	if status, got := s.post(t, "/holds", `{"event_id":"h2"`+report); status != 201 {
		t.Errorf("when it is over: %d %v", status, got)
	}
}

func TestOnlyOperatorsSayWhatCanBeRun(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	for _, tc := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/features/custom-query/availability", `{"available":false,"until":"2026-03-01T08:00:00Z"}`, 400, "invalid_request"},
		{"/features/custom-query/availability", `{}`, 400, "invalid_request"},
		{"/features/custom-query/availability", `{"available":false,"since":1}`, 400, "invalid_request"},
		{"/features/alchemy/availability", `{"available":false}`, 422, "unknown_feature"},
		{"/orgs/acme/features/alchemy/readiness", `{"ready":true}`, 422, "unknown_feature"},
		{"/orgs/acme/features/custom-query/readiness", `{}`, 400, "invalid_request"},
		{"/orgs/acme/features/custom-query/readiness", `{"ready":false,"missing":["1","2","3","4","5","6","7","8","9","10","11"]}`, 400, "invalid_request"},
		{"/orgs/nobody/features/custom-query/readiness", `{"ready":true}`, 404, "unknown_org"},
		{"/orgs/acme/features/custom-query/readiness", `{"ready":false}`, 200, ""},
	} {
		status, got := s.operate(t, tc.path, tc.body)
		if code, _ := got["code"].(string); status != tc.status || code != tc.code {
			t.Errorf("%s %s: %d %v, want %d %s", tc.path, tc.body, status, got, tc.status, tc.code)
		}
		if status, got := s.send(t, http.MethodPut, tc.path, "Bearer "+s.token, strings.NewReader(tc.body)); status != 403 {
			t.Errorf("a spender at %s: %d %v", tc.path, status, got)
		}
	}
}

// TestRefusedRequestsAreLogged refuses by debit and hold; checks and mistakes of the caller leave no trace.
func TestRefusedRequestsAreLogged(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.arrange(t, "insufficient_credits", "data_required")
	s.post(t, "/check", askReport)
	s.post(t, "", `{"event_id":"x","org_id":"acme","feature":"alchemy"}`)
	s.post(t, "", `{"event_id":"d"`+report)
	s.post(t, "/holds", `{"event_id":"h"`+report)
	limit := credit.LimitChange{Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "t1"}, Limit: &credit.Limit{Credits: 5}}
	if _, err := s.ledger.Do(t.Context(), "acme", credit.SetLimits{Changes: []credit.LimitChange{limit}}); err != nil {
		t.Fatal(err)
	}
	s.post(t, "", `{"event_id":"l","org_id":"acme","user_id":"u2","team_id":"t1","feature":"custom-query","credits":10}`)
	store, err := refusals.NewStore(s.engine.Client, s.now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.List(t.Context(), "acme", refusals.Query{User: "u1", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	told := map[refusals.Kind]string{}
	for _, r := range got {
		told[r.Kind] = fmt.Sprint(r.Code, r.User, r.Team, r.Feature, r.Credits, r.EventID, r.Actor, r.Count, string(r.Details))
	}
	want := map[refusals.Kind]string{
		refusals.Debit: fmt.Sprint("insufficient_credits", "u1", "t1", "market-trend-report", 50, "d", spender, 1, `{"available":40,"credits":50,"held":0}`),
		refusals.Hold:  fmt.Sprint("data_required", "u1", "t1", "market-trend-report", 50, "h", spender, 1, `{"feature":"market-trend-report","missing":["90 days of sales"]}`),
	}
	if blocked, err := store.List(t.Context(), "acme", refusals.Query{User: "u2", Limit: 10}); err != nil || len(blocked) != 1 ||
		blocked[0].Code != "limit_exceeded" || blocked[0].Blocker != "team:t1" {
		t.Errorf("by a limit: %+v %v", blocked, err)
	}
	if len(got) != 2 || fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", told, want)
	}
}

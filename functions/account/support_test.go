package account

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/refusals"
)

func (s *system) support(t testing.TB) string { t.Helper(); return s.token(t, "agent", "support") }

func TestAnAdjustmentIsDoneOnceWithItsActorAndReason(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	agent := s.support(t)
	s.grant(t, "acme", "pi_1", credit.Purchase, 50, time.Time{})
	for i, tc := range []struct {
		key, body string
		status    int
		code      string
		replayed  bool
		left      int64
	}{
		{"k1", `{"credits":30,"reason":"goodwill"}`, 200, "", false, 80},
		{"k1", `{"credits":30,"reason":"goodwill"}`, 200, "", true, 80},
		{"k1", `{"credits":30,"reason":"in other words"}`, 200, "", true, 80},
		{"k1", `{"credits":31,"reason":"goodwill"}`, 409, "idempotency_conflict", false, 80},
		{"k1", `{"credits":-30,"reason":"goodwill"}`, 409, "idempotency_conflict", false, 80},
		{"k2", `{"credits":-70,"reason":"granted by mistake"}`, 200, "", false, 10},
		{"k2", `{"credits":-70,"reason":"granted by mistake"}`, 200, "", true, 10},
		{"k3", `{"credits":-11,"reason":"more than there is"}`, 402, "insufficient_credits", false, 10},
		{"k3", `{"credits":-10,"reason":"what there is"}`, 200, "", false, 0}, // a refusal leaves no entry
		{"k4", `{"credits":0,"reason":"nothing"}`, 400, "invalid_request", false, 0},
		{"k4", `{"credits":5}`, 400, "invalid_request", false, 0},
		{"k4", `{"credits":5,"reason":"  "}`, 400, "invalid_request", false, 0},
		{"k4", `{"credits":5,"reason":"` + strings.Repeat("x", 1025) + `"}`, 400, "invalid_request", false, 0},
		{"k4", `{"credits":1000000000001,"reason":"x"}`, 400, "invalid_request", false, 0},
		{"k4", `{"credits":5,"reason":"x","actor":"y"}`, 400, "invalid_request", false, 0},
	} {
		got := s.call(t, agent, http.MethodPost, "/orgs/acme/adjustments", tc.body, "Idempotency-Key", tc.key)
		if got.status != tc.status || got.code() != tc.code || (tc.status == 200 && got.body["replayed"] != tc.replayed) {
			t.Errorf("%d: %d %s, want %d %s", i, got.status, got.raw, tc.status, tc.code)
		}
		if left := number(s.must(t, agent, http.MethodGet, "/orgs/acme/balance", "").body["available"]); left != tc.left {
			t.Errorf("%d: %d are left, want %d", i, left, tc.left)
		}
	}
	if got := s.call(t, agent, http.MethodPost, "/orgs/acme/adjustments", `{"credits":5,"reason":"x"}`); got.status != 400 {
		t.Errorf("without a key: %d", got.status)
	}
	e := s.must(t, agent, http.MethodGet, "/orgs/acme/entries/k2", "").body
	want := map[string]any{"kind": "adjustment", "credits": -70.0, "actor": "agent", "reason": "granted by mistake", "event_id": "k2"}
	for name, value := range want {
		if e[name] != value {
			t.Errorf("%s is %v, want %v", name, e[name], value)
		}
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestAnAdjustmentNeverMakesDebtAndRepaysIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.do(t, "acme", credit.Debit{EventID: "u", Credits: 40, Usage: true, Work: credit.Work{Feature: "custom-query", PriceVersion: 1}})
	agent := s.support(t)
	if got := s.call(t, agent, http.MethodPost, "/orgs/acme/adjustments", `{"credits":-1,"reason":"x"}`, "Idempotency-Key", "a"); got.code() != "insufficient_credits" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	s.must(t, agent, http.MethodPost, "/orgs/acme/adjustments", `{"credits":100,"reason":"x"}`, "Idempotency-Key", "b")
	got := s.must(t, agent, http.MethodGet, "/orgs/acme/balance", "").body
	if number(got["available"]) != 60 || number(got["debt"]) != 0 {
		t.Errorf("%v", got)
	}
}

// TestAFreezeRepeatedAfterAThawFreezesNoMore sends each request twice, the first of them once more at the end.
func TestAFreezeRepeatedAfterAThawFreezesNoMore(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	agent := s.support(t)
	frozen := func() any { return s.must(t, agent, http.MethodGet, "/orgs/acme/balance", "").body["wallet_frozen"] }
	for i, tc := range []struct {
		path, key, reason string
		frozen            bool
	}{
		{"freeze", "f", "suspected fraud", true}, {"thaw", "t", "cleared", false}, {"thaw", "t2", "to be sure", false}, {"freeze", "g", "again", true},
		{"freeze", "h", "again", true}, {"thaw", "u", "cleared", false},
	} {
		for _, replayed := range []bool{false, true} {
			got := s.must(t, agent, http.MethodPost, "/orgs/acme/"+tc.path, `{"reason":"`+tc.reason+`"}`, "Idempotency-Key", tc.key)
			if got.body["replayed"] != replayed || got.body["kind"] != tc.path || got.body["reason"] != tc.reason || got.body["actor"] != "agent" || frozen() != tc.frozen {
				t.Errorf("%d: %s, frozen %v", i, got.raw, frozen())
			}
		}
	}
	if got := s.must(t, agent, http.MethodPost, "/orgs/acme/freeze", `{"reason":"suspected fraud"}`, "Idempotency-Key", "f"); got.body["replayed"] != true || frozen() != false {
		t.Errorf("%s, frozen %v", got.raw, frozen())
	}
	for _, path := range []string{"thaw", "adjustments"} {
		if got := s.call(t, agent, http.MethodPost, "/orgs/acme/"+path, map[string]string{"thaw": `{"reason":"x"}`, "adjustments": `{"credits":1,"reason":"x"}`}[path],
			"Idempotency-Key", "f"); got.code() != "idempotency_conflict" {
			t.Errorf("%s under the key of a freeze: %d %s", path, got.status, got.raw)
		}
	}
	if got := s.call(t, agent, http.MethodPost, "/orgs/acme/freeze", `{}`, "Idempotency-Key", "z"); got.code() != "invalid_request" {
		t.Errorf("without a reason: %d %s", got.status, got.raw)
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestMembersSeeTheirOwnRefusalsAndAdministratorsAll(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	store, err := refusals.NewStore(s.Client, s.now)
	if err != nil {
		t.Fatal(err)
	}
	users := []string{"acme-member", "other", "", "acme-member", "acme-member"}
	var all []refusals.Refusal
	for i, user := range users {
		at := s.now().Add(time.Duration(i) * time.Minute)
		all = append(all, refusals.Refusal{
			ID: fmt.Sprintf("R%c", 'A'+i), Code: "limit_exceeded", Blocker: "team:sales", Detail: "The limit is reached.", Details: []byte(`{"limit":5}`),
			Count: 3, First: at, Last: at.Add(time.Second),
			Request: refusals.Request{Org: "acme", User: user, Team: "sales", Feature: "custom-query", Kind: refusals.Debit, Credits: 20, EventID: "e", Actor: "svc"},
		})
	}
	if err := store.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	member, admin := s.token(t, "acme-member"), s.token(t, "acme-admin")
	ids := func(token, path string) (out string) {
		t.Helper()
		for _, r := range s.walk(t, token, path, 2) {
			out += fmt.Sprint(r["id"], " ")
		}
		return out
	}
	for name, tc := range map[string]struct{ token, path, want string }{
		"an administrator":              {admin, "/orgs/acme/refusals", "RE RD RC RB RA "},
		"support":                       {s.support(t), "/orgs/acme/refusals", "RE RD RC RB RA "},
		"an administrator about a user": {admin, "/orgs/acme/refusals?user=other", "RB "},
		"a member":                      {member, "/orgs/acme/refusals", "RE RD RA "},
		"a member about themselves":     {member, "/orgs/acme/refusals?user=acme-member", "RE RD RA "},
		"another organisation":          {s.token(t, "globex-admin"), "/orgs/globex/refusals", ""},
	} {
		if got := ids(tc.token, tc.path); got != tc.want {
			t.Errorf("%s sees %s, want %s", name, got, tc.want)
		}
	}
	if got := s.call(t, member, http.MethodGet, "/orgs/acme/refusals?user=other", ""); got.code() != "forbidden" {
		t.Errorf("a member about another: %d %s", got.status, got.raw)
	}
	if got := s.call(t, admin, http.MethodGet, "/orgs/acme/refusals?user=", ""); got.code() != "invalid_request" {
		t.Errorf("about no user: %d %s", got.status, got.raw)
	}
	got := s.must(t, admin, http.MethodGet, "/orgs/acme/refusals?page_size=1", "").body["items"].([]any)[0]
	want := map[string]any{
		"id": "RE", "user_id": "acme-member", "team_id": "sales", "feature": "custom-query", "request": "debit", "event_id": "e", "credits": 20.0, "actor": "svc",
		"code": "limit_exceeded", "blocker": "team:sales", "detail": "The limit is reached.", "details": map[string]any{"limit": 5.0}, "count": 3.0, "sampled": false,
		"first_at": "2026-03-01T08:04:00Z", "last_at": "2026-03-01T08:04:01Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEntryTellsItsQuoteItsGrantsAndWhatReversedIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	end := s.now().Add(48 * time.Hour)
	s.grant(t, "acme", "in_1:il_1", credit.Subscription, 30, end)
	s.do(t, "acme", credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 100, Payment: "pi_1"}})
	s.do(t, "acme", credit.SetLimits{Changes: []credit.LimitChange{
		{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: &credit.Limit{Credits: 500}}, {Default: true, Limit: &credit.Limit{Credits: 60}},
	}})
	s.debit(t, "acme", "job", 50)
	for i, n := range []int64{10, 5} {
		s.advance(time.Minute)
		s.do(t, "acme", credit.Reverse{EventID: fmt.Sprint("undo", i), Debit: "job", Credits: n, Reason: "failed"})
	}
	token := s.token(t, "acme-admin")
	got := s.must(t, token, http.MethodGet, "/orgs/acme/entries/job", "").body
	grants := []any{
		map[string]any{"grant_id": credit.GrantID(credit.SystemKey("grant", "in_1:il_1")), "source": "subscription", "granted": 30.0,
			"effective_at": "2026-03-01T08:00:00Z", "expires_at": "2026-03-03T08:00:00Z"},
		map[string]any{"grant_id": credit.GrantID(credit.SystemKey("grant", "pi_1")), "source": "purchase", "granted": 100.0, "payment": "pi_1"},
	}
	if listed, ok := got["grants"].([]any); ok && len(listed) == 2 {
		purchase, _ := listed[1].(map[string]any)
		delete(purchase, "effective_at") // the moment of decision
	}
	if diff := cmp.Diff(grants, got["grants"]); diff != "" {
		t.Errorf("grants: %s", diff)
	}
	quote, _ := got["quote"].(map[string]any)
	if quote["feature"] != "custom-query" || quote["name"] != "Custom AI Query" || quote["credits"] != 50.0 || quote["price_version"] != 1.0 ||
		fmt.Sprint(quote["price"]) != "map[max:50 min:10]" || quote["rate"] == nil {
		t.Errorf("quote: %v", quote)
	}
	limits := []any{
		map[string]any{"scope": "organisation", "subject": "acme", "window": "2026-03", "credits": 50.0, "used": 50.0, "limit": 500.0},
		map[string]any{"scope": "user", "subject": "u1", "window": "2026-03", "credits": 50.0, "used": 50.0, "limit": 60.0},
	}
	if diff := cmp.Diff(limits, got["limits"]); diff != "" {
		t.Errorf("limits: %s", diff)
	}
	undone := []any{
		map[string]any{"entry_id": credit.CallerKey("undo0").Doc(), "event_id": "undo0", "credits": 10.0, "at": "2026-03-01T08:01:00Z", "reason": "failed"},
		map[string]any{"entry_id": credit.CallerKey("undo1").Doc(), "event_id": "undo1", "credits": 5.0, "at": "2026-03-01T08:02:00Z", "reason": "failed"},
	}
	if diff := cmp.Diff(undone, got["reversed_by"]); diff != "" || got["reversed_credits"] != 15.0 {
		t.Errorf("reversals: %s", diff)
	}
	undo := s.must(t, token, http.MethodGet, "/orgs/acme/entries/undo0", "").body
	if undo["reverses_entry_id"] != credit.CallerKey("job").Doc() || undo["quote"] != nil {
		t.Errorf("%v", undo)
	}
	if grant := s.must(t, token, http.MethodGet, "/orgs/acme/entries/"+credit.SystemKey("grant", "pi_1").Doc(), "").body; grant["quote"] != nil || grant["reversed_credits"] != 0.0 {
		t.Errorf("%v", grant)
	}
}

func TestACaptureIsLinkedToItsHoldAndItsReversal(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 100, time.Time{})
	s.do(t, "acme", credit.PlaceHold{EventID: "h", Credits: 40, Work: credit.Work{Feature: "no-longer-sold", PriceVersion: 7}})
	hold := credit.HoldID("acme", "h")
	s.do(t, "acme", credit.Capture{Hold: hold, Credits: 30})
	s.do(t, "acme", credit.Reverse{EventID: "undo", Debit: "h", Reason: "failed"})
	token := s.token(t, "acme-member")
	captured := s.must(t, token, http.MethodGet, "/orgs/acme/entries/"+credit.CaptureKey(hold).Doc(), "").body
	if captured["hold_entry_id"] != credit.CallerKey("h").Doc() || captured["reversed_credits"] != 30.0 {
		t.Errorf("%v", captured)
	}
	quote, _ := captured["quote"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"feature": "no-longer-sold", "credits": 30.0, "price_version": 7.0}, quote); diff != "" {
		t.Errorf("a version that the catalogue does not have: %s", diff)
	}
	if undo := s.must(t, token, http.MethodGet, "/orgs/acme/entries/undo", "").body; undo["reverses_entry_id"] != credit.CaptureKey(hold).Doc() {
		t.Errorf("%v", undo)
	}
}

func TestAStatementTellsTheMonthAsJSONAndCSV(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.advance(30 * 24 * time.Hour) // 31 March, 10:00 in Johannesburg
	end := s.now().Add(48 * time.Hour)
	s.grant(t, "acme", "in_1:il_1", credit.Subscription, 60, end)
	s.grant(t, "acme", "pi_1", credit.Purchase, 100, time.Time{})
	s.advance(14 * time.Hour) // 1 April, 00:00
	s.do(t, "acme", credit.Debit{EventID: "=1+1", Credits: 40, Work: credit.Work{Feature: "=cmd()", PriceVersion: 1}})
	s.advance(48 * time.Hour) // what was left of the subscription has lapsed
	s.do(t, "acme", credit.Debit{EventID: "u", Credits: 130, Usage: true, Work: credit.Work{Feature: "custom-query", PriceVersion: 1}})
	token := s.token(t, "acme-member")
	march := s.must(t, token, http.MethodGet, "/orgs/acme/statements/2026-03", "").body
	april := s.must(t, token, http.MethodGet, "/orgs/acme/statements/2026-04?format=json", "").body
	figures := func(available, debt float64) map[string]any {
		return map[string]any{"available": available, "held": 0.0, "debt": debt}
	}
	for name, tc := range map[string]struct {
		got  map[string]any
		want map[string]any
	}{
		"March": {march, map[string]any{
			"opening": figures(0, 0), "closing": figures(160, 0), "complete": true, "as_of": "2026-03-31T22:00:00Z", "from": "2026-02-28T22:00:00Z",
			"totals":     map[string]any{"granted": 160.0, "bought": 100.0, "adjusted": 0.0, "used": 0.0, "reversed": 0.0, "expired": 0.0, "refunded": 0.0},
			"by_feature": map[string]any{},
		}},
		"April": {april, map[string]any{
			"opening": figures(160, 0), "closing": figures(0, 30), "complete": false, "as_of": "2026-04-02T22:00:00Z", "month": "2026-04", "time_zone": "Africa/Johannesburg",
			"totals":     map[string]any{"granted": 0.0, "bought": 0.0, "adjusted": 0.0, "used": 140.0, "reversed": 0.0, "expired": 20.0, "refunded": 0.0},
			"by_feature": map[string]any{"=cmd()": 40.0, "custom-query": 130.0},
			"movements": map[string]any{
				"debit": map[string]any{"available_and_held": -140.0, "debt": 30.0}, "expiry": map[string]any{"available_and_held": -20.0, "debt": 0.0},
			},
			"days": []any{
				map[string]any{"day": "2026-04-01", "granted": 0.0, "bought": 0.0, "adjusted": 0.0, "used": 40.0, "reversed": 0.0, "expired": 0.0, "refunded": 0.0},
				map[string]any{"day": "2026-04-02", "granted": 0.0, "bought": 0.0, "adjusted": 0.0, "used": 0.0, "reversed": 0.0, "expired": 20.0, "refunded": 0.0},
				map[string]any{"day": "2026-04-03", "granted": 0.0, "bought": 0.0, "adjusted": 0.0, "used": 100.0, "reversed": 0.0, "expired": 0.0, "refunded": 0.0},
			},
		}},
	} {
		for member, want := range tc.want {
			if diff := cmp.Diff(want, tc.got[member]); diff != "" {
				t.Errorf("%s: %s: %s", name, member, diff)
			}
		}
	}
	rows := s.table(t, token, "/orgs/acme/statements/2026-04?format=csv")
	found := map[string]string{}
	for _, row := range rows {
		found[strings.Join(row[:3], "|")] = row[3]
	}
	for line, want := range map[string]string{
		"section|name|measure": "value", "opening|acme|available": "160", "closing|acme|debt": "30", "source|subscription|expired": "20", "source|purchase|used": "100",
		"feature|'=cmd()|used": "40", "day|2026-04-03|used": "100", "movement|debit|debt": "30", "total|acme|used": "140", "statement|acme|as_of": "2026-04-02T22:00:00Z",
	} {
		if found[line] != want {
			t.Errorf("%s is %q, want %q", line, found[line], want)
		}
	}
	for path, code := range map[string]string{
		"2026-05": "invalid_request", "2026-13": "invalid_request", "april": "invalid_request", "2026-4": "invalid_request", "2026-04?format=pdf": "invalid_request",
	} {
		if got := s.call(t, token, http.MethodGet, "/orgs/acme/statements/"+path, ""); got.code() != code {
			t.Errorf("%s: %d %s", path, got.status, got.raw)
		}
	}
}

// table reads an answer that is CSV as RFC 4180 has it.
func (s *system) table(t *testing.T, token, path string) [][]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || !strings.HasPrefix(kind, "text/csv") {
		t.Fatalf("%d %s", res.StatusCode, kind)
	}
	rows, err := csv.NewReader(res.Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestAMemberIsNotToldTheLimitsOfOtherTeamsByAnEntry: what GET …/limits/teams/{team} refuses is not told beside the work that counted for it.
func TestAMemberIsNotToldTheLimitsOfOtherTeamsByAnEntry(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 500, time.Time{})
	s.team(t, "acme", "design", "designer")
	s.team(t, "acme", "sales", "acme-member")
	limit := &credit.Limit{Credits: 300}
	s.do(t, "acme", credit.SetLimits{Changes: []credit.LimitChange{
		{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: limit}, {Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "design"}, Limit: limit},
		{Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "sales"}, Limit: limit}, {Subject: credit.Subject{Scope: credit.ScopeUser, ID: "designer"}, Limit: limit},
	}})
	work := map[string]credit.Work{
		"others":  {Feature: "custom-query", User: "designer", Team: "design"},
		"nobodys": {Feature: "custom-query", Team: "design"},
		"teams":   {Feature: "custom-query", User: "seller", Team: "sales"},
		"own":     {Feature: "custom-query", User: "acme-member", Team: "design"}, // while in another team
	}
	for id, w := range work {
		s.do(t, "acme", credit.Debit{EventID: id, Credits: 1, Content: credit.Content{Kind: credit.KindDebit, Org: "acme"}, Work: w})
	}
	for who, want := range map[string]map[string]string{
		"acme-member": {"others": "acme", "nobodys": "acme", "teams": "acme sales", "own": "acme design"},
		"acme-admin":  {"others": "acme design designer", "nobodys": "acme design", "teams": "acme sales", "own": "acme design"},
	} {
		for id := range work {
			var subjects []string
			limits, _ := s.must(t, s.token(t, who), http.MethodGet, "/orgs/acme/entries/"+id, "").body["limits"].([]any)
			for _, l := range limits {
				subjects = append(subjects, fmt.Sprint(l.(map[string]any)["subject"]))
			}
			if got := strings.Join(subjects, " "); got != want[id] {
				t.Errorf("%s of %s: %q, want %q", who, id, got, want[id])
			}
		}
	}
}

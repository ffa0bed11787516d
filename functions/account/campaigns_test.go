package account

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// welcomeTerms is a promotion that anybody can redeem once.
const welcomeTerms = `{"name":"Welcome","on":"redemption","credits":50,"life_days":30,"starts_at":"2026-02-01T00:00:00Z","ends_at":"2026-04-01T00:00:00Z","total_max":1000,"per_org_max":1}`

// promote makes a promotion, whose terms are those of welcomeTerms but for what is changed.
func (s *system) promote(t testing.TB, code string, changed ...string) answer {
	t.Helper()
	return s.must(t, s.platform(t), http.MethodPut, "/operations/promotions/"+code, strings.NewReplacer(changed...).Replace(welcomeTerms))
}

// redeem enters a code for an organisation as its administrator.
func (s *system) redeem(t testing.TB, org, code, key string) answer {
	t.Helper()
	return s.call(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/promotions/redeem", fmt.Sprintf(`{"code":%q}`, code), "Idempotency-Key", key)
}

func (s *system) claim(t testing.TB, org, code, key string) answer {
	t.Helper()
	return s.call(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/referral/claim", fmt.Sprintf(`{"code":%q}`, code), "Idempotency-Key", key)
}

func (s *system) available(t testing.TB, org string) int64 {
	t.Helper()
	return number(s.must(t, s.token(t, org+"-admin"), http.MethodGet, "/orgs/"+org+"/balance", "").body["available"])
}

func TestACodeBringsItsCreditsOnceAndForItsLife(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	if got := s.promote(t, "welcome"); got.status != http.StatusCreated || got.body["code"] != "WELCOME" || number(got.body["revision"]) != 1 {
		t.Errorf("%d %s", got.status, got.raw)
	}
	first := s.redeem(t, "acme", " welcome ", "k")
	want := map[string]any{"code": "WELCOME", "credits": 50.0, "on": "redemption", "grant_id": first.body["grant_id"], "expires_at": "2026-03-31T08:00:00Z", "life_days": 30.0, "replayed": false}
	if first.status != http.StatusCreated || !maps.Equal(first.body, want) || first.body["grant_id"] == "" {
		t.Errorf("%d %s", first.status, first.raw)
	}
	s.advance(time.Hour)
	again := s.redeem(t, "acme", "WELCOME", "k")
	want["replayed"] = true
	if again.status != http.StatusCreated || !maps.Equal(again.body, want) {
		t.Errorf("again: %d %s", again.status, again.raw)
	}
	if got := s.redeem(t, "acme", "OTHER", "k"); got.code() != "idempotency_conflict" {
		t.Errorf("the key with another code: %d %s", got.status, got.raw)
	}
	if got := s.redeem(t, "acme", "WELCOME", "k2"); got.status != http.StatusConflict || got.code() != "promotion_used" {
		t.Errorf("with another key: %d %s", got.status, got.raw)
	}
	balance := s.must(t, s.token(t, "acme-member"), http.MethodGet, "/orgs/acme/balance", "").body
	if sources, _ := balance["by_source"].(map[string]any); number(balance["available"]) != 50 || number(sources["promotion"]) != 50 {
		t.Errorf("the balance is %v", balance)
	}
	s.advance(30 * 24 * time.Hour)
	if got := s.available(t, "acme"); got != 0 {
		t.Errorf("%d credits after their life", got)
	}
}

func TestCodesThatCannotBeUsedHaveOneAnswer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.promote(t, "OVER", "2026-04-01", "2026-02-20")
	s.promote(t, "LATER", "2026-02-01", "2026-03-20")
	s.promote(t, "PAUSED", `"per_org_max":1`, `"per_org_max":1,"paused":true`)
	s.promote(t, "GERMANS", `"per_org_max":1`, `"per_org_max":1,"countries":["DE"]`)
	s.promote(t, "OTHERS", `"per_org_max":1`, `"per_org_max":1,"orgs":["globex"]`)
	s.promote(t, "GONE", `"total_max":1000`, `"total_max":1`)
	s.register(t, "globex")
	if got := s.redeem(t, "globex", "GONE", "k"); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	for i, code := range []string{"NEVER-WAS", "not a code", "x", "OVER", "LATER", "PAUSED", "GERMANS", "OTHERS", "GONE", strings.Repeat("A", 200)} {
		org := fmt.Sprint("org-", i) // each for itself, so that nobody is slowed down
		s.register(t, org)
		got := s.call(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/promotions/redeem", fmt.Sprintf(`{"code":%q}`, code),
			"Idempotency-Key", "k", "X-Request-Id", "the-same")
		want := `{"code":"not_found","detail":"There is no such code, or it cannot be used now, or not by this organisation.","request_id":"the-same","status":404,"title":"Not Found","type":"about:blank"}`
		if got.status != http.StatusNotFound || strings.TrimSpace(got.raw) != want {
			t.Errorf("%s: %d %s", code, got.status, got.raw)
		}
	}
	if got := s.redeem(t, "globex", "OTHERS", "k2"); got.status != http.StatusCreated {
		t.Errorf("for whom it is: %d %s", got.status, got.raw)
	}
}

func TestGuessingIsSlowedDownHoweverManyGuessesComeAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.promote(t, "WELCOME")
	var mu sync.Mutex
	codes := map[string]int{}
	var wg sync.WaitGroup
	for i := range 25 {
		wg.Go(func() {
			got := s.redeem(t, "acme", fmt.Sprint("GUESS-", i), fmt.Sprint(i))
			mu.Lock()
			defer mu.Unlock()
			codes[got.code()]++
			if got.code() == "rate_limited" && (got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || got.body["resets_at"] == nil) {
				t.Errorf("%d %s %v", got.status, got.raw, got.header)
			}
		})
	}
	wg.Wait()
	if codes["not_found"] != 10 || codes["rate_limited"] != 15 {
		t.Errorf("25 guesses were answered %v, want 10 times not_found", codes)
	}
	if got := s.redeem(t, "acme", "WELCOME", "good"); got.code() != "rate_limited" {
		t.Errorf("a good code after them: %d %s", got.status, got.raw)
	}
	s.advance(time.Hour)
	if got := s.redeem(t, "acme", "WELCOME", "good"); got.status != http.StatusCreated {
		t.Errorf("an hour later: %d %s", got.status, got.raw)
	}
}

func TestOneOrganisationsPeopleTogetherAreSlowedDownToo(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	for i := range 30 {
		who := fmt.Sprint("admin-", i)
		s.admit(t, "acme", who)
		got := s.call(t, s.token(t, who), http.MethodPost, "/orgs/acme/promotions/redeem", `{"code":"GUESS"}`, "Idempotency-Key", who)
		if want := map[bool]string{true: "not_found", false: "rate_limited"}[i < 20]; got.code() != want {
			t.Errorf("guess %d: %d %s, want %s", i, got.status, got.raw, want)
		}
	}
	if got := s.redeem(t, "globex", "GUESS", "k"); got.code() != "not_found" {
		t.Errorf("another organisation: %d %s", got.status, got.raw)
	}
	// What was guessed as a promotion counts as what is guessed as a referral.
	if got := s.claim(t, "acme", "R-AAAA-AAAA", "k"); got.code() != "rate_limited" {
		t.Errorf("a referral: %d %s", got.status, got.raw)
	}
}

func TestFiftyAtOnceRedeemWhatThereIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.promote(t, "TWENTY", `"total_max":1000`, `"total_max":20`)
	orgs := make([]string, 50)
	for i := range orgs {
		orgs[i] = fmt.Sprint("org-", i)
		s.register(t, orgs[i])
	}
	var mu sync.Mutex
	outcomes := map[int]int{}
	var wg sync.WaitGroup
	for _, org := range orgs {
		wg.Go(func() {
			got := s.redeem(t, org, "TWENTY", "k")
			mu.Lock()
			defer mu.Unlock()
			outcomes[got.status]++
		})
	}
	wg.Wait()
	total := int64(0)
	for _, org := range orgs {
		total += s.available(t, org)
	}
	shown := s.must(t, s.platform(t), http.MethodGet, "/operations/promotions/TWENTY", "").body
	if outcomes[http.StatusCreated] != 20 || outcomes[http.StatusNotFound] != 30 || total != 20*50 || number(shown["redeemed"]) != 20 {
		t.Errorf("answers %v, %d credits, %v redemptions; want 20, 1000 and 20", outcomes, total, shown["redeemed"])
	}
}

func TestAPromotionIsChangedByRulesThatKeepWhatWasPromised(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.promote(t, "CODE", `"per_org_max":1`, `"per_org_max":2`)
	if got := s.redeem(t, "acme", "CODE", "1"); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	changed := s.promote(t, "CODE", `"per_org_max":1`, `"per_org_max":2`, `"credits":50`, `"credits":70`, `"total_max":1000`, `"total_max":2`)
	if changed.status != http.StatusOK || number(changed.body["revision"]) != 2 || number(changed.body["redeemed"]) != 1 || changed.body["changed_by"] != "fluxori" {
		t.Errorf("%d %s", changed.status, changed.raw)
	}
	if got := s.redeem(t, "acme", "CODE", "1"); number(got.body["credits"]) != 50 {
		t.Errorf("the first redemption is now %s", got.raw)
	}
	if got := s.redeem(t, "acme", "CODE", "2"); number(got.body["credits"]) != 70 {
		t.Errorf("the second is %s", got.raw)
	}
	for name, c := range map[string]struct{ code, old, new, field string }{
		"a cap below what was redeemed": {"CODE", `"total_max":1000`, `"total_max":1`, "total_max"},
		"another moment":                {"CODE", `"on":"redemption"`, `"on":"first_purchase"`, "on"},
		"an end before the start":       {"NEW1", "2026-04-01", "2026-01-01", "ends_at"},
		"no credits":                    {"NEW1", `"credits":50`, `"credits":0`, "credits"},
		"too many credits":              {"NEW1", `"credits":50`, `"credits":1000001`, "credits"},
		"no name":                       {"NEW1", `"Welcome"`, `" "`, "name"},
		"no country":                    {"NEW1", `"per_org_max":1`, `"per_org_max":1,"countries":["XX"]`, "countries"},
		"no organisation":               {"NEW1", `"per_org_max":1`, `"per_org_max":1,"orgs":["A/B"]`, "orgs"},
		"twice a first purchase":        {"NEW1", `"on":"redemption","credits":50,"life_days":30,"starts_at":"2026-02-01T00:00:00Z","ends_at":"2026-04-01T00:00:00Z","total_max":1000,"per_org_max":1`, `"on":"first_purchase","credits":50,"life_days":30,"starts_at":"2026-02-01T00:00:00Z","ends_at":"2026-04-01T00:00:00Z","total_max":1000,"per_org_max":2`, "per_org_max"},
		"no code":                       {"ab", "x", "x", "code"},
	} {
		got := s.call(t, s.platform(t), http.MethodPut, "/operations/promotions/"+c.code, strings.Replace(welcomeTerms, c.old, c.new, 1))
		if got.status != http.StatusBadRequest || got.code() != "invalid_request" || got.body["field"] != c.field {
			t.Errorf("%s: %d %s, want field %s", name, got.status, got.raw, c.field)
		}
	}
	if got := s.call(t, s.platform(t), http.MethodGet, "/operations/promotions/NEW1", ""); got.status != http.StatusNotFound {
		t.Errorf("what was refused is there: %d %s", got.status, got.raw)
	}
}

func TestAReferralIsClaimedOnceAndNotByOneself(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, org := range []string{"acme", "globex", "initech"} {
		s.register(t, org)
	}
	// The owner of acme has another organisation.
	s.register(t, "acme-two")
	s.must(t, s.platform(t), http.MethodPut, "/orgs/acme-two", strings.Replace(acmeProfile, "thandi@", "Thandi+two@", 1))
	own := s.must(t, s.token(t, "acme-member"), http.MethodGet, "/orgs/acme/referral", "").body
	code := fmt.Sprint(own["code"])
	if number(own["referrer_credits"]) != 100 || number(own["referred_credits"]) != 100 || number(own["monthly_max"]) != 10 || number(own["claimed_this_month"]) != 0 {
		t.Errorf("%v", own)
	}
	if again := s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/referral", "").body; again["code"] != code {
		t.Errorf("another code, %v, than %s", again["code"], code)
	}
	theirs := fmt.Sprint(s.must(t, s.token(t, "globex-admin"), http.MethodGet, "/orgs/globex/referral", "").body["code"])
	for _, c := range []struct {
		name, org, code, key string
		status               int
		problem, reason      string
	}{
		{"one's own", "acme", code, "k", 409, "referral_refused", "self_referral"},
		{"one's owner's", "acme-two", code, "k", 409, "referral_refused", "self_referral"},
		{"none", "globex", "R-AAAA-AAAA", "k0", 404, "not_found", ""},
		{"another's", "globex", strings.ToLower(code), "k", 201, "", ""},
		{"the same again", "globex", code, "k", 201, "", ""},
		{"with another key", "globex", code, "k2", 409, "referral_refused", "already_claimed"},
		{"of whom one referred", "acme", theirs, "k", 409, "referral_refused", "self_referral"},
	} {
		got := s.claim(t, c.org, c.code, c.key)
		reason, _ := got.body["reason"].(string)
		if got.status != c.status || (c.problem != "" && got.code() != c.problem) || reason != c.reason {
			t.Errorf("%s: %d %s, want %d %s %s", c.name, got.status, got.raw, c.status, c.problem, c.reason)
		}
	}
	if got := s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/referral", "").body; number(got["claimed_this_month"]) != 1 {
		t.Errorf("claimed: %v", got)
	}
	if got := s.must(t, s.token(t, "globex-admin"), http.MethodGet, "/orgs/globex/referral", "").body; got["referred_by"] != code {
		t.Errorf("referred: %v", got)
	}
	s.advance(366 * 24 * time.Hour)
	if got := s.claim(t, "initech", code, "k"); got.code() != "not_found" {
		t.Errorf("an expired code: %d %s", got.status, got.raw)
	}
	if next := s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/referral", "").body; next["code"] == code {
		t.Error("an expired code is still told")
	}
}

func TestAReferrersCapIsExactWhenManyClaimAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	code := fmt.Sprint(s.must(t, s.token(t, "acme-admin"), http.MethodGet, "/orgs/acme/referral", "").body["code"])
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for i := range 16 {
		org := fmt.Sprint("org-", i)
		s.register(t, org)
		wg.Go(func() {
			got := s.claim(t, org, code, "k")
			mu.Lock()
			defer mu.Unlock()
			outcomes[fmt.Sprint(got.status, got.body["reason"])]++
		})
	}
	wg.Wait()
	if outcomes["201 <nil>"] != 10 || outcomes["409cap_reached"] != 6 {
		t.Errorf("%v, want 10 claims and 6 refusals (%v)", outcomes, slices.Sorted(maps.Keys(outcomes)))
	}
	s.advance(31 * 24 * time.Hour)
	s.register(t, "later")
	if got := s.claim(t, "later", code, "k"); got.status != http.StatusCreated {
		t.Errorf("next month: %d %s", got.status, got.raw)
	}
}

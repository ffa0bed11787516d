package account

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/orgs"
)

const alertsBody = `{"low_balance":{"enabled":true,"threshold":50,"channels":["email"]},"expiry":{"enabled":false,"channels":[]}}`

// permitted says for each route who passes, apart from the table that the router is built from, and what to send so that it succeeds.
var permitted = map[string]struct {
	who   string
	body  string
	query string
}{
	"GET /orgs/{org}/purchases":                      {who: "admin support platform"},
	"POST /orgs/{org}/purchases/{reference}/recover": {who: "member admin support"},
	"GET /purchases/{reference}":                     {who: "support platform"},
	"GET /people":                                    {who: "support platform", query: "?email=thandi@acme.example"},
	"GET /orgs/{org}/purchases/{reference}/receipt":  {who: "admin support platform"},
	"GET /operations/reconciliation":                 {who: "platform"},
	"GET /catalogue":                                 {who: "stranger member admin support platform"},
	"GET /orgs":                                      {who: "stranger member admin support platform"},
	"PUT /orgs/{org}":                                {who: "platform", body: acmeProfile},
	"GET /orgs/{org}":                                {who: "member admin support platform"},
	"GET /orgs/{org}/alerts":                         {who: "member admin support platform"},
	"PUT /orgs/{org}/alerts":                         {who: "admin", body: alertsBody},
	"GET /orgs/{org}/overview":                       {who: "member admin support platform"},
	"GET /orgs/{org}/balance":                        {who: "member admin support platform"},
	"GET /orgs/{org}/entries":                        {who: "member admin support platform"},
	"GET /orgs/{org}/entries/{id}":                   {who: "member admin support platform"},
	"GET /orgs/{org}/statements/{month}":             {who: "member admin support platform"},
	"GET /orgs/{org}/usage":                          {who: "member admin support platform"},
	"GET /orgs/{org}/refusals":                       {who: "member admin support platform"},
	"POST /orgs/{org}/adjustments":                   {who: "support", body: `{"credits":5,"reason":"goodwill"}`},
	"POST /orgs/{org}/freeze":                        {who: "support", body: `{"reason":"suspected fraud"}`},
	"POST /orgs/{org}/thaw":                          {who: "support", body: `{"reason":"cleared"}`},
	"GET /orgs/{org}/notifications":                  {who: "member admin support platform"},
	"POST /orgs/{org}/notifications/{id}/read":       {who: "member admin"},
	"POST /orgs/{org}/purchases":                     {who: "admin", body: `{"package":"credits-100"}`},
	"GET /orgs/{org}/purchases/{reference}":          {who: "admin support platform"},
	"GET /orgs/{org}/purchases/{reference}/refund":   {who: "admin support platform"},
	"POST /orgs/{org}/purchases/{reference}/refund":  {who: "support", body: `{"amount":449}`},
	"POST /orgs/{org}/billing-portal":                {who: "admin"},
	"GET /orgs/{org}/auto-top-up":                    {who: "admin support platform"},
	"PUT /orgs/{org}/auto-top-up":                    {who: "admin", body: `{"enabled":false,"threshold":0,"package":"","monthly_cap":0}`},
	"GET /orgs/{org}/subscription":                   {who: "member admin support platform"},
	"GET /orgs/{org}/subscription/preview":           {who: "admin support platform", query: "?plan=growth"},
	"GET /orgs/{org}/cycles":                         {who: "member admin support platform"},
	"POST /orgs/{org}/subscription/change":           {who: "admin", body: `{"plan":"growth"}`},
	"POST /orgs/{org}/promotions/redeem":             {who: "admin", body: `{"code":"WELCOME"}`},
	"GET /orgs/{org}/referral":                       {who: "member admin support"},
	"POST /orgs/{org}/referral/claim":                {who: "admin", body: `{"code":"{referral}"}`},
	"GET /organisations":                             {who: "support platform"},
	"GET /operations/catalogue":                      {who: "platform"},
	"POST /operations/catalogue/proposals":           {who: "platform", body: "{catalogue}"},
	"POST /operations/catalogue":                     {who: "platform", body: "{catalogue}"},
	"GET /operations/promotions/{code}":              {who: "platform"},
	"PUT /operations/promotions/{code}":              {who: "platform", body: welcomeTerms},
	"GET /operations/dead-letters":                   {who: "support platform"},
	"POST /operations/dead-letters/{letter}/replay":  {who: "support platform"},
	"GET /operations/quarantine":                     {who: "support platform"},
	"POST /operations/quarantine/{event}/replay":     {who: "support platform"},
	"POST /operations/quarantine/{event}/resolve":    {who: "support platform", body: `{"resolution":"Refunded by hand."}`},

	// Members, teams, limits.
	"GET /orgs/{org}/members":                           {who: "admin support platform"},
	"GET /orgs/{org}/members/{user}":                    {who: "member admin support platform"},
	"PUT /orgs/{org}/members/{user}":                    {who: "admin", body: `{"role":"member"}`},
	"DELETE /orgs/{org}/members/{user}":                 {who: "admin"},
	"POST /orgs/{org}/members/{user}/erasure":           {who: "admin support platform"},
	"GET /orgs/{org}/teams":                             {who: "member admin support platform"},
	"GET /orgs/{org}/teams/{team}":                      {who: "member admin support platform"},
	"PUT /orgs/{org}/teams/{team}":                      {who: "admin", body: `{"name":"Design"}`},
	"DELETE /orgs/{org}/teams/{team}":                   {who: "admin"},
	"PUT /orgs/{org}/teams/{team}/members/{user}":       {who: "admin"},
	"DELETE /orgs/{org}/teams/{team}/members/{user}":    {who: "admin"},
	"GET /orgs/{org}/limits":                            {who: "member admin support platform"},
	"PUT /orgs/{org}/limits":                            {who: "admin", body: `{"thresholds":[80],"organisation":{"credits":5000}}`},
	"GET /orgs/{org}/limits/teams/{team}":               {who: "member admin support platform"},
	"PUT /orgs/{org}/limits/teams/{team}":               {who: "admin", body: `{"credits":500}`},
	"DELETE /orgs/{org}/limits/teams/{team}":            {who: "admin"},
	"GET /orgs/{org}/limits/users/{user}":               {who: "member admin support platform"},
	"PUT /orgs/{org}/limits/users/{user}":               {who: "admin", body: `{"credits":500,"soft":true}`},
	"DELETE /orgs/{org}/limits/users/{user}":            {who: "admin"},
	"POST /orgs/{org}/limit-requests":                   {who: "member admin", body: `{"scope":"user","reason":"The catalogue"}`},
	"GET /orgs/{org}/limit-requests":                    {who: "member admin support platform"},
	"GET /orgs/{org}/limit-requests/{request}":          {who: "member admin support platform"},
	"POST /orgs/{org}/limit-requests/{request}/grant":   {who: "admin", body: `{"limit":900}`},
	"POST /orgs/{org}/limit-requests/{request}/decline": {who: "admin", body: `{}`},
}

// cast are callers, in their relation to acme.
func cast(t *testing.T, s *system) map[string]string {
	t.Helper()
	return map[string]string{
		"anonymous": "", "stranger": s.token(t, "stranger"), "member": s.token(t, "acme-member"), "admin": s.token(t, "acme-admin"),
		"support": s.token(t, "agent", "support"), "platform": s.platform(t),
	}
}

// populate gives an organisation an entry and a notification of the same id, a team with its member and another, limits, and a limit request
// and a paid purchase, whose ids it returns.
func (s *system) populate(t *testing.T, org string) (reference, request string) {
	t.Helper()
	s.register(t, org)
	s.do(t, org, credit.NewGrant{Key: credit.SystemKey("grant", "pi_"+org), Terms: credit.Terms{Source: credit.Purchase, Granted: 100}})
	s.debit(t, org, "thing", 10)
	n := orgs.Notification{ID: "thing", Kind: "low_balance", At: s.now(), Title: "Low balance", Text: "90 credits are left."}
	if _, err := s.store.AddNotification(t.Context(), org, n); err != nil {
		t.Fatal(err)
	}
	s.team(t, org, "design", "designer", org+"-member")
	s.do(t, org, credit.SetLimits{Changes: []credit.LimitChange{{Default: true, Limit: &credit.Limit{Credits: 300}}}})
	asked := s.must(t, s.token(t, org+"-member"), http.MethodPost, "/orgs/"+org+"/limit-requests", `{"scope":"user","reason":"The catalogue","credits":200}`)
	request, _ = asked.body["request_id"].(string)
	bought := s.must(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/purchases", `{"package":"credits-500"}`, "Idempotency-Key", "first")
	s.pay(t, bought)
	s.subscribe(t, org, "price_starter_month_zar", stripestand.CardVisa, 0)
	reference, _ = bought.body["reference"].(string)
	return reference, request
}

func TestTheTableOfRoutesIsWhatIsPermitted(t *testing.T) {
	t.Parallel()
	for _, rt := range routes() {
		want, ok := permitted[rt.Method+" "+rt.Path]
		if !ok {
			t.Errorf("%s %s is not among what is permitted here", rt.Method, rt.Path)
		}
		var may []string
		for _, r := range rt.May {
			if r == person {
				may = append(may, "stranger member admin support platform")
				continue
			}
			may = append(may, string(r))
		}
		if got := strings.Join(may, " "); got != want.who {
			t.Errorf("%s %s: %s may, want %s", rt.Method, rt.Path, got, want.who)
		}
	}
	if len(permitted) != len(routes()) {
		t.Errorf("%d routes, %d are permitted", len(routes()), len(permitted))
	}
}

// TestEveryRouteAdmitsExactlyItsRoles tries every route of the API document as everybody on one's own organisation, on another, and on one that does not exist.
func TestEveryRouteAdmitsExactlyItsRoles(t *testing.T) {
	t.Parallel()
	for _, rt := range documented.Document.Routes {
		t.Run(rt.Name, func(t *testing.T) {
			t.Parallel()
			pattern, want := rt.Name, permitted[rt.Name] // what is missing there is named above
			want.who = strings.Replace(strings.Join(rt.Value.Roles, " "), string(person), "stranger member admin support platform", 1)
			s := start(t)
			references, requests := map[string]string{}, map[string]string{}
			for _, org := range []string{"acme", "globex"} {
				references[org], requests[org] = s.populate(t, org)
			}
			letter := s.putAside(t, 1)
			event := s.nobodys(t)
			s.must(t, s.platform(t), http.MethodPut, "/operations/promotions/WELCOME", welcomeTerms)
			code := fmt.Sprint(s.must(t, s.token(t, "globex-admin"), http.MethodGet, "/orgs/globex/referral", "").body["code"])
			body := strings.NewReplacer("{referral}", code, "{catalogue}", seedWith(t, func(*catalogue.Document) {})).Replace(want.body)
			method, path, _ := strings.Cut(pattern, " ")
			for who, token := range cast(t, s) {
				for _, org := range []string{"acme", "globex", "nowhere-" + who} {
					filled := strings.NewReplacer("{org}", org, "{id}", "thing", "{reference}", cmp.Or(references[org], references["acme"]), "{letter}", letter, "{event}", event, "{team}", "design", "{user}", user(method, org), "{request}", cmp.Or(requests[org], requests["acme"]), "{month}", "2026-03", "{code}", "WELCOME").Replace(path)
					got := s.call(t, token, method, filled+want.query, body, "Idempotency-Key", "a key of "+who)
					status, code := expected(pattern, want.who, who, org)
					if (status == 0) != (got.status/100 == 2) || status != 0 && (got.status != status || got.code() != code) {
						t.Errorf("%s on %s: %d %s, want %d %s", who, org, got.status, got.raw, status, code)
					}
				}
			}
		})
	}
}

// user is whom a route is tried on: the one member whom everybody may read, and for changes one who is nobody of the cast.
func user(method, org string) string {
	if method == http.MethodGet {
		return org + "-member"
	}
	return "designer"
}

// expected is the status and code of a refusal, or 0 for success.
func expected(pattern, may, who, org string) (int, string) {
	concernsOrg, staff := strings.Contains(pattern, "{org}"), who == "support" || who == "platform"
	creates := pattern == "PUT /orgs/{org}" && who == "platform"
	switch sees := staff || org == "acme" && who != "stranger"; {
	case who == "anonymous":
		return http.StatusUnauthorized, "unauthenticated"
	case concernsOrg && !creates && (!sees || strings.HasPrefix(org, "nowhere")):
		return http.StatusNotFound, "unknown_org"
	case !slices.Contains(strings.Fields(may), who):
		return http.StatusForbidden, "forbidden"
	}
	return 0, ""
}

// TestAnOrganisationOneMayNotSeeAnswersAsOneThatDoesNotExist compares the answers byte by byte, headers too; the request's id is sent, so that
// it is the same in both.
func TestAnOrganisationOneMayNotSeeAnswersAsOneThatDoesNotExist(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.populate(t, "acme")
	reference, request := s.populate(t, "globex")
	for pattern, c := range permitted {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.Contains(path, "{org}") {
			continue
		}
		for who, token := range map[string]string{"stranger": s.token(t, "stranger"), "administrator of another": s.token(t, "acme-admin")} {
			for name, body := range map[string]string{"a good body": c.body, "a bad body": "{"} {
				var answers []answer
				for _, org := range []string{"globex", "nowhere", "Not-An-Id", strings.Repeat("x", 65)} {
					got := s.call(t, token, method, strings.NewReplacer("{org}", org, "{id}", "thing", "{reference}", reference, "{team}", "design", "{user}", "globex-member", "{request}", request).Replace(path)+"?nonsense=1", body, "X-Request-Id", "the-same")
					got.header.Del("Date")
					answers = append(answers, got)
				}
				for i, got := range answers {
					if got.status != http.StatusNotFound || got.raw != answers[0].raw {
						t.Errorf("%s with %s as %s: %d %s, and for another %s", pattern, name, who, got.status, got.raw, answers[0].raw)
					}
					if diff := gocmp.Diff(answers[0].header, got.header); diff != "" {
						t.Errorf("%s with %s as %s, answer %d: headers differ: %s", pattern, name, who, i, diff)
					}
				}
			}
		}
	}
}

func TestOnlyGoodTokensAreLetIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	good := map[string]any{"sub": "acme-admin", "aud": audience}
	with := func(name string, value any) map[string]any {
		out := map[string]any{"sub": good["sub"], "aud": good["aud"]}
		out[name] = value
		return out
	}
	forged := s.issuer.Token(t, good)
	tokens := map[string]string{
		"another audience": s.issuer.Token(t, with("aud", "https://elsewhere.example")),
		"expired":          s.issuer.Token(t, with("exp", 1000)),
		"another issuer":   s.issuer.Token(t, with("iss", "https://elsewhere.example")),
		"no subject":       s.issuer.Token(t, with("sub", nil)),
		"a changed claim":  forged[:strings.LastIndex(forged, ".")] + "x" + forged[strings.LastIndex(forged, "."):],
		"unsigned":         "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lLWFkbWluIn0.",
		"nonsense":         "nonsense",
	}
	for name, token := range tokens {
		got := s.call(t, token, http.MethodGet, "/orgs/acme/balance", "")
		if got.status != http.StatusUnauthorized || got.code() != "unauthenticated" || got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	s.must(t, forged, http.MethodGet, "/orgs/acme/balance", "")
}

func TestTheOwnerSignsInAndIsAdministrator(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(t, s.platform(t), http.MethodPut, "/orgs/acme", acmeProfile)
	owner := func(verified bool) string {
		return s.issuer.Token(t, map[string]any{"sub": "auth0|thandi", "aud": audience, "email": "Thandi@acme.example", "email_verified": verified, "name": "Thandi"})
	}
	if got := s.call(t, owner(false), http.MethodGet, "/orgs/acme", ""); got.code() != "unknown_org" {
		t.Errorf("an address that is not verified: %d %s", got.status, got.raw)
	}
	s.must(t, owner(true), http.MethodPut, "/orgs/acme/alerts", alertsBody)
	if m, err := s.store.Member(t.Context(), "acme", "auth0|thandi"); err != nil || m.Role != orgs.RoleAdmin || m.Name != "Thandi" {
		t.Errorf("%+v, %v", m, err)
	}
	// From then on it is the membership that counts.
	s.must(t, owner(false), http.MethodGet, "/orgs/acme", "")
	second := s.issuer.Token(t, map[string]any{"sub": "second", "aud": audience, "email": "thandi@acme.example", "email_verified": true})
	if got := s.call(t, second, http.MethodGet, "/orgs/acme", ""); got.code() != "unknown_org" {
		t.Errorf("another account with the owner's address: %d %s", got.status, got.raw)
	}
}

func TestReadsGoByMemoryAndCostNoMoreThanWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.populate(t, "acme")
	token := s.token(t, "acme-member")
	// An entry: itself, its grant, and a look for reversals. A statement: the wallet, the wallet again with the day and the next, and a look before the month.
	// Usage: the organisation, the wallet, a document for each day.
	for path, reads := range map[string]int64{"/orgs/acme/balance": 1, "/orgs/acme/entries?page_size=1": 2, "/orgs/acme/entries/thing": 3, "/orgs/acme/statements/2026-03": 5, "/orgs/acme/usage": 3, "/orgs/acme": 1, "/catalogue": 0} {
		s.must(t, token, http.MethodGet, path, "")
		s.Hooks.Reset()
		s.must(t, token, http.MethodGet, path, "")
		if got := s.Hooks.Counts().Reads; got != reads {
			t.Errorf("%s: %d reads, want %d", path, got, reads)
		}
	}
}

func TestARemovedRoleCannotChangeAnythingAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	s.must(t, token, http.MethodPut, "/orgs/acme/alerts", alertsBody)
	s.must(t, token, http.MethodPut, "/orgs/acme/members/second", `{"role":"admin"}`)
	s.must(t, token, http.MethodPut, "/orgs/acme/members/acme-admin", `{"role":"member"}`)
	if got := s.call(t, token, http.MethodPut, "/orgs/acme/alerts", alertsBody); got.code() != "forbidden" {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

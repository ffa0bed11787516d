package account

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/apidoc/apidoctest"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// This file tries what attackers try, each on every route of the API document that it could hit: a route that is added is tried too. Roles and
// other organisations as a whole are in access_test.go; guessing of codes in campaigns_test.go; the pages' redirects in package dashboard.

// besieged is a system with two organisations, and for each route of the document a call on acme that would succeed.
type besieged struct {
	*system
	calls []assault
}

// assault is a call, whoever may make it, and what to send so that it succeeds.
type assault struct {
	apidoctest.Call
	token, body string
}

func besiege(t *testing.T) *besieged {
	t.Helper()
	s := start(t)
	reference, request := s.populate(t, "acme")
	s.populate(t, "globex")
	s.must(t, s.platform(t), http.MethodPut, "/operations/promotions/WELCOME", welcomeTerms)
	b := &besieged{system: s}
	for _, c := range documented.Calls(map[string]string{
		"org": "acme", "id": "thing", "reference": reference, "request": request, "team": "design", "user": "designer", "month": "2026-03", "code": "WELCOME",
		"letter": s.putAside(t, 1), "event": s.nobodys(t),
	}) {
		role := c.Route.Roles[len(c.Route.Roles)-1]
		token := map[string]string{
			"person": s.token(t, "acme-admin"), "member": s.token(t, "acme-member"), "admin": s.token(t, "acme-admin"),
			"support": s.token(t, "agent", "support"), "platform": s.platform(t),
		}[role]
		b.calls = append(b.calls, assault{Call: c, token: token, body: permitted[c.Name].body})
	}
	return b
}

// refused fails unless a call is answered with a status and code.
func (b *besieged) refused(t *testing.T, what string, c assault, status int, code string, headers ...string) {
	t.Helper()
	got := b.call(t, c.token, c.Method, c.Path, c.body, append([]string{"Idempotency-Key", "attack"}, headers...)...)
	if got.status != status || got.code() != code {
		t.Errorf("%s, %s: %d %s, want %d %s", c.Name, what, got.status, got.raw, status, code)
	}
}

func segment(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// TestNoRouteTakesATokenThatIsNotGood: forged, unsigned, expired, for somebody else, from somebody else, or not where tokens belong.
func TestNoRouteTakesATokenThatIsNotGood(t *testing.T) {
	t.Parallel()
	b := besiege(t)
	claims := func(change map[string]any) map[string]any {
		out := map[string]any{"sub": "acme-admin", "aud": audience, "email": "acme-admin@people.example", "email_verified": true, "support": true, "platform": true}
		for name, v := range change {
			out[name] = v
		}
		return out
	}
	good := b.issuer.Token(t, claims(nil))
	parts := strings.Split(good, ".")
	unsigned := claims(map[string]any{"iss": b.issuer.URL(), "exp": time.Now().Add(time.Hour).Unix()})
	tokens := map[string]string{
		"none":                          "",
		"nonsense":                      "nonsense",
		"alg none":                      segment(map[string]any{"alg": "none", "typ": "JWT"}) + "." + segment(unsigned) + ".",
		"alg none, with a signature":    segment(map[string]any{"alg": "none"}) + "." + segment(unsigned) + "." + parts[2],
		"a shared secret's algorithm":   segment(map[string]any{"alg": "HS256"}) + "." + segment(unsigned) + "." + parts[2],
		"other claims, same signature":  parts[0] + "." + segment(unsigned) + "." + parts[2],
		"another's key under that name": identitytest.New(t).Token(t, claims(map[string]any{"iss": b.issuer.URL()})),
		"expired":                       b.issuer.Token(t, claims(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})),
		"another audience":              b.issuer.Token(t, claims(map[string]any{"aud": "https://europe-west4-test.cloudfunctions.net/debit"})),
		"another issuer":                b.issuer.Token(t, claims(map[string]any{"iss": "https://elsewhere.example"})),
		"no subject":                    b.issuer.Token(t, claims(map[string]any{"sub": nil})),
	}
	for _, c := range b.calls {
		for what, token := range tokens {
			c.token = token
			b.refused(t, what, c, http.StatusUnauthorized, "unauthenticated")
		}
		c.token = ""
		for what, headers := range map[string][]string{
			"in a cookie":           {"Cookie", "token=" + good + "; session=" + good},
			"as a basic password":   {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("acme-admin:"+good))},
			"after a good one":      {"Authorization", "Bearer " + good, "Authorization", "Bearer nonsense"},
			"in a forwarded header": {"X-Forwarded-Authorization", "Bearer " + good, "X-Goog-Authenticated-User-Email", "acme-admin@people.example"},
		} {
			b.refused(t, what, c, http.StatusUnauthorized, "unauthenticated", headers...)
		}
		c.Path += "?access_token=" + good
		b.refused(t, "in the address", c, http.StatusUnauthorized, "unauthenticated")
	}
}

// TestNoRouteTakesWhatIsTooMuchOrNotAsked: bodies beyond the bound, members that are not the caller's to set, parameters that are not known, and pages
// of any size.
func TestNoRouteTakesWhatIsTooMuchOrNotAsked(t *testing.T) {
	t.Parallel()
	b := besiege(t)
	for _, c := range b.calls {
		if c.Route.Body != nil {
			good := c.body
			bound := bodyMaxBytes
			if strings.HasPrefix(c.Path, "/operations/catalogue") {
				bound = catalogue.DocumentMax
			}
			c.body = `{"x":"` + strings.Repeat("x", bound) + `"}`
			b.refused(t, "a body beyond the bound", c, http.StatusRequestEntityTooLarge, "too_large")
			for _, assigned := range []string{
				`"org_id":"globex"`, `"role":"platform"`, `"roles":["admin"]`, `"sub":"acme-admin"`, `"id":"x"`, `"v":2`, `"balance":{"available":1000000}`, `"paid":true`,
				`"created_at":"2020-01-01T00:00:00Z"`, `"actor":"x"`, `"status":"paid"`, `"__proto__":{"admin":true}`,
			} {
				if c.Name == "PUT /orgs/{org}/members/{user}" && strings.HasPrefix(assigned, `"role"`) {
					continue // which is what it is for, and its values are an administrator's to give
				}
				c.body = "{" + assigned + "}"
				if len(good) > len("{}") {
					c.body = "{" + assigned + "," + good[1:]
				}
				b.refused(t, "also "+assigned, c, http.StatusBadRequest, "invalid_request")
			}
			c.body = good
		}
		path := c.Path
		for _, query := range []string{"admin=true", "org_id=globex", "org=globex", "role=platform", "user_id=x", "fields=*", "page=1"} {
			c.Path = path + "?" + query
			b.refused(t, "with ?"+query, c, http.StatusBadRequest, "invalid_request")
		}
		if _, list := c.Route.Query.Find("page_size"); list {
			for _, size := range []string{"1e9", "1000000000", "99999999999999999999", "0", "-1", "", "0x10", "10 "} {
				c.Path = path + "?page_size=" + strings.ReplaceAll(size, " ", "%20")
				b.refused(t, "of page_size "+size, c, http.StatusBadRequest, "invalid_request")
			}
		}
	}
}

// TestNoRouteIsLedAstrayByAPageTokenThatIsMadeUp sends each list tokens of every list, with ids and moments that none has: the store is asked for none
// of what cannot be there, and what is refused is the token.
func TestNoRouteIsLedAstrayByAPageTokenThatIsMadeUp(t *testing.T) {
	t.Parallel()
	b := besiege(t)
	lists := []string{
		entriesList, notificationsList, purchasesList, cyclesList, membersList, teamsList, archivedTeamsList, limitRequestsList, decidedRequestsList,
		quarantineList, refusalsList, namesList, erasureList,
	}
	tried, refused := 0, 0
	for _, c := range b.calls {
		if _, paged := c.Route.Query.Find("page_token"); !paged {
			continue
		}
		for _, list := range lists {
			for _, p := range []position{
				{ID: "a/b"}, {ID: ".."}, {ID: "__x__"}, {ID: strings.Repeat("x", 300)}, {ID: "\x00"}, {ID: "nowhere"},
				{At: math.MaxInt64, ID: "x"}, {At: math.MinInt64}, {At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()},
			} {
				p.List = list
				token, err := p.token()
				if err != nil {
					t.Fatal(err)
				}
				// An answer that the API document does not have, such as 404 for a page, fails by itself.
				switch got := b.call(t, c.token, c.Method, c.Path+"?page_token="+token, c.body, "Idempotency-Key", "attack"); {
				case got.status == http.StatusBadRequest && got.code() == "invalid_request":
					refused++
				case got.status != http.StatusOK:
					t.Errorf("%s, after %+v: %d %s", c.Name, p, got.status, got.raw)
				}
				tried++
			}
		}
	}
	if tried < 1000 || refused < tried*9/10 {
		t.Errorf("%d of %d tokens are refused", refused, tried)
	}
}

// TestNoRouteFindsWhatIsAnotherOrganisations asks one's own organisation for what another has, by each id that a route takes: it is not there.
// A path that names a person or a team to be made or changed makes one's own.
func TestNoRouteFindsWhatIsAnotherOrganisations(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.populate(t, "acme")
	reference, request := s.populate(t, "globex")
	s.debit(t, "globex", "secret", 10)
	s.team(t, "globex", "secret-team", "secret-member")
	if _, err := s.store.AddNotification(t.Context(), "globex", orgs.Notification{ID: "secret", Kind: "low_balance", At: s.now(), Title: "Low balance"}); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"org": "acme", "id": "secret", "reference": reference, "request": request, "team": "secret-team", "user": "secret-member"}
	before := s.everything(t, "globex")
	tried := 0
	for _, c := range documented.Calls(values) {
		own := !strings.Contains(c.Name, "{org}/") || c.Method == http.MethodPut || strings.HasSuffix(c.Name, "/limits/users/{user}") || strings.Contains(c.Name, "{month}")
		if own || !slices.ContainsFunc([]string{"{id}", "{reference}", "{request}", "{team}", "{user}"}, func(v string) bool { return strings.Contains(c.Name, v) }) {
			continue
		}
		for _, token := range []string{s.token(t, "acme-admin"), s.token(t, "acme-member")} {
			got := s.call(t, token, c.Method, c.Path, permitted[c.Name].body, "Idempotency-Key", "attack")
			// To erase a person who is not a member does nothing, and says so.
			nothing := strings.HasSuffix(c.Name, "/erasure") && got.body["removed"] == false
			if got.status != http.StatusNotFound && got.status != http.StatusForbidden && !nothing {
				t.Errorf("%s: %d %s", c.Name, got.status, got.raw)
			}
			tried++
		}
	}
	if tried < 20 {
		t.Errorf("only %d calls were tried", tried)
	}
	if after := s.everything(t, "globex"); after != before {
		t.Errorf("the other organisation has changed:\n%s\n%s", before, after)
	}
}

// everything is what an organisation's administrator sees of it.
func (s *system) everything(t *testing.T, org string) string {
	t.Helper()
	var out strings.Builder
	for _, path := range []string{"", "/alerts", "/entries", "/members", "/teams", "/limits", "/limit-requests", "/purchases", "/notifications"} {
		out.WriteString(s.must(t, s.token(t, org+"-admin"), http.MethodGet, "/orgs/"+org+path, "").raw)
	}
	return out.String()
}

// TestNoTableHoldsAFormula has names and words begin as formulas do, and reads every route that gives tables.
func TestNoTableHoldsAFormula(t *testing.T) {
	t.Parallel()
	b := besiege(t)
	for _, begins := range []string{"=", "+", "-", "@"} {
		text := begins + `HYPERLINK("http://evil.example","x")`
		b.do(t, "acme", credit.Debit{
			EventID: text, Credits: 1, Actor: text, Content: credit.Content{Kind: credit.KindDebit, Org: "acme"}, Work: credit.Work{Feature: text, User: text, Team: text},
		})
	}
	tables, formulas := 0, 0
	for _, c := range b.calls {
		if !c.Route.CSV {
			continue
		}
		tables++
		queries := []string{"?format=csv"}
		if _, grouped := c.Route.Query.Find("group_by"); grouped {
			queries = []string{"?format=csv&group_by=feature", "?format=csv&group_by=team,user", "?format=csv&group_by=day,user,feature"}
		}
		for _, query := range queries {
			for _, line := range b.table(t, c.token, c.Path+query) {
				for _, cell := range line {
					if _, err := strconv.ParseInt(cell, 10, 64); cell == "" || err == nil {
						continue
					}
					if strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
						t.Errorf("%s%s has the cell %q", c.Name, query, cell)
					}
					if strings.HasPrefix(cell, "'") {
						formulas++
					}
				}
			}
		}
	}
	if tables < 3 || formulas < 4*tables {
		t.Errorf("%d tables, with %d texts made inert", tables, formulas)
	}
}

// TestNoRouteSendsAnybodyElsewhere: what callers say of hosts and addresses shows in no answer, nothing redirects, and nothing that is sent makes the
// function ask an address. The one address that people are sent to is that of the checkout, which is configured.
func TestNoRouteSendsAnybodyElsewhere(t *testing.T) {
	t.Parallel()
	b := besiege(t)
	var asked atomic.Int64
	bait := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(bait.Close)
	for _, c := range b.calls {
		for _, body := range append(baited(t, c.body, bait.URL+"/x"), c.body) {
			got := b.call(t, c.token, c.Method, c.Path, body, "Idempotency-Key", "attack", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http",
				"Forwarded", "host=evil.example", "X-Original-Url", "https://evil.example/", "Referer", "https://evil.example/", "Origin", "https://evil.example")
			if got.status/100 == 3 || got.header.Get("Location") != "" || got.header.Get("Access-Control-Allow-Origin") != "" ||
				strings.Contains(got.raw+fmt.Sprint(got.header), "evil.example") {
				t.Errorf("%s: %d %s %v", c.Name, got.status, got.raw, got.header)
			}
		}
	}
	if asked.Load() != 0 {
		t.Errorf("an address that a caller sent was asked %d times", asked.Load())
	}
	for _, sc := range documented.Document.Schemas {
		for _, f := range sc.Value.Fields {
			name := strings.ToLower(f.Name)
			if strings.Contains(name, "callback") || strings.Contains(name, "webhook") || strings.Contains(name, "redirect") || strings.Contains(name, "return_to") {
				t.Errorf("%s has %s: say here why it sends nobody elsewhere", sc.Name, f.Name)
			}
		}
	}
}

// baited are bodies with an address in place of each text that the good one has.
func baited(t *testing.T, good, address string) []string {
	t.Helper()
	var members map[string]any
	if good == "" || json.Unmarshal([]byte(good), &members) != nil {
		return nil
	}
	var out []string
	for name, value := range members {
		if _, text := value.(string); !text {
			continue
		}
		members[name] = address
		body, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		members[name] = value
		out = append(out, string(body))
	}
	return out
}

// TestNoMethodIsTakenForAnother: what a path does not have is refused, and no header makes one method another.
func TestNoMethodIsTakenForAnother(t *testing.T) {
	t.Parallel()
	b := besiege(t)
	has := map[string][]string{}
	for _, c := range b.calls {
		has[c.Path] = append(has[c.Path], c.Method)
	}
	for _, c := range b.calls {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "PROPFIND"} {
			if slices.Contains(has[c.Path], method) {
				continue
			}
			other := c
			other.Method = method
			b.refused(t, "as "+method, other, http.StatusMethodNotAllowed, "method_not_allowed", "X-HTTP-Method-Override", c.Method, "X-HTTP-Method", c.Method, "X-Method-Override", c.Method)
		}
	}
}

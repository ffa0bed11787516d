package dashboard

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/issuer"
	"github.com/fluxori/ai-credits/shared/identity"
)

// stand is the pages on an API that tells what it was asked, with an issuer.
type stand struct {
	url     string
	issuer  *issuer.Issuer
	skew    atomic.Int64 // seconds that the machine's clock is ahead
	mu      sync.Mutex
	changes []string // what the API was asked to change
	keys    []string // under which keys
	down    bool     // whether it is not known what becomes of changes
	bearers map[string]bool
}

func (s *stand) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load()) * time.Second) }

// api answers like the account API for one organisation, acme.
func (s *stand) api(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bearers[r.Header.Get("Authorization")] = true
	if r.Method != http.MethodGet {
		body, _ := io.ReadAll(r.Body)
		s.changes = append(s.changes, fmt.Sprintf("%s %s %s key=%t", r.Method, r.URL.Path, body, r.Header.Get("Idempotency-Key") != ""))
		s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
		if s.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":503,"code":"unavailable","detail":"It is not known what became of it."}`)
			return
		}
	}
	switch {
	case r.URL.Path == "/orgs":
		fmt.Fprint(w, `{"items":[{"org_id":"acme","name":"Acme"}],"next_page_token":""}`)
	case r.URL.Path == "/orgs/acme":
		fmt.Fprint(w, `{"org_id":"acme","name":"Acme <b>","country":"ZA","time_zone":"Africa/Johannesburg","currency":"ZAR","your_roles":["admin"]}`)
	case r.URL.Path == "/orgs/acme/promotions/redeem":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":404,"code":"not_found","detail":"There is no such code."}`)
	case r.URL.Path == "/orgs/acme/alerts":
		fmt.Fprint(w, `{"low_balance":{"enabled":true,"threshold":100,"channels":["email"]},"expiry":{"enabled":false,"channels":[]},
			"kinds":[{"kind":"purchases","name":"Purchases","channels":["email"]},{"kind":"limit_answers","name":"Answers","channels":[]}],"billing_contact":["low_balance"]}`)
	case r.URL.Path == "/orgs/acme/subscription":
		fmt.Fprint(w, `{"plan":"starter","name":"Starter","interval":"month","amount":39900,"currency":"ZAR","credits_per_cycle":500}`)
	case r.URL.Path == "/orgs/acme/subscription/preview":
		fmt.Fprint(w, `{"when":"at_once","at":"2026-11-30T22:30:00Z","due":67500,"currency":"ZAR","credits":1125}`)
	case r.URL.Path == "/catalogue":
		fmt.Fprint(w, `{"currency":"ZAR","plans":[{"id":"starter","name":"Starter","month_amount":39900},{"id":"growth","name":"Growth","month_amount":129900}]}`)
	case strings.HasPrefix(r.URL.Path, "/orgs/acme/"):
		fmt.Fprint(w, `{"checkout_url":"https://checkout.stripe.com/c/1"}`)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":404,"code":"unknown_org","detail":"There is no such organisation."}`)
	}
}

// newStand starts pages under an address of this machine.
func newStand(t *testing.T, change ...func(*Options)) *stand {
	t.Helper()
	s := &stand{bearers: map[string]bool{}}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL + "/account/ui"
	var err error
	s.issuer, err = issuer.New(issuer.Options{
		URL: server.URL + "/issuer", Now: s.now, People: []issuer.Person{{Subject: "ann", Name: "Ann"}, {Subject: "ben", Name: "Ben"}},
		Clients: []issuer.Client{{ID: "pages", RedirectURIs: []string{s.url + "/callback"}, SignedOutURIs: []string{s.url + "/"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/issuer/", http.StripPrefix("/issuer", s.issuer.Handler()))
	people, err := identity.NewPeople(identity.Source{Issuer: server.URL + "/issuer", Audience: "pages", Now: s.now}, "")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		URL: s.url + "/", API: http.HandlerFunc(s.api), People: people, Issuer: server.URL + "/issuer", ClientID: "pages",
		Keys: Keys{[]byte(strings.Repeat("k", keyBytes))}, Now: s.now, MachineNow: s.now,
	}
	for _, f := range change {
		f(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/account/ui/", http.StripPrefix("/account", d))
	return s
}

// person is somebody's browser.
type person struct {
	t      *testing.T
	client *http.Client
	base   string
}

func (s *stand) visitor(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, client: &http.Client{Jar: jar}, base: s.url}
}

// send sends a request and returns the answer with its body; headers are name and value in turn.
func (p *person) send(method, address string, form url.Values, headers ...string) (*http.Response, string) {
	p.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = p.base + address
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(body)
}

// signIn signs somebody in at the issuer, and ends on the page that was asked for.
func (p *person) signIn(sub, path string) (*http.Response, string) {
	p.t.Helper()
	res, _ := p.send(http.MethodGet, path, nil)
	return p.send(http.MethodPost, res.Request.URL.String(), url.Values{"sub": {sub}})
}

// stay does not follow redirects.
func (p *person) stay() {
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

// secret is what the forms of a page carry.
func secret(t *testing.T, page string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, `name="form" value="`)
	out, _, _ := strings.Cut(rest, `"`)
	if !ok || len(out) < 20 {
		t.Fatalf("the page has no form: %s", page)
	}
	return out
}

func TestPeopleSignInAndComeToThePageTheyWanted(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	res, body := p.signIn("ann", "/orgs/acme/purchase?credits=60")
	if res.StatusCode != http.StatusOK || res.Request.URL.RequestURI() != "/account/ui/orgs/acme/purchase?credits=60" || !strings.Contains(body, "Ann") {
		t.Errorf("%d at %s: %s", res.StatusCode, res.Request.URL, body)
	}
	if !strings.Contains(body, "Acme &lt;b&gt;") || strings.Contains(body, "Acme <b>") {
		t.Error("what the API tells is not escaped")
	}
	res, _ = p.send(http.MethodGet, "/", nil)
	if got := res.Request.URL.Path; got != "/account/ui/orgs/acme" {
		t.Errorf("home leads to %s", got)
	}
}

func TestAnAnswerThatIsNotOfTheSignInIsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *stand, q url.Values){
		"another state":      func(_ *stand, q url.Values) { q.Set("state", "other") },
		"another issuer":     func(_ *stand, q url.Values) { q.Set("iss", "https://other.example") },
		"a code made up":     func(_ *stand, q url.Values) { q.Set("code", "made-up") },
		"no code":            func(_ *stand, q url.Values) { q.Del("code") },
		"an error":           func(_ *stand, q url.Values) { q.Set("error", "access_denied") },
		"eleven minutes on":  func(s *stand, _ url.Values) { s.skew.Store(11 * 60) },
		"nothing but a code": func(_ *stand, q url.Values) { q.Del("state") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			p := s.visitor(t)
			res, _ := p.send(http.MethodGet, "/signin", nil)
			p.stay()
			res, _ = p.send(http.MethodPost, res.Request.URL.String(), url.Values{"sub": {"ann"}})
			back, err := res.Location()
			if err != nil {
				t.Fatal(err)
			}
			q := back.Query()
			spoil(s, q)
			back.RawQuery = q.Encode()
			res, body := p.send(http.MethodGet, back.String(), nil)
			if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "not signed in") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if res, _ = p.send(http.MethodGet, "/orgs/acme", nil); res.StatusCode != http.StatusSeeOther {
				t.Errorf("a page is then answered %d", res.StatusCode)
			}
		})
	}
}

func TestAnotherBrowsersAnswerStartsNoSession(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	attacker, victim := s.visitor(t), s.visitor(t)
	res, _ := attacker.send(http.MethodGet, "/signin", nil)
	attacker.stay()
	res, _ = attacker.send(http.MethodPost, res.Request.URL.String(), url.Values{"sub": {"ann"}})
	if res, _ = victim.send(http.MethodGet, res.Header.Get("Location"), nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("the victim is answered %d", res.StatusCode)
	}
}

func TestAFormChangesSomethingOnlyWithTheSessionsSecretAndFromThesePages(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p, other := s.visitor(t), s.visitor(t)
	_, page := p.signIn("ann", "/orgs/acme/controls")
	_, others := other.signIn("ben", "/orgs/acme/controls")
	p.stay()
	form := func(secret string) url.Values {
		return url.Values{"form": {secret}, "do": {"organisation"}, "organisation": {"7 500"}, "threshold": {"90", "50"}}
	}
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
		status  int
	}{
		"no secret":           {form(""), nil, http.StatusForbidden},
		"another's secret":    {form(secret(t, others)), nil, http.StatusForbidden},
		"another site":        {form(secret(t, page)), []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another origin":      {form(secret(t, page)), []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"a neighbouring host": {form(secret(t, page)), []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
	} {
		if res, _ := p.send(http.MethodPost, "/orgs/acme/controls", c.form, c.headers...); res.StatusCode != c.status {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	if len(s.changes) != 0 {
		t.Fatalf("the API was asked %v", s.changes)
	}
	res, body := p.send(http.MethodPost, "/orgs/acme/controls", form(secret(t, page)), "Sec-Fetch-Site", "same-origin")
	want := `PUT /orgs/acme/limits {"organisation":{"credits":7500,"soft":false},"thresholds":[50,90]} key=false`
	if res.StatusCode != http.StatusSeeOther || len(s.changes) != 1 || s.changes[0] != want {
		t.Errorf("%d %s: %v", res.StatusCode, body, s.changes)
	}
}

func TestMoneyMovesUnderAKey(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	_, page := p.signIn("ann", "/orgs/acme/purchase")
	p.stay()
	form := url.Values{"form": {secret(t, page)}, "key": {"k1"}, "package": {"credits-500"}}
	res, _ := p.send(http.MethodPost, "/orgs/acme/purchase", form)
	if got := res.Header.Get("Location"); got != "https://checkout.stripe.com/c/1" || s.changes[0] != `POST /orgs/acme/purchases {"package":"credits-500"} key=true` {
		t.Errorf("%d to %s: %v", res.StatusCode, got, s.changes)
	}
	form = url.Values{"form": {secret(t, page)}, "key": {"k2"}, "do": {"redeem"}, "code": {"NONE"}}
	if res, body := p.send(http.MethodPost, "/orgs/acme/purchase", form); res.StatusCode != http.StatusNotFound || !strings.Contains(body, "There is no such code.") {
		t.Errorf("a wrong code: %d %s", res.StatusCode, body)
	}
}

// TestWhatMayHaveMovedMoneyIsTriedAgainUnderItsKey is for the answer that says neither yes nor no: pages are not kept by browsers, so whoever went
// back would be shown a form with another key.
func TestWhatMayHaveMovedMoneyIsTriedAgainUnderItsKey(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	_, page := p.signIn("ann", "/orgs/acme/purchase")
	p.stay()
	s.down = true
	form := url.Values{"form": {secret(t, page)}, "key": {"k1"}, "package": {`"><b>`}}
	res, page := p.send(http.MethodPost, "/orgs/acme/purchase", form)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, "Try again") || strings.Contains(page, `"><b>`) {
		t.Fatalf("%d %s", res.StatusCode, page)
	}
	_, page, _ = strings.Cut(page, `<main`)
	_, page, _ = strings.Cut(page, `<form method="post">`)
	again := url.Values{}
	for field := range strings.SplitSeq(page, `<input type="hidden" name="`) {
		if name, rest, ok := strings.Cut(field, `" value="`); ok {
			value, _, _ := strings.Cut(rest, `"`)
			again.Set(name, html.UnescapeString(value))
		}
	}
	s.down = false
	res, _ = p.send(http.MethodPost, "/orgs/acme/purchase", again)
	if res.StatusCode != http.StatusSeeOther || len(s.changes) != 2 || s.changes[1] != s.changes[0] || s.keys[1] != "k1" {
		t.Errorf("%d: %v under %v", res.StatusCode, s.changes, s.keys)
	}
}

func TestASessionIsRenewedAndEnds(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	p.signIn("ann", "/orgs/acme/prices")
	p.stay()
	s.bearers = map[string]bool{}
	for _, minutes := range []int64{30, 56, 115, 170, 600} {
		s.skew.Store(minutes * 60)
		if res, _ := p.send(http.MethodGet, "/orgs/acme/prices", nil); res.StatusCode != http.StatusOK {
			t.Errorf("after %d minutes: %d", minutes, res.StatusCode)
		}
	}
	if len(s.bearers) != 5 {
		t.Errorf("%d tokens were shown, want the first and four renewed", len(s.bearers))
	}
	s.skew.Store(int64(sessionLife/time.Second) + 1)
	if res, _ := p.send(http.MethodGet, "/orgs/acme/prices", nil); res.StatusCode != http.StatusSeeOther || !strings.Contains(res.Header.Get("Location"), "/signin?to=") {
		t.Errorf("after its life: %d", res.StatusCode)
	}
}

func TestSigningOutEndsTheSessionAndWhatRenewsIt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	_, page := p.signIn("ann", "/orgs/acme/prices")
	u, _ := url.Parse(s.url + "/")
	stolen := p.client.Jar.Cookies(u)
	res, body := p.send(http.MethodPost, "/signout", url.Values{"form": {secret(t, page)}})
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "Sign in") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	p.stay()
	if res, _ = p.send(http.MethodGet, "/orgs/acme/prices", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("a page is then answered %d", res.StatusCode)
	}
	p.client.Jar.SetCookies(u, stolen)
	s.skew.Store(61 * 60)
	if res, _ = p.send(http.MethodGet, "/orgs/acme/prices", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("a copy of the cookie is answered %d after its token's end", res.StatusCode)
	}
}

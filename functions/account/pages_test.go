package account

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/issuer"
	"github.com/fluxori/ai-credits/shared/serve"
)

// What the overview may ask Firestore for.
const (
	overviewRPCsMax  = 6
	overviewReadsMax = 40
)

// pages serves the function with its pages, on the system's database, and signs somebody in. What it returns shows a page.
func (s *system) pages(t testing.TB, sub string) func(path string) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base := server.URL + "/account/ui/"
	people, err := issuer.New(issuer.Options{
		URL: server.URL + "/issuer", People: []issuer.Person{{Subject: sub, Name: sub, Email: sub + "@people.example"}},
		Clients: []issuer.Client{{ID: audience, RedirectURIs: []string{base + "callback"}, SignedOutURIs: []string{base}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/issuer/", http.StripPrefix("/issuer", people.Handler()))
	addr, err := s.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settings := s.settings(addr.String())
	settings["PEOPLE_ISSUER"], settings["DASHBOARD_URL"] = server.URL+"/issuer", base
	settings["DASHBOARD_KEYS"] = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
	h, err := registered(t).Build(t.Context(), serve.Env{Lookup: envconfig.MapLookuper(settings), Log: slog.New(slog.DiscardHandler), Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/account/", http.StripPrefix("/account", h))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	send := func(method, address string, form url.Values) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, address, res.StatusCode, body)
		}
		return res, string(body)
	}
	res, _ := send(http.MethodGet, base+"signin", nil)
	send(http.MethodPost, res.Request.URL.String(), url.Values{"sub": {sub}})
	return func(path string) string {
		_, body := send(http.MethodGet, base+strings.TrimPrefix(path, "/"), nil)
		return body
	}
}

func TestTheOverviewAsksFirestoreForLittle(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"admin", "member"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.register(t, "acme")
			s.team(t, "acme", "design", "acme-member")
			s.grant(t, "acme", "g1", credit.Purchase, 5000, time.Time{})
			s.must(t, s.token(t, "acme-admin"), http.MethodPut, "/orgs/acme/limits", `{"organisation":{"credits":9000},"default_user":{"credits":900},"thresholds":[50]}`)
			s.must(t, s.token(t, "acme-admin"), http.MethodPut, "/orgs/acme/limits/teams/design", `{"credits":800}`)
			for i := range 45 {
				s.advance(24 * time.Hour)
				s.debit(t, "acme", fmt.Sprint("e", i), 10)
			}
			show := s.pages(t, "acme-"+who)
			s.Hooks.Reset()
			page := show("/orgs/acme")
			n := s.Hooks.Counts()
			t.Log(n)
			var rpcs int64
			for _, calls := range n.RPCs {
				rpcs += calls
			}
			if rpcs > overviewRPCsMax || n.Reads > overviewReadsMax || n.Writes != 0 {
				t.Errorf("%d RPCs %v, %d documents read, %d written", rpcs, n.RPCs, n.Reads, n.Writes)
			}
			if !strings.Contains(page, "Recent activity") {
				t.Errorf("%s", page)
			}
		})
	}
}

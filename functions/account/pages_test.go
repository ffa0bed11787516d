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
	// The sign-in ends on a page that reads nothing, so that nothing is remembered yet of whoever has signed in.
	res, _ := send(http.MethodGet, base+"signin?to=/account/ui/signedout", nil)
	send(http.MethodPost, res.Request.URL.String(), url.Values{"sub": {sub}})
	return func(path string) string {
		_, body := send(http.MethodGet, base+strings.TrimPrefix(path, "/"), nil)
		return body
	}
}

// TestTheOverviewAsksFirestoreForLittle counts exactly what the page costs whoever opens it first: an organisation with limits in the middle of a
// month, and one without on the last day of a month of 31 days, for which every day is read.
func TestTheOverviewAsksFirestoreForLittle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, who   string
		limits      bool
		days        int
		rpcs, reads int64
	}{
		{"an administrator, with limits", "admin", true, 45, 5, 23},
		{"a member, with limits", "member", true, 45, 5, 23},
		{"an administrator, without, on the 31st", "admin", false, 30, 4, 39},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.register(t, "acme")
			s.grant(t, "acme", "g1", credit.Purchase, 5000, time.Time{})
			if tt.limits {
				s.must(t, s.token(t, "acme-admin"), http.MethodPut, "/orgs/acme/limits", `{"organisation":{"credits":9000},"default_user":{"credits":900},"thresholds":[50]}`)
			}
			for i := range tt.days {
				s.advance(24 * time.Hour)
				s.debit(t, "acme", fmt.Sprint("e", i), 10)
			}
			show := s.pages(t, "acme-"+tt.who)
			s.Hooks.Reset()
			page := show("/orgs/acme")
			n := s.Hooks.Counts()
			var rpcs int64
			for _, calls := range n.RPCs {
				rpcs += calls
			}
			if rpcs != tt.rpcs || n.Reads != tt.reads || n.Writes != 0 || rpcs > overviewRPCsMax || n.Reads > overviewReadsMax {
				t.Errorf("%d RPCs %v, %d documents read, %d written, want %d and %d", rpcs, n.RPCs, n.Reads, n.Writes, tt.rpcs, tt.reads)
			}
			if !strings.Contains(page, "Recent activity") {
				t.Errorf("%s", page)
			}
		})
	}
}

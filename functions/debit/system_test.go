package debit

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
)

const (
	audience = "https://europe-west4-test.cloudfunctions.net/debit"
	spender  = "reports@test.iam.gserviceaccount.com"
	bound    = "bound@test.iam.gserviceaccount.com"
	operator = "ops@test.iam.gserviceaccount.com"
)

// system is the function as deployed, with everything beneath it real but for Google's side of the wire.
type system struct {
	engine  *engine.Engine
	url     string
	issuer  *identitytest.Issuer
	people  *identitytest.Issuer
	ledger  *ledger.Ledger
	catalog *catalogue.Store
	token   string
	env     serve.Env
	passed  atomic.Int64 // seconds since the test began, by the system's clock
}

func (s *system) now() time.Time {
	return time.Date(2026, 3, 1, 8, 0, int(s.passed.Load()), 0, time.UTC)
}

func start(t *testing.T) *system {
	t.Helper()
	e := engine.New(t, engine.Embedded())
	addr, err := e.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &system{engine: e, issuer: identitytest.New(t), people: identitytest.New(t)}
	callers, err := json.Marshal(map[string]any{"callers": []map[string]any{
		{"email": spender, "roles": []string{"spend"}},
		{"email": bound, "roles": []string{"spend"}, "orgs": []string{"other"}},
		{"email": operator, "roles": []string{"operate"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	settings := envconfig.MapLookuper(map[string]string{
		"GOOGLE_CLOUD_PROJECT": e.Project, "FIRESTORE_EMULATOR_HOST": addr.String(), "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
		"CALLERS": string(callers), "SERVICE_ISSUER": s.issuer.URL(), "SERVICE_AUDIENCE": audience,
		"PEOPLE_ISSUER": s.people.URL(), "PEOPLE_AUDIENCE": "account",
	})
	s.catalog = catalogue.NewStore(e.Client, log, catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.catalog.Seed(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	if s.ledger, err = ledger.New(e.Raw, e.Database(), ledger.Options{Now: s.now}); err != nil {
		t.Fatal(err)
	}
	s.env = serve.Env{Lookup: settings, Log: log, Now: s.now}
	h := function(t, s.env)
	server := httptest.NewServer(http.StripPrefix("/debit", documented.Handler(t, h)))
	t.Cleanup(server.Close)
	s.url, s.token = server.URL+"/debit", s.issuer.Service(t, spender, audience)
	return s
}

func function(t *testing.T, env serve.Env) http.Handler {
	t.Helper()
	for _, f := range serve.Functions() {
		if f.Name() == "debit" {
			h, err := f.Build(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
	}
	t.Fatal("debit is not registered")
	return nil
}

// fund opens an organisation with purchased credits and the team t1.
func (s *system) fund(t *testing.T, org string, credits int64) {
	t.Helper()
	s.organise(t, org, "t1")
	zone := "Africa/Johannesburg"
	for _, c := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_"+org), Terms: credit.Terms{Source: credit.Purchase, Granted: credits}},
	} {
		if _, err := s.ledger.Do(t.Context(), org, c); err != nil {
			t.Fatal(err)
		}
	}
}

// organise gives an organisation a team, in which the user u2 is.
func (s *system) organise(t *testing.T, org, team string) *orgs.Store {
	t.Helper()
	// The document as package orgs writes it, as far as teams need it.
	if _, err := s.engine.Client.Doc("orgs/"+org).Set(t.Context(), map[string]any{"v": 1, "org": org, "name": "Acme"}, firestore.MergeAll); err != nil {
		t.Fatal(err)
	}
	people, err := orgs.NewStore(s.engine.Client, slog.New(slog.DiscardHandler), orgs.Options{Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := people.ChangeTeam(t.Context(), org, orgs.TeamChange{ID: team, Name: "Team " + team}); err != nil {
		t.Fatal(err)
	}
	if err := people.PutMember(t.Context(), org, orgs.Member{Sub: "u2", Role: orgs.RoleMember}); err != nil {
		t.Fatal(err)
	}
	if _, err := people.JoinTeam(t.Context(), org, team, "u2"); err != nil {
		t.Fatal(err)
	}
	return people
}

func (s *system) available(t *testing.T, org string) int64 {
	t.Helper()
	w, err := s.ledger.View(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	return w.Available
}

// post sends a body as the spender does, and returns status and answer.
func (s *system) post(t *testing.T, path, body string) (int, map[string]any) {
	t.Helper()
	return s.send(t, http.MethodPost, path, "Bearer "+s.token, strings.NewReader(body))
}

func (s *system) send(t *testing.T, method, path, authorization string, body io.Reader) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: a problem of type %q", method, path, res.Header.Get("Content-Type"))
	}
	return res.StatusCode, out
}

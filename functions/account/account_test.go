package account

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/payments/paymentstest"
	"github.com/fluxori/ai-credits/shared/serve"
)

const audience = "https://europe-west4-test.cloudfunctions.net/account"

// system is the function as deployed, with everything beneath it real but for Google's side of the wire.
type system struct {
	*engine.Engine
	url    string
	issuer *identitytest.Issuer
	// ledger and store are those of other functions, on the same database.
	ledger *ledger.Ledger
	store  *orgs.Store
	broker *broker.Broker
	pubsub string // where the broker is
	// stripe is where the stand-in for Stripe is; nobody gets its webhooks.
	stripe string
	stand  *stripestand.Stand
	// receiver settles what Stripe tells.
	receiver *payments.Receiver
	micros   atomic.Int64
}

func (s *system) now() time.Time { return time.UnixMicro(s.micros.Load()).UTC() }

func (s *system) advance(d time.Duration) { s.micros.Add(d.Microseconds()) }

func start(t testing.TB) *system {
	t.Helper()
	e := engine.New(t, engine.Embedded())
	addr, err := e.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &system{Engine: e, issuer: identitytest.New(t)}
	s.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	s.stand, s.stripe = paymentstest.Stripe(t, s.now, func() *payments.Receiver { return s.receiver })
	s.openBroker(t)
	log := slog.New(slog.DiscardHandler)
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := catalogue.NewStore(e.Client, log, catalogue.StoreOptions{}).Seed(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	if s.ledger, err = ledger.New(e.Raw, e.Database(), ledger.Options{Now: s.now}); err != nil {
		t.Fatal(err)
	}
	if s.store, err = orgs.NewStore(e.Client, log, orgs.Options{Now: s.now}); err != nil {
		t.Fatal(err)
	}
	s.openReceiver(t, log)
	h, err := registered(t).Build(t.Context(), serve.Env{Lookup: envconfig.MapLookuper(s.settings(addr.String())), Log: log, Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/account", documented.Handler(t, h)))
	t.Cleanup(server.Close)
	s.url = server.URL + "/account"
	return s
}

// openReceiver makes what settles Stripe's events.
func (s *system) openReceiver(t testing.TB, log *slog.Logger) {
	t.Helper()
	gateway, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: s.stripe})
	if err != nil {
		t.Fatal(err)
	}
	s.receiver, err = payments.NewReceiver(payments.ReceiverOptions{
		Documents: s.Client, Ledger: s.ledger, Prices: catalogue.NewStore(s.Client, log, catalogue.StoreOptions{}), Stripe: gateway, Now: s.now, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openBroker starts a Pub/Sub with the topic that usage is reported on.
func (s *system) openBroker(t testing.TB) {
	t.Helper()
	var err error
	if s.broker, err = broker.Open(broker.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.broker.Close() })
	addr, err := s.broker.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.pubsub = addr.String()
	if err := s.broker.Topic(t.Context(), "projects/"+s.Project+"/topics/"+events.Usage); err != nil {
		t.Fatal(err)
	}
}

func (s *system) settings(firestore string) map[string]string {
	return map[string]string{
		"GOOGLE_CLOUD_PROJECT": s.Project, "FIRESTORE_EMULATOR_HOST": firestore, "PUBSUB_EMULATOR_HOST": s.pubsub,
		"PEOPLE_ISSUER": s.issuer.URL(), "PEOPLE_AUDIENCE": audience,
		"STRIPE_API_KEY": "sk_test_local", "STRIPE_API_URL": s.stripe, "CHECKOUT_RETURN_URL": "https://fluxori.example/credits",
	}
}

func registered(t testing.TB) serve.Function {
	t.Helper()
	for _, f := range serve.Functions() {
		if f.Name() == "account" {
			return f
		}
	}
	t.Fatal("account is not registered")
	return serve.Function{}
}

// token is what somebody presents who is called sub and has further claims.
func (s *system) token(t testing.TB, sub string, claims ...string) string {
	t.Helper()
	all := map[string]any{"sub": sub, "aud": audience, "email": sub + "@people.example", "email_verified": true}
	for _, name := range claims {
		all[name] = true
	}
	return s.issuer.Token(t, all)
}

func (s *system) platform(t testing.TB) string { t.Helper(); return s.token(t, "fluxori", "platform") }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (a answer) code() string { s, _ := a.body["code"].(string); return s }

// call sends a request as the bearer of a token; headers are name and value in turn.
func (s *system) call(t testing.TB, token, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if err := json.Unmarshal(raw, &out.body); err != nil {
		t.Fatalf("%s %s answers %q, which is not JSON: %v", method, path, raw, err)
	}
	return out
}

// must is call for what has to succeed.
func (s *system) must(t testing.TB, token, method, path, body string, headers ...string) answer {
	t.Helper()
	a := s.call(t, token, method, path, body, headers...)
	if a.status/100 != 2 {
		t.Fatalf("%s %s answers %d %s", method, path, a.status, a.raw)
	}
	return a
}

const acmeProfile = `{"name":"Acme","country":"ZA","owner_email":"thandi@acme.example"}`

// register makes an organisation, with an administrator and a member called after it.
func (s *system) register(t testing.TB, org string) {
	t.Helper()
	s.must(t, s.platform(t), http.MethodPut, "/orgs/"+org, strings.Replace(acmeProfile, "acme.example", org+".example", 1))
	for sub, role := range map[string]orgs.Role{org + "-admin": orgs.RoleAdmin, org + "-member": orgs.RoleMember} {
		if err := s.store.PutMember(t.Context(), org, orgs.Member{Sub: sub, Role: role, Email: sub + "@people.example"}); err != nil {
			t.Fatal(err)
		}
	}
}

// team makes a team, with members who are called so.
func (s *system) team(t testing.TB, org, team string, members ...string) {
	t.Helper()
	if _, _, err := s.store.ChangeTeam(t.Context(), org, orgs.TeamChange{ID: team, Name: "Team " + team}); err != nil {
		t.Fatal(err)
	}
	for _, sub := range members {
		if err := s.store.PutMember(t.Context(), org, orgs.Member{Sub: sub, Role: orgs.RoleMember, Email: sub + "@people.example"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.JoinTeam(t.Context(), org, team, sub); err != nil {
			t.Fatal(err)
		}
	}
}

// admit makes somebody an administrator.
func (s *system) admit(t testing.TB, org, sub string) {
	t.Helper()
	if err := s.store.PutMember(t.Context(), org, orgs.Member{Sub: sub, Role: orgs.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
}

func (s *system) do(t testing.TB, org string, c credit.Command) {
	t.Helper()
	if _, err := s.ledger.Do(t.Context(), org, c); err != nil {
		t.Fatal(err)
	}
}

func (s *system) grant(t testing.TB, org, key string, source credit.Source, credits int64, end time.Time) {
	t.Helper()
	s.do(t, org, credit.NewGrant{Key: credit.SystemKey("grant", key), Terms: credit.Terms{
		Source: source, Granted: credits, EffectiveAt: s.now(), ExpiresAt: end, UsableUntil: end, Item: map[bool]string{true: "si_1"}[source == credit.Subscription],
	}})
}

func (s *system) debit(t testing.TB, org, id string, credits int64) {
	t.Helper()
	s.do(t, org, credit.Debit{
		EventID: id, Credits: credits, Actor: "reports@test",
		Content: credit.Content{Kind: credit.KindDebit, Org: org, Feature: "custom-query", Credits: &credits},
		Work:    credit.Work{Feature: "custom-query", User: "u1", PriceVersion: 1},
	})
}

// number is a whole number of an answer, as JSON writes it.
func number(v any) int64 {
	f, ok := v.(float64)
	if !ok {
		return -1 << 62
	}
	return int64(f)
}

func TestTheFunctionRefusesToStartWithoutItsSettings(t *testing.T) {
	t.Parallel()
	s := &system{Engine: engine.New(t, engine.Embedded()), issuer: identitytest.New(t), pubsub: "127.0.0.1:1"}
	for _, missing := range []string{"GOOGLE_CLOUD_PROJECT", "PEOPLE_ISSUER", "PEOPLE_AUDIENCE", "STRIPE_API_KEY", "CHECKOUT_RETURN_URL"} {
		settings := s.settings("127.0.0.1:1")
		delete(settings, missing)
		_, err := registered(t).Build(t.Context(), serve.Env{Lookup: envconfig.MapLookuper(settings), Log: slog.New(slog.DiscardHandler), Now: s.now})
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	settings := s.settings("127.0.0.1:1")
	settings["PEOPLE_ISSUER"] = "http://people.example"
	if _, err := registered(t).Build(t.Context(), serve.Env{Lookup: envconfig.MapLookuper(settings), Log: slog.New(slog.DiscardHandler), Now: s.now}); err == nil {
		t.Error("an issuer in clear is taken")
	}
}

func TestAnOutageOfTheStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	s.must(t, token, http.MethodGet, "/orgs/acme/balance", "")
	s.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}})
	for _, path := range []string{"/orgs/acme/balance", "/orgs/acme"} {
		got := s.call(t, token, http.MethodGet, path, "")
		if got.status != http.StatusServiceUnavailable || got.code() != "unavailable" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s, Retry-After %q", path, got.status, got.raw, got.header.Get("Retry-After"))
		}
	}
}

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodGet, "/", http.StatusNotFound, ""},
		{http.MethodGet, "/orgs/", http.StatusNotFound, ""},
		{http.MethodGet, "/orgs/acme/balance/", http.StatusNotFound, ""},
		{http.MethodGet, "/orgs//balance", http.StatusNotFound, ""},
		{http.MethodDelete, "/orgs/acme/alerts", http.StatusMethodNotAllowed, "GET, HEAD, PUT"},
		{http.MethodPost, "/catalogue", http.StatusMethodNotAllowed, "GET, HEAD"},
	} {
		got := s.call(t, s.platform(t), c.method, c.path, "")
		if got.status != c.status || got.header.Get("Allow") != c.allow || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v", c.method, c.path, got.status, got.header)
		}
	}
}

func TestThePriceListIsInTheCountrysCurrency(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.token(t, "anybody")
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for query, currency := range map[string]catalogue.Currency{"?country=ZA": "ZAR", "?country=DE": "EUR", "?country=US": "USD", "": "USD"} {
		got := s.must(t, token, http.MethodGet, "/catalogue"+query, "").body
		if got["currency"] != string(currency) {
			t.Errorf("%s: %v", query, got["currency"])
		}
		packages, _ := got["packages"].([]any)
		for i, p := range seed.Document().Packages {
			shown, _ := packages[i].(map[string]any)
			if shown["id"] != p.ID || number(shown["amount"]) != p.Prices[currency] || number(shown["credits"]) != p.Credits {
				t.Errorf("%s: package %v, want %+v", query, shown, p)
			}
		}
		plans, _ := got["plans"].([]any)
		features, _ := got["features"].([]any)
		custom, _ := got["custom_credits"].(map[string]any)
		if len(packages) != len(seed.Document().Packages) || len(plans) != len(seed.Document().Plans) || len(features) != 6 || custom["steps"] == nil {
			t.Errorf("%s: %d packages, %d plans, %d features, custom %v", query, len(packages), len(plans), len(features), custom)
		}
		if strings.Contains(fmt.Sprint(got), "price_") {
			t.Errorf("%s: Stripe's ids are told", query)
		}
	}
}

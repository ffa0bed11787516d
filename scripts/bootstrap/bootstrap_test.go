package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/dashboard"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
)

// world is what a run meets: programs, an environment, Stripe, Identity Platform. Zero, it is an empty machine.
type world struct {
	mu       sync.Mutex
	did      []string          // commands, without --project and --quiet
	refuses  map[string]string // commands that fail, by how they begin, with the reason
	made     map[string]bool   // what was created: buckets, accounts
	versions map[string]string // secrets' values
	env      map[string]string
	stripe   []endpoint
	seeded   bool
	claims   string
	mailed   bool
	issuer   map[string]any // what the issuer says of itself, beside who it is; nil for an issuer that does not answer
}

func newWorld() *world {
	return &world{refuses: map[string]string{}, made: map[string]bool{}, versions: map[string]string{}, env: map[string]string{
		"STRIPE_API_KEY": "sk_test_bootstrap", "SMTP_PASSWORD": "hush-mail",
	}, issuer: map[string]any{
		"authorization_endpoint": "https://id.example/authorize", "token_endpoint": "https://id.example/token", "jwks_uri": "https://id.example/keys",
		"code_challenge_methods_supported": []string{"S256"},
	}}
}

func (w *world) command(_ context.Context, stdin, name string, args ...string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "--project=") || a == "--quiet" })
	line := name + " " + strings.Join(args, " ")
	w.did = append(w.did, line)
	for begin, why := range w.refuses {
		if strings.HasPrefix(line, begin) {
			return "", errors.New(why)
		}
	}
	has := func(begin string) bool { return strings.HasPrefix(line, begin) }
	switch {
	case has("gcloud projects describe"):
		return "123456789\n", nil
	case has("gcloud billing projects describe"):
		return "True\n", nil
	case has("gcloud storage buckets describe"), has("gcloud iam service-accounts describe"):
		if !w.made[args[0]] {
			return "", errors.New("not found")
		}
	case has("gcloud storage buckets create"), has("gcloud iam service-accounts create"), has("gcloud builds submit"):
		w.made[args[0]] = true
	case has("gcloud functions list"):
		if w.made["builds"] {
			return "account\ndebit\n", nil
		}
	case has("gcloud secrets versions list"):
		if w.versions[args[3]] != "" {
			return "1\n", nil
		}
	case has("gcloud secrets versions add"):
		w.versions[args[3]] = stdin
	case has("gcloud secrets versions access"):
		return w.versions[strings.TrimPrefix(args[4], "--secret=")], nil
	case has("gcloud auth print-access-token"):
		return "token\n", nil
	}
	return "", nil
}

func (w *world) list(context.Context) ([]endpoint, error) { return w.stripe, nil }

func (w *world) create(_ context.Context, url string, types []string) (endpoint, error) {
	made := endpoint{id: "we_1", url: url, version: stripe.APIVersion, secret: "whsec_made", enabled: true, types: types}
	w.did = append(w.did, "stripe endpoint "+url)
	w.stripe = append(w.stripe, made)
	return made, nil
}

// identity is Identity Platform, as far as an operator is concerned.
func (w *world) identity(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Authorization") != "Bearer token" {
			http.Error(rw, "no", http.StatusBadRequest)
			return
		}
		out := map[string]any{}
		switch strings.TrimPrefix(r.URL.Path, "/projects/credits-test/") {
		case "accounts:lookup":
			if w.claims != "" {
				out["users"] = []map[string]any{{"localId": "uid-1", "customAttributes": w.claims}}
			}
		case "accounts":
			out["localId"] = "uid-1"
		case "accounts:update":
			w.claims, _ = in["customAttributes"].(string)
		case "accounts:sendOobCode":
			w.mailed = true
		default:
			http.NotFound(rw, r)
			return
		}
		if err := json.NewEncoder(rw).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// signsIn is the issuer that people sign in with, and the values of an environment that name it.
func (w *world) signsIn(t *testing.T, more string) string {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.issuer == nil || r.URL.Path != "/.well-known/openid-configuration" {
			http.NotFound(rw, r)
			return
		}
		says := map[string]any{"issuer": s.URL}
		maps.Copy(says, w.issuer)
		if err := json.NewEncoder(rw).Encode(says); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.Close)
	return "people = {\n  issuer = \"" + s.URL + "\"\n  client_id = \"credits\"\n" + more + "}\n"
}

// platform are the values of an environment without an issuer of its own.
const platform = "people = null\n"

// tree is a project's root whose environment has all its values.
func tree(t *testing.T, billing, people string) string {
	t.Helper()
	dir := t.TempDir()
	limits, err := os.ReadFile(filepath.Join("..", "..", "shared", "limits", "limits.json"))
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{
		"terraform/env/staging.tfvars": []byte("environment = \"staging\"\nbilling_account = \"" + billing + "\"\n" + people), "shared/limits/limits.json": limits,
	} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (w *world) run(t *testing.T, root string, args ...string) (told string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), append([]string{"-project", "credits-test", "-env", "staging"}, args...), outside{
		command: w.command, env: func(name string) string { return w.env[name] },
		seed:   func(context.Context, string) error { w.seeded = true; w.did = append(w.did, "seed"); return nil },
		stripe: func(string) endpoints { return w }, http: http.DefaultClient, identity: w.identity(t), root: root, out: &out,
	})
	return out.String(), err
}

func TestARunStopsWhereSomebodyElseMustAnswerAndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, billing, want string
		change              func(*world)
	}{
		{"no terraform", "A", "terraform, on the PATH", func(w *world) { w.refuses["terraform version"] = "not found" }},
		{"no billing account", "", "billing_account in terraform/env/staging.tfvars", func(*world) {}},
		{"no sign-in", "A", "gcloud auth login", func(w *world) { w.refuses["gcloud auth print-access-token"] = "no account" }},
		{"no sign-in for programs", "A", "gcloud auth application-default login", func(w *world) { w.refuses["gcloud auth application-default"] = "no account" }},
		{"no project", "A", "gcloud projects create credits-test", func(w *world) { w.refuses["gcloud projects describe"] = "denied" }},
		{"no billing", "A", "gcloud billing projects link credits-test --billing-account=A", func(w *world) { w.refuses["gcloud billing projects describe"] = "denied" }},
		{"no right to a budget", "A", "an administrator of the billing account A", func(w *world) { w.refuses["gcloud billing accounts"] = "denied" }},
		{"no key of Stripe's", "A", "STRIPE_API_KEY in the environment", func(w *world) { delete(w.env, "STRIPE_API_KEY") }},
		{"no mail password", "A", "SMTP_PASSWORD in the environment", func(w *world) { delete(w.env, "SMTP_PASSWORD") }},
		{"an endpoint whose secret is not known", "A", "STRIPE_WEBHOOK_SECRETS in the environment", func(w *world) {
			_, _ = w.create(t.Context(), "https://europe-west4-credits-test.cloudfunctions.net/purchasewebhook", eventTypes)
		}},
		{"an endpoint of another version", "A", "its API version is", func(w *world) {
			w.stripe = []endpoint{{id: "we_0", url: "https://europe-west4-credits-test.cloudfunctions.net/purchasewebhook", version: "2020-08-27", enabled: true, types: []string{"*"}}}
		}},
		{"an endpoint that misses an event", "A", "it is not sent invoice.paid", func(w *world) {
			w.stripe = []endpoint{{id: "we_0", url: "https://europe-west4-credits-test.cloudfunctions.net/purchasewebhook", version: stripe.APIVersion, enabled: true}}
		}},
		{"no operator", "A", "-operator", func(*world) {}},
		{"no staging to promote from", "A", "bootstrap that project first", func(w *world) {
			w.refuses["gcloud storage buckets add-iam-policy-binding gs://credits-staging"] = "not found"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			c.change(w)
			var from []string
			if strings.HasPrefix(c.name, "no staging") {
				from = []string{"-from", "credits-staging"}
			}
			_, err := w.run(t, tree(t, c.billing, platform), from...)
			var m missing
			if !errors.As(err, &m) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, not that %q is missing", err, c.want)
			}
		})
	}
}

func TestARunDoesEverythingInTheOrderThatWorks(t *testing.T) {
	t.Parallel()
	w := newWorld()
	told, err := w.run(t, tree(t, "A", platform), "-operator", "ops@fluxori.example")
	if err != nil {
		t.Fatalf("%v\n%s", err, told)
	}
	at := -1
	for _, want := range []string{
		"gcloud storage buckets create gs://credits-test-terraform", "gcloud services enable", "gcloud iam service-accounts create deploy",
		"terraform -chdir=", "gcloud secrets versions add stripe-api-key", "gcloud secrets versions add smtp-password",
		"stripe endpoint https://europe-west4-credits-test.cloudfunctions.net/purchasewebhook", "gcloud secrets versions add stripe-webhook-secrets",
		"seed", "gcloud builds submit",
	} {
		i := slices.IndexFunc(w.did, func(line string) bool { return strings.HasPrefix(line, want) })
		if i <= at {
			t.Errorf("%q comes at %d, after what came at %d:\n%s", want, i, at, strings.Join(w.did, "\n"))
		}
		at = i
	}
	if w.versions["stripe-webhook-secrets"] != "whsec_made" || w.versions["smtp-password"] != "hush-mail" || w.claims != `{"platform":true}` || !w.mailed {
		t.Errorf("secrets %v, claims %s, mailed %t", w.versions, w.claims, w.mailed)
	}
	for _, secret := range []string{"whsec_made", "hush-mail", "sk_test_bootstrap"} {
		if strings.Contains(told+strings.Join(w.did, "\n"), secret) {
			t.Errorf("%s is printed or stands on a command line", secret)
		}
	}
}

func TestTheDashboardGetsAnIssuerKeysAndASecret(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.env["PEOPLE_CLIENT_SECRET"] = "hush-client"
	root := tree(t, "A", w.signsIn(t, "  claim_prefix = \"https://x.example/\"\n  confidential = true\n"))
	for range 2 {
		told, err := w.run(t, root, "-operator", "ops@fluxori.example")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(told, "give ops@fluxori.example the claim https://x.example/platform") || !strings.Contains(told, "/account/ui/\n") {
			t.Errorf("it says %s", told)
		}
		if strings.Contains(told+strings.Join(w.did, "\n"), "hush-client") {
			t.Error("a secret is printed or stands on a command line")
		}
	}
	var keys dashboard.Keys
	if err := keys.UnmarshalText([]byte(w.versions["dashboard-keys"])); err != nil {
		t.Errorf("the dashboard would not start: %v", err)
	}
	added := 0
	for _, line := range w.did {
		if strings.HasPrefix(line, "gcloud secrets versions add dashboard-keys") {
			added++
		}
	}
	if added != 1 || w.versions["people-client-secret"] != "hush-client" || w.claims != "" {
		t.Errorf("keys were added %d times, the client's secret is %q, claims %q", added, w.versions["people-client-secret"], w.claims)
	}
}

func TestAnIssuerThatCannotSignPeopleInStopsTheRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, people, want string
		change             func(*world)
	}{
		{"nothing is said", "\n", "people in terraform/env/staging.tfvars", nil},
		{"a dashboard at a host of its own", "people = {\n  issuer = \"\"\n}\ndashboard_url = \"https://credits.example.com/account/ui/\"\n", "https://credits.example.com/account/ui/callback", nil},
		{"not filled in", "people = {\n  issuer = \"\"\n  client_id = \"\"\n}\n", "https://europe-west4-credits-test.cloudfunctions.net/account/ui/callback", nil},
		{"no answer", "", "an answer from the issuer", func(w *world) { w.issuer = nil }},
		{"another name", "", "calls itself", func(w *world) { w.issuer["issuer"] = "https://other.example" }},
		{"no page to sign in", "", "no authorisation endpoint", func(w *world) { delete(w.issuer, "authorization_endpoint") }},
		{"no PKCE", "", "S256", func(w *world) { delete(w.issuer, "code_challenge_methods_supported") }},
		{"no secret", "confidential", "PEOPLE_CLIENT_SECRET in the environment", func(*world) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, people := newWorld(), c.people
			if c.change != nil {
				c.change(w)
				more := ""
				if people != "" {
					more = "  confidential = true\n"
				}
				people = w.signsIn(t, more)
			}
			_, err := w.run(t, tree(t, "A", people), "-operator", "ops@fluxori.example")
			var m missing
			if !errors.As(err, &m) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, not that %q is missing", err, c.want)
			}
		})
	}
}

// TestTheEnvironmentsOfTheTreeAreUnderstood: as they stand, the run stops at what each does not say yet.
func TestTheEnvironmentsOfTheTreeAreUnderstood(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"staging", "prod"} {
		values, err := os.ReadFile(filepath.Join("..", "..", "terraform", "env", environment+".tfvars"))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := readPeople(string(values)); ok {
			t.Errorf("%s.tfvars names somebody's issuer", environment)
		}
		filled := strings.NewReplacer(`issuer       = ""`, `issuer       = "https://id.example/realm"`, `client_id    = ""`, `client_id    = "credits"`,
			`confidential = false`, `confidential = true`).Replace(string(values))
		if p, ok := readPeople(filled); !ok || p != (people{issuer: "https://id.example/realm", client: "credits", confidential: true}) {
			t.Errorf("%s.tfvars, filled in, says %+v", environment, p)
		}
	}
}

func TestARunAgainChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	root := tree(t, "A", platform)
	if _, err := w.run(t, root, "-operator", "ops@fluxori.example"); err != nil {
		t.Fatal(err)
	}
	w.did, w.mailed = nil, false
	delete(w.env, "STRIPE_API_KEY")
	if _, err := w.run(t, root, "-operator", "ops@fluxori.example"); err != nil {
		t.Fatal(err)
	}
	for _, line := range w.did {
		for _, begin := range []string{"gcloud storage buckets create", "gcloud iam service-accounts create", "gcloud secrets versions add", "gcloud builds submit", "stripe endpoint"} {
			if strings.HasPrefix(line, begin) {
				t.Errorf("it did %s again", line)
			}
		}
	}
	if w.mailed || len(w.stripe) != 1 {
		t.Errorf("mailed %t, %d endpoints", w.mailed, len(w.stripe))
	}
}

func TestReleasesOfAnotherProjectMayBePromoted(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if _, err := w.run(t, tree(t, "A", platform), "-operator", "ops@fluxori.example", "-from", "credits-staging"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"gcloud projects add-iam-policy-binding credits-test --member=serviceAccount:deploy@credits-staging.iam.gserviceaccount.com --role=roles/cloudbuild.builds.editor",
		"gcloud iam service-accounts add-iam-policy-binding deploy@credits-test.iam.gserviceaccount.com --member=serviceAccount:deploy@credits-staging",
		"gcloud storage buckets add-iam-policy-binding gs://credits-staging-sources --member=serviceAccount:deploy@credits-test.iam.gserviceaccount.com",
	} {
		if !slices.ContainsFunc(w.did, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("%q is not among\n%s", want, strings.Join(w.did, "\n"))
		}
	}
}

func TestAnOperatorsOtherClaimsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.claims = `{"support":true}`
	if _, err := w.run(t, tree(t, "A", platform), "-operator", "ops@fluxori.example"); err != nil {
		t.Fatal(err)
	}
	if w.claims != `{"platform":true,"support":true}` {
		t.Errorf("claims are %s", w.claims)
	}
}

func TestWhatIsNotClearIsRefusedBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"-project", "credits-test"}, {"-project", "Credits Test", "-env", "prod"}, {"-project", "credits-test", "-env", "dev"},
		{"-project", "credits-test", "-env", "prod", "-operator", "nobody"}, {"-project", "credits-test", "-env", "prod", "-from", "credits-test"}, {"-project", "credits-test", "-env", "prod", "now"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if err := run(t.Context(), args, outside{command: w.command, out: io.Discard}); err == nil || len(w.did) > 0 {
				t.Errorf("it says %v and did %v", err, w.did)
			}
		})
	}
}

func TestTheSeedIsWhatDeploymentsAreTriedWith(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	firestore, err := e.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := cloud.Config{Project: e.Project, Database: "(default)", FirestoreEmulator: firestore.String(), PubSubEmulator: "127.0.0.1:1"}
	now := func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }
	log := slog.New(slog.DiscardHandler)
	for range 2 {
		if err := seed(t.Context(), c, log, now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := catalogue.NewStore(e.Client, log, catalogue.StoreOptions{}).Current(t.Context()); err != nil {
		t.Errorf("the catalogue: %v", err)
	}
	for _, doc := range []string{"orgs/" + tried, "wallets/" + tried} {
		if _, err := e.Client.Doc(doc).Get(t.Context()); err != nil {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// TestTheEndpointIsSentWhatTheCodeReads compares the types that package payments names with those that the endpoint is made for. Which texts
// are types of events is Stripe's library's to say.
func TestTheEndpointIsSentWhatTheCodeReads(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/stripe/stripe-go/v76").Output()
	if err != nil {
		t.Fatal(err)
	}
	library, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "event.go"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`EventType = "([^"]+)"`).FindAllSubmatch(library, -1) {
		known[string(m[1])] = true
	}
	for _, typ := range eventTypes {
		if !known[typ] {
			t.Errorf("Stripe has no event %s", typ)
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "payments", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	read := 0
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([a-z_.]+)"`).FindAllSubmatch(source, -1) {
			typ := string(m[1])
			if !known[typ] {
				continue
			}
			read++
			if !slices.Contains(eventTypes, typ) {
				t.Errorf("%s reads %s, which the endpoint is not sent", filepath.Base(path), typ)
			}
		}
	}
	if read < 5 {
		t.Errorf("found only %d types in package payments", read)
	}
}

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// buildpackMain is what the Go buildpack writes beside a function's source.
const buildpackMain = `package main

import (
	"log"
	"os"

	_ "github.com/fluxori/ai-credits"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
)

func main() {
	if err := funcframework.Start(os.Getenv("PORT")); err != nil {
		log.Fatal(err)
	}
}
`

// settings are values for what Terraform sets, by name. A function is given those that its row in terraform/functions.json lists.
var settings = map[string]string{
	"CALLERS":                `{"callers":[{"email":"ai@staged.iam.gserviceaccount.com","roles":["spend"]}]}`,
	"CHECKOUT_RETURN_URL":    "https://europe-west4-staged.cloudfunctions.net/account/ui/purchases/return",
	"DASHBOARD_FRAME_ORIGIN": "https://app.fluxori.example",
	"DASHBOARD_KEYS":         base64.StdEncoding.EncodeToString(make([]byte, 32)),
	"DASHBOARD_URL":          "https://europe-west4-staged.cloudfunctions.net/account/ui/",
	"FIRESTORE_DATABASE":     "(default)",
	"GOOGLE_CLOUD_PROJECT":   "staged",
	"MAIL_FROM":              "Fluxori AI Credits <credits@fluxori.example>",
	"PEOPLE_AUDIENCE":        "credits",
	"PEOPLE_CLAIM_PREFIX":    "https://fluxori.example/",
	"PEOPLE_CLIENT_SECRET":   "client-secret",
	"PEOPLE_ISSUER":          "https://id.fluxori.example/realm",
	"PUSH_ACCOUNT":           "push@staged.iam.gserviceaccount.com",
	"SCHEDULER_ACCOUNT":      "scheduler@staged.iam.gserviceaccount.com",
	"SERVICE_AUDIENCE":       "https://europe-west4-staged.cloudfunctions.net/any",
	"SMTP_HOST":              "smtp.fluxori.example",
	"SMTP_PASSWORD":          "password",
	"SMTP_PORT":              "587",
	"SMTP_SECURITY":          "starttls",
	"SMTP_USERNAME":          "credits",
	"STRIPE_API_KEY":         "sk_test_staged",
	"STRIPE_LIVEMODE":        "false",
	"STRIPE_WEBHOOK_SECRETS": "whsec_staged",
	"SUBSCRIPTION_GRACE":     "2h",
	"SUPPORT_ADDRESS":        "support@fluxori.example",
}

func TestEveryFunctionRunsFromItsStagedSource(t *testing.T) {
	t.Parallel()
	names, err := functions(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binary := build(t, unpack(t, staged(t, name)))
			p := start(t, binary, name, environment(t, name))
			status, body := p.get(t, "/health")
			if status != http.StatusOK || !strings.Contains(body, `"ok"`) {
				t.Errorf("/health answers %d %s\n%s", status, body, p.output())
			}
			if status, body := p.get(t, "/nowhere/at/all"); status != http.StatusNotFound || !strings.Contains(body, `"not_found"`) {
				t.Errorf("a path that is not there answers %d %s", status, body)
			}
			refusesToStart(t, binary, name)
		})
	}
}

// environment is what Terraform gives the function: no more, so that a setting which is missing there is missing here.
func environment(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "terraform", "functions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table map[string]struct {
		Environment []string          `json:"environment"`
		Secrets     map[string]string `json:"secrets"`
	}
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	row, ok := table[name]
	if !ok {
		t.Fatalf("terraform/functions.json has no row for %s", name)
	}
	// The clients need credentials unless they are told that they talk to an emulator; they connect only when they are used.
	env := []string{
		"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "PUBSUB_EMULATOR_HOST=127.0.0.1:1",
		"FROZEN=false", "TELEMETRY_ENDPOINT=http://127.0.0.1:1", // every function is given these; nobody receives there, which stops nothing
	}
	for _, key := range slices.Concat(row.Environment, slices.Collect(maps.Keys(row.Secrets))) {
		value, ok := settings[key]
		if !ok {
			t.Fatalf("this test has no value for %s, which terraform/functions.json gives %s", key, name)
		}
		env = append(env, key+"="+value)
	}
	return env
}

func staged(t *testing.T, name string) []byte {
	t.Helper()
	files, err := collect(t.Context(), root, name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := pack(files)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func unpack(t *testing.T, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "serverless_function_source_code", filepath.FromSlash(f.Name)), content)
	}
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// build does what the buildpack does with a source that has a go.mod: a module of its own around it, with its main. What go mod tidy would
// resolve is what the function's own go.mod says.
func build(t *testing.T, dir string) string {
	t.Helper()
	source := filepath.Join(dir, "serverless_function_source_code")
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(source, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	const module = "module github.com/fluxori/ai-credits\n"
	if !bytes.HasPrefix(mod, []byte(module)) {
		t.Fatalf("go.mod begins with %.60q", mod)
	}
	app := append([]byte("module functions.local/app\n\nrequire github.com/fluxori/ai-credits v0.0.0\n\n"+
		"replace github.com/fluxori/ai-credits v0.0.0 => ./serverless_function_source_code\n"), mod[len(module):]...)
	write(t, filepath.Join(dir, "go.mod"), app)
	write(t, filepath.Join(dir, "go.sum"), sum)
	write(t, filepath.Join(dir, "main.go"), []byte(buildpackMain))
	binary := filepath.Join(dir, "function")
	// Without paths in them, packages that several functions hold are compiled once.
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// process is a function's own process, as in the cloud.
type process struct {
	address string
	log     string
	done    chan struct{} // closed when it has ended
}

func command(ctx context.Context, binary, name string, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append([]string{"K_SERVICE=" + name, "FUNCTION_TARGET=" + name, "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	return cmd
}

func start(t *testing.T, binary, name string, env []string) *process {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{address: l.Addr().String(), log: filepath.Join(filepath.Dir(binary), "log"), done: make(chan struct{})}
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(context.Background(), binary, name, append(env, "PORT="+port))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer log.Close()
		_ = cmd.Wait() // it is killed, or the test says what it printed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-p.done
	})
	return p
}

func (p *process) output() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// get asks until the process listens, for a minute at most.
func (p *process) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			defer res.Body.Close()
			data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(data)
		}
		select {
		case <-p.done:
			t.Fatalf("the process ended:\n%s", p.output())
		case <-ctx.Done():
			t.Fatalf("no answer: %v\n%s", err, p.output())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// refusesToStart holds a function to failing its deployment, and not its first caller, when it is configured wrongly.
func refusesToStart(t *testing.T, binary, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := command(ctx, binary, name, []string{"PORT=0"}).CombinedOutput()
	if err == nil || ctx.Err() != nil || !bytes.Contains(out, []byte("the function cannot be built")) {
		t.Errorf("without its environment it ended with %v\n%s", err, out)
	}
}

func TestTheSameSourceGivesTheSameZip(t *testing.T) {
	t.Parallel()
	if !bytes.Equal(staged(t, "outbox"), staged(t, "outbox")) {
		t.Error("two zips of one source differ")
	}
}

func TestAZipsNameFollowsItsContentAndNothingElse(t *testing.T) {
	t.Parallel()
	name := func(files ...file) string { return zipName("outbox", files) }
	a := file{path: "a.go", data: []byte("a")}
	if name(a) != name(file{path: "a.go", data: []byte("a")}) {
		t.Error("the same files have two names")
	}
	for what, other := range map[string]string{
		"other content":      name(file{path: "a.go", data: []byte("b")}),
		"another path":       name(file{path: "b.go", data: []byte("a")}),
		"the border between": name(file{path: "a.goa", data: nil}),
		"a file more":        name(a, file{path: "b.go"}),
	} {
		if other == name(a) {
			t.Errorf("%s has the same name", what)
		}
	}
}

func TestASourceHoldsWhatTheFunctionNeedsAndNoTests(t *testing.T) {
	t.Parallel()
	files, err := collect(t.Context(), root, "outbox")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.path)
	}
	if !slices.IsSorted(paths) {
		t.Errorf("not sorted: %v", paths)
	}
	for _, want := range []string{"function.go", "go.mod", "go.sum", "functions/outbox/function.go", "shared/ledger/commit.go", "shared/limits/limits.json"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") || strings.HasPrefix(p, "functions/debit") || strings.HasPrefix(p, "scripts") || strings.Contains(p, "embedded") {
			t.Errorf("it holds %s", p)
		}
	}
}

func TestARunWritesTheZipsAndTellsTerraform(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := run([]string{"-root", root, "-out", out, "outbox", "alerts"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(out, "sources.tfvars.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vars struct {
		Sources map[string]string `json:"sources"`
	}
	if err := json.Unmarshal(data, &vars); err != nil {
		t.Fatal(err)
	}
	if len(vars.Sources) != 2 {
		t.Errorf("sources are %v", vars.Sources)
	}
	for name, object := range vars.Sources {
		if _, err := os.Stat(filepath.Join(out, object)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatCannotBeStagedIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nowhere", "../shared", "", "Outbox"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			t.Parallel()
			if files, err := collect(t.Context(), root, name); err == nil {
				t.Errorf("staged %d files", len(files))
			}
		})
	}
}

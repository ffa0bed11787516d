package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// asProcess, set in the environment, makes this test binary the tool itself.
const asProcess = "CREDITSCTL_TEST_PROCESS"

func TestMain(m *testing.M) {
	if _, ok := os.LookupEnv(asProcess); ok {
		main()
		return
	}
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// built is the local runner, built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// runner returns the local runner's program.
func runner(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "creditsctl"); built.err != nil { //nolint:usetesting // it outlives the test that comes first
			return
		}
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", built.dir, "../local").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build the local runner: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "local")
}

var served = regexp.MustCompile(`function account +(http://\S+)/account`)

// start starts the whole system in a process of its own, and returns where it serves.
func start(t *testing.T) (url string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), runner(t), "-addr", "127.0.0.1:0", "-demo=false")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := served.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			return url
		}
	}
	t.Fatal("the local runner does not start")
	return ""
}

// operator runs the tool in this process, as a person at a terminal, against a whole system over HTTP.
type operator struct {
	*tool
	t *testing.T
	// system is where everything is; url where the tool is told that it is.
	system, url string
	out, err    bytes.Buffer
}

// newOperator is an operator of a system of its own.
func newOperator(t *testing.T) *operator {
	t.Helper()
	return operatorOf(t, start(t))
}

// operatorOf is one more operator of a system.
func operatorOf(t *testing.T, system string) *operator {
	t.Helper()
	o := &operator{t: t, system: system, url: system}
	o.tool = &tool{
		in: strings.NewReader(""), terminal: true, out: &o.out, err: &o.err, http: http.DefaultClient,
		lookup: func(name string) (string, bool) { return o.url, name == "CREDITSCTL_TO" },
		sleep:  func(context.Context, time.Duration) error { return nil },
	}
	return o
}

// run runs a command line, answering what is asked, and returns what it ends with.
func (o *operator) run(answer string, args ...string) int {
	o.t.Helper()
	o.out.Reset()
	o.err.Reset()
	o.in, o.json, o.yes = strings.NewReader(answer+"\n"), false, false
	return o.main(o.t.Context(), args)
}

// must runs what has to succeed without being asked anything, and returns what it printed.
func (o *operator) must(args ...string) string {
	o.t.Helper()
	if code := o.run("", args...); code != exitDone {
		o.t.Fatalf("%q ended with %d:\n%s%s", args, code, &o.out, &o.err)
	}
	return o.out.String()
}

// object runs what answers with one object.
func (o *operator) object(args ...string) map[string]any {
	o.t.Helper()
	lines := o.lines(append(args, "-json")...)
	if len(lines) != 1 {
		o.t.Fatalf("%q printed %d lines", args, len(lines))
	}
	return lines[0]
}

// lines runs what answers with an object a line.
func (o *operator) lines(args ...string) []map[string]any {
	o.t.Helper()
	var out []map[string]any
	for line := range strings.Lines(o.must(args...)) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			o.t.Fatalf("%q printed %q: %v", args, line, err)
		}
		out = append(out, v)
	}
	return out
}

// api asks the system itself.
func (o *operator) api(method, path, token, body string, headers ...string) map[string]any {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.system+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	var out map[string]any
	if err = errors.Join(err, json.Unmarshal(data, &out)); err != nil || res.StatusCode >= 300 {
		o.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, data, err)
	}
	return out
}

func (o *operator) tokenOf(role string) string {
	o.t.Helper()
	return o.api(http.MethodPost, "/_local/token", "", role)["token"].(string)
}

// open makes an organisation with an administrator, whose token it returns.
func (o *operator) open(org, name string) (admin string) {
	o.t.Helper()
	profile := fmt.Sprintf(`{"name":%q,"country":"ZA","time_zone":"Africa/Johannesburg","owner_email":"owner@%s.example"}`, name, org)
	o.api(http.MethodPut, "/account/orgs/"+org, o.tokenOf(`{"role":"platform"}`), profile)
	return o.tokenOf(fmt.Sprintf(`{"role":"admin","org_id":%q,"user_id":"owner-of-%s"}`, org, org))
}

// buy begins a purchase, and pays it if it is to be paid.
func (o *operator) buy(org, admin, pack string, paid bool) (reference string) {
	o.t.Helper()
	started := o.api(http.MethodPost, "/account/orgs/"+org+"/purchases", admin, fmt.Sprintf(`{"package":%q}`, pack), "Idempotency-Key", "buy-"+pack)
	reference = started["reference"].(string)
	if paid {
		o.api(http.MethodPost, "/_local/stripe/checkouts/"+path.Base(started["checkout_url"].(string))+"/pay", "", "{}")
		o.eventually("the purchase", func() bool { return o.object("purchase", reference)["status"] == "paid" })
	}
	return reference
}

// debit spends as a service does.
func (o *operator) debit(org, event, feature string) {
	o.t.Helper()
	body := fmt.Sprintf(`{"event_id":%q,"org_id":%q,"feature":%q,"user_id":"thandi"}`, event, org, feature)
	o.api(http.MethodPost, "/debit", o.tokenOf(`{"role":"service"}`), body)
}

func (o *operator) available(org string) float64 {
	o.t.Helper()
	return o.object("balance", org)["available"].(float64)
}

// eventually waits for what happens in the background.
func (o *operator) eventually(what string, ok func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("not in time: %s", what)
		}
	}
}

// changing is what differs from run to run, each with what stands for it, which is as wide.
var changing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d`), "YYYY-MM-DD hh:mm"},
	{regexp.MustCompile(`CR-[0-9A-Z]{4}-[0-9A-Z]{4}`), "CR-XXXX-XXXX"},
	{regexp.MustCompile(`\b[cs]_[0-9a-zA-Z_-]{10,}`), "ENTRY"},
	{regexp.MustCompile(`ctl-[0-9a-f]{24}`), "KEY"},
	{regexp.MustCompile(`\bgs?_[0-9a-f]{8,}`), "GRANT"},
	{regexp.MustCompile(`\b(pi|re|evt|cs)_[0-9a-zA-Z_]+`), "STRIPE"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID" + strings.Repeat("·", 30)},
	{regexp.MustCompile(" +\n"), "\n"},
}

// write makes what is printed what is wanted.
var write = flag.Bool("write", false, "write what is printed to testdata")

// golden compares what was printed with what stands in testdata, but for what differs from run to run.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for _, c := range changing {
		got = c.is.ReplaceAllString(got, c.as)
	}
	file := filepath.Join("testdata", name+".txt")
	if *write {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

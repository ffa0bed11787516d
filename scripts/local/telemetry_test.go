package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// logged keeps what is written while it is read.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// startLogged runs a system whose every line is kept.
func startLogged(t *testing.T) (*client, *system, *logged) {
	t.Helper()
	lines := &logged{}
	s, err := start(t.Context(), options{
		addr: "127.0.0.1:0", stderr: lines, verbose: true, environ: func(string) (string, bool) { return "", false }, began: began,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &client{t: t, base: s.base}, s, lines
}

// raw gets a page as text.
func (c *client) raw(path string) string {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %d %s %v", path, res.StatusCode, data, err)
	}
	return string(data)
}

// TestOneTraceLeadsFromADebitToTheMailThatItCaused follows a kept trace over HTTP, the commit, Pub/Sub and another function.
func TestOneTraceLeadsFromADebitToTheMailThatItCaused(t *testing.T) {
	t.Parallel()
	c, s, lines := startLogged(t)
	admin := c.open("acme")
	c.buy("acme", admin, "credits-500", "first")
	c.eventually("credits", func() bool { return c.available("acme", admin) == 500 })
	c.debits("acme", "bulk-pricing", "before", 3)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	c.must("POST", "/debit", c.token(`{"role":"service"}`), `{"event_id":"job","org_id":"acme","feature":"bulk-pricing"}`, // down to the threshold
		"traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	var names []string
	c.eventually("the alert in the debit's trace", func() bool {
		names = nil
		items, _ := c.must("GET", "/_local/traces/"+trace, "", "")["items"].([]any)
		for _, i := range items {
			names = append(names, i.(map[string]any)["name"].(string))
		}
		return slices.Contains(names, "receive")
	})
	for _, want := range []string{"debit POST /{$}", "commit", "receive"} {
		if !slices.Contains(names, want) {
			t.Errorf("the trace holds %q, not %s", names, want)
		}
	}
	c.eventually("the alert's own request in the log", func() bool {
		for line := range strings.Lines(lines.String()) {
			if strings.Contains(line, `"function":"alerts"`) && strings.Contains(line, `"caused_by":"`+trace+`"`) {
				return true
			}
		}
		return false
	})
	if !strings.Contains(lines.String(), `"logging.googleapis.com/trace":"projects/local/traces/`+trace+`"`) {
		t.Error("no line names the trace as Cloud Logging reads it")
	}
	if err := s.settle(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheRunnerShowsTheFigures(t *testing.T) {
	t.Parallel()
	c, _ := startSystem(t)
	admin := c.open("acme")
	c.buy("acme", admin, "credits-100", "first")
	c.eventually("credits", func() bool { return c.available("acme", admin) == 100 })
	c.debits("acme", "market-trend-report", "report", 2)
	service := c.token(`{"role":"service"}`)
	if status, _ := c.call("POST", "/debit", service, `{"event_id":"beyond","org_id":"acme","feature":"market-trend-report"}`); status != http.StatusPaymentRequired {
		t.Errorf("answered %d", status)
	}
	c.must("POST", "/_local/publish/ai-usage", "", `{"event_id":"odd","org_id":"acme","feature":"no-such-feature"}`)
	for _, job := range []string{"outbox", "reconcile"} {
		c.must("POST", "/_local/jobs/"+job+"/run", "", "")
	}
	shown := c.raw("/_local/metrics")
	for _, want := range []string{
		`credits_entries_total{kind="debit"} 2`, `credits_entries_total{kind="grant"} 1`, `credits_refusals_total{code="insufficient_credits"} 1`,
		`credits_answers_seconds_count{code="insufficient_credits",function="debit"} 1`, `credits_commit_seconds_count{outcome="landed"}`,
		`credits_batch_commands_count `, "\ncredits_outbox_age_seconds 0\n", "\ncredits_uncredited_age_seconds 0\n",
		`credits_dead_letters_total{code="unknown_feature",topic="ai-usage"} 1`,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %s in\n%s", want, shown)
		}
	}
}

// TestTheLogsOfAllFunctionsNameNobody runs what has names, addresses and secrets in it through every function that meets them, and looks for
// them in every line that the system wrote, and in every figure.
func TestTheLogsOfAllFunctionsNameNobody(t *testing.T) {
	t.Parallel()
	c, s, lines := startLogged(t)
	const name, address = "Nomvula Khumalo", "nomvula.khumalo@private.example"
	platform := c.token(`{"role":"platform"}`)
	c.must("PUT", "/account/orgs/acme", platform, fmt.Sprintf(`{"name":%q,"country":"ZA","time_zone":"Africa/Johannesburg","owner_email":%q}`, name, address))
	admin := c.token(`{"role":"admin","org_id":"acme","user_id":"owner"}`)
	service, support := c.token(`{"role":"service"}`), c.token(`{"role":"support"}`)
	reference := c.buy("acme", admin, "credits-100", "key-of-"+address)
	c.eventually("credits", func() bool { return c.available("acme", admin) == 100 })

	note := fmt.Sprintf(`"metadata":{"for":%q,"mail":%q}`, name, address)
	c.must("POST", "/debit", service, `{"event_id":"one","org_id":"acme","feature":"market-trend-report",`+note+`}`)
	c.must("POST", "/debit/reverse", service, fmt.Sprintf(`{"event_id":"back","org_id":"acme","debit_event_id":"one","reason":"asked by %s, %s"}`, name, address))
	c.must("POST", "/account/orgs/acme/adjustments", support, fmt.Sprintf(`{"credits":5,"reason":"for %s, %s"}`, name, address), "Idempotency-Key", "a-1")
	c.must("POST", "/_local/publish/ai-usage", "", `{"event_id":"late","org_id":"acme","feature":"market-trend-report",`+note+`}`)
	c.must("POST", "/_local/publish/ai-usage", "", `{"event_id":"odd","org_id":"acme","feature":"no-such-feature",`+note+`}`)
	c.must("POST", "/_local/publish/ai-usage", "", fmt.Sprintf(`{"event_id":"worse of %s","org_id":%q}`, address, name))
	for _, refused := range []struct{ method, path, token, body string }{
		{"POST", "/debit", service, fmt.Sprintf(`{"event_id":%q,"org_id":"acme","feature":"bulk-pricing",%s}`, address, note)},
		{"POST", "/debit", service + "x", `{"event_id":"x","org_id":"acme","feature":"bulk-pricing"}`},
		{"POST", "/debit", service, fmt.Sprintf(`{"event_id":"x","org_id":%q,"feature":%q}`, name, address)},
		{"POST", "/purchasewebhook", "", fmt.Sprintf(`{"id":"evt_1","data":{"object":{"customer_email":%q,"name":%q}}}`, address, name)},
		{"GET", "/account/orgs/acme/entries?page_token=" + address, admin, ""},
		{"GET", "/account/orgs/acme/members/" + address, admin, ""},
	} {
		if status, out := c.call(refused.method, refused.path, refused.token, refused.body); status < 400 {
			t.Errorf("%s %s answered %d %v", refused.method, refused.path, status, out)
		}
	}
	c.must("GET", "/account/orgs/acme/purchases/"+reference, admin, "")
	c.must("POST", "/_local/clock", "", `{"advance":"48h"}`)
	if err := s.settle(t.Context()); err != nil {
		t.Error(err)
	}

	text := lines.String()
	if n := strings.Count(text, `"message":"request"`); n < 30 || !strings.Contains(text, `"function":"alerts"`) {
		t.Fatalf("%d requests are logged, of which none may be the alerts':\n%.2000s", n, text)
	}
	written := text + c.raw("/_local/metrics")
	for _, private := range []string{
		name, "Khumalo", address, "nomvula", service, admin, support, platform, strings.Split(service, ".")[2], s.dashboardKey, "whsec_local",
	} {
		if at := strings.Index(strings.ToLower(written), strings.ToLower(private)); at >= 0 {
			t.Errorf("%q is written:\n%s", private, written[max(0, at-600):min(len(written), at+200)])
		}
	}
}

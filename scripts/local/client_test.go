package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"
)

// childArgs, set in the environment, makes this test binary the local runner itself, so that it can be killed.
const childArgs = "LOCAL_RUNNER_ARGS"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(childArgs); ok {
		if err := run(context.Background(), strings.Fields(args), os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// client calls a running system as its people and services do.
type client struct {
	t    *testing.T
	base string
}

// began is when the systems of these tests begin.
var began = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// startSystem runs a system without the demonstration in this process.
func startSystem(t *testing.T) (*client, *system) {
	t.Helper()
	s, err := start(t.Context(), options{addr: "127.0.0.1:0", stderr: io.Discard, environ: func(string) (string, bool) { return "", false }, began: began})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &client{t: t, base: s.base}, s
}

// call sends a request and returns status and answer.
func (c *client) call(method, path, token, body string, headers ...string) (int, map[string]any) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		c.t.Fatalf("%s %s answered %d: %s", method, path, res.StatusCode, data)
	}
	return res.StatusCode, out
}

// must is call for what has to succeed.
func (c *client) must(method, path, token, body string, headers ...string) map[string]any {
	c.t.Helper()
	status, out := c.call(method, path, token, body, headers...)
	if status >= 300 {
		c.t.Fatalf("%s %s answered %d: %v", method, path, status, out)
	}
	return out
}

func (c *client) token(body string) string {
	c.t.Helper()
	return c.must("POST", "/_local/token", "", body)["token"].(string)
}

// open makes an organisation with an administrator and returns the administrator's token.
func (c *client) open(org string) string {
	c.t.Helper()
	c.must("PUT", "/account/orgs/"+org, c.token(`{"role":"platform"}`),
		`{"name":"Acme","country":"ZA","time_zone":"Africa/Johannesburg","owner_email":"owner@acme.example"}`)
	return c.token(fmt.Sprintf(`{"role":"admin","org_id":%q,"user_id":"owner"}`, org))
}

// buy buys a package and pays it.
func (c *client) buy(org, admin, pack, key string) string {
	c.t.Helper()
	started := c.must("POST", "/account/orgs/"+org+"/purchases", admin, fmt.Sprintf(`{"package":%q}`, pack), "Idempotency-Key", key)
	c.must("POST", "/_local/stripe/checkouts/"+path.Base(started["checkout_url"].(string))+"/pay", "", "{}")
	return started["reference"].(string)
}

func (c *client) available(org, token string) float64 {
	c.t.Helper()
	return c.must("GET", "/account/orgs/"+org+"/balance", token, "")["available"].(float64)
}

// eventually waits for what happens in the background.
func (c *client) eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not in time: %s", what)
		}
	}
}

func (c *client) emails() []any {
	c.t.Helper()
	items, _ := c.must("GET", "/_local/emails", "", "")["items"].([]any)
	return items
}

// debits charges a feature's fixed price n times under ids of its own.
func (c *client) debits(org, feature, prefix string, n int) {
	c.t.Helper()
	service := c.token(`{"role":"service"}`)
	for i := range n {
		c.must("POST", "/debit", service, fmt.Sprintf(`{"event_id":"%s-%d","org_id":%q,"feature":%q}`, prefix, i, org, feature))
	}
}

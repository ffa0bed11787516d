package serve_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// lines decodes a log of JSON objects.
func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

func TestRequestsAreLoggedAsCloudLoggingReadsThemWithoutSecrets(t *testing.T) {
	t.Parallel()
	h, logged, err := probe(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, h, "GET", "/probe/items/7?page_token=hush", "", "Authorization", "Bearer hush", "Cookie", "session=hush", "User-Agent", "curl/8",
		"X-Cloud-Trace-Context", "0af7651916cd43dd8448eb211c80319c/255;o=1")
	if strings.Contains(logged.String(), "hush") {
		t.Errorf("the log holds a secret: %s", logged)
	}
	all := lines(t, logged)
	if len(all) != 2 || all[0]["message"] != "looked up" || all[1]["message"] != "request" {
		t.Fatalf("logged %s, want the handler's line and the request's", logged)
	}
	for _, line := range all {
		for name, want := range map[string]any{
			"severity": "INFO", "request_id": "0af7651916cd43dd8448eb211c80319c", "logging.googleapis.com/spanId": "00000000000000ff",
			"logging.googleapis.com/trace":         "projects/project-1/traces/0af7651916cd43dd8448eb211c80319c",
			"logging.googleapis.com/trace_sampled": true,
		} {
			if line[name] != want {
				t.Errorf("%s: %s = %v, want %v", line["message"], name, line[name], want)
			}
		}
	}
	served, _ := all[1]["httpRequest"].(map[string]any)
	if served["requestMethod"] != "GET" || served["requestUrl"] != "/items/7" || served["status"] != 200.0 || served["userAgent"] != "curl/8" ||
		!strings.HasSuffix(fmt.Sprint(served["latency"]), "s") || served["responseSize"].(float64) < 10 {
		t.Errorf("httpRequest %v", served)
	}
	if all[1]["function"] != "probe" || all[1]["route"] != "GET /items/{id}" || all[1]["code"] != "" {
		t.Errorf("function %v, route %v, code %v", all[1]["function"], all[1]["route"], all[1]["code"])
	}
}

// TestARefusalsLineBearsItsCode is what refusals are counted by.
func TestARefusalsLineBearsItsCode(t *testing.T) {
	t.Parallel()
	h, logged, err := probe(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, h, "DELETE", "/probe/items/7", "")
	all := lines(t, logged)
	if len(all) != 1 || all[0]["message"] != "request" || all[0]["code"] != "forbidden" || all[0]["severity"] != "INFO" {
		t.Errorf("logged %s", logged)
	}
}

func TestAPanicLeavesItsStackInTheLog(t *testing.T) {
	t.Parallel()
	h, logged, err := probe(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, h, "GET", "/probe/panic", "")
	var stack string
	for _, line := range lines(t, logged) {
		if line["message"] == "a handler panicked" && line["severity"] == "ERROR" {
			stack = fmt.Sprint(line["stack_trace"])
		}
	}
	if !strings.Contains(stack, "the sky fell") || !strings.Contains(stack, "buildProbe") {
		t.Errorf("stack %q, want the panic and where it came from", stack)
	}
}

package debit

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/serve"
)

// lines are the lines of a log that is still written to.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// requests waits for the lines of n requests: each is written once its answer is on its way.
func (l *lines) requests(t *testing.T, n int) []map[string]any {
	t.Helper()
	for range 1000 {
		var out []map[string]any
		for line := range strings.Lines(l.String()) {
			var one map[string]any
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if one["message"] == "request" {
				out = append(out, one)
			}
		}
		if len(out) == n {
			return out
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("there are not %d requests in\n%s", n, l)
	return nil
}

// TestTheLogNamesTheEventAndNobody is what whoever is on call finds a debit by, and what nobody finds there.
func TestTheLogNamesTheEventAndNobody(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	c.Catalogue(t)
	c.Fund(t, c.Ledger(t, nil), "acme", 100)
	var logged lines
	c.Log = slog.New(serve.NewLogHandler(&logged, "project-1", slog.LevelInfo))
	c.Start(t, "debit", map[string]string{"CALLERS": `{"callers":[{"email":"` + spender + `","roles":["spend"]}]}`})
	token := c.Token(t, spender, c.Audience("debit"))
	for _, r := range []struct {
		token, event string
		credits      int
		status       int
	}{
		{token, "report-1", 40, http.StatusOK},
		{token, "for thandi@people.example", 40, http.StatusOK},
		{token, "report-3", 40, http.StatusPaymentRequired},
		{"hush" + token, "report-4", 40, http.StatusUnauthorized},
	} {
		body, err := json.Marshal(map[string]any{
			"event_id": r.event, "org_id": "acme", "user_id": "user-7", "feature": "custom-query", "credits": r.credits,
			"metadata": map[string]string{"note": "for Thandi of Kalahari Crafts"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := c.Post(t, "debit", "", r.token, bytes.NewReader(body)); status != r.status {
			t.Fatalf("%s: %d %v", r.event, status, answer)
		}
	}
	all := logged.requests(t, 4)
	for i, want := range []struct{ event, org, code any }{
		{"report-1", "acme", ""}, {"for [redacted]", "acme", ""}, {"report-3", "acme", "insufficient_credits"}, {nil, nil, "unauthenticated"},
	} {
		if got := all[i]; got["event_id"] != want.event || got["org"] != want.org || got["code"] != want.code || got["request_id"] == nil {
			t.Errorf("line %d is %v, want %v", i, got, want)
		}
	}
	for _, never := range []string{token, "people.example", "Thandi", "Kalahari"} {
		if strings.Contains(logged.String(), never) {
			t.Errorf("the log holds %q:\n%s", never, logged.String())
		}
	}
}

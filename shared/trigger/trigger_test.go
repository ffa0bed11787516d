package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/trigger"
)

const (
	audience  = "https://europe-west4-test.cloudfunctions.net/usage"
	pusher    = "push@test.iam.gserviceaccount.com"
	scheduler = "scheduler@test.iam.gserviceaccount.com"
	push      = `{"message":{"data":"aGVsbG8=","messageId":"7","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s","deliveryAttempt":3}`
)

// post sends a body with a token to a handler on a server, and returns status and body.
func post(t *testing.T, h http.Handler, token, body string) (int, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(got)
}

func account(t *testing.T, load func(trigger.Config, serve.Env) (*identity.Account, error)) (*identity.Account, *identitytest.Issuer) {
	t.Helper()
	issuer := identitytest.New(t)
	a, err := load(trigger.Config{Issuer: issuer.URL(), Audience: audience, Pusher: pusher, Scheduler: scheduler}, serve.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return a, issuer
}

func TestAPushIsAcknowledgedWhenItsReceiverIsDone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
	}{
		{"done", nil, 204},
		{"a passing fault", fmt.Errorf("write: %w", status.Error(codes.Unavailable, "down")), 503},
		{"no time left", context.DeadlineExceeded, 503},
		{"a fault of our own", errors.New("bug"), 500},
		{"a refusal that the receiver did not put aside", problem.New(problem.UnknownOrg, "none", nil), 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sender, issuer := account(t, trigger.Config.Pushes)
			var got events.Push
			h := trigger.Push(sender, func(_ context.Context, p events.Push) error {
				got = p
				return tt.err
			})
			status, body := post(t, h, issuer.Service(t, pusher, audience), push)
			if status != tt.status || (status == 204 && body != "") {
				t.Errorf("%d %s, want %d", status, body, tt.status)
			}
			if string(got.Data) != "hello" || got.MessageID != "7" || got.DeliveryAttempt != 3 {
				t.Errorf("received %+v", got)
			}
		})
	}
}

func TestWhatIsNoPushOfOursIsNotHandled(t *testing.T) {
	t.Parallel()
	sender, issuer := account(t, trigger.Config.Pushes)
	good := issuer.Service(t, pusher, audience)
	tests := []struct {
		name, token, body string
		status            int
	}{
		{"no token", "", push, 401},
		{"the scheduler's token", issuer.Service(t, scheduler, audience), push, 403},
		{"a token for another function", issuer.Service(t, pusher, audience+"x"), push, 401},
		{"no push", good, `{"event_id":"1"}`, 400},
		{"more than Pub/Sub sends", good, strings.Repeat(" ", events.MaxPushBytes+1), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := trigger.Push(sender, func(context.Context, events.Push) error {
				t.Error("handled")
				return nil
			})
			if status, body := post(t, h, tt.token, tt.body); status != tt.status {
				t.Errorf("%d %s, want %d", status, body, tt.status)
			}
		})
	}
}

func TestAJobTellsWhatItDid(t *testing.T) {
	t.Parallel()
	sender, issuer := account(t, trigger.Config.Jobs)
	runs := 0
	h := trigger.Job(sender, func(context.Context) (map[string]int, error) {
		runs++
		if runs == 2 {
			return nil, context.DeadlineExceeded
		}
		return map[string]int{"sent": 3}, nil
	})
	token := issuer.Service(t, scheduler, audience)
	if status, body := post(t, h, token, ""); status != 200 || body != "{\"sent\":3}\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post(t, h, token, ""); status != 503 {
		t.Errorf("a run that failed: %d %s", status, body)
	}
	if status, _ := post(t, h, issuer.Service(t, pusher, audience), ""); status != 403 || runs != 2 {
		t.Errorf("another account: %d, %d runs", status, runs)
	}
}

func TestAFunctionIsNotBuiltWithoutItsSender(t *testing.T) {
	t.Parallel()
	c := trigger.Config{Issuer: "https://accounts.google.com", Audience: audience}
	if _, err := c.Pushes(serve.Env{}); err == nil || !strings.Contains(err.Error(), "PUSH_ACCOUNT") {
		t.Errorf("pushes: %v", err)
	}
	if _, err := c.Jobs(serve.Env{}); err == nil || !strings.Contains(err.Error(), "SCHEDULER_ACCOUNT") {
		t.Errorf("jobs: %v", err)
	}
	c.Pusher = pusher
	if _, _, err := c.Senders(serve.Env{}); err == nil || !strings.Contains(err.Error(), "SCHEDULER_ACCOUNT") {
		t.Errorf("both, without a scheduler: %v", err)
	}
	c.Pusher, c.Scheduler = "", scheduler
	if _, _, err := c.Senders(serve.Env{}); err == nil || !strings.Contains(err.Error(), "PUSH_ACCOUNT") {
		t.Errorf("both, without a pusher: %v", err)
	}
}

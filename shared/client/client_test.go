package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/client"
)

// server answers as a test wants, and notes what it was asked and how long the client waited between.
type server struct {
	url    string
	mu     sync.Mutex
	asked  []string
	bodies []string
	slept  []time.Duration
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{answer: answer}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		n := len(s.asked)
		s.asked = append(s.asked, r.Method+" "+r.URL.EscapedPath())
		s.bodies = append(s.bodies, string(body))
		s.mu.Unlock()
		if got := r.Header.Get("Authorization"); got != "Bearer good" {
			t.Errorf("authorization %q", got)
		}
		s.answer(n, w, r)
	}))
	t.Cleanup(listening.Close)
	s.url = listening.URL + "/debit"
	return s
}

// client never waits, unless sleep says so.
func (s *server) client(t *testing.T, sleep func(ctx context.Context, d time.Duration) error) *client.Client {
	t.Helper()
	if sleep == nil {
		sleep = func(ctx context.Context, d time.Duration) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.slept = append(s.slept, d)
			return ctx.Err()
		}
	}
	c, err := client.New(client.Options{
		URL: s.url, Tokens: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "good"}), Attempts: 4, Sleep: sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"about:blank","status":%d,"code":%q,"detail":"Said so.","scope":"team","subject":"t1","limit":5,"used":4,"resets_at":"2026-12-01T00:00:00Z"}`, status, code)
}

var report = client.Debit{EventID: "job-1", Work: client.Work{OrgID: "acme", Feature: "market-trend-report"}}

func TestARequestIsRepeatedUnderItsIDUntilTheAnswerIsDefinite(t *testing.T) {
	t.Parallel()
	s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 0:
			w.Header().Set("Retry-After", "7")
			problem(w, 503, "unavailable")
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			http.Error(w, "upstream connect error", http.StatusBadGateway)
		default:
			fmt.Fprint(w, `{"event_id":"job-1","credits":50,"replayed":true,"balance":{"available":3},"a_later_member":1}`)
		}
	})
	got, err := s.client(t, nil).Debit(t.Context(), report)
	if err != nil || got.Credits != 50 || !got.Replayed || got.Balance.Available != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if len(s.bodies) != 4 || slices.ContainsFunc(s.bodies, func(b string) bool { return b != s.bodies[0] }) {
		t.Errorf("sent %q", s.bodies)
	}
	if s.slept[0] < 7*time.Second || s.slept[1] > time.Second {
		t.Errorf("waited %v", s.slept)
	}
}

func TestADefiniteNoIsNotRepeated(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{
		client.InsufficientCredits: 402, client.LimitExceeded: 403, client.UnknownOrg: 404, client.IdempotencyConflict: 409, client.FeatureUnavailable: 503,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { problem(w, status, code) })
			_, err := s.client(t, nil).Debit(t.Context(), report)
			no, ok := errors.AsType[*client.Error](err)
			if !ok || no.Code != code || no.Status != status || no.Limit != 5 || no.ResetsAt.IsZero() || client.CodeOf(err) != code {
				t.Errorf("%v", err)
			}
			if errors.Is(err, client.ErrUnknown) || len(s.asked) != 1 {
				t.Errorf("%v after %v", err, s.asked)
			}
		})
	}
}

func TestAttemptsAndWaitsAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after    string
		attempts int
	}{"attempts": {"1", 4}, "a wait beyond reason": {"3600", 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.after)
				problem(w, 503, "unavailable")
			})
			_, err := s.client(t, nil).Debit(t.Context(), report)
			if !errors.Is(err, client.ErrUnknown) || client.CodeOf(err) != "unavailable" || len(s.asked) != c.attempts {
				t.Errorf("%v after %d attempts", err, len(s.asked))
			}
		})
	}
	s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { problem(w, 503, "unavailable") })
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.client(t, func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }).Debit(ctx, report)
	if !errors.Is(err, client.ErrUnknown) || !errors.Is(err, context.Canceled) || len(s.asked) != 1 {
		t.Errorf("%v after %v", err, s.asked)
	}
}

// holding answers as debit does about one hold; what was there before is found.
func holding(t *testing.T, found string, extend func(w http.ResponseWriter)) *server {
	t.Helper()
	return serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /debit/holds":
			fmt.Fprintf(w, `{"hold_id":"acme.1","credits":50,"replayed":%t}`, found != "")
		case "GET /debit/holds/acme.1":
			fmt.Fprint(w, found)
		case "POST /debit/holds/acme.1/extend":
			extend(w)
		case "POST /debit/holds/acme.1/capture":
			fmt.Fprint(w, `{"hold_id":"acme.1","credits":30}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	})
}

func TestAHoldIsCapturedOrReleasedOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("the model failed")
	const open = `{"hold_id":"acme.1","state":"open"}`
	for name, c := range map[string]struct {
		found string
		work  func(context.Context) (int64, error)
		err   error
		code  string
		asked []string
	}{
		"work done":                {"", func(context.Context) (int64, error) { return 30, nil }, nil, "", []string{"POST /debit/holds", "POST /debit/holds/acme.1/capture"}},
		"work failed":              {"", func(context.Context) (int64, error) { return 30, broken }, broken, "", []string{"POST /debit/holds", "POST /debit/holds/acme.1/release"}},
		"after a restart":          {open, func(context.Context) (int64, error) { return 30, nil }, nil, "", []string{"POST /debit/holds", "GET /debit/holds/acme.1", "POST /debit/holds/acme.1/extend", "POST /debit/holds/acme.1/capture"}},
		"done before":              {`{"state":"captured","captured_credits":30}`, nil, client.ErrDone, "", []string{"POST /debit/holds", "GET /debit/holds/acme.1"}},
		"done after its time":      {`{"state":"timed_out","captured_credits":30}`, nil, client.ErrDone, "", []string{"POST /debit/holds", "GET /debit/holds/acme.1"}},
		"released before":          {`{"state":"released"}`, nil, nil, client.HoldSettled, []string{"POST /debit/holds", "GET /debit/holds/acme.1"}},
		"timed out before it went": {`{"state":"timed_out"}`, nil, nil, client.HoldSettled, []string{"POST /debit/holds", "GET /debit/holds/acme.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := holding(t, c.found, func(w http.ResponseWriter) { fmt.Fprint(w, `{}`) })
			waiting := func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
			got, err := s.client(t, waiting).WithHold(t.Context(), client.HoldRequest{Debit: report}, c.work)
			good := c.err == nil && c.code == ""
			if (err == nil) != good || c.err != nil && !errors.Is(err, c.err) || client.CodeOf(err) != c.code || good && got.Credits != 30 || got.HoldID != "acme.1" {
				t.Errorf("%+v, %v", got, err)
			}
			if !slices.Equal(s.asked, c.asked) {
				t.Errorf("asked %v, want %v", s.asked, c.asked)
			}
		})
	}
}

func TestWorkThatPanicsOrOutlivesItsContextSettlesItsHold(t *testing.T) {
	t.Parallel()
	s := holding(t, "", nil)
	waiting := func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic is swallowed")
			}
		}()
		_, _ = s.client(t, waiting).WithHold(t.Context(), client.HoldRequest{Debit: report}, func(context.Context) (int64, error) { panic("boom") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.client(t, waiting).WithHold(ctx, client.HoldRequest{Debit: report}, func(context.Context) (int64, error) { cancel(); return 30, nil }); err != nil {
		t.Error(err)
	}
	want := []string{"POST /debit/holds", "POST /debit/holds/acme.1/release", "POST /debit/holds", "POST /debit/holds/acme.1/capture"}
	if !slices.Equal(s.asked, want) {
		t.Errorf("asked %v, want %v", s.asked, want)
	}
}

func TestAHoldIsExtendedWhileWorkGoesOnAndWorkEndsWithIt(t *testing.T) {
	t.Parallel()
	extended := 0
	s := holding(t, "", func(w http.ResponseWriter) {
		if extended++; extended < 3 {
			fmt.Fprint(w, `{}`)
			return
		}
		problem(w, 409, client.HoldSettled)
	})
	var waited []time.Duration
	sleep := func(ctx context.Context, d time.Duration) error { waited = append(waited, d); return ctx.Err() }
	_, err := s.client(t, sleep).WithHold(t.Context(), client.HoldRequest{Debit: report, TTLSeconds: 60}, func(ctx context.Context) (int64, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	if client.CodeOf(err) != client.HoldSettled || extended != 3 || !slices.Equal(waited, []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}) {
		t.Errorf("%v after %d extensions, waits %v", err, extended, waited)
	}
	var sent map[string]int64
	if json.Unmarshal([]byte(s.bodies[1]), &sent) != nil || sent["ttl_seconds"] != 60 {
		t.Errorf("extended by %s", s.bodies[1])
	}
}

func TestAClientNeedsToKnowWhereAndAsWhom(t *testing.T) {
	t.Parallel()
	tokens := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "good"})
	for name, o := range map[string]client.Options{"no URL": {Tokens: tokens}, "no host": {URL: "/debit", Tokens: tokens}, "no tokens": {URL: "https://x.example/debit"}} {
		if _, err := client.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

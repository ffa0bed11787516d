package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
)

// write answers with err inside a request whose id is "r-1" and returns the answer and what was logged.
func write(t *testing.T, err error) (*http.Response, map[string]any, string) {
	t.Helper()
	var logged bytes.Buffer
	ctx := request.NewContext(t.Context(), request.Scope{ID: "r-1", Log: slog.New(slog.NewTextHandler(&logged, nil))})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	w := httptest.NewRecorder()
	problem.Write(w, r, err)
	answer := w.Result()
	var members map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&members); err != nil {
		t.Fatalf("the body is no JSON object: %v", err)
	}
	return answer, members, logged.String()
}

// TestEachCodeHasTheStatusOfTheContract repeats the table of the HTTP contract.
func TestEachCodeHasTheStatusOfTheContract(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"insufficient_credits": 402, "in_debt": 402, "limit_exceeded": 403, "wallet_frozen": 403, "unknown_org": 404,
		"not_found": 404, "unknown_feature": 422, "credits_out_of_range": 422, "data_required": 422,
		"idempotency_conflict": 409, "hold_settled": 409, "not_refundable": 422, "feature_unavailable": 503, "unavailable": 503,
		"invalid_request": 400, "too_large": 413, "unauthenticated": 401, "forbidden": 403, "method_not_allowed": 405,
		"rate_limited": 429, "internal": 500, "promotion_used": 409, "referral_refused": 409,
	}
	for code, httpStatus := range want {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			got, known := problem.Status(code)
			if got != httpStatus || !known {
				t.Errorf("Status(%q) = %d, %v, want %d, true", code, got, known, httpStatus)
			}
			answer, members, logged := write(t, fmt.Errorf("debit: %w", problem.New(code, "Said so.", nil)))
			if ours := code == problem.Internal || code == problem.Unavailable; ours != (logged != "") {
				t.Errorf("logged %q, want a line for failings of our own only", logged)
			}
			if answer.StatusCode != httpStatus {
				t.Errorf("status %d, want %d", answer.StatusCode, httpStatus)
			}
			for name, wanted := range map[string]any{
				"type": "about:blank", "title": http.StatusText(httpStatus), "status": float64(httpStatus),
				"code": code, "detail": "Said so.", "request_id": "r-1",
			} {
				if members[name] != wanted {
					t.Errorf("%s = %v, want %v", name, members[name], wanted)
				}
			}
			if got := answer.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
}

func TestDetailsAreMembersAndNeverReplaceTheContracts(t *testing.T) {
	t.Parallel()
	_, members, _ := write(t, problem.New(problem.LimitExceeded, "The team has used its limit.", map[string]any{
		"scope": "team", "subject": "ops", "limit": int64(500), "used": int64(480), "resets_at": "2026-12-01T00:00:00Z",
		"code": "forged", "status": 200, "request_id": "forged", "detail": "forged", "type": "forged", "title": "forged",
	}))
	for name, want := range map[string]any{
		"scope": "team", "subject": "ops", "limit": 500.0, "used": 480.0, "resets_at": "2026-12-01T00:00:00Z",
		"code": "limit_exceeded", "status": 403.0, "request_id": "r-1", "detail": "The team has used its limit.",
		"type": "about:blank", "title": "Forbidden",
	} {
		if members[name] != want {
			t.Errorf("%s = %v, want %v", name, members[name], want)
		}
	}
}

func TestUnknownErrorLeaksNothingAndIsLogged(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"plain":          errors.New("dial tcp 10.0.0.7: secret-host"),
		"permanent gRPC": status.Error(codes.PermissionDenied, "secret-host denies"),
		"unknown code":   problem.New("secret-host", "secret-host", map[string]any{"host": "secret-host"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, members, logged := write(t, err)
			if answer.StatusCode != http.StatusInternalServerError || members["code"] != "internal" {
				t.Errorf("status %d, code %v, want 500 and internal", answer.StatusCode, members["code"])
			}
			if s := fmt.Sprint(members); strings.Contains(s, "secret-host") {
				t.Errorf("the answer leaks the error: %s", s)
			}
			if !strings.Contains(logged, "secret-host") || !strings.Contains(logged, "level=ERROR") {
				t.Errorf("logged %q, want the error at level ERROR", logged)
			}
		})
	}
}

func TestOutagesAskToTryAgain(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"deadline":       fmt.Errorf("load wallet: %w", context.DeadlineExceeded),
		"canceled":       context.Canceled,
		"gRPC outage":    fmt.Errorf("commit: %w", status.Error(codes.Unavailable, "connection reset")),
		"gRPC deadline":  status.Error(codes.DeadlineExceeded, "too late"),
		"gRPC contended": status.Error(codes.Aborted, "too much contention"),
		"gRPC quota":     status.Error(codes.ResourceExhausted, "quota"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, members, logged := write(t, err)
			if answer.StatusCode != http.StatusServiceUnavailable || members["code"] != "unavailable" {
				t.Errorf("status %d, code %v, want 503 and unavailable", answer.StatusCode, members["code"])
			}
			if got := answer.Header.Get("Retry-After"); got != "2" {
				t.Errorf("Retry-After %q, want 2", got)
			}
			if !strings.Contains(logged, "level=WARN") {
				t.Errorf("logged %q, want a warning", logged)
			}
		})
	}
}

// retryError is a Coded and Retryable error.
type retryError struct {
	problem.Coded
	wait time.Duration
}

func (e retryError) RetryAfter() time.Duration { return e.wait }

func TestRetryAfterComesFromTheErrorInWholeSecondsUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code string
		wait time.Duration
		want string
	}{
		{problem.Unavailable, 0, "2"},
		{problem.Unavailable, time.Millisecond, "1"},
		{problem.RateLimited, 1500 * time.Millisecond, "2"},
		{problem.RateLimited, -time.Second, "2"},
		{problem.FeatureUnavailable, time.Minute, "60"},
		{problem.FeatureUnavailable, 0, ""},
		{problem.Forbidden, time.Minute, ""},
	} {
		t.Run(fmt.Sprint(c.code, c.wait), func(t *testing.T) {
			t.Parallel()
			answer, _, _ := write(t, fmt.Errorf("spend: %w", retryError{problem.New(c.code, "Later.", nil), c.wait}))
			if got := answer.Header.Get("Retry-After"); got != c.want {
				t.Errorf("Retry-After %q, want %q", got, c.want)
			}
		})
	}
}

func TestBodyOverTheLimitIsTooLargeEvenInsideAnotherError(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	_, readErr := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(strings.NewReader("12345")), 4))
	wrapped := errors.Join(problem.New(problem.InvalidRequest, "The body cannot be read.", nil), readErr)
	answer, members, _ := write(t, wrapped)
	if answer.StatusCode != http.StatusRequestEntityTooLarge || members["code"] != "too_large" || members["limit_bytes"] != 4.0 {
		t.Errorf("status %d, members %v, want 413, too_large and limit_bytes 4", answer.StatusCode, members)
	}
}

func TestDetailsThatCannotBeEncodedAreLeftOut(t *testing.T) {
	t.Parallel()
	answer, members, logged := write(t, problem.New(problem.NotFound, "No such hold.", map[string]any{"bad": make(chan int)}))
	if answer.StatusCode != http.StatusNotFound || members["code"] != "not_found" || members["detail"] != "No such hold." {
		t.Errorf("status %d, members %v, want the problem without its details", answer.StatusCode, members)
	}
	if !strings.Contains(logged, "chan int") {
		t.Errorf("logged %q, want why the details are missing", logged)
	}
}

func TestUnauthenticatedNamesTheScheme(t *testing.T) {
	t.Parallel()
	answer, _, _ := write(t, problem.New(problem.Unauthenticated, "Send a token.", nil))
	if got := answer.Header.Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate %q, want Bearer", got)
	}
}

func TestRequestWithoutScopeHasNoRequestID(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), problem.New(problem.NotFound, "Gone.", nil))
	if strings.Contains(w.Body.String(), "request_id") {
		t.Errorf("body %s, want no request_id", w.Body)
	}
}

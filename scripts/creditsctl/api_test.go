package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// scripted answers as a test wants, and notes what it was asked.
type scripted struct {
	mu     sync.Mutex
	asked  []string
	answer func(w http.ResponseWriter, r *http.Request, n int)
}

// ServeHTTP implements http.Handler. Tokens are given, and not counted.
func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_local/token" {
		fmt.Fprint(w, `{"token":"t"}`)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), "/account"))
	n := len(s.asked)
	s.mu.Unlock()
	s.answer(w, r, n)
}

// operatorAt is an operator of a system that answers as it is told.
func operatorAt(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) (*operator, *scripted) {
	t.Helper()
	s := &scripted{answer: answer}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return operatorOf(t, server.URL), s
}

func TestAnErasureGoesOnPageByPageAndFromWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	broken := true
	o, s := operatorAt(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		switch token := r.URL.Query().Get("page_token"); {
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/members/pieter"):
			fmt.Fprint(w, `{"user_id":"pieter","role":"member","name":"Pieter","email":"p@x.example"}`)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `{"org_id":"acme","name":"Acme","time_zone":"Africa/Johannesburg"}`)
		case token == "":
			fmt.Fprint(w, `{"user_id":"pieter","entries":400,"limit_requests":1,"removed":true,"next_page_token":"second"}`)
		case token == "second" && broken:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"code":"unavailable","detail":"Repeat.","request_id":"R1"}`)
		case token == "second":
			fmt.Fprint(w, `{"user_id":"pieter","entries":1200,"limit_requests":0,"removed":false,"next_page_token":"third"}`)
		default:
			fmt.Fprint(w, `{"user_id":"pieter","entries":3,"limit_requests":0,"removed":false,"next_page_token":""}`)
		}
	})
	if code := o.run("acme", "erase", "acme", "pieter"); code != exitFailed || !strings.Contains(o.err.String(), "run the same again with -from second") ||
		!strings.Contains(o.err.String(), "unavailable (503): Repeat. [request R1]") || !strings.Contains(o.err.String(), "page 1: 400 entries") {
		t.Fatalf("%d %s", code, &o.err)
	}
	broken = false
	s.asked = nil
	if code := o.run("acme", "erase", "acme", "pieter", "-from", "second"); code != exitDone || !strings.Contains(o.out.String(), "entries cleared         1\u00a0203") {
		t.Fatalf("%d %s%s", code, &o.out, &o.err)
	}
	want := "GET /orgs/acme, GET /orgs/acme/members/pieter, POST /orgs/acme/members/pieter/erasure?page_token=second, POST /orgs/acme/members/pieter/erasure?page_token=third"
	if got := strings.Join(s.asked, ", "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestHowOftenItAsksDependsOnTheAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want string
		status     int
		header     string
		body       string
		asked      int
	}{
		{"passes by itself", "the outcome is not known: unavailable (503): Later.", http.StatusServiceUnavailable, "1", `{"code":"unavailable","detail":"Later."}`, attemptsMax},
		{"too often, for long", "the outcome is not known: rate_limited (429): Slow.", http.StatusTooManyRequests, "3600", `{"code":"rate_limited","detail":"Slow."}`, 1},
		{"too often, for a moment", "rate_limited (429)", http.StatusTooManyRequests, "2", `{"code":"rate_limited","detail":"Slow."}`, attemptsMax},
		{"from something before the function", "no problem of the API's (502): <html>·", http.StatusBadGateway, "", "<html>\x07", attemptsMax},
		{"a definite refusal", "unknown_org (404)", http.StatusNotFound, "", `{"code":"unknown_org","detail":"None."}`, 1},
		{"a redirect to nowhere", "no problem of the API's (304)", http.StatusNotModified, "", "", 1},
		{"nonsense", "the answer of /orgs/acme/balance", http.StatusOK, "", "nonsense", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, s := operatorAt(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			if code := o.run("", "balance", "acme"); code != exitFailed || !strings.Contains(o.err.String(), tt.want) || len(s.asked) != tt.asked {
				t.Errorf("ended with %d after %q: %s", code, s.asked, &o.err)
			}
		})
	}
}

func TestAListIsReadPageByPageAndEnds(t *testing.T) {
	t.Parallel()
	o, s := operatorAt(t, func(w http.ResponseWriter, r *http.Request, n int) {
		items := make([]string, 0, pageSize)
		for range pageSize {
			items = append(items, fmt.Sprintf(`{"id":"%032d","code":"c"}`, n))
		}
		fmt.Fprintf(w, `{"items":[%s],"next_page_token":"after-%d"}`, strings.Join(items, ","), n)
	})
	if got := o.lines("dead-letters", "list", "-json", "-limit", "1000"); len(got) != 1000 || len(s.asked) != 5 || !strings.Contains(o.err.String(), "1000 so far") {
		t.Errorf("%d after %q: %s", len(got), s.asked, &o.err)
	}
	empty, s := operatorAt(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		fmt.Fprint(w, `{"items":[],"next_page_token":"again"}`)
	})
	if code := empty.run("", "dead-letters", "list"); code != exitFailed || len(s.asked) != 1 || !strings.Contains(empty.err.String(), "without items that is not the last") {
		t.Errorf("%d after %q: %s", code, s.asked, &empty.err)
	}
}

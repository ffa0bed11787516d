package debit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/client"
)

// unreliable is a function behind a network that loses requests and answers, and that is restarted now and then.
type unreliable struct {
	mu     sync.Mutex
	rand   *rand.Rand
	next   []http.Handler // instances that are yet to begin, after the first, which serves
	passed int            // requests so far
	faults map[string]int
}

func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	fate := u.rand.IntN(10)
	if u.passed++; u.passed%40 == 0 && len(u.next) > 1 { // another instance takes over, which remembers nothing; the old one ends what it has
		u.next = u.next[1:]
		u.faults["restarted"]++
	}
	h := u.next[0]
	name := map[int]string{0: "request lost", 1: "answer lost", 2: "answer cut", 3: "no room", 4: "broken gateway"}[fate]
	u.faults[name]++
	u.mu.Unlock()
	rec := httptest.NewRecorder()
	switch fate {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		h.ServeHTTP(rec, r)
		panic(http.ErrAbortHandler)
	case 2:
		h.ServeHTTP(rec, r)
		w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		panic(http.ErrAbortHandler)
	case 3:
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"type":"about:blank","status":503,"code":"unavailable","detail":""}`)
	case 4:
		http.Error(w, "bad gateway", http.StatusBadGateway)
	default:
		h.ServeHTTP(w, r)
	}
}

// TestAServiceThatUsesTheClientOnlyChargesOnceWhateverIsLost runs a service's jobs, some with a debit and some under a hold, whose process
// may end at any moment and begin the job again under the id that it kept.
func TestAServiceThatUsesTheClientOnlyChargesOnceWhateverIsLost(t *testing.T) {
	t.Parallel()
	const jobs, workers, funds = 60, 6, 100_000
	s := start(t)
	s.fund(t, "acme", funds)
	u := &unreliable{rand: rand.New(rand.NewPCG(9, 4)), faults: map[string]int{}}
	for range 5 {
		u.next = append(u.next, documented.Handler(t, function(t, s.env)))
	}
	network := httptest.NewServer(http.StripPrefix("/debit", u))
	t.Cleanup(network.Close)
	c, err := client.New(client.Options{
		URL: network.URL + "/debit", Tokens: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: s.token}), HTTP: network.Client(), Attempts: 3,
		Sleep: func(ctx context.Context, d time.Duration) error {
			if d < time.Minute { // a wait before another attempt
				return ctx.Err()
			}
			<-ctx.Done() // a hold's extension, which no job here lives to see
			return ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var cost, unknown atomic.Int64
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for job := w; job < jobs; job += workers {
				charged, repeats := carryThrough(t, c, job)
				cost.Add(charged)
				unknown.Add(repeats)
			}
		})
	}
	wait.Wait()
	if got := s.available(t, "acme"); got != funds-cost.Load() {
		t.Errorf("%d are left, want %d less %d", got, funds, cost.Load())
	}
	v, err := s.ledger.View(t.Context(), "acme")
	if err != nil || v.Held != 0 || v.Debt != 0 {
		t.Errorf("held %d, debt %d, %v", v.Held, v.Debt, err)
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"request lost", "answer lost", "answer cut", "no room", "broken gateway", "restarted"} {
		if u.faults[name] == 0 {
			t.Errorf("%s: never happened", name)
		}
	}
	if unknown.Load() == 0 {
		t.Error("no call ran out of attempts: the jobs did not have to repeat any")
	}
}

// carryThrough does one job until it is known to be charged for, and returns what it cost and how often the outcome was not known. Of every
// three jobs one has its process end once the credits are set aside or charged for but nobody was told, and one once all is done.
func carryThrough(t *testing.T, c *client.Client, job int) (cost, unknown int64) {
	t.Helper()
	credits := int64(10 + job%41)
	d := client.Debit{EventID: fmt.Sprintf("job-%d", job), Work: client.Work{OrgID: "acme", Feature: "custom-query", Credits: &credits}}
	once := func() error {
		_, err := c.Debit(t.Context(), d)
		return err
	}
	cost = credits
	if job%2 == 1 {
		cost = credits - 3 // the work turns out to be cheaper
		once = func() error {
			_, err := c.WithHold(t.Context(), client.HoldRequest{Debit: d}, func(context.Context) (int64, error) { return cost, nil })
			return err
		}
		if job%3 == 1 {
			_, _ = c.Hold(t.Context(), client.HoldRequest{Debit: d}) // whatever came of it, the process is gone
		}
	} else if job%3 == 1 {
		_, _ = c.Debit(t.Context(), d)
	}
	for left := 1 + map[bool]int{true: 1}[job%3 == 2]; left > 0; {
		switch err := once(); {
		case err == nil || errors.Is(err, client.ErrDone):
			left--
		case !errors.Is(err, client.ErrUnknown) || unknown == 100:
			t.Errorf("job %d, its outcome unknown %d times: %v", job, unknown, err)
			return 0, unknown
		default:
			unknown++
		}
	}
	return cost, unknown
}

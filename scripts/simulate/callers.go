package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/issuer"
)

const (
	// maxAttempts is how often a caller repeats a request before it gives up not knowing.
	maxAttempts = 6
	// patience is how long a caller waits for one answer.
	patience       = 25 * time.Second
	maxAnswerBytes = 4 << 20
)

// caller is somebody who uses the system: one goroutine, with choices of its own.
type caller struct {
	ctx     context.Context //nolint:containedctx // of its life; each request has a deadline of its own
	w       *world
	rand    *rand.Rand
	history *history
	round   int
	name    string
	org     string // the organisation that it is of, if of one
	n       int
	// What it knows of, to come back to.
	debits, holds, sessions []*operation
}

// answer is what a request came to.
type answer struct {
	status int // 0 when no definite answer came
	body   map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func (a answer) number(name string) int64 {
	n, err := strconv.ParseInt(fmt.Sprint(a.body[name]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// id makes an event id or an idempotency key, before the first attempt.
func (c *caller) id(kind string) string {
	c.n++
	return fmt.Sprintf("%s-%s-%d-%d", kind, c.name, c.round, c.n)
}

// chance draws whether something happens that does so once in n times.
func (c *caller) chance(n int) bool { return c.rand.IntN(n) == 0 }

// pick is one of what the caller knows.
func pick[T any](c *caller, of []T) (one T, ok bool) {
	if len(of) == 0 {
		return one, false
	}
	return of[c.rand.IntN(len(of))], true
}

// begin notes that an operation begins.
func (c *caller) begin(o operation) *operation {
	o.Round, o.Began = c.round, c.w.now()
	if o.Org == "" {
		o.Org = c.org
	}
	return c.history.begin(&o)
}

// end notes how an operation ended, and returns whether it was done.
func (c *caller) end(o *operation, a answer) bool {
	o.Ended = c.w.now()
	switch {
	case a.status == 0:
		o.Outcome = unknown
	case a.status < http.StatusMultipleChoices:
		o.Outcome = done
	default:
		o.Outcome, o.Code, o.Detail = refused, a.text("code"), a.text("detail")
	}
	return o.Outcome == done
}

// people's tokens.
func (c *caller) as(role string) func() (string, error) {
	p := issuer.Person{Subject: role + "-" + c.org, Email: role + "@" + c.org + ".example", Name: role}
	if role == "support" || role == "platform" {
		p = issuer.Person{Subject: role, Email: role + "@fluxori.example", Claims: map[string]any{role: true}}
	}
	return func() (string, error) { return c.w.personToken(p) }
}

func (c *caller) asService() func() (string, error) {
	return func() (string, error) { return c.w.serviceToken(c.ctx, aiServices, base+"/debit") }
}

// call sends a request until a definite answer comes, or the caller gives up.
func (c *caller) call(o *operation, method, path string, token func() (string, error), body any) answer {
	var sent []byte
	if body != nil {
		var err error
		sent, err = json.Marshal(body)
		must(err)
	}
	for attempt := range maxAttempts {
		o.Attempts++
		if a := c.attempt(method, path, token, o.ID, sent); a.status != 0 {
			return a
		}
		time.Sleep(time.Duration(c.rand.Int64N(int64(200*time.Millisecond) << attempt)))
	}
	return answer{}
}

// attempt sends a request once. What passes by itself is no definite answer.
func (c *caller) attempt(method, path string, token func() (string, error), key string, sent []byte) answer {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	raw, err := token()
	must(err)
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(sent))
	must(err)
	req.Header.Set("Authorization", "Bearer "+raw)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := c.w.front.Do(req)
	if err != nil {
		return answer{}
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil || res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests {
		return answer{}
	}
	a := answer{status: res.StatusCode, body: map[string]any{}}
	if len(got) > 0 {
		d := json.NewDecoder(bytes.NewReader(got))
		d.UseNumber()
		if err := d.Decode(&a.body); err != nil {
			return answer{}
		}
	}
	return a
}

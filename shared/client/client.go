// Package client is for AI services, in Go: it spends an organisation's credits through the function debit.
//
// The caller chooses an event id and keeps it before the first attempt. A request whose outcome is not known is repeated under that id, a
// bounded number of times, so that work is charged for once whatever connections and functions do. When the attempts are used up the error
// is [ErrUnknown]: the same call with the same id, later or from another process, finds out what became of it.
//
// # Invariants
//
//   - No request is repeated after a definite answer. Attempts, waits and the bytes read of an answer are bounded; so is every call, by its
//     context or by the attempts.
//   - Of a hold that [Client.WithHold] placed, exactly one of capture and release is asked for, also when the context has ended.
//
// # What it does not own
//
// It prices nothing and decides nothing: what a code means is the HTTP contract's, at /debit/docs. It keeps no event ids.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/problem"
)

// Bounds of a call.
const (
	attemptsDefault = 8
	// attemptMax is how long one attempt may take: longer than the function's own deadline, so that an answer is not given up that is coming.
	attemptMax = 20 * time.Second
	backOffMin = 100 * time.Millisecond
	backOffMax = 5 * time.Second
	// retryAfterMax is the longest that is waited because an answer says so; one that says more ends the call.
	retryAfterMax  = 30 * time.Second
	answerMaxBytes = 1 << 20
)

// Options say where debit is and who calls.
type Options struct {
	// URL is debit's: https://europe-west4-PROJECT.cloudfunctions.net/debit.
	URL string
	// Tokens give ID tokens for that URL, such as those of google.golang.org/api/idtoken.
	Tokens oauth2.TokenSource
	// HTTP sends the requests; without it, http.DefaultClient.
	HTTP *http.Client
	// Attempts is how often a request is sent at most; 8 without it.
	Attempts int
	// Sleep waits, or returns ctx's error; without it, by the machine's clock. Tests have another.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client spends credits. It may be used by many goroutines.
type Client struct {
	o Options
}

// New makes a Client.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL of debit: %w", err)
	}
	if u.Scheme == "" || u.Host == "" || o.Tokens == nil {
		return nil, errors.New("a client needs the URL of debit and a source of tokens")
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if o.Attempts < 1 {
		o.Attempts = attemptsDefault
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return &Client{o}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call sends a request until there is a definite answer, and decodes that into out.
func (c *Client) call(ctx context.Context, method, path string, body, out any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
	}
	var last error
	for attempt := range c.o.Attempts {
		wait, err := c.attempt(ctx, method, path, sent, out)
		if err == nil {
			return nil
		}
		if _, unclear := errors.AsType[*unclear](err); !unclear {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		last = err
		if wait > retryAfterMax || attempt+1 == c.o.Attempts {
			break
		}
		if err := c.o.Sleep(ctx, max(wait, backOff(attempt))); err != nil {
			last = errors.Join(last, err)
			break
		}
	}
	return fmt.Errorf("%s %s: %w: %w", method, path, ErrUnknown, last)
}

// backOff is how long to wait after an attempt, from none to twice as much each time, so that callers who failed together do not return
// together.
func backOff(attempt int) time.Duration {
	most := min(backOffMax, backOffMin<<min(attempt, 10))
	return time.Duration(rand.Int64N(int64(most) + 1))
}

// unclear is a failure after which it is not known whether the request had an effect.
type unclear struct{ err error }

func (u *unclear) Error() string { return u.err.Error() }
func (u *unclear) Unwrap() error { return u.err }

// attempt sends a request once. wait is what the answer asks for.
func (c *Client) attempt(ctx context.Context, method, path string, sent []byte, out any) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptMax)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.o.URL+path, bytes.NewReader(sent))
	if err != nil {
		return 0, fmt.Errorf("make the request: %w", err)
	}
	token, err := c.o.Tokens.Token()
	if err != nil {
		return 0, &unclear{fmt.Errorf("get a token: %w", err)}
	}
	token.SetAuthHeader(req)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.o.HTTP.Do(req)
	if err != nil {
		return 0, &unclear{err}
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerMaxBytes+1))
	if err != nil {
		return 0, &unclear{fmt.Errorf("read the answer: %w", err)}
	}
	if res.StatusCode/100 != 2 {
		return refused(res, answer)
	}
	if len(answer) > answerMaxBytes {
		return 0, fmt.Errorf("the answer has more than %d bytes", answerMaxBytes)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return 0, &unclear{fmt.Errorf("decode the answer: %w", err)}
	}
	return 0, nil
}

// refused is the error of an answer that is no success. What passes by itself is unclear; so is what did not come from the function but from
// something before it.
func refused(res *http.Response, answer []byte) (wait time.Duration, err error) {
	e := &Error{Status: res.StatusCode}
	if json.Unmarshal(answer, e) != nil || e.Code == "" {
		e = &Error{Status: res.StatusCode, Detail: "the answer is no problem of debit's"}
	}
	e.Body = answer
	if seconds, err := strconv.ParseInt(res.Header.Get("Retry-After"), 10, 32); err == nil && seconds > 0 {
		wait = time.Duration(seconds) * time.Second
	}
	tooMany, _ := problem.Status(problem.RateLimited) // Google's front end says so too, without a code
	passing := res.StatusCode/100 == 5 || res.StatusCode == tooMany
	if passing && e.Code != FeatureUnavailable {
		return wait, &unclear{e}
	}
	return 0, e
}

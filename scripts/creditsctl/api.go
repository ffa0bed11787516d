package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of a request. Every request of the tool may be repeated: it reads, has a key, or moves towards a state.
const (
	attemptsMax    = 4
	attemptTimeout = 30 * time.Second // longer than the function's own deadline
	waitMin        = 500 * time.Millisecond
	waitMax        = 10 * time.Second
	answerBytesMax = 8 << 20
)

// errUnknown says that it is not known whether a request took effect.
var errUnknown = errors.New("the outcome is not known")

// failure is an answer that is no success.
type failure struct {
	Status    int      `json:"status"`
	Code      string   `json:"code"`
	Detail    string   `json:"detail"`
	RequestID string   `json:"request_id"`
	Problems  []string `json:"problems"`
}

// Error implements error.
func (f *failure) Error() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s (%d): %s", f.Code, f.Status, clean(f.Detail))
	if len(f.Problems) > 0 { // the detail says the same in one line
		out.Reset()
		fmt.Fprintf(&out, "%s (%d):", f.Code, f.Status)
		for _, p := range f.Problems {
			fmt.Fprintf(&out, "\n  %s", clean(p))
		}
		out.WriteString("\n ")
	}
	if f.RequestID != "" {
		fmt.Fprintf(&out, " [request %s]", clean(f.RequestID))
	}
	return out.String()
}

// request is what is sent.
type request struct {
	method, url, key string
	body             []byte
}

// get reads.
func (a *account) get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	if err := a.signIn(ctx); err != nil {
		return nil, err
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return a.exchange(ctx, request{method: http.MethodGet, url: a.base + path})
}

// read reads into a value, and returns it beside the JSON.
func read[T any](ctx context.Context, a *account, path string, query url.Values) (T, json.RawMessage, error) {
	var out T
	data, err := a.get(ctx, path, query)
	if err != nil {
		return out, nil, err
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, nil, fmt.Errorf("the answer of %s: %w", path, err)
	}
	return out, data, nil
}

// send changes something. body is encoded as JSON, unless it is JSON already; nil is none. An empty key is none.
func send[T any](ctx context.Context, a *account, method, path string, body any, key string) (T, json.RawMessage, error) {
	var out T
	if err := a.signIn(ctx); err != nil {
		return out, nil, err
	}
	r := request{method: method, url: a.base + path, key: key}
	if body != nil {
		var err error
		if r.body, err = json.Marshal(body); err != nil {
			return out, nil, fmt.Errorf("encode the body of %s: %w", path, err)
		}
	}
	data, err := a.exchange(ctx, r)
	if err != nil {
		if key != "" && errors.Is(err, errUnknown) {
			err = fmt.Errorf("%w\nrun the same again with -key %s: it is done once, however often it is sent", err, key)
		}
		return out, nil, err
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, nil, fmt.Errorf("the answer of %s: %w", path, err)
	}
	return out, data, nil
}

// exchange sends a request until there is a definite answer, a bounded number of times.
func (a *account) exchange(ctx context.Context, r request) (json.RawMessage, error) {
	var last error
	for attempt := range attemptsMax {
		data, wait, err := a.attempt(ctx, r)
		if wait < 0 {
			return data, err
		}
		last = err
		if attempt+1 == attemptsMax || wait > waitMax {
			break
		}
		fmt.Fprintf(a.err, "attempt %d of %d: %v\n", attempt+1, attemptsMax, err)
		if err := a.sleep(ctx, max(wait, waitMin<<attempt)); err != nil {
			last = errors.Join(last, err)
			break
		}
	}
	return nil, fmt.Errorf("%w: %w", errUnknown, last)
}

// attempt sends a request once. wait is how long to wait before another attempt; below 0 the answer is definite.
func (a *account) attempt(ctx context.Context, r request) (data json.RawMessage, wait time.Duration, err error) {
	const definite = -1
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, definite, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if data, err = io.ReadAll(io.LimitReader(res.Body, answerBytesMax+1)); err != nil {
		return nil, 0, fmt.Errorf("read the answer: %w", err)
	}
	if len(data) > answerBytesMax {
		return nil, definite, fmt.Errorf("the answer has more than %d bytes", answerBytesMax)
	}
	if res.StatusCode/100 == 2 {
		return data, definite, nil
	}
	f := &failure{}
	if json.Unmarshal(data, f) != nil || f.Code == "" {
		f = &failure{Code: "no problem of the API's", Detail: fmt.Sprintf("%.200s", data)}
	}
	f.Status = res.StatusCode
	if f.Code == "forbidden" {
		f.Detail += fmt.Sprintf(" The token needs the claim %s.", a.claim)
	}
	if res.StatusCode/100 == 5 || res.StatusCode == http.StatusTooManyRequests {
		seconds, err := strconv.ParseInt(res.Header.Get("Retry-After"), 10, 32)
		if err != nil {
			seconds = 0
		}
		return nil, time.Duration(max(0, seconds)) * time.Second, f
	}
	return nil, definite, f
}

// newKey is an idempotency key that nobody has used.
func newKey() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	return "ctl-" + hex.EncodeToString(random[:])
}

// chosenKey is the key that was given, or a new one, and says so before it is used.
func (t *tool) chosenKey(given string) string {
	if given != "" {
		return given
	}
	key := newKey()
	fmt.Fprintf(t.err, "The key is %s; with -key %[1]s the same is done once, however often.\n", key)
	return key
}

// in is a path beneath an organisation.
func in(org string, parts ...string) string {
	out := "/orgs/" + url.PathEscape(org)
	for _, p := range parts {
		out += "/" + url.PathEscape(p)
	}
	return out
}

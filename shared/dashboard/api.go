package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/fluxori/ai-credits/shared/problem"
)

// refusal is an answer of the API that is not what was asked for.
type refusal struct {
	Status int             `json:"status"`
	Code   string          `json:"code"`
	Detail string          `json:"detail"`
	Field  json.RawMessage `json:"field"`
}

// Error implements error.
func (r *refusal) Error() string { return strconv.Itoa(r.Status) + " " + r.Code + ": " + r.Detail }

// refused reports whether err is an answer of the API with a status of a class, such as 4 for 400 to 499.
func refused(err error) (*refusal, bool) {
	var r *refusal
	ok := errors.As(err, &r)
	return r, ok
}

// missing reports whether the API answered that there is no such thing.
func missing(err error) bool {
	no, ok := refused(err)
	return ok && no.Status == statusOf(problem.NotFound)
}

// answer keeps what the API writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	n, err := a.body.Write(p)
	return n, err //nolint:wrapcheck // a buffer does not fail
}

// Flush implements http.Flusher, for the API streams its tables.
func (a *answer) Flush() {}

// ask sends a request to the API as the person who has signed in. The error is a *refusal unless the answer cannot be had at all.
func (v *visit) ask(method, path string, q url.Values, body any, key string) (*answer, error) {
	var sent io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode what %s %s is sent: %w", method, path, err)
		}
		sent = bytes.NewReader(data)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(v.r.Context(), method, path, sent)
	if err != nil {
		return nil, fmt.Errorf("ask %s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+v.session.IDToken)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	a := &answer{header: http.Header{}}
	v.d.opts.API.ServeHTTP(a, req)
	if a.status < statusOf(problem.InvalidRequest) {
		return a, nil
	}
	no := &refusal{}
	if err := json.Unmarshal(a.body.Bytes(), no); err != nil {
		return nil, fmt.Errorf("%s %s answers %d without a problem: %w", method, path, a.status, err)
	}
	no.Status = a.status
	return nil, no
}

// get reads what the API answers at a path.
func (v *visit) get(path string, q url.Values, into any) error {
	a, err := v.ask(http.MethodGet, path, q, nil, "")
	if err != nil {
		return err
	}
	return a.read(path, into)
}

// do changes something through the API. What it answers is read unless into is nil.
func (v *visit) do(method, path string, body, into any) error {
	a, err := v.ask(method, path, nil, body, v.r.PostForm.Get("key"))
	if err != nil || into == nil {
		return err
	}
	return a.read(path, into)
}

func (a *answer) read(path string, into any) error {
	if err := json.Unmarshal(a.body.Bytes(), into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}

// in is a path of the organisation that the page is about; each part is escaped.
func (v *visit) in(parts ...string) string {
	path := "/orgs/" + url.PathEscape(v.org)
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// statusOf is the HTTP status of a code of the contract.
func statusOf(code string) int {
	status, _ := problem.Status(code)
	return status
}

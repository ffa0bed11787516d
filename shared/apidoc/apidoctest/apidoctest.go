// Package apidoctest holds a function's exchanges against its API document, in tests.
package apidoctest

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/fluxori/ai-credits/shared/apidoc"
)

// Checker holds exchanges against a strict document, and knows which of its operations were answered with success.
type Checker struct {
	// Document is what exchanges are held against.
	Document *apidoc.Document

	spec *openapi3.T
	mux  *http.ServeMux
	mu   sync.Mutex
	seen map[string]bool
}

// operation is a route of the document as a mux knows it.
type operation struct {
	http.Handler
	route   *routers.Route
	pattern string
}

// Must makes the Checker that all tests of a binary share of a function's contract, and panics if there is anything wrong with that. Each
// exchange counts towards what [Checker.Main] wants tried.
func Must(contract []byte) *Checker {
	d, err := apidoc.Parse(contract)
	if err != nil {
		panic(err)
	}
	c, err := New(d)
	if err != nil {
		panic(err)
	}
	return c
}

// New makes a Checker of a document, which must be valid OpenAPI.
func New(d *apidoc.Document) (*Checker, error) {
	strict, err := d.Strict()
	if err != nil {
		return nil, err
	}
	spec, err := openapi3.NewLoader().LoadFromData(strict)
	if err != nil {
		return nil, err
	}
	if err := spec.Validate(context.Background()); err != nil {
		return nil, err
	}
	c := &Checker{Document: d, spec: spec, mux: http.NewServeMux(), seen: map[string]bool{}}
	for _, rt := range d.Routes {
		method, path, _ := strings.Cut(rt.Name, " ")
		documented := strings.TrimSuffix(path, "{$}")
		item := spec.Paths.Value(documented)
		c.mux.Handle(rt.Name, operation{pattern: rt.Name, route: &routers.Route{
			Spec: spec, Path: documented, PathItem: item, Method: method, Operation: item.GetOperation(method),
		}})
	}
	return c, nil
}

// Handler is h, with each exchange held against the document: an answer that it does not have, by status, member or code, fails the test,
// and so does a request that succeeds though the document does not have it. Paths that the document lacks are let pass: the comparison of
// routes finds them.
func (c *Checker) Handler(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.Clone(r.Context())
		if asked.URL.Path == "" { // the function itself, its name stripped
			asked.URL.Path = "/"
		}
		found, _ := c.mux.Handler(asked)
		op, ok := found.(operation)
		if !ok {
			h.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s: the request cannot be read: %v", op.pattern, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		c.check(t, op, asked, body, rec)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		if _, err := w.Write(rec.Body.Bytes()); err != nil {
			t.Logf("%s: nobody took the answer: %v", op.pattern, err)
		}
	})
}

func (c *Checker) check(t testing.TB, op operation, r *http.Request, body []byte, rec *httptest.ResponseRecorder) {
	t.Helper()
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > 0 {
		again.Header.Set("Content-Type", "application/json") // handlers take JSON by whatever name
	}
	variables := map[string]string{}
	parts, names := strings.Split(r.URL.Path, "/"), strings.Split(op.route.Path, "/")
	for i, name := range names {
		if strings.HasPrefix(name, "{") {
			variables[strings.Trim(name, "{}")] = parts[i]
		}
	}
	in := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: variables, Route: op.route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	ctx := context.WithoutCancel(r.Context())
	if rec.Code < http.StatusBadRequest {
		c.note(op.pattern)
		if err := openapi3filter.ValidateRequest(ctx, in); err != nil {
			t.Errorf("%s took a request that the API document does not have: %s\n%v", op.pattern, body, err)
		}
		for name := range r.URL.Query() {
			if op.route.Operation.Parameters.GetByInAndName("query", name) == nil {
				t.Errorf("%s took the parameter %s, which the API document does not have", op.pattern, name)
			}
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: in.Options}
	out.SetBodyBytes(rec.Body.Bytes())
	if err := openapi3filter.ValidateResponse(ctx, out); err != nil {
		t.Errorf("%s answered %d, which the API document does not have: %s\n%v", op.pattern, rec.Code, rec.Body, err)
	}
}

func (c *Checker) note(pattern string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[pattern] = true
}

// Unseen are the routes that no test has had a success from.
func (c *Checker) Unseen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, rt := range c.Document.Routes {
		if !c.seen[rt.Name] {
			out = append(out, rt.Name)
		}
	}
	return out
}

// Main is a binary's TestMain. It fails a whole run in which a route of the document never succeeded: what no test has seen is not known to be
// true.
func (c *Checker) Main(m *testing.M) {
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""
	if unseen := c.Unseen(); code == 0 && whole && len(unseen) > 0 {
		fmt.Println("no test has had a success from:", strings.Join(unseen, ", "))
		code = 1
	}
	os.Exit(code)
}

// SameRoutes fails unless the document has exactly the patterns that a function registered. The pages for people, beneath /ui/, and those
// of the document itself are no part of it.
func (c *Checker) SameRoutes(t testing.TB, registered []string) {
	t.Helper()
	here := map[string]bool{}
	for _, pattern := range registered {
		if _, path, _ := strings.Cut(pattern, " "); !strings.HasPrefix(path, "/ui/") && !slices.Contains(apidoc.OwnRoutes(), pattern) {
			here[pattern] = true
		}
	}
	for _, rt := range c.Document.Routes {
		if !here[rt.Name] {
			t.Errorf("the API document has %s, which the function does not serve: take it out of api.yaml", rt.Name)
		}
		delete(here, rt.Name)
	}
	for _, pattern := range slices.Sorted(maps.Keys(here)) {
		t.Errorf("%s is not in the API document: add it to routes in functions%s/api.yaml, with title, roles, query, body, answers and problems, "+
			"and what it takes and gives to schemas (the notation is in shared/apidoc/README.md)", pattern, cmp.Or(c.Document.Server, "/…"))
	}
}

// Call is a route of a document with everything in its path filled in.
type Call struct {
	// Name is the route's, such as "GET /orgs/{org}/balance".
	Name, Method, Path string
	Route              apidoc.Route
}

// Calls are all routes of the document, with what stands for each name in braces; for one that is not among values its own name does.
func (c *Checker) Calls(values map[string]string) []Call {
	out := make([]Call, 0, len(c.Document.Routes))
	for _, rt := range c.Document.Routes {
		method, path, _ := strings.Cut(strings.TrimSuffix(rt.Name, "{$}"), " ")
		for _, name := range apidoc.Variables(path) {
			path = strings.Replace(path, "{"+name+"}", cmp.Or(values[name], name), 1)
		}
		out = append(out, Call{Name: rt.Name, Method: method, Path: path, Route: rt.Value})
	}
	return out
}

// SlowsDown fails unless a function stops a caller who asks too often, on every route of its document and before it looks at anything. The function
// is to let a caller ask twice at once, and once more a second later. probe asks as one caller or another; what it is to be refused for when it passes is
// invalid_request; wait lets a second pass.
func (c *Checker) SlowsDown(t testing.TB, probe func(caller, method, path string) *httptest.ResponseRecorder, wait func()) {
	t.Helper()
	calls := c.Calls(nil)
	first := calls[0]
	want := func(what string, w *httptest.ResponseRecorder, status int) {
		t.Helper()
		if w.Code != status || status == http.StatusTooManyRequests && (w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"rate_limited"`)) {
			t.Errorf("%s: %d, want %d; Retry-After %q: %s", what, w.Code, status, w.Header().Get("Retry-After"), w.Body)
		}
	}
	for range 2 {
		want("within the burst", probe("eager", first.Method, first.Path), http.StatusBadRequest)
	}
	for _, call := range calls {
		want(call.Name, probe("eager", call.Method, call.Path), http.StatusTooManyRequests)
	}
	want("another caller", probe("calm", first.Method, first.Path), http.StatusBadRequest)
	wait()
	want("after the wait", probe("eager", first.Method, first.Path), http.StatusBadRequest)
}

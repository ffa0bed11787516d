package apidoc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/apidoc"
	"github.com/fluxori/ai-credits/shared/apidoc/apidoctest"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
)

const small = `
title: Things
version: "1"
server: /things
about: "<b>Things</b> are kept."
everywhere: [invalid_request]
routes:
  PUT /things/{thing}:
    title: Keep a thing.
    roles: [keeper]
    query: {dry: boolean}
    keyed: true
    body: Thing
    answers: {200: Thing}
    problems: [not_found, unknown_org, unavailable]
schemas:
  Kind: {enum: [round, square]}
  Thing:
    fields: &thing
      name: {is: string, text: What it is called.}
      kind?: Kind
      tags: [string]
      sizes: {map: integer}
  Kept: {fields: {<<: *thing, "why?": {reasons: [not_found]}, either: {one_of: [string, integer]}}}
`

func parse(t *testing.T, source string) *apidoc.Document {
	t.Helper()
	d, err := apidoc.Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADocumentThatNamesWhatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"a schema":              {"kind?: Kind", "kind?: Sort"},
		"a word":                {"tags: [string]", "tags: [text]"},
		"a code":                {"[not_found, unknown_org", "[lost, unknown_org"},
		"a code in an answer":   {"reasons: [not_found]", "reasons: [lost]"},
		"a code twice":          {"[not_found, unknown_org", "[not_found, not_found"},
		"a member of a route":   {"    keyed: true", "    locked: true"},
		"a form":                {"{map: integer}", "{dictionary: integer}"},
		"two forms at once":     {"{map: integer}", "{map: integer, enum: [a]}"},
		"a list of two kinds":   {"tags: [string]", "tags: [string, integer]"},
		"a field twice":         {"<<: *thing", `<<: *thing, "kind?": Kind`},
		"a route without roles": {"    roles: [keeper]\n", ""},
		"no method":             {"PUT /things/{thing}", "/things/{thing}"},
		"a part of the whole":   {"title: Things", "name: Things"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := strings.Replace(small, change[0], change[1], 1)
			if source == small {
				t.Fatal("nothing is changed")
			}
			if _, err := apidoc.Parse([]byte(source)); err == nil {
				t.Error("it is taken")
			}
		})
	}
}

func TestOnlyTheStrictDocumentRefusesMembersThatAnswersMayGain(t *testing.T) {
	t.Parallel()
	d := parse(t, small)
	served, err := d.Served()
	if err != nil {
		t.Fatal(err)
	}
	strict, err := d.Strict()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(served, []byte(`"additionalProperties": false`)) || !bytes.Contains(strict, []byte(`"additionalProperties": false`)) {
		t.Errorf("served %s\nstrict %s", served, strict)
	}
	var out struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal(served, &out); err != nil {
		t.Fatal(err)
	}
	kept := out.Components.Schemas["Kept"]
	if !slices.Equal(kept.Required, []string{"name", "tags", "sizes", "either"}) || len(kept.Properties) != 6 {
		t.Errorf("%v", kept)
	}
}

func TestEveryCodeIsOneOfTheContract(t *testing.T) {
	t.Parallel()
	for _, code := range parse(t, small).Codes() {
		if _, ok := problem.Status(code); !ok {
			t.Errorf("problems.yaml has %s, which package problem does not", code)
		}
	}
}

func TestThePageShowsEachRouteAndEscapesItsTexts(t *testing.T) {
	t.Parallel()
	rt := serve.NewRouter()
	apidoc.Register(rt, []byte(small))
	for path, wants := range map[string][]string{
		"/docs": {"&lt;b&gt;Things", "PUT /things/things/{thing}", "keeper", `href="#Kind"`, "Idempotency-Key", "round | square", `id="problem-not_found"`, "list of"},
		"/openapi.json": {
			`"x-roles"`, `"operationId": "put_things_thing"`, `"Idempotency-Key"`, `"#/components/schemas/problem_unknown_org"`, `"Retry-After"`,
		},
	} {
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		for _, want := range wants {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s lacks %s", path, want)
			}
		}
		if strings.Contains(w.Body.String(), "http://") || strings.Contains(w.Body.String(), "src=") {
			t.Errorf("%s loads something from elsewhere", path)
		}
	}
}

// witness notes failures instead of failing.
type witness struct {
	testing.TB
	failures []string
}

func (w *witness) Helper() {}

func (w *witness) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func TestWhatTheDocumentDoesNotHaveFailsATest(t *testing.T) {
	t.Parallel()
	const good = `{"name":"a","tags":[],"sizes":{}}`
	problemOf := func(status int, code string) string {
		return fmt.Sprintf(`{"type":"about:blank","title":"","status":%d,"code":%q,"detail":""}`, status, code)
	}
	for name, c := range map[string]struct {
		query, body string
		status      int
		answer      string
		fails       string
	}{
		"all is documented":       {"?dry=true", good, 200, good, ""},
		"an optional member":      {"", good, 200, `{"name":"a","tags":["x"],"sizes":{"l":1},"kind":"round"}`, ""},
		"a code":                  {"", good, 404, problemOf(404, "unknown_org"), ""},
		"a bad body is refused":   {"", `{`, 400, problemOf(400, "invalid_request"), ""},
		"another status":          {"", good, 201, good, "answered 201"},
		"another member":          {"", good, 200, `{"name":"a","tags":[],"sizes":{},"more":1}`, "answered 200"},
		"a member is missing":     {"", good, 200, `{"name":"a","tags":[]}`, "answered 200"},
		"another value":           {"", good, 200, `{"name":"a","tags":[],"sizes":{},"kind":"oval"}`, "answered 200"},
		"another code":            {"", good, 404, problemOf(404, "forbidden"), "answered 404"},
		"a code's status":         {"", good, 403, problemOf(403, "forbidden"), "answered 403"},
		"another member is taken": {"", `{"name":"a","tags":[],"sizes":{},"more":1}`, 200, good, "took a request"},
		"a parameter is taken":    {"?wet=true", good, 200, good, "took the parameter wet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checker, err := apidoctest.New(parse(t, small))
			if err != nil {
				t.Fatal(err)
			}
			saw := &witness{TB: t}
			h := checker.Handler(saw, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				kind := "application/json"
				if c.status >= 400 {
					kind = "application/problem+json"
				}
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.answer)
			}))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/things/a"+c.query, strings.NewReader(c.body))
			r.Header.Set("Idempotency-Key", "k")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || w.Body.String() != c.answer {
				t.Errorf("%d %s came through", w.Code, w.Body)
			}
			if got := strings.Join(saw.failures, "\n"); (c.fails == "") != (got == "") || !strings.Contains(got, c.fails) {
				t.Errorf("failures %q, want %q", got, c.fails)
			}
			if unseen := checker.Unseen(); (len(unseen) == 0) != (c.status < 400) {
				t.Errorf("after %d unseen are %v", c.status, unseen)
			}
		})
	}
}

func TestRoutesThatDifferAreNamed(t *testing.T) {
	t.Parallel()
	checker, err := apidoctest.New(parse(t, small))
	if err != nil {
		t.Fatal(err)
	}
	saw := &witness{TB: t}
	checker.SameRoutes(saw, []string{"GET /docs", "GET /ui/", "PUT /things/{thing}"})
	if len(saw.failures) != 0 {
		t.Errorf("%v", saw.failures)
	}
	checker.SameRoutes(saw, []string{"GET /more"})
	if got := strings.Join(saw.failures, "\n"); !strings.Contains(got, "PUT /things/{thing}, which the function does not serve") || !strings.Contains(got, "GET /more is not in the API document: add it to routes in functions/things/api.yaml") {
		t.Errorf("%s", got)
	}
}

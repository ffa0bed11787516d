package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// The functions of this test program are registered as every function is: in init, with the framework itself.
func init() {
	serve.Register("probe", buildProbe, serve.BodyLimit(32), serve.Deadline(200*time.Millisecond))
}

// settings are what the function of this test program wants of its environment.
type settings struct {
	Probe string `env:"PROBE"`
}

// buildProbe builds a function with one route for each thing that the edge looks after.
func buildProbe(_ context.Context, env serve.Env, c settings) (http.Handler, error) {
	if c.Probe == "broken" {
		return nil, errors.New("told to fail")
	}
	router := serve.NewRouter()
	router.Handle("POST /{$}", func(w http.ResponseWriter, r *http.Request) error {
		body, err := strictjson.Decode[map[string]string](r.Body, 1<<20)
		if err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		serve.Created(w, r, body)
		return nil
	})
	router.Handle("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) error {
		env.Log.InfoContext(r.Context(), "looked up", slog.String("item", r.PathValue("id")))
		serve.OK(w, r, map[string]string{"id": r.PathValue("id"), "request_id": request.FromContext(r.Context()).ID})
		return nil
	})
	router.Handle("DELETE /items/{id}", func(http.ResponseWriter, *http.Request) error {
		return problem.New(problem.Forbidden, "Not yours.", nil)
	})
	router.Handle("GET /panic", func(http.ResponseWriter, *http.Request) error { panic("the sky fell") })
	router.Handle("GET /slow", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("slow: %w", r.Context().Err())
	})
	router.Handle("GET /unencodable", func(w http.ResponseWriter, r *http.Request) error {
		serve.OK(w, r, map[string]any{"bad": make(chan int)})
		return nil
	})
	router.Handle("GET /half/{how}", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.WriteString(w, strings.Repeat("half of it\n", 1000)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		if r.PathValue("how") == "panic" {
			panic("in the middle")
		}
		return errors.New("the rest is lost")
	})
	router.Handle("GET /page", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "private, max-age=60")
		_, err := io.WriteString(w, "a page")
		return err
	})
	return router, nil
}

// probe builds the function that init registered, as the local runner does, and returns it with its log.
func probe(t *testing.T, environment map[string]string) (http.Handler, *bytes.Buffer, error) {
	t.Helper()
	var logged bytes.Buffer
	env := serve.Env{
		Lookup: envconfig.MapLookuper(environment),
		Log:    slog.New(serve.NewLogHandler(&logged, "project-1", slog.LevelInfo)),
		Now:    time.Now,
	}
	for _, f := range serve.Functions() {
		if f.Name() == "probe" {
			h, err := f.Build(t.Context(), env)
			return http.StripPrefix("/probe", h), &logged, err
		}
	}
	t.Fatal("the function is not in the registry")
	return nil, nil, nil
}

// ask sends one request and returns its answer.
func ask(t *testing.T, h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutesAnswerAndTheRestAreProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, body string
		status             int
		has, allow         string
	}{
		{"POST", "/probe", `{"a":"b"}`, 201, `{"a":"b"}`, ""},
		{"POST", "/probe/", `{"a":"b"}`, 201, `{"a":"b"}`, ""},
		{"GET", "/probe/items/7", "", 200, `"id":"7"`, ""},
		{"HEAD", "/probe/items/7", "", 200, "", ""},
		{"GET", "/probe/items/a%2Fb", "", 200, `"id":"a/b"`, ""},
		{"GET", "/probe/items/..%2F..%2Fx", "", 200, `"id":"../../x"`, ""},
		{"DELETE", "/probe/items/7", "", 403, `"forbidden"`, ""},
		{"PUT", "/probe/items/7", "", 405, `"method_not_allowed"`, "DELETE, GET, HEAD"},
		{"GET", "/probe", "", 405, `"method_not_allowed"`, "POST"},
		{"GET", "/probe/nowhere", "", 404, `"not_found"`, ""},
		{"GET", "/probe/items", "", 404, `"not_found"`, ""},
		{"GET", "/probe/items/7/", "", 404, `"not_found"`, ""},
		{"GET", "/probe//items/7", "", 404, `"not_found"`, ""},
		{"GET", "/probe/x/../items/7", "", 404, `"not_found"`, ""},
		{"POST", "/probe", `{"a":1}`, 400, `"invalid_request"`, ""},
		{"POST", "/probe", `{"a":"` + strings.Repeat("x", 100) + `"}`, 413, `"too_large"`, ""},
		{"GET", "/probe/panic", "", 500, `"internal"`, ""},
		{"GET", "/probe/slow", "", 503, `"unavailable"`, ""},
		{"GET", "/probe/unencodable", "", 500, `"internal"`, ""},
		{"GET", "/probe/health", "", 200, `{"status":"ok"}`, ""},
		{"POST", "/probe/health", "", 405, `"method_not_allowed"`, "GET, HEAD"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			h, _, err := probe(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			w := ask(t, h, c.method, c.path, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) || w.Header().Get("Allow") != c.allow {
				t.Errorf("status %d, Allow %q, body %s; want %d, %q, %s", w.Code, w.Header().Get("Allow"), w.Body, c.status, c.allow, c.has)
			}
			want := "application/json"
			if c.status >= 400 {
				want = "application/problem+json"
			}
			if got := w.Header().Get("Content-Type"); got != want {
				t.Errorf("Content-Type %q, want %q", got, want)
			}
			if strings.Contains(w.Body.String(), "the sky fell") {
				t.Errorf("the answer tells of the panic: %s", w.Body)
			}
		})
	}
}

func TestAFunctionThatCannotBeBuiltSaysSo(t *testing.T) {
	t.Parallel()
	if _, _, err := probe(t, map[string]string{"PROBE": "broken"}); err == nil || !strings.Contains(err.Error(), "told to fail") {
		t.Errorf("error %v, want the build's", err)
	}
}

func TestRequestIDIsTheCallersTheTracesOrNew(t *testing.T) {
	t.Parallel()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"chosen":                  {[]string{"X-Request-Id", "job-7.a:b_C"}, "job-7.a:b_C"},
		"chosen beside a trace":   {[]string{"X-Request-Id", "job-7", "Traceparent", "00-" + trace + "-b7ad6b7169203331-01"}, "job-7"},
		"trace, W3C":              {[]string{"Traceparent", "00-" + trace + "-b7ad6b7169203331-01"}, trace},
		"trace, Google":           {[]string{"X-Cloud-Trace-Context", trace + "/123;o=1"}, trace},
		"with a space":            {[]string{"X-Request-Id", "a b"}, ""},
		"too long":                {[]string{"X-Request-Id", strings.Repeat("a", 65)}, ""},
		"a line break":            {[]string{"X-Request-Id", "a\nSet-Cookie: x"}, ""},
		"a trace of zeros":        {[]string{"Traceparent", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01"}, ""},
		"a trace in upper case":   {[]string{"X-Cloud-Trace-Context", strings.ToUpper(trace)}, ""},
		"a trace with other text": {[]string{"X-Cloud-Trace-Context", trace + "\x00/1"}, ""},
		"none":                    {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _, err := probe(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			good := ask(t, h, "GET", "/probe/items/7", "", c.header...)
			id := good.Header().Get("X-Request-Id")
			if c.want != "" && id != c.want {
				t.Errorf("request id %q, want %q", id, c.want)
			}
			if c.want == "" && (len(id) < 20 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "") {
				t.Errorf("request id %q, want a new one", id)
			}
			if !strings.Contains(good.Body.String(), `"request_id":"`+id+`"`) {
				t.Errorf("the handler saw %s, want the id %s", good.Body, id)
			}
			bad := ask(t, h, "GET", "/probe/nowhere", "", c.header...)
			if !strings.Contains(bad.Body.String(), `"request_id":"`+bad.Header().Get("X-Request-Id")+`"`) {
				t.Errorf("problem %s lacks the id of its header", bad.Body)
			}
		})
	}
}

func TestSecurityHeadersAreSetAndAHandlerMaySetItsOwn(t *testing.T) {
	t.Parallel()
	h, _, err := probe(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, cache := range map[string]string{"/probe/items/7": "no-store", "/probe/nowhere": "no-store", "/probe/page": "private, max-age=60"} {
		header := ask(t, h, "GET", path, "").Header()
		if got := header.Get("Cache-Control"); got != cache {
			t.Errorf("%s: Cache-Control %q, want %q", path, got, cache)
		}
		for _, name := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "Strict-Transport-Security", "X-Frame-Options"} {
			if header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
}

// TestAFrozenFunctionStillAnswersWhatOnlyReads is how the whole system is stopped: nobody loses an event, since each is told to come back.
func TestAFrozenFunctionStillAnswersWhatOnlyReads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		frozen, method, path string
		status               int
	}{
		{"true", "POST", "/probe", 503},
		{"true", "DELETE", "/probe/items/7", 503},
		{"true", "GET", "/probe/items/7", 200},
		{"true", "HEAD", "/probe/items/7", 200},
		{"true", "GET", "/probe/health", 200},
		{"false", "POST", "/probe", 201},
		{"", "POST", "/probe", 201},
	} {
		t.Run(c.frozen+" "+c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			h, _, err := probe(t, map[string]string{"FROZEN": c.frozen})
			if err != nil {
				t.Fatal(err)
			}
			w := ask(t, h, c.method, c.path, `{"a":"b"}`)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if c.status == 503 && (w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"unavailable"`)) {
				t.Errorf("Retry-After %q, body %s", w.Header().Get("Retry-After"), w.Body)
			}
		})
	}
}

func TestAnAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"panic", "error"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h, _, err := probe(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/probe/half/"+how, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if body, err := io.ReadAll(answer.Body); err == nil || !strings.HasPrefix(string(body), "half of it") {
				t.Errorf("read %d bytes, error %v; want the beginning and a broken connection", len(body), err)
			}
		})
	}
}

func TestABodyThatDoesNotComeIsNotWaitedForBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	h, _, err := probe(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST /probe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{\"a\":")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer while the body is missing: %v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", answer.StatusCode)
	}
}

package debit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/fluxori/ai-credits/shared/needs"
)

// snippet is the one block of README.md in a language.
func snippet(t *testing.T, language string) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "\n```"+language+"\n")
	if len(blocks) != 2 {
		t.Fatalf("README.md has %d blocks in %s, want 1", len(blocks)-1, language)
	}
	code, _, _ := strings.Cut(blocks[1], "\n```\n")
	return code
}

// losing is the function behind a network that loses the first answer, and has no room at the second attempt.
func losing(t *testing.T, s *system) (address string, asked *atomic.Int64) {
	t.Helper()
	behind, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind); r.Out.URL.Path = behind.Path }}
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"code":"unavailable"}`)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/debit", asked
}

func TestTheSnippetsChargeOnceThoughAnswersAreLost(t *testing.T) {
	t.Parallel()
	for language, program := range map[string]string{"sh": "bash", "python": "python3", "typescript": "node"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			path := needs.Program(t, program)
			if language == "sh" {
				needs.Program(t, "curl")
			}
			code := snippet(t, language)
			if language == "typescript" { // node runs it without its types
				made := api.Transform(code, api.TransformOptions{Loader: api.LoaderTS})
				if len(made.Errors) > 0 {
					t.Fatalf("%v", made.Errors)
				}
				code = string(made.Code)
			}
			file := filepath.Join(t.TempDir(), "snippet")
			if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t)
			s.fund(t, "acme", 100)
			address, asked := losing(t, s)
			run := exec.CommandContext(t.Context(), path, file)
			run.Env = append(os.Environ(), "DEBIT_URL="+address, "TOKEN="+s.token, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
			out, err := run.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			// curl shows the answers that it did not take, too.
			lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(out), "}{", "}\n{")), "\n")
			var charge struct {
				Credits  int64 `json:"credits"`
				Replayed bool  `json:"replayed"`
			}
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &charge); err != nil || charge.Credits != 50 || !charge.Replayed {
				t.Errorf("it prints %s: %v", out, err)
			}
			if got := s.available(t, "acme"); got != 50 || asked.Load() != 3 {
				t.Errorf("%d are left after %d requests, want 50 after 3", got, asked.Load())
			}
		})
	}
}

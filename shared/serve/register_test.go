package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
)

// testRegistry is a registry whose environment is settings and whose framework is a map.
func testRegistry(settings map[string]string) (*registry, map[string]http.HandlerFunc, *bytes.Buffer) {
	installed := map[string]http.HandlerFunc{}
	var logged bytes.Buffer
	return &registry{
		env: func() Env {
			return Env{Lookup: envconfig.MapLookuper(settings), Log: slog.New(NewLogHandler(&logged, "", slog.LevelInfo)), Now: time.Now}
		},
		install: func(name string, fn func(http.ResponseWriter, *http.Request)) { installed[name] = fn },
	}, installed, &logged
}

// get asks h for path and returns the answer.
func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

// ok is a handler that answers nothing.
var ok = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestOutsideTheCloudAFunctionIsBuiltAtItsFirstRequestAndAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	var builds int
	g, installed, _ := testRegistry(nil)
	g.register("debit", func(context.Context, Env) (http.Handler, error) {
		builds++
		switch builds {
		case 1:
			return nil, errors.New("no database yet")
		case 2:
			panic("worse")
		default:
			return ok, nil
		}
	})
	if builds != 0 {
		t.Fatalf("built %d times by registering, want none", builds)
	}
	for i, want := range []int{503, 503, 200, 200} {
		if got := get(t, installed["debit"], "/").Code; got != want {
			t.Errorf("request %d: status %d, want %d", i+1, got, want)
		}
	}
	if builds != 3 {
		t.Errorf("built %d times, want 3", builds)
	}
}

func TestInTheCloudAFunctionIsBuiltWhenTheProcessStarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings map[string]string
		builds   int
	}{
		"its own instance":       {map[string]string{"K_SERVICE": "debit-v1", "FUNCTION_TARGET": "debit"}, 1},
		"target not named":       {map[string]string{"K_SERVICE": "debit-v1"}, 1},
		"another's instance":     {map[string]string{"K_SERVICE": "usage-v1", "FUNCTION_TARGET": "usage"}, 0},
		"not in the cloud":       {map[string]string{"FUNCTION_TARGET": "debit"}, 0},
		"empty service, somehow": {map[string]string{"K_SERVICE": ""}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var builds int
			g, _, _ := testRegistry(c.settings)
			g.register("debit", func(context.Context, Env) (http.Handler, error) { builds++; return ok, nil })
			if builds != c.builds {
				t.Errorf("built %d times, want %d", builds, c.builds)
			}
		})
	}
}

func TestABadConfigurationFailsTheDeployment(t *testing.T) {
	t.Parallel()
	g, installed, logged := testRegistry(map[string]string{"K_SERVICE": "debit"})
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "ISSUER is missing") {
			t.Errorf("panicked with %q, want the reason", v)
		}
		if len(installed) != 0 {
			t.Error("the broken function was installed")
		}
		if !strings.Contains(logged.String(), "ISSUER is missing") || !strings.Contains(logged.String(), `"severity":"ERROR"`) {
			t.Errorf("logged %s, want the reason", logged)
		}
	}()
	g.register("debit", func(context.Context, Env) (http.Handler, error) { return nil, errors.New("ISSUER is missing") })
}

func TestRegistrationMistakesPanic(t *testing.T) {
	t.Parallel()
	build := func(context.Context, Env) (http.Handler, error) { return ok, nil }
	for name, register := range map[string]func(*registry){
		"twice":       func(g *registry) { g.register("debit", build); g.register("debit", build) },
		"no name":     func(g *registry) { g.register("", build) },
		"slash":       func(g *registry) { g.register("a/b", build) },
		"no build":    func(g *registry) { g.register("debit", nil) },
		"no deadline": func(g *registry) { g.register("debit", build, Deadline(0)) },
		"no body":     func(g *registry) { g.register("debit", build, BodyLimit(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("registered, want a panic")
				}
			}()
			g, _, _ := testRegistry(nil)
			register(g)
		})
	}
}

func TestFunctionsAreListedByName(t *testing.T) {
	t.Parallel()
	g, _, _ := testRegistry(nil)
	for _, name := range []string{"usage", "account", "debit"} {
		g.register(name, func(context.Context, Env) (http.Handler, error) { return ok, nil })
	}
	var names []string
	for _, f := range g.list() {
		names = append(names, f.Name())
	}
	if got := strings.Join(names, " "); got != "account debit usage" {
		t.Errorf("functions %q", got)
	}
}

func TestCallersShareOneBuildAndItsFailure(t *testing.T) {
	t.Parallel()
	var builds atomic.Int32
	release := make(chan struct{})
	l := newLazy(func() (http.Handler, error) {
		builds.Add(1)
		<-release
		return nil, errors.New("down")
	})
	// The first caller begins the build; the nineteen others join it, since it cannot end before release.
	l.attempt()
	var wg sync.WaitGroup
	for range 19 {
		b := l.attempt()
		wg.Go(func() {
			<-b.done
			if b.err == nil {
				t.Error("no error, want the shared failure")
			}
		})
	}
	close(release)
	wg.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("built %d times, want once for all", n)
	}
}

func TestACallerWaitsForABuildNoLongerThanItsDeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	l := newLazy(func() (http.Handler, error) { <-release; return ok, nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the caller's own", err)
	}
	close(release)
	if h, err := l.get(t.Context()); h == nil || err != nil {
		t.Errorf("get = %v, %v, want the handler that was being built", h, err)
	}
}

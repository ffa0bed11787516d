// Package serve is what stands between the functions framework and a function's own handler. It is the only package
// that knows the framework.
//
// A function registers itself from its package's init:
//
//	func init() { serve.Register("debit", build, serve.Deadline(10*time.Second), serve.BodyLimit(16<<10)) }
//
// and build makes its handler from the environment it is given and the settings that it wants of it, a struct with env
// tags, so that the local runner and tests can build the same function with clocks, loggers and settings of their own
// ([Functions], [Function.Build]).
//
// Invariants: every request has an id, which its answer, its problem and its log lines carry; every request has a
// deadline and a limit on its body; a panic is an `internal` problem and a log line with the stack, never a lost
// connection without a trace; a path or method that is not there is a problem too; no query, header or body is logged,
// since they may hold secrets. A function whose build failed is built anew at the next request: it never stays broken.
// In the cloud (K_SERVICE is set) it is built while the process starts, so that a bad configuration fails the
// deployment and not the first customer.
//
// It does not own authentication (package identity), the meaning of codes (package problem), decoding (package
// strictjson), or what the platform does: listening, TLS and the instance's life.
package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

// What holds for a function that does not say otherwise.
const (
	deadlineDefault       = 30 * time.Second
	bodyLimitDefaultBytes = 64 << 10
)

// Env is what a function is built from.
type Env struct {
	// Lookup finds settings by name, as the process environment does.
	Lookup envconfig.Lookuper
	// Log is where the function reports.
	Log *slog.Logger
	// Now is the system's clock, which decides eligibility, windows, cycles and time-outs. It never goes back.
	Now func() time.Time
	// Dial opens connections to whatever the function talks to; nil means over the network. The simulator has a network of its own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Telemetry records figures and traces of the function's requests; nil records none.
	Telemetry *telemetry.Recorder
}

// Client sends the function's HTTP requests.
func (e Env) Client() *http.Client {
	if e.Dial == nil {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{DialContext: e.Dial}}
}

// Build makes a function's handler from settings, a struct with env tags that was read from env. Paths reach the handler
// without the function's own name: "/", "/check".
//
// The context lives as long as the function does; what build itself waits for needs a deadline of its own.
type Build[Settings any] func(ctx context.Context, env Env, settings Settings) (http.Handler, error)

// builder is a Build that reads its settings.
type builder func(ctx context.Context, env Env) (http.Handler, error)

func (b Build[Settings]) builder() builder {
	if b == nil {
		return nil
	}
	return func(ctx context.Context, env Env) (http.Handler, error) {
		var settings Settings
		if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &settings, Lookuper: env.Lookup}); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		return b(ctx, env, settings)
	}
}

// Option changes what holds for a function's requests.
type Option func(*Function)

// Deadline sets how long a request may take; its context ends then. The default is 30 s.
func Deadline(d time.Duration) Option { return func(f *Function) { f.deadline = d } }

// BodyLimit sets how many bytes a request's body may have. The default is 64 KiB.
func BodyLimit(bytes int64) Option { return func(f *Function) { f.bodyLimitBytes = bytes } }

// Function is a registered function.
type Function struct {
	name           string
	build          builder
	deadline       time.Duration
	bodyLimitBytes int64
}

// Name is the function's name, and the first element of its paths.
func (f Function) Name() string { return f.name }

// Build builds the function at once, for the local runner and tests, and returns what serves its requests: paths are
// those after /NAME.
func (f Function) Build(ctx context.Context, env Env) (http.Handler, error) {
	handler, err := f.build(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("build function %s: %w", f.name, err)
	}
	return f.edge(env, func(context.Context) (http.Handler, error) { return handler, nil }), nil
}

// Register makes a function known to the functions framework and to [Functions]. It is called from init, once for each
// name. In the cloud it builds the function and panics if that fails, so that the process does not start.
func Register[Settings any](name string, build Build[Settings], opts ...Option) {
	process.register(name, build.builder(), opts...)
}

// Functions returns the registered functions by name, in alphabetical order.
func Functions() []Function { return process.list() }

// registry is a set of functions. The framework wants them registered in init, which is why the process has one.
type registry struct {
	env     func() Env
	install func(name string, fn func(http.ResponseWriter, *http.Request))

	mu        sync.Mutex
	functions []Function
}

// process is the registry of this process: its settings are the environment's, its clock the machine's.
var process = &registry{
	env: func() Env {
		lookup := envconfig.OsLookuper()
		project, _ := lookup.Lookup("GOOGLE_CLOUD_PROJECT")
		return Env{Lookup: lookup, Log: slog.New(NewLogHandler(os.Stdout, project, slog.LevelInfo)), Now: time.Now}
	},
	install: functions.HTTP,
}

// register adds a function, and builds it if this process is the function's own in the cloud.
func (g *registry) register(name string, build builder, opts ...Option) {
	f := Function{name: name, build: build, deadline: deadlineDefault, bodyLimitBytes: bodyLimitDefaultBytes}
	for _, opt := range opts {
		opt(&f)
	}
	g.add(f)
	env := g.env()
	here := deployed(env.Lookup, name)
	var err error
	if here {
		env.Telemetry, err = sending(env, name)
	}
	lazy := newLazy(func() (http.Handler, error) {
		// Nothing ends a deployed function but the end of its process.
		return f.build(context.Background(), env)
	})
	if here {
		if err == nil {
			_, err = lazy.get(context.Background())
		}
		if err != nil {
			env.Log.Error("the function cannot be built", slog.String("function", name), slog.Any("error", err))
			panic(fmt.Sprintf("serve: build function %s: %v", name, err))
		}
	}
	g.install(name, f.edge(env, lazy.get).ServeHTTP)
}

// deployed reports whether this process is a cloud instance of the named function.
func deployed(lookup envconfig.Lookuper, name string) bool {
	if service, _ := lookup.Lookup("K_SERVICE"); service == "" {
		return false
	}
	target, ok := lookup.Lookup("FUNCTION_TARGET")
	return !ok || target == name
}

// add checks and stores f. A name taken twice, or not fit for a path, is a mistake in the program.
func (g *registry) add(f Function) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.name == "" || strings.Trim(f.name, "abcdefghijklmnopqrstuvwxyz") != "" {
		panic(fmt.Sprintf("serve: a function's name is lower-case letters, not %q", f.name))
	}
	if f.build == nil || f.deadline <= 0 || f.bodyLimitBytes <= 0 {
		panic(fmt.Sprintf("serve: function %s needs a build, a deadline and a body limit", f.name))
	}
	if slices.ContainsFunc(g.functions, func(other Function) bool { return other.name == f.name }) {
		panic(fmt.Sprintf("serve: function %s is registered twice", f.name))
	}
	g.functions = append(g.functions, f)
}

// list returns the functions in alphabetical order.
func (g *registry) list() []Function {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(slices.Values(g.functions), func(a, b Function) int { return strings.Compare(a.name, b.name) })
}

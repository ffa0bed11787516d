// Package engine gives a test a Firestore: the embedded one, or Google's emulator. A test written against an Engine
// cannot tell which it has, so the same test proves both.
//
// Invariants:
//   - Every Engine is a project of its own: tests share no documents, on either engine.
//   - The embedded engine refuses a query for which production would want an index that the project does not have,
//     unless AnyQuery is given. Google's emulator never does.
//   - Hooks see every call of the Engine's clients and of no other, on both engines.
//
// It does not own what tests put in, nor the decision whether Google's emulator must be there: that is package needs.
package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	apiv1 "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/indexes"
)

// chosen names the variable that selects the engine of New: "emulator" for Google's, anything else for the embedded one.
const chosen = "CREDITS_TEST_ENGINE"

// Engine is a Firestore with an empty project. It is closed when its test ends.
type Engine struct {
	Name       string            // "embedded" or "emulator"
	IsEmulator bool              // whether it is Google's
	Project    string            // the id of the project
	Client     *firestore.Client // on the project
	Raw        *apiv1.Client     // the generated client of the API
	Conn       *grpc.ClientConn  // what both clients use
	Hooks      *firedb.Hooks     // injects faults into their calls and counts them
	Server     *firedb.Server    // the embedded engine itself; nil on Google's emulator
}

// Database is the name of the project's database, as the API's requests want it.
func (e *Engine) Database() string { return "projects/" + e.Project + "/databases/(default)" }

// DocumentName is the full name of the document at path, such as "wallets/o".
func (e *Engine) DocumentName(path string) string { return e.Database() + "/documents/" + path }

// Option changes what New and Each give.
type Option func(*settings)

type settings struct {
	emulator bool
	anyQuery bool
	now      func() time.Time
}

// Emulator selects Google's emulator, whatever CREDITS_TEST_ENGINE says.
func Emulator() Option { return func(s *settings) { s.emulator = true } }

// Embedded selects the embedded engine, whatever CREDITS_TEST_ENGINE says, for what only it can do.
func Embedded() Option { return func(s *settings) { s.emulator = false } }

// AnyQuery serves queries for which the project has no index.
func AnyQuery() Option { return func(s *settings) { s.anyQuery = true } }

// Clock selects the embedded engine and stamps its commits and reads with now: Google's emulator has only the machine's
// time.
func Clock(now func() time.Time) Option {
	return func(s *settings) { s.emulator, s.now = false, now }
}

// New starts an engine for a test: the embedded one, or Google's emulator if CREDITS_TEST_ENGINE=emulator. The test is
// skipped if that emulator is wanted and missing.
func New(tb testing.TB, opts ...Option) *Engine {
	tb.Helper()
	s := settings{emulator: os.Getenv(chosen) == "emulator"}
	for _, o := range opts {
		o(&s)
	}
	return start(tb, s)
}

// Each runs a test on every engine there is, as the parallel subtests "embedded" and "emulator". The latter is skipped
// if Google's emulator is missing. Options that select an engine have no effect on it.
func Each(t *testing.T, run func(t *testing.T, e *Engine), opts ...Option) {
	t.Helper()
	for _, emulator := range []bool{false, true} {
		s := settings{}
		for _, o := range opts {
			o(&s)
		}
		s.emulator = emulator
		t.Run(s.name(), func(t *testing.T) {
			t.Parallel()
			run(t, start(t, s))
		})
	}
}

func (s settings) name() string {
	if s.emulator {
		return "emulator"
	}
	return "embedded"
}

func start(tb testing.TB, s settings) *Engine {
	tb.Helper()
	e := &Engine{Name: s.name(), IsEmulator: s.emulator, Project: "test-" + strings.ToLower(rand.Text()), Hooks: &firedb.Hooks{}}
	if s.emulator {
		e.proxyEmulator(tb)
	} else {
		e.embed(tb, s)
	}
	e.connect(tb)
	return e
}

// embed starts the embedded engine.
func (e *Engine) embed(tb testing.TB, s settings) {
	tb.Helper()
	o := firedb.Options{Now: s.now, Hooks: e.Hooks}
	if !s.anyQuery {
		set, err := indexes.Load()
		if err != nil {
			tb.Fatal(err)
		}
		o.Indexes = set
	}
	server, err := firedb.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, "the embedded engine", server.Close)
	e.Server = server
	if e.Conn, err = server.Conn(); err != nil {
		tb.Fatal(err)
	}
	cleanup(tb, "the connection", e.Conn.Close)
}

// connect makes the clients.
func (e *Engine) connect(tb testing.TB) {
	tb.Helper()
	// The clients are used until the test's cleanups have run, when tb.Context() has ended.
	ctx := context.WithoutCancel(tb.Context())
	options := []option.ClientOption{option.WithGRPCConn(e.Conn), option.WithoutAuthentication()}
	var err error
	if e.Client, err = firestore.NewClient(ctx, e.Project, options...); err != nil {
		tb.Fatal(err)
	}
	if e.Raw, err = apiv1.NewClient(ctx, options...); err != nil {
		tb.Fatal(err)
	}
}

// cleanup closes something when the test ends.
func cleanup(tb testing.TB, what string, closeIt func() error) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := closeIt(); err != nil {
			tb.Error(fmt.Errorf("close %s: %w", what, err))
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/inbox"
	"github.com/fluxori/ai-credits/shared/embedded/issuer"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/indexes"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/telemetry"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// project is the name under which everything is stored and published.
const project = "local"

// options are what the command line says.
type options struct {
	addr    string
	data    string
	demo    bool
	verbose bool
	stderr  io.Writer
	environ func(name string) (string, bool)
	// began, if set, is where the clock starts instead of now.
	began time.Time
}

// system is everything that runs.
type system struct {
	opts    options
	log     *slog.Logger
	base    string // the URL of everything
	clock   *systemClock
	mux     *http.ServeMux
	server  *http.Server
	failed  chan error
	closing []func(context.Context) error // in the order of opening

	documents, messages string // where Firestore and Pub/Sub answer, as host:port
	clients             *cloud.Clients
	orgs                *orgs.Store
	broker              *broker.Broker // nil when another Pub/Sub is used
	stripe              *stripestand.Stand
	issuer              *issuer.Issuer
	inbox               *inbox.Inbox
	smtp                string
	scheduler           *scheduler
	recorder            *telemetry.Recorder
	list                *wiring.List
	dashboardKey        string // seals the dashboard's cookies while this process lives
	demonstration       string // what the demonstration organisation's history came to
}

// start opens everything. What was opened is closed again when it fails.
func start(ctx context.Context, o options) (_ *system, err error) {
	s := &system{opts: o, mux: http.NewServeMux(), failed: make(chan error, 1), dashboardKey: newKey()}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	s.log = slog.New(serve.NewLogHandler(o.stderr, project, level))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"the data's folder", s.openFolder},
		{"the clock", s.openClock},
		{"the address", s.listen},
		{"what is recorded", s.openTelemetry},
		{"Firestore", s.openFirestore},
		{"the issuer", s.openIssuer},
		{"Pub/Sub", s.openBroker},
		{"the mail server", s.openInbox},
		{"Stripe", s.openStripe},
		{"the functions", s.openFunctions},
		{"the wiring", s.wire},
		{"the demonstration", s.demonstrate},
		{"the jobs", s.openJobs},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return s, nil
}

// stop closes what is open, the last first.
func (s *system) stop(ctx context.Context) error {
	var errs []error
	for i := len(s.closing) - 1; i >= 0; i-- {
		errs = append(errs, s.closing[i](ctx))
	}
	s.closing = nil
	return errors.Join(errs...)
}

func (s *system) onStop(do func(context.Context) error) { s.closing = append(s.closing, do) }

// openFolder makes the folder that keeps the data.
func (s *system) openFolder(context.Context) error {
	if s.opts.data == "" {
		return nil
	}
	return os.MkdirAll(s.opts.data, 0o700)
}

func (s *system) openClock(context.Context) error {
	began := s.opts.began
	if began.IsZero() {
		began = time.Now()
		if s.opts.demo {
			began = began.Add(-demonstrated)
		}
	}
	var err error
	s.clock, err = openClock(s.file("clock.json"), began)
	return err
}

// file is the path of a file that keeps data, or empty when nothing is kept.
func (s *system) file(name string) string {
	if s.opts.data == "" {
		return ""
	}
	return filepath.Join(s.opts.data, name)
}

// listen takes the address, and serves what is mounted from then on.
func (s *system) listen(ctx context.Context) error {
	host, _, err := net.SplitHostPort(s.opts.addr)
	if err != nil {
		return fmt.Errorf("%q is no host:port: %w", s.opts.addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not loopback: whoever reaches this system may be anyone", host)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.opts.addr)
	if err != nil {
		return fmt.Errorf("cannot serve on %s (is it running already? -addr chooses another): %w", s.opts.addr, err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	s.base = "http://" + net.JoinHostPort(host, port)
	s.server = &http.Server{Handler: s.mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	s.onStop(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		return errors.Join(s.server.Shutdown(ctx), s.server.Close())
	})
	go func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return nil
}

func (s *system) openFirestore(ctx context.Context) error {
	var ok bool
	if s.documents, ok = s.opts.environ("FIRESTORE_EMULATOR_HOST"); !ok {
		set, err := indexes.Load()
		if err != nil {
			return err
		}
		db, err := firedb.Open(firedb.Options{Path: s.file("firestore.db"), NoSync: s.opts.data == "", Indexes: set})
		if err != nil {
			return err
		}
		s.onStop(func(context.Context) error { return db.Close() })
		addr, err := db.Listen("127.0.0.1:0") //nolint:contextcheck // it serves until it is closed
		if err != nil {
			return err
		}
		s.documents = addr.String()
	}
	return nil
}

func (s *system) openBroker(ctx context.Context) error {
	var ok bool
	if s.messages, ok = s.opts.environ("PUBSUB_EMULATOR_HOST"); !ok {
		sign := func(_ context.Context, account, audience string) (string, error) {
			return s.issuer.ServiceToken(account, audience)
		}
		b, err := broker.Open(broker.Options{Path: s.file("pubsub.db"), TokenSource: sign, Logger: s.log})
		if err != nil {
			return err
		}
		s.onStop(func(context.Context) error { return b.Close() })
		addr, err := b.Listen(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.broker, s.messages = b, addr.String()
	}
	clients, err := cloud.Open(ctx, cloud.Config{Project: project, Database: "(default)", FirestoreEmulator: s.documents, PubSubEmulator: s.messages}, nil)
	if err != nil {
		return err
	}
	s.clients = clients
	s.onStop(func(context.Context) error { return clients.Close() })
	s.orgs, err = orgs.NewStore(clients.Documents, s.log, orgs.Options{Now: s.clock.Now})
	return err
}

func (s *system) openInbox(ctx context.Context) error {
	if _, real := s.opts.environ("SMTP_HOST"); real {
		return nil
	}
	s.inbox = inbox.New(inbox.Options{Now: s.clock.Now, Logger: s.log})
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.smtp = l.Addr().String()
	s.onStop(func(context.Context) error { return s.inbox.Close() })
	go func() {
		if err := s.inbox.Serve(l); err != nil {
			s.log.Error("the mail server stopped", "error", err)
		}
	}()
	s.mux.Handle("/_local/emails", s.inbox.JSON())
	s.mux.Handle("/_local/emails/", s.inbox.JSON())
	s.mux.Handle("/_local/inbox", s.inbox.Page("/_local/inbox"))
	s.mux.Handle("/_local/inbox/", s.inbox.Page("/_local/inbox"))
	return nil
}

// settle waits until what was set off is done, as far as it can be: what is tried again later is not waited for.
func (s *system) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for range 2 { // what a webhook publishes, and what that sets off
		if s.stripe != nil {
			if err := s.stripe.Wait(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
		if s.broker != nil {
			if err := s.broker.WaitTried(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}

// settleTimeout bounds a wait for quiet.
const settleTimeout = 3 * time.Second

// Package stripestand is a stand-in for Stripe that runs in the process of
// the local runner and of tests. It serves the part of Stripe's API, version
// 2023-10-16, that the credit system uses, keeps state as Stripe does, and
// sends signed webhooks.
//
// Invariants:
//
//   - One operation at a time: a request, a control or a timed step sees the
//     state that the one before it left, and emits its events in order.
//   - The same seed, clock and calls give the same ids and events.
//   - What is due by the clock has happened before any request is answered.
//   - What was answered is in the file, if there is one: a process that is
//     killed loses nothing of it.
//   - A parameter or endpoint that the stand-in does not know is an error,
//     never ignored.
//   - Every collection is bounded: events and idempotency keys are pruned,
//     other objects are refused past Options.MaxObjects.
//
// The package does not own money rules of ours, credits, or the meaning of
// metadata: it knows Stripe's side alone. It does not serve Connect, Terminal,
// Issuing, balances, payouts or reports.
package stripestand

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// APIVersion is the version of Stripe's API that the stand-in speaks.
const APIVersion = "2023-10-16"

// WebhookSecret is the secret that signs webhooks unless an endpoint has its
// own.
const WebhookSecret = "whsec_local"

const (
	defaultMaxEvents  = 5000
	defaultMaxObjects = 200_000
	maxKeys           = 10_000
)

// Options configure a Stand. The zero value of a field means its default.
type Options struct {
	// Now is the system's clock, which never goes back. It dates objects,
	// periods and events. Required.
	Now func() time.Time
	// BaseURL is where Handler is served, without a slash at the end. The
	// payment page's address starts with it. Required.
	BaseURL string
	// Seed makes ids and the shuffled order of webhooks.
	Seed uint64
	// Key is the secret key that requests must carry; any key if empty.
	Key string
	// Path is the file in which the state is kept, by one Stand at a time;
	// nowhere if empty.
	Path string
	// Endpoints receive webhooks; AddEndpoint adds more.
	Endpoints []Endpoint
	// FinalizeAfter is how long a renewal's invoice stays a draft. Default 1 h.
	FinalizeAfter time.Duration
	// RetryAfter says how long after each failed payment of a renewal the next
	// is attempted; after the last the subscription is cancelled.
	// Default 3, 5 and 7 days.
	RetryAfter []time.Duration
	// TaxBasisPoints is added to amounts where automatic tax is enabled:
	// 1500 is 15 %. Default none.
	TaxBasisPoints int64
	// MaxEvents bounds the events kept, the newest. Default 5,000.
	MaxEvents int
	// MaxObjects bounds all other objects together. Default 200,000.
	MaxObjects int
	// Workers is how many webhooks are in flight at once. Default 1, which
	// keeps their order.
	Workers int
	// MaxAttempts bounds the attempts at a webhook. Default 8.
	MaxAttempts int
	// RetryBase is the wait after the first failed attempt, in the machine's
	// time; it doubles with each, up to 30 s. Default 500 ms.
	RetryBase time.Duration
	// Logger is told of webhooks given up and of a file that cannot be written.
	// Default: nothing is logged.
	Logger *slog.Logger
}

func (o *Options) setDefaults() error {
	if o.Now == nil {
		return errors.New("stripestand: Options.Now is required")
	}
	if o.BaseURL == "" {
		return errors.New("stripestand: Options.BaseURL is required")
	}
	if o.FinalizeAfter == 0 {
		o.FinalizeAfter = time.Hour
	}
	if o.RetryAfter == nil {
		o.RetryAfter = []time.Duration{72 * time.Hour, 120 * time.Hour, 168 * time.Hour}
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.MaxEvents, defaultMaxEvents},
		{&o.MaxObjects, defaultMaxObjects},
		{&o.Workers, 1},
		{&o.MaxAttempts, 8},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.RetryBase <= 0 {
		o.RetryBase = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Stand is the stand-in. Its methods are safe for concurrent use.
type Stand struct {
	opts   Options
	client *http.Client // posts webhooks; Stripe follows no redirects

	mu        sync.Mutex
	st        state
	timers    timerQueue
	endpoints []Endpoint
	inFlight  int           // deliveries being sent
	file      *file         // nil for none
	woken     chan struct{} // closed and replaced when there may be work
	jumble    uint64        // counts draws of shuffled deliveries

	stop context.CancelFunc
	done sync.WaitGroup
}

// New makes a stand-in and restores its state from Options.Path if that file
// exists.
func New(opts Options) (*Stand, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	s := &Stand{opts: opts, woken: make(chan struct{}), client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	s.st = state{head: head{Version: fileVersion, Mode: ModeDeliver, PendingItems: map[string][]line{}}}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("stripestand: restoring %s: %w", opts.Path, err)
	}
	for _, e := range opts.Endpoints {
		if err := s.AddEndpoint(e); err != nil {
			return nil, errors.Join(err, s.file.close())
		}
	}
	return s, nil
}

// Start sends webhooks and syncs the file in the background until ctx is
// done or Close is called. Without it webhooks go out only by Deliver.
func (s *Stand) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	for range s.opts.Workers {
		s.done.Go(func() { s.deliverForever(ctx) })
	}
	if s.file != nil {
		s.done.Go(func() { s.syncForever(ctx) })
	}
}

// Close stops what Start began and closes the file: what happens afterwards is
// not kept.
func (s *Stand) Close() error {
	if s.stop != nil {
		s.stop()
		s.done.Wait()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.file
	s.file = nil
	return f.close()
}

// wake tells the background that there may be work. The caller holds mu.
func (s *Stand) wake() {
	close(s.woken)
	s.woken = make(chan struct{})
}

// op is one operation on the stand-in; whoever has it holds the lock.
type op struct {
	*Stand
	now     int64  // Unix seconds
	request string // request id, for events; empty for timed steps
	key     string // idempotency key
	id      string // the object that the path names
	p       params
}

// read runs f, which changes nothing, after what is already due.
func (s *Stand) read(f func(*op) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.begin()
	if err == nil {
		err = s.keep()
	}
	if err != nil {
		return err
	}
	defer func() {
		for _, t := range s.st.tables() {
			t.rest()
		}
	}()
	return f(o)
}

// do runs f as one operation, after what is already due. Also one that fails
// may have changed something: a card that is declined leaves a charge.
func (s *Stand) do(f func(*op) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.begin()
	if err != nil {
		return err
	}
	defer s.wake()
	err = f(o)
	if kept := s.keep(); kept != nil {
		return kept
	}
	return err
}

// begin does what is already due. The caller holds mu.
func (s *Stand) begin() (*op, error) {
	now := s.opts.Now().Unix()
	return &op{Stand: s, now: now}, s.catchUp(now)
}

// room refuses a new object when the stand-in is full.
func (s *Stand) room() error {
	if s.st.objects() >= s.opts.MaxObjects {
		e := invalid("rate_limit", "", "The stand-in keeps at most %d objects", s.opts.MaxObjects)
		e.Status = http.StatusTooManyRequests
		return e
	}
	return nil
}

package stripestand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// Mode says what becomes of webhooks.
type Mode string

// The modes in which webhooks are delivered.
const (
	ModeDeliver   Mode = "deliver"   // each event once, in order
	ModeHold      Mode = "hold"      // kept back until the mode changes
	ModeDrop      Mode = "drop"      // never sent; the events stay listed as undelivered
	ModeDuplicate Mode = "duplicate" // each event twice
	ModeShuffle   Mode = "shuffle"   // in an order drawn from the seed
)

var modes = []Mode{ModeDeliver, ModeHold, ModeDrop, ModeDuplicate, ModeShuffle}

const (
	attemptTimeout = 20 * time.Second
	maxBackoff     = 30 * time.Second
	// shuffleLinger lets events that belong together gather before one is drawn.
	shuffleLinger  = 100 * time.Millisecond
	maxDeliveries  = 20_000
	maxRedelivered = 1000
	maxAtOnce      = 64
)

// Endpoint receives webhooks at a URL or in this process.
type Endpoint struct {
	// ID names the endpoint in the file; default "we_" and its number.
	ID string
	// URL is where events are posted; unused if Handler is set.
	URL string
	// Handler serves events in this process.
	Handler http.Handler
	// Path is the path that Handler sees. Default "/".
	Path string
	// Secret signs the events. Default WebhookSecret.
	Secret string
	// Events lists the types sent; all if empty.
	Events []string
}

func (e Endpoint) takes(kind string) bool {
	return len(e.Events) == 0 || slices.Contains(e.Events, kind)
}

// delivery is one event on its way to one endpoint.
type delivery struct {
	Event    string `json:"event"`
	Endpoint string `json:"endpoint"`
	Attempts int    `json:"attempts"`

	number    int       // since the first ever queued; the file's key
	notBefore time.Time // the machine's clock
	sending   bool
}

// AddEndpoint adds a receiver of webhooks for the events that follow. It
// refuses an endpoint with neither URL nor handler, or a taken id.
func (s *Stand) AddEndpoint(e Endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.URL == "" && e.Handler == nil {
		return errors.New("stripestand: an endpoint needs a URL or a handler")
	}
	if e.ID == "" {
		e.ID = fmt.Sprintf("we_%d", len(s.endpoints)+1)
	}
	if _, taken := s.endpoint(e.ID); taken {
		return fmt.Errorf("stripestand: endpoint %q exists", e.ID)
	}
	if e.Secret == "" {
		e.Secret = WebhookSecret
	}
	if e.Path == "" {
		e.Path = "/"
	}
	s.endpoints = append(s.endpoints, e)
	s.wake()
	return nil
}

func (s *Stand) endpoint(id string) (Endpoint, bool) {
	i := slices.IndexFunc(s.endpoints, func(e Endpoint) bool { return e.ID == id })
	if i < 0 {
		return Endpoint{}, false
	}
	return s.endpoints[i], true
}

// WebhookMode sets what becomes of webhooks from now on. Leaving hold sends
// what was kept back; in drop mode what waits is dropped too.
func (s *Stand) WebhookMode(mode Mode) error {
	if !slices.Contains(modes, mode) {
		return fmt.Errorf("stripestand: unknown webhook mode %q", mode)
	}
	return s.do(func(*op) error {
		s.st.Mode = mode
		if mode == ModeDrop {
			s.st.Deliveries.drop(func(d *delivery) bool { return !d.sending })
		}
		return nil
	})
}

// queue puts an event's webhooks in line. The caller holds mu.
func (s *Stand) queue(e *event) {
	for _, ep := range s.endpoints {
		if !ep.takes(e.Type) {
			continue
		}
		e.Hidden.Missing = append(e.Hidden.Missing, ep.ID)
		e.PendingWebhooks = len(e.Hidden.Missing)
		if s.st.Mode == ModeDrop || len(s.st.Deliveries.line) >= maxDeliveries {
			continue
		}
		s.st.Deliveries.add(&delivery{Event: e.ID, Endpoint: ep.ID})
		if s.st.Mode == ModeDuplicate {
			s.st.Deliveries.add(&delivery{Event: e.ID, Endpoint: ep.ID})
		}
	}
}

// take chooses the next delivery to attempt at a moment of the machine's
// clock, or says when to look again; zero means when woken. The caller holds mu.
func (s *Stand) take(now time.Time) (d *delivery, again time.Duration) {
	if s.st.Mode == ModeHold {
		return nil, 0
	}
	var ready []*delivery
	for _, c := range s.st.Deliveries.line {
		if _, known := s.endpoint(c.Endpoint); c.sending || !known {
			continue
		}
		if wait := c.notBefore.Sub(now); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		ready = append(ready, c)
		if s.st.Mode != ModeShuffle {
			break
		}
	}
	if len(ready) == 0 {
		return nil, again
	}
	d = ready[0]
	if s.st.Mode == ModeShuffle {
		s.jumble++
		d = ready[s.draw(len(ready))]
	}
	d.sending = true
	s.inFlight++
	return d, 0
}

// deliverForever is one background sender.
func (s *Stand) deliverForever(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		woken := s.woken
		linger := s.st.Mode == ModeShuffle && len(s.st.Deliveries.line) > 0
		s.mu.Unlock()
		if linger && !sleep(ctx, shuffleLinger, nil) {
			return
		}
		s.mu.Lock()
		d, again := s.take(time.Now())
		s.mu.Unlock()
		if d != nil {
			s.attempt(ctx, d)
			continue
		}
		sleep(ctx, again, woken)
	}
}

// sleep waits for d (without end if zero), for woken, or for the context; it
// reports whether the context still stands.
func sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	var timeout <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-ctx.Done():
	case <-woken:
	case <-timeout:
	}
	return ctx.Err() == nil
}

// attempt sends a delivery once and records what came of it.
func (s *Stand) attempt(ctx context.Context, d *delivery) {
	s.mu.Lock()
	body, err := s.eventBody(d.Event)
	ep, _ := s.endpoint(d.Endpoint)
	s.mu.Unlock()
	gone := err != nil // pruned while it waited
	if !gone {
		err = s.send(ctx, ep, body)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.wake()
	defer func() {
		if err := s.keep(); err != nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelError, "the state of the Stripe stand-in was not kept", slog.Any("error", err))
		}
	}()
	s.inFlight--
	d.sending = false
	d.Attempts++
	s.st.Deliveries.touch(d)
	switch {
	case err == nil:
		s.forget(d)
		s.reached(d.Event, ep)
	case ctx.Err() != nil: // stopped, not refused
		d.Attempts--
	case gone || d.Attempts >= s.opts.MaxAttempts:
		s.forget(d)
		s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "webhook given up",
			slog.String("event", d.Event), slog.String("endpoint", d.Endpoint), slog.Any("error", err))
	default:
		d.notBefore = time.Now().Add(min(s.opts.RetryBase<<(d.Attempts-1), maxBackoff))
	}
}

// reached records that an endpoint took an event, which may have been pruned
// meanwhile. The caller holds mu.
func (s *Stand) reached(id string, ep Endpoint) {
	if e, ok := s.st.Events.get(id); ok {
		e.reached(ep.ID)
	}
}

func (s *Stand) forget(d *delivery) {
	s.st.Deliveries.drop(func(x *delivery) bool { return x == d })
}

// eventBody renders an event for sending. The caller holds mu.
func (s *Stand) eventBody(id string) ([]byte, error) {
	e, err := s.event(id, "event")
	if err != nil {
		return nil, err
	}
	shown := struct {
		*event
		Hidden *eventHidden `json:"_hidden,omitempty"` // in place of the event's own
	}{event: e}
	body, err := json.Marshal(shown)
	if err != nil {
		return nil, fmt.Errorf("encoding event %s: %w", id, err)
	}
	return body, nil
}

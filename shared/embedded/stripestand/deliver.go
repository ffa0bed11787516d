package stripestand

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const maxAnswerBytes = 64 << 10

// maxRounds bounds Deliver: a receiver that causes an event for each event
// would never come to rest.
const maxRounds = 100_000

// Deliver attempts, in the calling goroutine, every webhook that waits, also
// those that the receivers' own calls cause meanwhile, each once, without
// waiting for back-off. It returns the failed attempts; their webhooks stay in
// line. It does nothing while webhooks are held.
func (s *Stand) Deliver(ctx context.Context) error {
	tried := map[*delivery]bool{}
	var failed []error
	for range maxRounds {
		d := s.takeUntried(tried)
		if d == nil {
			return errors.Join(failed...)
		}
		tried[d] = true
		before := d.Attempts
		s.attempt(ctx, d)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("delivering webhooks: %w", err)
		}
		if s.waits(d) {
			failed = append(failed, fmt.Errorf("event %s was refused by endpoint %s, attempt %d", d.Event, d.Endpoint, before+1))
		}
	}
	return fmt.Errorf("delivering webhooks: no rest after %d", maxRounds)
}

func (s *Stand) takeUntried(tried map[*delivery]bool) *delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.Mode == ModeHold {
		return nil
	}
	var ready []*delivery
	for _, d := range s.st.Deliveries.line {
		if _, known := s.endpoint(d.Endpoint); known && !d.sending && !tried[d] {
			ready = append(ready, d)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	d := ready[0]
	if s.st.Mode == ModeShuffle {
		s.jumble++
		d = ready[s.draw(len(ready))]
	}
	d.sending = true
	s.inFlight++
	return d
}

// draw picks one of n by the seed. The caller holds mu.
func (s *Stand) draw(n int) int {
	var in [16]byte
	binary.BigEndian.PutUint64(in[:8], s.opts.Seed)
	binary.BigEndian.PutUint64(in[8:], s.jumble)
	sum := sha256.Sum256(in[:])
	return int(binary.BigEndian.Uint32(sum[:4])) % n
}

func (s *Stand) waits(d *delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.st.Deliveries.line {
		if x == d {
			return true
		}
	}
	return false
}

// Wait blocks until no webhook is in flight or, unless they are held, waits to
// be sent. It needs Start.
func (s *Stand) Wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		quiet := s.inFlight == 0 && (s.st.Mode == ModeHold || s.waiting() == 0)
		woken := s.woken
		s.mu.Unlock()
		if quiet {
			return nil
		}
		if !sleep(ctx, 0, woken) {
			return fmt.Errorf("waiting for webhooks: %w", ctx.Err())
		}
	}
}

// waiting counts the deliveries whose endpoint is known. The caller holds mu.
func (s *Stand) waiting() int {
	n := 0
	for _, d := range s.st.Deliveries.line {
		if _, known := s.endpoint(d.Endpoint); known {
			n++
		}
	}
	return n
}

// Redeliver sends an event again to every endpoint that takes it, the given
// number of times, all at once up to 64, whatever the mode. It returns the
// refusals.
func (s *Stand) Redeliver(ctx context.Context, eventID string, times int) error {
	if times < 1 || times > maxRedelivered {
		return fmt.Errorf("redelivering %s: %d times is not between 1 and %d", eventID, times, maxRedelivered)
	}
	var body []byte
	var to []Endpoint
	err := s.read(func(o *op) error {
		e, err := o.event(eventID, "event")
		if err != nil {
			return err
		}
		for _, ep := range s.endpoints {
			if ep.takes(e.Type) {
				to = append(to, ep)
			}
		}
		body, err = o.eventBody(eventID)
		return err
	})
	if err != nil {
		return err
	}
	var (
		mu      sync.Mutex
		refused []error
		wg      sync.WaitGroup
		slots   = make(chan struct{}, maxAtOnce)
	)
	for range times {
		for _, ep := range to {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				err := s.send(ctx, ep, body)
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, err)
				if err == nil {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.reached(eventID, ep)
					refused = append(refused, s.keep())
				}
			})
		}
	}
	wg.Wait()
	return errors.Join(refused...)
}

// Sign returns the Stripe-Signature header, scheme v1, of a body sent at a
// moment of the machine's clock.
func Sign(body []byte, at time.Time, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// send posts an event's body; anything but a 2xx answer is an error.
func (s *Stand) send(ctx context.Context, ep Endpoint, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	target := ep.URL
	if ep.Handler != nil {
		target = "http://in-process.invalid" + ep.Path
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("posting to endpoint %s: %w", ep.ID, err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	r.Header.Set("Stripe-Signature", Sign(body, time.Now(), ep.Secret))
	if ep.Handler != nil {
		w := &memoryAnswer{header: http.Header{}, status: http.StatusOK}
		r.RequestURI, r.RemoteAddr = ep.Path, "127.0.0.1:0"
		serve(ep.Handler, w, r)
		return accepted(ep, w.status)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("posting to endpoint %s: %w", ep.ID, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswerBytes)); err != nil {
		return fmt.Errorf("reading the answer of endpoint %s: %w", ep.ID, err)
	}
	return accepted(ep, resp.StatusCode)
}

// serve runs a handler; one that panics has failed, as it has in net/http.
func serve(h http.Handler, w *memoryAnswer, r *http.Request) {
	defer func() {
		if recover() != nil {
			w.status = http.StatusInternalServerError
		}
	}()
	h.ServeHTTP(w, r)
}

func accepted(ep Endpoint, status int) error {
	if status < 200 || status > 299 {
		return fmt.Errorf("endpoint %s answered %d", ep.ID, status)
	}
	return nil
}

// memoryAnswer takes the answer of a handler in this process and keeps its
// status alone.
type memoryAnswer struct {
	header http.Header
	status int
	wrote  bool
}

// Header implements http.ResponseWriter.
func (w *memoryAnswer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *memoryAnswer) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
}

// Write implements http.ResponseWriter.
func (w *memoryAnswer) Write(p []byte) (int, error) {
	w.wrote = true
	return len(p), nil
}

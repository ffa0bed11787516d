package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fluxori/ai-credits/shared/wiring"
)

// maxStops bounds how often one move of the clock stops on its way.
const maxStops = 20_000

// maxToldFailures bounds how many failures of one move are told.
const maxToldFailures = 5

// job is a scheduled request.
type job struct {
	wiring.Job
	// frequent jobs run more often than hourly; a move of the clock fires them once per stop.
	frequent bool
	fire     func(ctx context.Context) error
	next     time.Time
}

// timed is what else happens by the clock: Stripe's renewals.
type timed interface {
	// Due is when something happens next.
	Due() (time.Time, bool)
	// Run makes everything happen that is due by a moment.
	Run(ctx context.Context, until time.Time) error
}

// scheduler fires jobs as the system's clock passes their times, whether by itself or because somebody moves it.
type scheduler struct {
	clock *systemClock
	timed timed
	// settle waits until what a stop has set off is done.
	settle func(ctx context.Context) error

	mu   sync.Mutex // one move of the clock at a time
	jobs []*job
}

// add makes a job known, to be fired from now on.
func (s *scheduler) add(w wiring.Job, fire func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := w.Next(s.clock.Now())
	s.jobs = append(s.jobs, &job{Job: w, frequent: w.Next(next).Sub(next) < time.Hour, fire: fire, next: next})
}

// names lists the jobs.
func (s *scheduler) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, len(s.jobs))
	for i, j := range s.jobs {
		out[i] = j.Name
	}
	slices.Sort(out)
	return out
}

// errNoJob says that there is no job of that name.
var errNoJob = errors.New("there is no such job")

// run fires one job now.
func (s *scheduler) run(ctx context.Context, name string) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.Name == name })
	s.mu.Unlock()
	if i < 0 {
		return fmt.Errorf("%w: %q", errNoJob, name)
	}
	return s.jobs[i].fire(ctx)
}

// moveTo moves the clock ahead, stopping wherever something is due on the way, and tells how often it stopped. What fails at a stop is
// told at the end: the clock goes on, as it would.
func (s *scheduler) moveTo(ctx context.Context, target time.Time) (stops int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failures []error
	for ; stops < maxStops; stops++ {
		at := s.nextStop(target)
		if err := s.clock.MoveTo(at); err != nil {
			return stops, err
		}
		if err := s.stop(ctx, at); err != nil {
			failures = append(failures, fmt.Errorf("at %s: %w", at.Format(time.RFC3339), err))
		}
		if ctx.Err() != nil || !at.Before(target) {
			return stops + 1, errors.Join(errors.Join(failures[:min(len(failures), maxToldFailures)]...), ctx.Err())
		}
	}
	return stops, fmt.Errorf("the clock stopped %d times on its way to %s: move it in shorter steps", stops, target.Format(time.RFC3339))
}

// nextStop is the first moment by target at which something rarer than every hour, or Stripe, is due.
func (s *scheduler) nextStop(target time.Time) time.Time {
	at := target
	for _, j := range s.jobs {
		if !j.frequent && j.next.Before(at) {
			at = j.next
		}
	}
	if due, ok := s.timed.Due(); ok && due.Before(at) {
		at = due
	}
	return at
}

// stop does what is due at a moment: Stripe first, as its webhooks are what jobs look at.
func (s *scheduler) stop(ctx context.Context, at time.Time) error {
	if err := s.timed.Run(ctx, at); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	var failures []error
	for _, j := range s.jobs {
		if j.next.After(at) {
			continue
		}
		j.next = j.Next(at)
		if err := j.fire(ctx); err != nil {
			failures = append(failures, fmt.Errorf("job %s: %w", j.Name, err))
		}
	}
	return errors.Join(append(failures, s.settle(ctx))...)
}

// tick fires what the clock has passed by itself.
func (s *scheduler) tick(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	due, ok := s.timed.Due()
	if (!ok || due.After(now)) && !slices.ContainsFunc(s.jobs, func(j *job) bool { return !j.next.After(now) }) {
		return nil
	}
	return s.stop(ctx, now)
}

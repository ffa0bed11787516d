package telemetry

import (
	"context"
	"sync/atomic"
	"time"
)

// A function's processor is throttled once its last request is answered, so figures go out while one is under way, and its caller is held up
// for that as little as can be.
const (
	// sendEvery is how often figures go out while requests come; sendLeast is how soon they may go again, which Cloud Monitoring bounds.
	sendEvery = time.Minute
	sendLeast = 10 * time.Second
	// sendWait is how long a request waits at most for what it has set off, sendWaitJob one that nobody waits for. What takes longer goes on
	// as long as the processor lets it.
	sendWait    = 200 * time.Millisecond
	sendWaitJob = 2 * time.Second
	// sendTimeout bounds the sending itself.
	sendTimeout = 10 * time.Second
)

// sender sends what was recorded.
type sender struct {
	flush  func(ctx context.Context) error
	failed func(ctx context.Context, err error)
	// last is when sending last began, in the machine's nanoseconds; 0 before the first request.
	last atomic.Int64
}

// Send sends what was recorded, if that was not done within the last minute, and returns when it has gone, or after 200 ms. Of several
// requests at once one does so.
func (r *Recorder) Send(ctx context.Context) {
	if r != nil && r.sender.flush != nil {
		r.sender.send(ctx, sendEvery, sendWait)
	}
}

// SendNow is Send for work that nobody waits for, such as a scheduled job: its own figures are sent with it. It returns after two seconds at
// most.
func (r *Recorder) SendNow(ctx context.Context) {
	if r != nil && r.sender.flush != nil {
		r.sender.send(ctx, sendLeast, sendWaitJob)
	}
}

func (s *sender) send(ctx context.Context, every, wait time.Duration) {
	now, last := time.Now().UnixNano(), s.last.Load()
	if last == 0 && every == sendEvery {
		// The first minute begins with the first request: a cold start is slow enough.
		s.last.CompareAndSwap(0, now)
		return
	}
	if now-last < int64(every) || !s.last.CompareAndSwap(last, now) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
		defer cancel()
		if err := s.flush(ctx); err != nil && s.failed != nil {
			s.failed(ctx, err)
		}
	}()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

// Stop sends what was recorded since, before the process ends; ctx bounds it.
func (r *Recorder) Stop(ctx context.Context) error {
	if r == nil || r.sender.flush == nil {
		return nil
	}
	return r.sender.flush(ctx)
}

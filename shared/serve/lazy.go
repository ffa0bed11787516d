package serve

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
)

// lazy builds a handler when it is first wanted. Callers who come while it is being built wait for that one build and
// share its outcome; after a failure the next caller builds anew.
type lazy struct {
	build func() (http.Handler, error)

	mu      sync.Mutex
	current *building
}

// building is one attempt. Its handler and err are set before done is closed and not changed after.
type building struct {
	done    chan struct{}
	handler http.Handler
	err     error
}

func newLazy(build func() (http.Handler, error)) *lazy { return &lazy{build: build} }

// get returns the handler. It waits no longer than ctx lives; the build goes on for those who come later.
func (l *lazy) get(ctx context.Context) (http.Handler, error) {
	b := l.attempt()
	select {
	case <-b.done:
		return b.handler, b.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the function to be built: %w", ctx.Err())
	}
}

// attempt returns the attempt that is going on or has succeeded, or begins one.
func (l *lazy) attempt() *building {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		return l.current
	}
	b := &building{done: make(chan struct{})}
	l.current = b
	go l.run(b)
	return b
}

// run carries out b, and forgets it if it failed.
func (l *lazy) run(b *building) {
	defer close(b.done)
	defer func() {
		if v := recover(); v != nil {
			b.err = fmt.Errorf("build panicked: %v\n%s", v, debug.Stack())
		}
		if b.err != nil {
			l.mu.Lock()
			l.current = nil
			l.mu.Unlock()
		}
	}()
	b.handler, b.err = l.build()
}

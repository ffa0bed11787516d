package ledger

import (
	"container/list"
	"sync"
	"time"
)

const (
	// gateLeast is how many wallets may always be at work at once, gateFirst with how many a ledger begins.
	gateLeast = 16
	gateFirst = 64
	// gateWindow is how long the least time is taken over, twice, so that a store that has become slower is given time.
	gateWindow = 30 * time.Second
	// gateSlack is added to what a commit may take, for the grain of timers.
	gateSlack = time.Millisecond
)

// gate lets so many wallets be at work at once as make commits little slower than they are at best, first come, first served. A store that
// is far away and idle is given more of them; one that is near, or a processor, that is busy fewer, while commands gather into larger
// batches. Until there is a place an actor holds nothing.
type gate struct {
	most int

	mu      sync.Mutex
	limit   int
	used    int
	waiting list.List        // of chan struct{}, each closed when its place is free
	base    [2]time.Duration // the least of the window before, and of this one
	began   time.Time        // this window
	slow    int              // commits that were slow less those that were not, since the limit was moved
	moved   time.Time
}

func newGate(most int) *gate { return &gate{most: most, limit: min(most, gateFirst)} }

// enter waits for a place.
func (g *gate) enter() {
	g.mu.Lock()
	if g.used < g.limit && g.waiting.Len() == 0 {
		g.used++
		g.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	g.waiting.PushBack(turn)
	g.mu.Unlock()
	<-turn
}

// leave gives a place back, after a commit that took so long; 0 for none.
func (g *gate) leave(took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if took > 0 {
		g.adjust(took, time.Now())
	}
	g.used--
	for g.used < g.limit && g.waiting.Len() > 0 {
		g.used++
		close(g.waiting.Remove(g.waiting.Front()).(chan struct{}))
	}
}

// adjust judges a commit, and once in the time that one takes at best moves the limit by a sixteenth: down when most were slow for this
// store, up when they were not and others wait. More often, it would judge commits by a limit under which they did not begin.
func (g *gate) adjust(took time.Duration, now time.Time) {
	if now.Sub(g.began) > gateWindow {
		g.began, g.base = now, [2]time.Duration{g.base[1], 0}
	}
	if g.base[1] == 0 || took < g.base[1] {
		g.base[1] = took
	}
	best := g.base[1]
	if g.base[0] > 0 {
		best = min(best, g.base[0])
	}
	if took > 2*best+gateSlack {
		g.slow++
	} else {
		g.slow--
	}
	if now.Sub(g.moved) < best {
		return
	}
	step := max(1, g.limit/16)
	switch {
	case g.slow > 0:
		g.limit = max(g.limit-step, min(gateLeast, g.most))
	case g.waiting.Len() > 0:
		g.limit = min(g.limit+step, g.most)
	}
	g.moved, g.slow = now, 0
}

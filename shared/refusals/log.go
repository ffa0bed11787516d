package refusals

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

// Bounds of a Log. Together they mean at most 128 writes a second for each process, and one a second for each document.
const (
	window = time.Minute
	// The least time between two writes of one document doubles from pauseFirst to pauseMost: about as long a refused caller is kept. Who is
	// refused twice hardly notices, who is refused all the time costs a write a second.
	pauseFirst = 100 * time.Millisecond
	pauseMost  = time.Second
	// pace is the least time between two full batches.
	pace         = 500 * time.Millisecond
	maxBatch     = 64
	maxTallies   = 512 // told apart, over all organisations
	maxOfOrg     = 128 // told apart, of one organisation
	maxSampled   = 128 // counted together, by organisation and code
	timeoutWrite = 2 * time.Second
	// patience is how long one caller is kept to write for others, if another can take its place; timeoutAll if none comes.
	patience   = 2 * time.Second
	timeoutAll = 8 * time.Second
)

// Writer stores refusals, each whole, in place of what was stored under its id.
type Writer interface {
	Write(ctx context.Context, rs []Refusal) error
}

// Log counts refusals and has them stored. It is safe for concurrent use.
type Log struct {
	writer Writer
	log    *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	tallies map[key]*tally
	ofOrg   map[string]int
	sampled int
	lost    int64
	open    int64 // the minute at hand
	// writing says that a caller sees to the writing, since when, and by which turn.
	writing bool
	since   time.Time
	turn    uint64
	full    time.Time // when the last full batch was begun
}

// key is what refusals are told apart by.
type key struct {
	org, user, team, feature string
	kind                     Kind
	actor, code, blocker     string
	sampled                  bool
	window                   int64
}

// tally is a document that this process writes.
type tally struct {
	Refusal
	stored int64         // the count that is stored
	tried  time.Time     // when it was last written, by the machine's clock
	pause  time.Duration // until it may be written again
	busy   bool          // a write is under way
}

// NewLog returns a Log. now is the system's clock, which dates refusals.
func NewLog(w Writer, log *slog.Logger, now func() time.Time) (*Log, error) {
	if w == nil || log == nil || now == nil {
		return nil, errors.New("the log of refusals needs a writer, a logger and a clock")
	}
	return &Log{writer: w, log: log, now: now, tallies: map[key]*tally{}, ofOrg: map[string]int{}}, nil
}

// Record counts a request that err refused, if that is a refusal to be told later. Whoever finds that nobody sees to the writing does so,
// until all is stored, and is answered that much later: at once for a lone refusal, within a second or so for one that follows its like.
func (l *Log) Record(ctx context.Context, q Request, err error) {
	r, ok := of(q, err, l.now().UTC().Truncate(time.Microsecond))
	if !ok {
		return
	}
	telemetry.FromContext(ctx).Refused(ctx, r.Code)
	turn, mine := l.count(r)
	if mine {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeoutAll) // the caller going away is no reason to lose counts
		defer cancel()
		l.write(ctx, turn)
	}
}

// count adds a refusal to its tally, and says whether its caller is to see to the writing.
func (l *Log) count(r Refusal) (turn uint64, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.add(r) {
		l.lost++
	}
	now := time.Now()
	if l.writing && now.Sub(l.since) < patience {
		return 0, false
	}
	l.turn++
	l.writing, l.since = true, now
	return l.turn, true
}

// add counts a refusal by itself, or with others of its organisation where there are too many; false if there is no room for that either.
func (l *Log) add(r Refusal) bool {
	k := key{r.Org, r.User, r.Team, r.Feature, r.Kind, r.Actor, r.Code, r.Blocker, false, r.Last.Truncate(window).Unix()}
	if k.window > l.open {
		l.open = k.window
		l.forget()
	}
	t := l.tallies[k]
	if t == nil && (len(l.tallies)-l.sampled >= maxTallies || l.ofOrg[r.Org] >= maxOfOrg) {
		r = Refusal{Request: Request{Org: r.Org}, Code: r.Code, Count: 1, First: r.First, Last: r.Last, Sampled: true}
		k = key{org: r.Org, code: r.Code, sampled: true, window: k.window}
		t = l.tallies[k]
		if t == nil && l.sampled >= maxSampled {
			return false
		}
	}
	if t != nil {
		r.ID, r.Count, r.First = t.ID, t.Count+1, t.First
		t.Refusal = r
		return true
	}
	r.ID = rand.Text()
	l.tallies[k] = &tally{Refusal: r}
	if k.sampled {
		l.sampled++
	} else {
		l.ofOrg[r.Org]++
	}
	return true
}

// write stores what is counted until all is stored, or another caller has taken the turn.
func (l *Log) write(ctx context.Context, turn uint64) {
	for {
		batch, wait, done := l.next(turn, time.Now())
		switch {
		case done:
			return
		case len(batch) == 0:
			if sleep(ctx, wait) != nil {
				l.leave(turn)
				return
			}
		default:
			if err := l.store(ctx, batch); err != nil {
				l.leave(turn)
				l.log.WarnContext(ctx, "refusals could not be logged; the next one tries again", slog.Int("documents", len(batch)), slog.Any("error", err))
				return
			}
		}
	}
}

// next is what is to be written now, or how long to wait for that. done says that there is nothing to be written, or another's turn.
func (l *Log) next(turn uint64, now time.Time) (batch []*tally, _ time.Duration, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn != turn {
		return nil, 0, true
	}
	if l.lost > 0 {
		l.log.Warn("refusals were too many to be counted by organisation and code", slog.Int64("refusals", l.lost))
		l.lost = 0
	}
	l.forget()
	wait, waiting := pauseMost, false
	for _, t := range l.tallies {
		if t.busy { // under way in another's turn: to be looked at again
			waiting = true
		}
		if t.busy || t.stored == t.Count {
			continue
		}
		left := max(t.pause-now.Sub(t.tried), pace-now.Sub(l.full))
		if left <= 0 && len(batch) < maxBatch {
			batch = append(batch, t)
			continue
		}
		wait, waiting = min(wait, max(left, time.Millisecond)), true
	}
	if len(batch) == 0 && !waiting {
		l.writing = false
		return nil, 0, true
	}
	if len(batch) == maxBatch {
		l.full = now
	}
	for _, t := range batch {
		t.tried, t.busy = now, true
		t.pause = min(max(2*t.pause, pauseFirst), pauseMost)
	}
	return batch, wait, false
}

// forget drops the tallies that are stored and whose minute is over.
func (l *Log) forget() {
	for k, t := range l.tallies {
		if t.busy || t.stored != t.Count || k.window >= l.open {
			continue
		}
		delete(l.tallies, k)
		if k.sampled {
			l.sampled--
			continue
		}
		if l.ofOrg[k.org]--; l.ofOrg[k.org] == 0 {
			delete(l.ofOrg, k.org)
		}
	}
}

// store writes tallies as they are now.
func (l *Log) store(ctx context.Context, batch []*tally) error {
	l.mu.Lock()
	rs := make([]Refusal, len(batch))
	for i, t := range batch {
		rs[i] = t.Refusal
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeoutWrite)
	defer cancel()
	err := l.writer.Write(ctx, rs)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range batch {
		t.busy = false
		if err == nil {
			t.stored = rs[i].Count
		}
	}
	return err
}

// leave gives up the turn with something still to be written: the next refusal sees to it.
func (l *Log) leave(turn uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn == turn {
		l.writing = false
	}
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

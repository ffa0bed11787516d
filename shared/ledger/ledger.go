package ledger

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/request"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// Options bound a Ledger. Zero values stand for the defaults named.
type Options struct {
	// Now is the system's clock; it never goes back. Required.
	Now func() time.Time
	// Publish tells events to others after a commit; nil leaves them to the outbox.
	Publish Publisher
	Logger  *slog.Logger
	// Telemetry records what is committed; nil records nothing.
	Telemetry *telemetry.Recorder

	Deadline       time.Duration // of a command whose caller sets none: 10 s
	CommitTimeout  time.Duration // of one commit's answer: 5 s
	ReadTimeout    time.Duration // of one read: 5 s
	PublishTimeout time.Duration // callers wait at most so long for their events to go out: 200 ms
	BatchItems     int           // commands in one commit: 400
	// SharedBatchItems are commands in one commit while several processes take turns on the wallet: 1,000.
	SharedBatchItems int
	BatchBytes       int           // of one commit, about: 6 MiB
	QueueItems       int           // commands that wait for one wallet: 4,096
	TotalItems       int           // commands that wait in all: 16,384
	CachedWallets    int           // states kept: 2,000
	CachedCounters   int           // counters of limits in those that rest: 262,144
	RecentEntries    int           // entries kept over all wallets, to answer repeats without a read: 16,384
	Concurrency      int           // wallets at work at once, at most: 512
	Linger           time.Duration // wait for a busy wallet's next batch to gather: 1 ms
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	bound := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&o.Deadline, 10*time.Second)
	def(&o.CommitTimeout, 5*time.Second)
	def(&o.ReadTimeout, 5*time.Second)
	def(&o.PublishTimeout, 200*time.Millisecond)
	def(&o.Linger, time.Millisecond)
	bound(&o.BatchItems, 400)
	bound(&o.SharedBatchItems, 1000)
	bound(&o.BatchBytes, 6<<20)
	bound(&o.QueueItems, 4096)
	bound(&o.TotalItems, 16384)
	bound(&o.CachedWallets, 2000)
	bound(&o.CachedCounters, 1<<18)
	bound(&o.RecentEntries, 16384)
	bound(&o.Concurrency, 512)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Ledger carries out commands on the wallets of one database. It is safe for concurrent use.
type Ledger struct {
	store store
	opts  Options
	gate  *gate
	// self names this process to others that commit to the same wallets.
	self   string
	memory *memory
	// deep has a place for each question that looks at much that is due.
	deep chan struct{}

	mu      sync.Mutex
	actors  map[string]*actor
	idle    *list.List // actors without work, the longest idle first
	waiting int        // commands that wait, over all wallets
	kept    int        // counters of idle actors
}

// New makes a ledger on client's database, such as projects/p/databases/(default).
func New(client *firestore.Client, database string, opts Options) (*Ledger, error) {
	if client == nil || database == "" || opts.Now == nil {
		return nil, errors.New("ledger needs a client, a database and a clock")
	}
	opts = opts.withDefaults()
	return &Ledger{
		store: store{client: client, database: database, readTimeout: opts.ReadTimeout, commitTimeout: opts.CommitTimeout},
		opts:  opts, gate: newGate(opts.Concurrency),
		self: rand.Text()[:10], memory: newMemory(opts.RecentEntries), deep: make(chan struct{}, deepAtOnce),
		actors: map[string]*actor{}, idle: list.New(),
	}, nil
}

// Result is what a command did.
type Result struct {
	// Entry is the command's own entry; nil when it changed nothing, as one that had reached its target.
	Entry *credit.Entry
	// Replayed says that the entry was there before: this is the first result again.
	Replayed bool
	// Hold is the hold that the command was about, as it left it; nil for other commands, and for what is replayed.
	Hold *credit.Hold
	// After are the wallet's figures after the command.
	After credit.Figures
}

// Do carries out a command on an organisation's wallet. The error is a *credit.Refusal (a definite no), an *Unavailable (the outcome is
// unknown: repeat with the same id), or says that the command makes no sense.
func (l *Ledger) Do(ctx context.Context, org string, c credit.Command) (Result, error) {
	return l.do(ctx, org, c, false)
}

// Redo is Do for a command that has probably been carried out before: its entry is looked for first.
func (l *Ledger) Redo(ctx context.Context, org string, c credit.Command) (Result, error) {
	return l.do(ctx, org, c, true)
}

// Settle journals what the clock has decided on a wallet.
func (l *Ledger) Settle(ctx context.Context, org string) error {
	_, err := l.submit(ctx, org, &item{})
	return err
}

func (l *Ledger) do(ctx context.Context, org string, c credit.Command, redo bool) (Result, error) {
	if err := credit.CheckOrg(org); err != nil {
		return Result{}, err
	}
	if err := credit.Check(c); err != nil {
		return Result{}, err
	}
	it := &item{cmd: c}
	it.key, it.hash, it.keyed = credit.KeyOf(c)
	it.doc = it.key.Doc()
	note(ctx, org, it)
	if it.keyed {
		if r, found, err := l.repeated(ctx, org, it, redo); found {
			return r, err
		}
	}
	return l.submit(ctx, org, it)
}

// note tells the request's line in the log which wallet and which event it was about.
func note(ctx context.Context, org string, it *item) {
	request.Note(ctx, slog.String("org", org))
	switch {
	case it.keyed && it.key.System:
		request.Note(ctx, slog.String("key", it.key.ID))
	case it.keyed:
		request.Note(ctx, slog.String("event_id", it.key.ID))
	}
}

// repeated answers a command that was carried out before, as far as that is remembered or expected. It does so beside the wallet's queue:
// within a batch the entry that exists already would cost everybody a second commit. What it does not find is decided as any other.
func (l *Ledger) repeated(ctx context.Context, org string, it *item, expected bool) (r Result, found bool, err error) {
	e, probably := l.memory.find(org, it.doc)
	if e == nil && (probably || expected) {
		name := l.store.entryName(org, it.doc)
		ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
		defer cancel()
		got, err := l.store.get(ctx, name)
		if err != nil {
			return Result{}, true, unavailable(err)
		}
		if got[name] == nil {
			return Result{}, false, nil
		}
		if e, _, err = decodeEntry(got[name]); err != nil {
			return Result{}, true, err
		}
		l.memory.keep(org, it.doc, e)
	}
	if e == nil {
		return Result{}, false, nil
	}
	r, err = replay(e, it.hash)
	return r, true, err
}

func (l *Ledger) submit(ctx context.Context, org string, it *item) (Result, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.opts.Deadline)
		defer cancel()
	}
	it.ctx, it.done = ctx, make(chan answer, 1)
	if err := l.enqueue(org, it); err != nil { //nolint:contextcheck // the actor it starts outlives any one caller
		return Result{}, err
	}
	select {
	case a := <-it.done:
		return a.result, a.err
	case <-ctx.Done():
		select { // an answer that came at the same moment is better than none
		case a := <-it.done:
			return a.result, a.err
		default:
		}
		return Result{}, unavailable(fmt.Errorf("no answer for %s in time: %w", org, context.Cause(ctx)))
	}
}

// enqueue hands a command to its wallet's actor and starts it when it rests.
func (l *Ledger) enqueue(org string, it *item) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.actors[org]
	if a == nil {
		a = &actor{ledger: l, org: org}
	}
	// No wallet may have more waiting than there is room left, so that those that are flooded leave room for the others, however many they are.
	if len(a.queue) >= min(l.opts.QueueItems, l.opts.TotalItems-l.waiting) {
		return unavailable(fmt.Errorf("%d commands wait for %s, %d in all", len(a.queue), org, l.waiting))
	}
	l.actors[org] = a
	a.queue = append(a.queue, it)
	l.waiting++
	if !a.running {
		a.running = true
		if a.rest != nil {
			l.idle.Remove(a.rest)
			a.rest = nil
			l.kept -= a.kept
		}
		go a.run()
	}
	return nil
}

// take gives an actor its next commands, or lets it rest when there are none.
func (l *Ledger) take(a *actor, most int) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(a.queue), most)
	if n == 0 {
		a.running, a.alone = false, 0
		a.queue = nil
		a.rest = l.idle.PushBack(a)
		if a.kept = 0; a.state != nil {
			a.kept = a.state.CountersKept()
		}
		l.kept += a.kept
		l.evict()
		return nil
	}
	if a.alone > 0 {
		a.alone--
		n = 1
	}
	batch := a.queue[:n:n]
	a.queue = a.queue[n:]
	l.waiting -= n
	return batch
}

// evict drops what is known of the wallets that have rested longest, but for one with a commit that may yet land.
func (l *Ledger) evict() {
	for e := l.idle.Front(); e != nil && (l.idle.Len() > l.opts.CachedWallets || l.kept > l.opts.CachedCounters); {
		next := e.Next()
		if a := e.Value.(*actor); !a.fenced() {
			l.idle.Remove(e)
			l.kept -= a.kept
			delete(l.actors, a.org)
		}
		e = next
	}
}

// giveBack puts commands that must be decided again at the head of the queue.
func (l *Ledger) giveBack(a *actor, items []*item) {
	if len(items) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a.queue = append(append(make([]*item, 0, len(items)+len(a.queue)), items...), a.queue...)
	l.waiting += len(items)
}

func (l *Ledger) queued(a *actor) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(a.queue)
}

// Unavailable says that the outcome is unknown, or that there is no capacity: repeat with the same id.
type Unavailable struct{ err error }

func unavailable(err error) *Unavailable { return &Unavailable{err: err} }

func (u *Unavailable) Error() string { return "unavailable: " + u.err.Error() }

func (u *Unavailable) Unwrap() error { return u.err }

// Code is the stable code of the error.
func (u *Unavailable) Code() string { return "unavailable" }

// Public is the text shown to callers.
func (u *Unavailable) Public() string {
	return "The outcome is not known yet, or the service is busy; repeat with the same event id."
}

// Details are the members that go with the code.
func (u *Unavailable) Details() map[string]any { return nil }

// RetryAfter is how long to wait before repeating.
func (u *Unavailable) RetryAfter() time.Duration { return time.Second }

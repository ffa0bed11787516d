package ledger

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// item is one command on its way.
type item struct {
	ctx   context.Context
	cmd   credit.Command // nil journals what is due, and nothing else but to fold or erase
	fold  *fold          // a month to be folded; nil for none
	erase *erasure       // texts to be taken out of entries; nil for none
	key   credit.Key
	doc   string // of its entry
	hash  string
	keyed bool // has an entry of its own to be found by
	done  chan answer

	// readFirst asks to look for the entry before deciding: a known redelivery, or a command that cached state would refuse.
	readFirst bool
	// twins are the same event again, in the same batch.
	twins []*item
}

type answer struct {
	result Result
	err    error
}

func (it *item) answer(r Result, err error) {
	select {
	case it.done <- answer{r, err}:
	default: // answered before, as when a round broke off
	}
}

// refuse answers an item, and the same command again, with a definite no or an unknown outcome.
func (it *item) refuse(err error) {
	it.answer(Result{}, err)
	for _, t := range it.twins {
		t.answer(Result{}, err)
	}
}

// succeed answers an item with its entry, and its twins as replays of it.
func (it *item) succeed(r Result) {
	it.answer(r, nil)
	for _, t := range it.twins {
		t.answer(replay(r.Entry, t.hash))
	}
}

// replay is the answer to a command whose entry was there before: the first result if the content is the same, else a conflict.
func replay(e *credit.Entry, hash string) (Result, error) {
	switch {
	case e.Hash == hash:
		return Result{Entry: e, Replayed: true, After: e.After}, nil
	case e.Kind == credit.KindCapture:
		return Result{}, credit.Settled(e.Subject)
	default:
		return Result{}, credit.Refuse(credit.CodeConflict, "this event id was used before with other content", map[string]any{"event_id": e.Key.ID})
	}
}

// actor is one wallet in this process. Its goroutine runs only while there is work; nothing but that goroutine touches the fields below
// the first group.
type actor struct {
	ledger *Ledger
	org    string
	// Guarded by ledger.mu.
	queue   []*item
	running bool
	rest    *list.Element
	kept    int // counters, while it rests

	// state is the wallet as of version, nil when it must be read.
	state   *credit.State
	version *timestamppb.Timestamp // the wallet document's update time; nil when there is no such document
	usage   rollup
	cells   map[string]bool // cells known to be in the roll-up document in use
	// fence is the version on which a commit with an unknown outcome may still land; nil for none.
	fence *unclear
	contention
	lastBatch int           // size of the last commit
	landedIn  time.Duration // how long the round's commit took; 0 for none, or one that was not plain
	alone     int           // how many of the next commands are to be committed one by one
	zone      *time.Location
	zoneName  string
}

// unclear is a commit that may yet land: it can do so only while the wallet stands at this version.
type unclear struct {
	version *timestamppb.Timestamp // nil: while there is no wallet
	until   time.Time              // nothing can land later
}

// run works until nothing waits. Only as many wallets are at work at once as the gate lets in.
func (a *actor) run() {
	ctx := context.Background() // outlives any one caller; every call beneath it has a deadline of its own
	for {
		a.linger()
		if a.ledger.queued(a) > 0 {
			a.awaitTurn(ctx) // before the gate: others can use the place
		}
		a.ledger.gate.enter()
		a.landedIn = 0
		batch := a.ledger.take(a, a.batchItems()) // what has gathered until now
		if batch == nil {                         // the actor rests: it may run anew already, and nothing of it may be touched here
			a.ledger.gate.leave(0)
			return
		}
		a.round(ctx, batch)
		a.ledger.gate.leave(a.landedIn)
	}
}

// batchItems is how many commands a commit takes: more when the wallet is shared, since turns are few.
func (a *actor) batchItems() int {
	if a.shared(a.ledger.self) {
		return a.ledger.opts.SharedBatchItems
	}
	return a.ledger.opts.BatchItems
}

// lingersMax bounds how often an actor lingers for one batch.
const lingersMax = 8

// linger lets the callers who were just answered come back, so that batches of a busy wallet stay large: as long as more of them come. A
// lone command never waits.
func (a *actor) linger() {
	if a.lastBatch < 2 {
		return
	}
	waiting := a.ledger.queued(a)
	for range lingersMax {
		if waiting >= a.lastBatch {
			return
		}
		time.Sleep(a.ledger.opts.Linger)
		before := waiting
		if waiting = a.ledger.queued(a); waiting == before {
			break
		}
	}
	if waiting == 0 { // nobody came back: the next is a lone one again
		a.lastBatch = 0
	}
}

// round decides and commits one batch.
func (a *actor) round(ctx context.Context, batch []*item) {
	items := a.collapse(batch)
	if len(items) == 0 {
		a.lastBatch = 0
		return
	}
	defer a.survive(items)
	ctx, cancel := context.WithDeadline(ctx, a.patience(items))
	defer cancel()
	r := &round{actor: a, items: items, usage: usage{}, flows: flows{}, pending: map[string]*credit.Entry{}}
	err := r.load(ctx)
	if err == nil {
		err = r.decide(ctx)
	}
	if errors.Is(err, errMoved) {
		r.retry()
		return
	}
	if err != nil {
		a.forget()
		for _, it := range r.items {
			it.refuse(err)
		}
		return
	}
	a.lastBatch = len(r.accepted)
	r.settle(ctx)
}

// survive ends a round that panicked: its callers are told that the outcome is not known, and the wallet is read again. Unrecovered, the
// one command would take the process, and everybody's, with it.
func (a *actor) survive(items []*item) {
	v := recover()
	if v == nil {
		return
	}
	a.ledger.opts.Logger.Error("round panicked", "org", a.org, "panic", v, "stack", string(debug.Stack()))
	if a.version != nil || a.fence == nil {
		a.raiseFence()
	}
	a.forget()
	for _, it := range items {
		it.refuse(unavailable(fmt.Errorf("%s: round panicked: %v", a.org, v)))
	}
}

// patience is how long a round may go on: as long as its most patient caller waits.
func (a *actor) patience(items []*item) time.Time {
	latest := time.Now().Add(time.Second)
	for _, it := range items {
		if d, ok := it.ctx.Deadline(); ok && d.After(latest) {
			latest = d
		}
	}
	if bound := time.Now().Add(a.ledger.opts.Deadline); latest.After(bound) {
		latest = bound
	}
	return latest
}

// present drops those callers of a command who have gone. The first who has not stands for the others; nil when nobody waits for it.
func (it *item) present() *item {
	var lead *item
	for _, m := range append([]*item{it}, it.twins...) {
		m.twins = nil
		switch {
		case m.ctx.Err() != nil:
			m.refuse(unavailable(m.ctx.Err()))
		case lead == nil:
			lead = m
			lead.readFirst = it.readFirst
		default:
			lead.twins = append(lead.twins, m)
		}
	}
	return lead
}

// collapse drops callers who have gone, answers repeats of recent entries, and joins twins: one commit cannot hold a document twice.
func (a *actor) collapse(batch []*item) []*item {
	out := batch[:0:0]
	first := map[string]*item{}
	var later []*item // the same id with other content: what becomes of the first decides
	for _, it := range batch {
		if it = it.present(); it == nil {
			continue
		}
		if it.keyed {
			if e, _ := a.ledger.memory.find(a.org, it.doc); e != nil {
				it.answer(replay(e, it.hash))
				for _, t := range it.twins {
					t.answer(replay(e, t.hash))
				}
				continue
			}
			switch lead := first[it.doc]; {
			case lead == nil:
				first[it.doc] = it
			case lead.hash != it.hash:
				later = append(later, it)
				continue
			default:
				lead.twins = append(append(lead.twins, it), it.twins...)
				lead.readFirst = lead.readFirst || it.readFirst
				it.twins = nil
				continue
			}
		}
		out = append(out, it)
	}
	a.ledger.giveBack(a, later)
	return out
}

// forget drops cached state, to be read again.
func (a *actor) forget() {
	a.state, a.version, a.cells = nil, nil, nil
}

// location is a wallet's time zone; UTC for one that this machine does not know, which Configure refuses.
func (a *actor) location(name string) *time.Location {
	if a.zone == nil || a.zoneName != name {
		zone, err := time.LoadLocation(name)
		if err != nil {
			zone = time.UTC
		}
		a.zone, a.zoneName = zone, name
	}
	return a.zone
}

// remember keeps an entry that is known to be stored.
func (a *actor) remember(e *credit.Entry) { a.ledger.memory.keep(a.org, e.Key.Doc(), e) }

package firedb

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// Production's time-outs.
const (
	defaultTransactionIdle  = 60 * time.Second
	defaultTransactionTotal = 270 * time.Second
	defaultLockWait         = 20 * time.Second
)

// errLockWait is the cause of a context that ended because LockWait was over.
var errLockWait = errors.New("the longest wait for a lock is over")

// maxOpenTransactions bounds what abandoned transactions can hold until they time out.
const maxOpenTransactions = 100_000

// transaction is an open transaction with everything it has read.
type transaction struct {
	id        string
	readOnly  bool
	ended     bool
	view      *snapshot               // nil before the first read
	documents map[string]*pb.Document // by key, the version seen; nil for absent
	queries   []queryRead

	held    []string // keys whose lock it holds
	waiting []*waiter

	active      int // calls under way
	idle, total *time.Timer
}

// queryRead is a query that a transaction ran and what it found.
type queryRead struct {
	query *query
	docs  []*pb.Document
}

// begin opens a transaction.
func (s *store) begin(o *pb.TransactionOptions) (*transaction, error) {
	if o.GetReadOnly().GetReadTime() != nil {
		return nil, unsupported("read_time")
	}
	t := &transaction{id: rand.Text(), readOnly: o.GetReadOnly() != nil, documents: map[string]*pb.Document{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= maxOpenTransactions {
		return nil, aborted("Too many transactions are open.")
	}
	if t.readOnly {
		t.view = s.newestLocked()
	}
	// Time-outs run on the machine's clock, not on the one that stamps commits.
	t.idle = time.AfterFunc(s.idle, func() { s.expire(t, false) })
	t.total = time.AfterFunc(s.total, func() { s.expire(t, true) })
	s.open[t.id] = t
	return t, nil
}

// expire ends a transaction whose time is over. One with a call under way is not idle.
func (s *store) expire(t *transaction, whatever bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if whatever || t.active == 0 {
		s.endLocked(t)
	}
}

// enterLocked finds the open transaction of a call; leaveLocked ends the call.
func (s *store) enterLocked(id []byte) (*transaction, error) {
	t := s.open[string(id)]
	if t == nil {
		return nil, errClosed()
	}
	t.active++
	t.idle.Stop()
	return t, nil
}

func (s *store) leaveLocked(t *transaction) {
	t.active--
	if t.active == 0 && !t.ended {
		t.idle.Reset(s.idle)
	}
}

// endLocked closes a transaction, hands its locks on and wakes its waiting calls.
func (s *store) endLocked(t *transaction) {
	if t.ended {
		return
	}
	t.ended = true
	delete(s.open, t.id)
	if len(s.open) == 0 {
		clear(s.changed)
	}
	if t.idle != nil { // a plain commit has none
		t.idle.Stop()
		t.total.Stop()
	}
	for _, w := range t.waiting {
		w.leave()
		close(w.ready)
	}
	t.waiting = nil
	for _, k := range t.held {
		s.handOnLocked(k)
	}
	t.held = nil
}

// rollback closes a transaction; to close one that is closed already is no error.
func (s *store) rollback(id []byte) error {
	if len(id) != len(rand.Text()) {
		return invalid("Invalid transaction.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[string(id)]; t != nil {
		s.endLocked(t)
	}
	return nil
}

// viewLocked returns the view that a transaction reads: a read-only one its own snapshot, a read-write one the newest
// state, once all that it has read before is known to hold in it.
func (s *store) viewLocked(t *transaction) (*snapshot, error) {
	if t.view != nil && (t.readOnly || t.view.sequence == s.sequence) {
		return t.view, nil
	}
	if !s.validLocked(t) {
		s.endLocked(t)
		return nil, errChanged()
	}
	t.view = s.newestLocked()
	return t.view, nil
}

func errChanged() error {
	return aborted("Too much contention on these documents. Please try again.")
}

// validLocked reports whether all that t has read is the newest state. Documents are immutable, so the same pointer is
// the same version; a query runs again if its collection changed, which finds phantoms.
func (s *store) validLocked(t *transaction) bool {
	if t.view == nil || t.view.sequence == s.sequence || s.unchecked {
		return true
	}
	for k, seen := range t.documents {
		if s.tree.get(k) != seen {
			return false
		}
	}
	return !slices.ContainsFunc(t.queries, func(r queryRead) bool { return !s.holdsLocked(r, t.view) })
}

// holdsLocked reports whether a query that found r.docs in the view v would find the same now.
func (s *store) holdsLocked(r queryRead, v *snapshot) bool {
	if s.unchecked || s.changed[r.query.changeKey()] <= v.sequence {
		return true
	}
	docs, _ := r.query.run(s.tree)
	return slices.Equal(docs, r.docs)
}

// close ends all transactions, so that none of their timers outlives the server.
func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.open {
		s.endLocked(t)
	}
}

// lock is the exclusive lock on one document, with those who wait for it: first come, first served.
type lock struct {
	holder *transaction
	queue  []*waiter
}

// waiter is one call of a transaction that waits for a lock.
type waiter struct {
	transaction *transaction
	lock        *lock
	ready       chan struct{} // closed when it holds the lock, or its transaction has ended
}

func (w *waiter) leave() {
	w.lock.queue = slices.DeleteFunc(w.lock.queue, func(o *waiter) bool { return o == w })
}

// handOnLocked passes a lock to the first in its queue.
func (s *store) handOnLocked(key string) {
	l := s.locks[key]
	if len(l.queue) == 0 {
		delete(s.locks, key)
		return
	}
	w := l.queue[0]
	l.queue = l.queue[1:]
	s.grantLocked(key, l, w.transaction)
	w.transaction.waiting = slices.DeleteFunc(w.transaction.waiting, func(o *waiter) bool { return o == w })
	close(w.ready)
}

func (s *store) grantLocked(key string, l *lock, t *transaction) {
	l.holder = t
	t.held = append(t.held, key)
}

// lockAllLocked takes the locks of keys in their order, so that two calls seldom wait for each other. It waits for
// LockWait in all, while others go on.
func (s *store) lockAllLocked(ctx context.Context, t *transaction, keys []string) error {
	if s.unchecked {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.lockWait, errLockWait)
	defer cancel()
	for _, k := range slices.Sorted(slices.Values(keys)) {
		l := s.locks[k]
		if l == nil {
			l = &lock{}
			s.locks[k] = l
			s.grantLocked(k, l, t)
			continue
		}
		if l.holder == t {
			continue
		}
		if err := s.waitLocked(ctx, t, l); err != nil {
			return err
		}
	}
	return nil
}

// passLocked waits until no other transaction holds any of keys, as a commit must. What nobody holds it does not lock:
// the caller applies its writes before it lets go of mu.
func (s *store) passLocked(ctx context.Context, t *transaction, keys []string) error {
	if s.unchecked || len(s.locks) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.lockWait, errLockWait)
	defer cancel()
	for waited := true; waited; {
		// What was free before a wait may be held after it. Each wait adds a lock, so this ends.
		waited = false
		for _, k := range keys {
			l := s.locks[k]
			if l == nil || l.holder == t {
				continue
			}
			if err := s.waitLocked(ctx, t, l); err != nil {
				return err
			}
			waited = true
		}
	}
	return nil
}

// waitLocked joins the queue of a lock. A wait that could never end, because the holder waits for t, aborts at once.
func (s *store) waitLocked(ctx context.Context, t *transaction, l *lock) error {
	if waitsFor(l.holder, t) {
		s.endLocked(t)
		return aborted("Transaction lock deadlock.")
	}
	w := &waiter{transaction: t, lock: l, ready: make(chan struct{})}
	l.queue = append(l.queue, w)
	t.waiting = append(t.waiting, w)
	s.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	s.mu.Lock()
	if t.ended {
		return errClosed()
	}
	if l.holder == t {
		return nil
	}
	w.leave()
	t.waiting = slices.DeleteFunc(t.waiting, func(o *waiter) bool { return o == w })
	return s.gaveUpLocked(ctx, t)
}

// gaveUpLocked says why a wait ended in vain. The caller who went away may come back to its transaction; one that
// waited too long is aborted.
func (s *store) gaveUpLocked(ctx context.Context, t *transaction) error {
	if errors.Is(context.Cause(ctx), errLockWait) {
		s.endLocked(t)
		return aborted("Transaction lock timeout.")
	}
	return statusOf(ctx)
}

// waitsFor reports whether t waits, through any chain of locks, for target.
func waitsFor(t, target *transaction) bool {
	seen := map[*transaction]bool{}
	var visit func(t *transaction) bool
	visit = func(t *transaction) bool {
		if t == target {
			return true
		}
		if seen[t] {
			return false
		}
		seen[t] = true
		return slices.ContainsFunc(t.waiting, func(w *waiter) bool { return visit(w.lock.holder) })
	}
	return visit(t)
}

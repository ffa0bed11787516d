package firedb

import (
	"context"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// store holds the documents of all databases, the open transactions and their locks.
//
// Reads see a copy-on-write snapshot. A commit checks that everything its transaction read is still the newest
// state, and then installs its changes; both happen under mu. Locks only schedule: without them the same commits
// would be refused, only more often.
type store struct {
	idle, total, lockWait time.Duration
	now                   func() time.Time
	journal               *journal // nil when all is kept in memory

	mu       sync.Mutex
	tree     *tree
	sequence int64     // of the latest change
	last     time.Time // the latest commit or read time; the next commit is later
	cached   *snapshot // of the newest state, nil after a change
	// changed says for a collection's key, and for a collection's id, when it last changed. It is kept while
	// transactions are open: only they ask.
	changed map[string]int64
	open    map[string]*transaction
	locks   map[string]*lock

	// unchecked turns validation and locks off, so that tests can show that they would notice.
	unchecked bool
}

func newStore(o Options) *store {
	s := &store{
		idle: o.TransactionIdle, total: o.TransactionTotal, lockWait: o.LockWait, now: o.Now,
		tree: &tree{}, changed: map[string]int64{}, open: map[string]*transaction{}, locks: map[string]*lock{},
	}
	if s.idle <= 0 {
		s.idle = defaultTransactionIdle
	}
	if s.total <= 0 {
		s.total = defaultTransactionTotal
	}
	if s.lockWait <= 0 {
		s.lockWait = defaultLockWait
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// clock returns the time in the precision that Firestore keeps.
func (s *store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// newest returns a view of the newest state.
func (s *store) newest() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newestLocked()
}

func (s *store) newestLocked() *snapshot {
	if s.cached == nil {
		s.cached = &snapshot{tree: s.tree.copy(), at: s.last, sequence: s.sequence}
	}
	v := *s.cached
	if n := s.clock(); n.After(v.at) {
		v.at = n
	}
	if v.at.After(s.last) {
		s.last = v.at // a later commit must be later than this read
	}
	return &v
}

// get reads documents, nil for those that do not exist, in the transaction unless id is empty.
func (s *store) get(ctx context.Context, id []byte, names []string) ([]*pb.Document, time.Time, error) {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = keyOf(n)
	}
	if len(id) == 0 {
		v := s.newest()
		return readAll(v.tree, keys), v.at, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.enterLocked(id)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer s.leaveLocked(t)
	if !t.readOnly {
		if err := s.lockAllLocked(ctx, t, keys); err != nil {
			return nil, time.Time{}, err
		}
	}
	v, err := s.viewLocked(t)
	if err != nil {
		return nil, time.Time{}, err
	}
	docs := readAll(v.tree, keys)
	for i, k := range keys {
		t.documents[k] = docs[i]
	}
	return docs, v.at, nil
}

func readAll(t *tree, keys []string) []*pb.Document {
	docs := make([]*pb.Document, len(keys))
	for i, k := range keys {
		docs[i] = t.get(k)
	}
	return docs
}

// result is what a query found.
type result struct {
	docs    []*pb.Document
	skipped int
	at      time.Time
}

// query evaluates q, in the transaction unless id is empty.
func (s *store) query(ctx context.Context, id []byte, q *query) (result, error) {
	if len(id) == 0 {
		v := s.newest()
		docs, skipped := q.run(v.tree)
		return result{docs, skipped, v.at}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.enterLocked(id)
	if err != nil {
		return result{}, err
	}
	defer s.leaveLocked(t)
	return s.queryLocked(ctx, t, q)
}

// maxQueryRounds bounds how often a transaction's query runs until all it found is locked.
const maxQueryRounds = 10

// queryLocked evaluates q for t. A read-write transaction locks what it found; had it to wait, what it found may have
// changed, and it looks again.
func (s *store) queryLocked(ctx context.Context, t *transaction, q *query) (result, error) {
	for range maxQueryRounds {
		v, err := s.viewLocked(t)
		if err != nil {
			return result{}, err
		}
		// The tree of a view is immutable: other calls go on while the query runs.
		s.mu.Unlock()
		docs, skipped := q.run(v.tree)
		keys := make([]string, len(docs))
		for i, d := range docs {
			keys[i] = keyOf(d.GetName())
		}
		s.mu.Lock()
		if t.ended {
			return result{}, errClosed()
		}
		read := queryRead{q, docs}
		if !t.readOnly {
			if err := s.lockAllLocked(ctx, t, keys); err != nil {
				return result{}, err
			}
			if !s.holdsLocked(read, v) {
				continue
			}
		}
		t.queries = append(t.queries, read)
		return result{docs, skipped, v.at}, nil
	}
	s.endLocked(t)
	return result{}, aborted("What a transaction's query found kept changing.")
}

func aborted(why string) error { return status.Error(codes.Aborted, why) }

func errClosed() error {
	return status.Error(codes.InvalidArgument, "The referenced transaction has expired or is no longer valid.")
}

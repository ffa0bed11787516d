package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

const (
	openTimeout = time.Second // for the lock on the file, which another process may hold
	maxGroup    = 4096        // changes in one write
)

// The file's buckets. A message is stored once; a copy of it waits under each subscription that has not settled it.
var (
	bucketMeta          = []byte("meta")          // lastIDKey: the highest message id given out
	bucketTopics        = []byte("topics")        // name: nothing
	bucketSubscriptions = []byte("subscriptions") // name: savedSubscription as JSON
	bucketMessages      = []byte("messages")      // id: PubsubMessage
	bucketCopies        = []byte("copies")        // subscription, 0, id: failed attempts so far

	lastIDKey = []byte("last_id")
)

// savedSubscription is a Subscription as the file keeps it. A Handler cannot be kept: after a restart its messages wait
// until Subscribe names it again.
type savedSubscription struct {
	Subscription
	InProcess bool
}

// A change is one atomic alteration of the file; then is told how it ended.
type change struct {
	write func(*bbolt.Tx) error
	then  func(error)
}

// store groups changes into writes: those that arrive during one write make up the next. Their thens run in the order
// in which the changes came. After a write that failed, nothing more is written: every further change fails likewise.
type store struct {
	db     *bbolt.DB
	settle func([]change, error) // runs the thens of one write

	mu     sync.Mutex
	queue  []change
	failed error
	wake   chan struct{} // holds one token while the queue is not empty
	stop   chan struct{}
	ended  chan struct{}
}

func openStore(path string, settle func([]change, error)) (*store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openTimeout})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketTopics, bucketSubscriptions, bucketMessages, bucketCopies} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create buckets in %s: %w", path, err), db.Close())
	}
	s := &store{db: db, settle: settle, wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s, nil
}

// add queues a change. The queue is bounded by its callers: every change belongs to a message that is held, or to an
// administrative request under way.
func (s *store) add(c change) {
	s.mu.Lock()
	s.queue = append(s.queue, c)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *store) run() {
	defer close(s.ended)
	for {
		select {
		case <-s.wake:
			s.flush()
		case <-s.stop:
			s.flush()
			return
		}
	}
}

// flush writes what is queued, in groups.
func (s *store) flush() {
	s.mu.Lock()
	queue := s.queue
	s.queue = nil
	s.mu.Unlock()
	for len(queue) > 0 {
		group := queue[:min(len(queue), maxGroup)]
		queue = queue[len(group):]
		if s.failed == nil {
			s.failed = s.write(group)
		}
		s.settle(group, s.failed)
	}
}

func (s *store) write(group []change) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range group {
			if err := c.write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write to %s: %w", s.db.Path(), err)
	}
	return nil
}

// close writes what is queued and closes the file. Nothing may be added any more.
func (s *store) close() error {
	close(s.stop)
	<-s.ended
	return errors.Join(s.failed, s.db.Close())
}

func idKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func copyKey(subscription string, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(subscription), 0), id)
}

func putTopic(name string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(bucketTopics).Put([]byte(name), nil) }
}

func deleteTopic(name string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(bucketTopics).Delete([]byte(name)) }
}

func putSubscription(s Subscription) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		raw, err := json.Marshal(savedSubscription{Subscription: s, InProcess: s.inProcess})
		if err != nil {
			return fmt.Errorf("encode subscription %s: %w", s.Name, err)
		}
		return tx.Bucket(bucketSubscriptions).Put([]byte(s.Name), raw)
	}
}

// deleteSubscription removes a subscription, the messages that go with it, and all its copies: also those of messages
// that were written but not admitted yet, for a copy without its subscription is damage.
func deleteSubscription(name string, messages []uint64) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		errs := []error{tx.Bucket(bucketSubscriptions).Delete([]byte(name))}
		copies, prefix := tx.Bucket(bucketCopies), append([]byte(name), 0)
		var keys [][]byte // a cursor skips what follows what is deleted under it
		c := copies.Cursor()
		for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			keys = append(keys, bytes.Clone(key))
		}
		for _, key := range keys {
			errs = append(errs, copies.Delete(key))
		}
		for _, id := range messages {
			errs = append(errs, tx.Bucket(bucketMessages).Delete(idKey(id)))
		}
		return errors.Join(errs...)
	}
}

// putMessages stores messages, a copy for each one's takers, and the last one's id as the last given out.
func putMessages(messages []*message, takers [][]*backlog) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		for i, m := range messages {
			if err := putMessage(tx, m, takers[i]); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(lastIDKey, idKey(messages[len(messages)-1].id))
	}
}

func putMessage(tx *bbolt.Tx, m *message, takers []*backlog) error {
	if len(takers) == 0 {
		return nil
	}
	raw, err := proto.Marshal(m.pb)
	if err != nil {
		return fmt.Errorf("encode message %d: %w", m.id, err)
	}
	if err := tx.Bucket(bucketMessages).Put(idKey(m.id), raw); err != nil {
		return err
	}
	for _, q := range takers {
		if err := tx.Bucket(bucketCopies).Put(copyKey(q.name, m.id), binary.BigEndian.AppendUint32(nil, 0)); err != nil {
			return err
		}
	}
	return nil
}

func putAttempts(subscription string, id uint64, attempts int) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketCopies).Put(copyKey(subscription, id), binary.BigEndian.AppendUint32(nil, uint32(attempts)))
	}
}

// deleteCopy removes a settled copy, and the message with the last one.
func deleteCopy(subscription string, id uint64, last bool) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		if err := tx.Bucket(bucketCopies).Delete(copyKey(subscription, id)); err != nil || !last {
			return err
		}
		return tx.Bucket(bucketMessages).Delete(idKey(id))
	}
}

package stripestand

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// fileVersion is the form of the file.
	fileVersion = 1
	// syncEvery is how often the file is brought to the disk: what a killed
	// process has answered is in the file, what a machine that loses its power
	// has may not be.
	syncEvery   = 200 * time.Millisecond
	openTimeout = 5 * time.Second
)

var (
	headBucket = []byte("head")
	headKey    = []byte("state")
)

// file keeps the state. It is written, in one transaction, with what an
// operation changed, before that is answered.
type file struct {
	db    *bbolt.DB
	head  []byte // as it is written
	dirty bool   // since the last sync
	// failed is why the file could not be written once: it does not follow the
	// state from then on, so no operation succeeds any more.
	failed error
}

// load opens the file, if there is to be one, and reads what it has. Webhooks
// that were waiting wait again, without their back-off.
func (s *Stand) load() error {
	if s.opts.Path == "" {
		return nil
	}
	db, err := bbolt.Open(s.opts.Path, 0o600, &bbolt.Options{Timeout: openTimeout, NoSync: true, NoFreelistSync: true})
	if err != nil {
		return err
	}
	db.NoGrowSync = true
	f := &file{db: db}
	if err := db.Update(func(tx *bbolt.Tx) error { return f.read(tx, &s.st) }); err != nil {
		return errors.Join(err, db.Close())
	}
	if s.st.PendingItems == nil {
		s.st.PendingItems = map[string][]line{}
	}
	for _, t := range s.st.tables() {
		t.track()
	}
	s.file = f
	s.armAll()
	return nil
}

// read makes the buckets, and reads the state if there is one.
func (f *file) read(tx *bbolt.Tx, st *state) error {
	heads, err := tx.CreateBucketIfNotExists(headBucket)
	if err != nil {
		return err
	}
	if data := heads.Get(headKey); data != nil {
		f.head = bytes.Clone(data)
		if err := json.Unmarshal(data, &st.head); err != nil {
			return fmt.Errorf("decoding the head: %w", err)
		}
		if st.Version != fileVersion {
			return fmt.Errorf("the state has version %d, not %d", st.Version, fileVersion)
		}
	}
	for name, t := range st.tables() {
		b, err := tx.CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		if err := b.ForEach(t.restore); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	return nil
}

// keep writes what has changed since it was last called. The caller holds mu.
func (s *Stand) keep() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	if f.failed != nil {
		return f.failed
	}
	head, err := json.Marshal(s.st.head)
	if err == nil {
		err = f.db.Update(func(tx *bbolt.Tx) error { return f.write(tx, &s.st, head) })
	}
	if err != nil {
		f.failed = fmt.Errorf("stripestand: writing %s: %w", s.opts.Path, err)
		return f.failed
	}
	f.head, f.dirty = head, true
	return nil
}

func (f *file) write(tx *bbolt.Tx, st *state, head []byte) error {
	if !bytes.Equal(head, f.head) {
		if err := tx.Bucket(headBucket).Put(headKey, head); err != nil {
			return err
		}
	}
	for name, t := range st.tables() {
		b := tx.Bucket([]byte(name))
		if err := t.changes(b.Put, b.Delete); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	return nil
}

func (s *Stand) syncForever(ctx context.Context) {
	for sleep(ctx, syncEvery, nil) {
		s.mu.Lock()
		dirty := s.file.dirty
		s.file.dirty = false
		s.mu.Unlock()
		if !dirty {
			continue
		}
		if err := s.file.db.Sync(); err != nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelError, "the state of the Stripe stand-in may not be on the disk", slog.Any("error", err))
		}
	}
}

// close brings the file, if there is one, to the disk and closes it.
func (f *file) close() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.db.Sync(), f.db.Close())
}

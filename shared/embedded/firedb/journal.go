package firedb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Errors of Open.
var (
	ErrInUse       = errors.New("the file is in use by another server")
	ErrNewerFormat = errors.New("the file was written by a later version")
	ErrForeign     = errors.New("the file is a bbolt database of something else")
)

// format is the version of the file's layout: bucket "firedb" holds "format", in decimal, and "clock", the latest
// commit time in microseconds since 1970, big-endian; bucket "documents" holds google.firestore.v1.Document messages
// by name, with a zero byte for each slash.
const format = 1

const inUseTimeout = time.Second

var (
	metaBucket      = []byte("firedb")
	formatKey       = []byte("format")
	clockKey        = []byte("clock")
	documentsBucket = []byte("documents")
)

// journal writes changes to a bbolt file in the order of their commits. While one bbolt transaction is being synced,
// the changes of further commits gather in the next.
//
// A change is in the store before it is in the file, so that others need not wait to build on it. In return no answer
// leaves the server before all that it may speak of is in the file: see settle.
type journal struct {
	db   *bolt.DB
	wake chan struct{} // capacity 1; closed to end the writer
	done chan struct{} // closed by the writer

	mu      sync.Mutex
	pending *group // gathers, nil when nothing does
	newest  *group // the last that is not in the file yet, nil when all is
	failed  error  // once set, nothing is written or answered any more
}

// group is what one bbolt transaction writes.
type group struct {
	changes map[string]*pb.Document // by key; nil deletes
	at      time.Time               // of the last commit in it
	done    chan struct{}           // closed when it is in the file, or err is set
	err     error
}

// openJournal fills the store from a file, which it creates if need be, and keeps the file up to date from then on.
func (s *store) openJournal(path string, noSync bool) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: inUseTimeout, NoSync: noSync, NoFreelistSync: true, FreelistType: bolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		err = ErrInUse
	}
	if err != nil {
		return fmt.Errorf("firedb: open %s: %w", path, err)
	}
	if err := s.load(db); err != nil {
		return errors.Join(fmt.Errorf("firedb: open %s: %w", path, err), db.Close())
	}
	s.journal = &journal{db: db, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.journal.run(s.journal.wake)
	return nil
}

// load checks the file's format, or marks a new file with it, and reads the documents.
func (s *store) load(db *bolt.DB) error {
	if err := db.Update(prepareFile); err != nil {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		if clock := tx.Bucket(metaBucket).Get(clockKey); len(clock) == 8 {
			s.last = time.UnixMicro(int64(binary.BigEndian.Uint64(clock))).UTC()
		}
		return tx.Bucket(documentsBucket).ForEach(func(k, v []byte) error {
			d := &pb.Document{}
			if err := proto.Unmarshal(v, d); err != nil {
				return fmt.Errorf("document %q: %w", k, err)
			}
			s.tree.Set(string(k), d)
			return nil
		})
	})
}

func prepareFile(tx *bolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if k, _ := tx.Cursor().First(); k != nil {
			return ErrForeign
		}
		var err error
		if meta, err = tx.CreateBucket(metaBucket); err != nil {
			return fmt.Errorf("create bucket %q: %w", metaBucket, err)
		}
		if err := meta.Put(formatKey, []byte(strconv.Itoa(format))); err != nil {
			return fmt.Errorf("write the format: %w", err)
		}
	}
	version, err := strconv.Atoi(string(meta.Get(formatKey)))
	if err != nil {
		return fmt.Errorf("read the format: %w", err)
	}
	if version > format {
		return fmt.Errorf("format %d, this version reads up to %d: %w", version, format, ErrNewerFormat)
	}
	if _, err := tx.CreateBucketIfNotExists(documentsBucket); err != nil {
		return fmt.Errorf("create bucket %q: %w", documentsBucket, err)
	}
	return nil
}

// add takes the changes of one commit. Its callers hold the store's mu, so the order is that of the commits.
func (j *journal) add(changes map[string]*pb.Document, at time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	if j.pending == nil {
		j.pending = &group{changes: make(map[string]*pb.Document, len(changes)), done: make(chan struct{})}
		j.newest = j.pending
	}
	maps.Copy(j.pending.changes, changes)
	j.pending.at = at
	select {
	case j.wake <- struct{}{}:
	default: // the writer has yet to look
	}
	return nil
}

// settle waits until everything in the store at the time of the call is in the file.
func (j *journal) settle(ctx context.Context) error {
	j.mu.Lock()
	g, failed := j.newest, j.failed
	j.mu.Unlock()
	if failed != nil {
		return failed
	}
	if g == nil {
		return nil
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return statusOf(ctx)
	}
}

// run writes groups until the journal is closed.
func (j *journal) run(wake <-chan struct{}) {
	defer close(j.done)
	for range wake {
		j.flush()
	}
	j.flush()
}

func (j *journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.pending != nil {
		g, err := j.pending, j.failed
		j.pending = nil
		if err == nil {
			j.mu.Unlock()
			err = j.write(g)
			j.mu.Lock()
		}
		if err != nil {
			// What is in the store is not in the file. Nobody may build on it: the server is of no more use.
			j.failed = status.Errorf(codes.Internal, "the file cannot be written: %v", err)
			g.err = j.failed
		}
		if j.newest == g {
			j.newest = nil
		}
		close(g.done)
	}
}

func (j *journal) write(g *group) error {
	return j.db.Update(func(tx *bolt.Tx) error {
		clock := binary.BigEndian.AppendUint64(nil, uint64(g.at.UnixMicro()))
		if err := tx.Bucket(metaBucket).Put(clockKey, clock); err != nil {
			return fmt.Errorf("write the clock: %w", err)
		}
		documents := tx.Bucket(documentsBucket)
		for _, k := range slices.Sorted(maps.Keys(g.changes)) {
			if err := put(documents, []byte(k), g.changes[k]); err != nil {
				return fmt.Errorf("write document %q: %w", k, err)
			}
		}
		return nil
	})
}

func put(b *bolt.Bucket, key []byte, d *pb.Document) error {
	if d == nil {
		return b.Delete(key)
	}
	v, err := proto.Marshal(d)
	if err != nil {
		return err
	}
	return b.Put(key, v)
}

// close writes what is left and closes the file. Nothing may be added any more.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wake == nil {
		return nil
	}
	close(j.wake)
	j.wake = nil
	j.mu.Unlock()
	<-j.done
	j.mu.Lock()
	if err := errors.Join(j.failed, j.db.Sync(), j.db.Close()); err != nil {
		return fmt.Errorf("firedb: close: %w", err)
	}
	return nil
}

// serverOptions make every call settle before it answers: a success, data that was read, and a refusal alike. A caller
// who was told that a document exists already must find it after a crash.
func (j *journal) serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(j.unary), grpc.ChainStreamInterceptor(j.stream)}
}

func (j *journal) unary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	response, err := next(ctx, request)
	if unsettled := j.settle(ctx); unsettled != nil {
		return nil, unsettled
	}
	return response, err
}

func (j *journal) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	// All that a stream sends was read before its first message.
	settle := sync.OnceValue(func() error { return j.settle(ss.Context()) })
	err := next(srv, &settlingStream{ss, settle})
	if unsettled := settle(); unsettled != nil {
		return unsettled
	}
	return err
}

// settlingStream settles before it sends.
type settlingStream struct {
	grpc.ServerStream
	settle func() error
}

func (s *settlingStream) SendMsg(m any) error {
	if err := s.settle(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

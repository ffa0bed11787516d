package catalogue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/lru"
	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// collection holds the versions, each under its number, and the pointer to the current one.
	collection = "catalogue"
	pointerID  = "current"
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// retryPause is the least time between a refresh that failed and the next.
	retryPause = time.Second
	// writeTimeout bounds a publication, which may be retried under contention.
	writeTimeout = 10 * time.Second
)

// StoreOptions are what can be chosen about a Store. The zero value has the defaults.
type StoreOptions struct {
	// Staleness is how far Current may lag behind the store. The default is 5 s.
	Staleness time.Duration
	// MaxAge is for how long Current answers from memory while the store cannot be read. The default is 10 minutes.
	MaxAge time.Duration
	// Timeout bounds each read. The default is 2 s.
	Timeout time.Duration
	// VersionsMax is how many versions are kept in memory. The default is 32.
	VersionsMax int
	// Now is the machine's clock. The default is time.Now.
	Now func() time.Time
}

// Store keeps the versions of the catalogue in Firestore: an immutable document for each, and a pointer to the current
// one. It is safe for concurrent use.
type Store struct {
	client   *firestore.Client
	log      *slog.Logger
	opts     StoreOptions
	flight   singleflight.Group
	versions *lru.Cache[int64, *Catalogue]

	mu      sync.Mutex
	current held
}

// held is what a Store knows of the current version.
type held struct {
	catalogue *Catalogue
	// confirmedAt is when the catalogue was last known to be the current one.
	confirmedAt time.Time
	// triedAt is when the store was last asked, and err what went wrong then.
	triedAt time.Time
	err     error
}

// pointer is the document that names the current version.
type pointer struct {
	V         int64     `firestore:"v"`
	Version   int64     `firestore:"version"`
	UpdatedAt time.Time `firestore:"updated_at,serverTimestamp"`
}

// record is a version's document. The Document is kept as JSON, so that it is read back by the same strict decoder as
// the seed file.
type record struct {
	V         int64     `firestore:"v"`
	Version   int64     `firestore:"version"`
	Document  string    `firestore:"document"`
	CreatedAt time.Time `firestore:"created_at,serverTimestamp"`
	// PublishedBy is the subject of who published it; none for what was seeded.
	PublishedBy string `firestore:"published_by,omitempty"`
}

// NewStore returns a Store on client that reports to log.
func NewStore(client *firestore.Client, log *slog.Logger, opts StoreOptions) *Store {
	if opts.Staleness <= 0 {
		opts.Staleness = 5 * time.Second
	}
	if opts.MaxAge <= 0 {
		opts.MaxAge = 10 * time.Minute
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 2 * time.Second
	}
	if opts.VersionsMax <= 0 {
		opts.VersionsMax = 32
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Store{client: client, log: log, opts: opts, versions: lru.New[int64, *Catalogue](opts.VersionsMax)}
}

// Current returns the current version, or one that was current no longer than the staleness ago. It goes on answering
// from memory while the store cannot be read, up to the maximal age, unless what it read was written by a newer release.
// It never goes back to a lower version. Errors are an *Error, `unavailable`.
func (s *Store) Current(ctx context.Context) (*Catalogue, error) {
	h := s.held()
	if h.catalogue != nil {
		age := s.opts.Now().Sub(h.confirmedAt)
		if age < s.opts.Staleness/2 {
			return h.catalogue, nil
		}
		if age < s.opts.Staleness {
			// Ask ahead of need, so that a busy instance never waits for the store.
			s.refresh(ctx, h)
			return h.catalogue, nil
		}
	}
	select {
	case <-s.refresh(ctx, h):
		return s.settled()
	case <-ctx.Done():
		return nil, unavailable(fmt.Errorf("wait for the catalogue: %w", ctx.Err()))
	}
}

// settled returns the current version as it is known after asking.
func (s *Store) settled() (*Catalogue, error) {
	h := s.held()
	switch {
	case h.err == nil:
		return h.catalogue, nil
	case h.catalogue == nil, errors.Is(h.err, versioned.ErrNewer), s.opts.Now().Sub(h.confirmedAt) >= s.opts.MaxAge:
		return nil, unavailable(h.err)
	default:
		return h.catalogue, nil
	}
}

// refresh asks the store for the current version, once for all who want it at this time, and keeps what comes of it.
// After a failure it does not ask again at once, nor if somebody else has asked since the caller saw h. The channel
// delivers when that is done.
func (s *Store) refresh(ctx context.Context, h held) <-chan singleflight.Result {
	if h := s.held(); h.err != nil && s.opts.Now().Sub(h.triedAt) < retryPause {
		done := make(chan singleflight.Result)
		close(done)
		return done
	}
	return s.flight.DoChan(pointerID, func() (any, error) {
		if s.held().triedAt.After(h.triedAt) {
			return nil, nil
		}
		// One caller going away must not fail the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
		defer cancel()
		begin := s.opts.Now()
		catalogue, err := s.readCurrent(ctx)
		if err != nil {
			s.log.WarnContext(ctx, "the catalogue cannot be refreshed", slog.Any("error", err))
		}
		s.adopt(catalogue, begin, err)
		return nil, nil // the outcome is kept where the waiting look for it
	})
}

func (s *Store) held() held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// adopt keeps what a look at the store begun at a time has found.
func (s *Store) adopt(catalogue *Catalogue, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.triedAt, s.current.err = at, err
	if err != nil {
		return
	}
	s.current.confirmedAt = at
	// A look that began before a publication of our own may end after it.
	if s.current.catalogue == nil || catalogue.Version() > s.current.catalogue.Version() {
		s.current.catalogue = catalogue
	}
}

// Version returns a version that was published, whether it is the current one or not. Errors are an *Error:
// `invalid_request` if there is no such version, or `unavailable`.
func (s *Store) Version(ctx context.Context, version int64) (*Catalogue, error) {
	if version < 1 {
		return nil, unknownVersion(version)
	}
	if c, ok := s.versions.Get(version); ok {
		return c, nil
	}
	id := strconv.FormatInt(version, 10)
	done := s.flight.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
		defer cancel()
		return s.readVersion(ctx, version)
	})
	select {
	case result := <-done:
		if status.Code(result.Err) == codes.NotFound {
			return nil, unknownVersion(version)
		}
		if result.Err != nil {
			return nil, unavailable(result.Err)
		}
		return result.Val.(*Catalogue), nil
	case <-ctx.Done():
		return nil, unavailable(fmt.Errorf("wait for catalogue %d: %w", version, ctx.Err()))
	}
}

// readCurrent reads the pointer, and the version it names unless that is in memory.
func (s *Store) readCurrent(ctx context.Context) (*Catalogue, error) {
	snapshot, err := s.pointer().Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the pointer to the current catalogue: %w", err)
	}
	p, err := decodePointer(snapshot)
	if err != nil {
		return nil, err
	}
	if c, ok := s.versions.Get(p.Version); ok {
		return c, nil
	}
	return s.readVersion(ctx, p.Version)
}

// readVersion reads a version and keeps it in memory.
func (s *Store) readVersion(ctx context.Context, version int64) (*Catalogue, error) {
	snapshot, err := s.version(version).Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("read catalogue %d: %w", version, err)
	}
	c, _, err := decodeVersion(snapshot, version)
	if err != nil {
		return nil, err
	}
	s.versions.Put(version, c)
	return c, nil
}

func (s *Store) pointer() *firestore.DocumentRef {
	return s.client.Collection(collection).Doc(pointerID)
}

func (s *Store) version(version int64) *firestore.DocumentRef {
	return s.client.Collection(collection).Doc(strconv.FormatInt(version, 10))
}

// decodePointer reads the pointer's document.
func decodePointer(snapshot *firestore.DocumentSnapshot) (pointer, error) {
	var p pointer
	if err := versioned.Read(snapshot, schemaVersion, &p); err != nil {
		return pointer{}, err
	}
	return p, nil
}

// decodeVersion reads a version's document, and returns it too as it is stored.
func decodeVersion(snapshot *firestore.DocumentSnapshot, version int64) (*Catalogue, record, error) {
	var r record
	if err := versioned.Read(snapshot, schemaVersion, &r); err != nil {
		return nil, record{}, err
	}
	c, err := Parse([]byte(r.Document))
	if err != nil {
		// Said as text only: what is wrong with a stored document is not a caller's invalid request.
		return nil, record{}, fmt.Errorf("document %s is not valid: %s", snapshot.Ref.Path, err.Error())
	}
	if c.Version() != version {
		return nil, record{}, fmt.Errorf("document %s holds the version %d", snapshot.Ref.Path, c.Version())
	}
	return c, r, nil
}

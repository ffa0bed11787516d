package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress what they publish
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// maxRequestBytes lets a publish request that is somewhat too large arrive, so that it is refused as production
	// refuses it.
	maxRequestBytes = maxPublishBytes + 1<<20
	maxStreams      = 1000 // requests under way on one connection
	pingInterval    = 5 * time.Second
	bufferBytes     = 1 << 20 // of an in-process connection
	handlersTimeout = 5 * time.Second
)

// ErrClosed is returned for work asked of a Broker after Close.
var ErrClosed = errors.New("broker: closed")

// A Broker is one Pub/Sub service. Its methods may be called from any goroutine.
type Broker struct {
	options Options
	log     *slog.Logger
	grpc    *grpc.Server
	pipe    *bufconn.Listener
	client  *http.Transport // to push endpoints
	store   *store          // nil when messages are kept in memory

	ctx    context.Context // ends with Close, and with it every push
	cancel context.CancelFunc
	work   sync.WaitGroup // pushes and listeners
	calls  sync.WaitGroup // of in-process handlers

	mu        sync.Mutex
	closed    bool
	topics    map[string]*topic
	backlogs  map[string]*backlog
	faults    injector
	lastID    uint64
	held      int
	heldBytes int64
	published uint64
	dropped   uint64        // replies
	quiet     chan struct{} // closed when a push subscription runs empty, or has none but retries to wait for, and replaced
	leases    uint64        // counts leases, so that each has an ackID of its own
}

// Open returns a Broker that serves in-process connections; Listen adds others. With Options.Path it holds what that
// file held, and starts to push it.
//
// It fails if an option is out of range, or the file cannot be opened, is in use by another process, or is damaged.
func Open(o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{
		options:  o,
		log:      o.Logger,
		pipe:     bufconn.Listen(bufferBytes),
		client:   &http.Transport{MaxIdleConns: maxConcurrency, MaxIdleConnsPerHost: maxConcurrency, IdleConnTimeout: time.Minute, DisableCompression: true},
		ctx:      ctx,
		cancel:   cancel,
		topics:   map[string]*topic{},
		backlogs: map[string]*backlog{},
		faults:   newInjector(o.Faults),
		quiet:    make(chan struct{}),
	}
	if o.Path != "" {
		if err := b.openFile(o.Path); err != nil {
			cancel()
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	b.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingInterval, PermitWithoutStream: true}),
	)
	pubsubpb.RegisterPublisherServer(b.grpc, publisher{broker: b})
	pubsubpb.RegisterSubscriberServer(b.grpc, subscriber{broker: b})
	b.Serve(b.pipe)
	return b, nil
}

func (b *Broker) openFile(path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.store, err = openStore(path, b.written); err != nil {
		return err
	}
	if err := b.restore(); err != nil {
		return errors.Join(fmt.Errorf("restore %s: %w", path, err), b.store.close())
	}
	return nil
}

// written runs what was to follow a group of changes.
func (b *Broker) written(group []change, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.log.Error("changes not written", "changes", len(group), "error", err)
	}
	for _, c := range group {
		if c.then != nil {
			c.then(err)
		}
	}
}

// persist writes a change to the file, if there is one, and calls then, which may be nil, with the lock held. Without
// a file it calls then at once. The lock is held.
func (b *Broker) persist(write func(*bbolt.Tx) error, then func(error)) {
	if b.store != nil {
		b.store.add(change{write: write, then: then})
		return
	}
	if then != nil {
		then(nil)
	}
}

// both makes one change of two.
func both(first, second func(*bbolt.Tx) error) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		return second(tx)
	}
}

// Serve answers clients on a listener, in the background, until Close.
func (b *Broker) Serve(l net.Listener) {
	b.work.Go(func() {
		if err := b.grpc.Serve(l); err != nil && b.ctx.Err() == nil {
			b.log.Error("listener ended", "address", l.Addr().String(), "error", err)
		}
	})
}

// Listen serves clients that connect to addr, a host:port; port 0 takes a free one. It returns the address in use. It
// may be called more than once.
func (b *Broker) Listen(ctx context.Context, addr string) (net.Addr, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("broker: listen on %s: %w", addr, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.Join(ErrClosed, l.Close())
	}
	b.Serve(l)
	return l.Addr(), nil
}

// Conn returns a connection within the process, for option.WithGRPCConn. The caller closes it.
func (b *Broker) Conn() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///broker",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return b.pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("broker: connect in process: %w", err)
	}
	return conn, nil
}

// Close ends every request and push and, with Options.Path, writes what is undelivered. A push that was out is
// delivered again by the next Broker on the same file, unless it was answered in time. In-process handlers see their
// context end; Close reports an error if one has not returned 5 s later.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.closed = true
	for _, q := range b.backlogs {
		for _, c := range q.copies {
			c.cancelTimer()
		}
	}
	b.mu.Unlock()
	b.cancel()
	b.grpc.Stop()
	b.work.Wait()
	b.client.CloseIdleConnections()
	err := b.awaitHandlers()
	if b.store != nil {
		err = errors.Join(err, b.store.close())
	}
	return err
}

func (b *Broker) awaitHandlers() error {
	returned := make(chan struct{})
	go func() {
		b.calls.Wait()
		close(returned)
	}()
	timeout := time.NewTimer(handlersTimeout)
	defer timeout.Stop()
	select {
	case <-returned:
		return nil
	case <-timeout.C:
		return fmt.Errorf("broker: in-process handlers still run %v after their context ended", handlersTimeout)
	}
}

// SetFaults replaces the faults from now on; their limits count anew.
func (b *Broker) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = newInjector(f)
	return nil
}

// Wait returns when no message is queued, out, or waiting for a retry on any push subscription, or with the error of
// ctx. Messages that wait to be pulled do not count.
func (b *Broker) Wait(ctx context.Context) error {
	return b.wait(ctx, func(q *backlog) bool { return len(q.copies) > 0 })
}

// WaitTried is Wait, but for messages that were tried and wait for a retry: it does not wait for them.
func (b *Broker) WaitTried(ctx context.Context) error {
	return b.wait(ctx, func(q *backlog) bool { return q.inFlight > 0 || len(q.queue) > 0 || q.aside != nil })
}

func (b *Broker) wait(ctx context.Context, isBusy func(q *backlog) bool) error {
	for {
		busy, changed := b.busy(isBusy)
		if busy == "" {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("broker: subscription %s is not quiet: %w", busy, ctx.Err())
		case <-b.ctx.Done():
			return ErrClosed
		}
	}
}

// busy names a push subscription that is not quiet, if there is one, and what is closed when that may have changed.
func (b *Broker) busy(isBusy func(q *backlog) bool) (name string, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, q := range b.backlogs {
		if q.cfg.isPush() && isBusy(q) {
			return name, b.quiet
		}
	}
	return "", nil
}

// noteQuiet has those in Wait look again. The lock is held.
func (b *Broker) noteQuiet() {
	close(b.quiet)
	b.quiet = make(chan struct{})
}

// Stats returns the totals so far.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := Stats{Published: b.published, Held: b.held, HeldBytes: b.heldBytes, DroppedReplies: b.dropped, Subscriptions: map[string]SubscriptionStats{}}
	for name, q := range b.backlogs {
		s := q.stats
		s.Pending, s.InFlight = len(q.copies), q.inFlight
		out.Subscriptions[name] = s
	}
	return out
}

// reserve counts copies held, and their bytes. The lock is held here and below.
func (b *Broker) reserve(copies int, bytes int64) {
	b.held += copies
	b.heldBytes += bytes
}

func (b *Broker) hasRoom(copies int, bytes int64) bool {
	return b.held+copies <= b.options.MaxMessages && b.heldBytes+bytes <= b.options.MaxBytes
}

// stamp makes a published message of pb: it gets its id and time, in milliseconds as production's.
func (b *Broker) stamp(pb *pubsubpb.PubsubMessage) *message {
	b.lastID++
	pb.MessageId = strconv.FormatUint(b.lastID, 10)
	pb.PublishTime = timestamppb.New(time.Now().Truncate(time.Millisecond))
	return newMessage(b.lastID, pb)
}

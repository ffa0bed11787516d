package firedb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fluxori/ai-credits/shared/indexes"
)

// Options configures a Server. The zero value keeps all in memory and serves every query.
type Options struct {
	// Path names the file that keeps the documents; "" keeps them in memory alone.
	Path string
	// NoSync leaves it to the operating system when the file reaches the disk: a crash of the machine, but not of the
	// process, may then lose or tear the latest commits. It is for demonstrations and tests.
	NoSync bool
	// Now stamps commits and reads; nil means time.Now. It may stand still or go back: commit times always rise.
	Now func() time.Time
	// Indexes refuses queries for which production would want an index that is not in the set; nil serves every query.
	Indexes *indexes.Set
	// Hooks injects faults and counts usage; nil does neither.
	Hooks *Hooks
	// TransactionIdle and TransactionTotal end a transaction that is not used, or not finished, for so long: 0 means
	// 60 s and 270 s, as in production. LockWait is the longest that a call waits for other transactions' locks before
	// it is aborted: 0 means 20 s. They run on the machine's clock, not on Now.
	TransactionIdle, TransactionTotal, LockWait time.Duration
}

// Server is an embedded Firestore. All its methods may be called concurrently.
type Server struct {
	store *store
	*endpoint
}

// service answers the calls of the API.
type service struct {
	pb.UnimplementedFirestoreServer
	store   *store
	indexes *indexes.Set
}

// Open starts a server, with the documents of Options.Path if that file exists. It answers through Conn at once, and
// over TCP after Listen. The caller must call Close.
//
// A file in use by another process gives ErrInUse after a second, one written by a later version of this package
// ErrNewerFormat; both are wrapped.
func Open(o Options) (*Server, error) {
	s := &Server{store: newStore(o)}
	options := o.Hooks.ServerOptions()
	if o.Path != "" {
		if err := s.store.openJournal(o.Path, o.NoSync); err != nil {
			return nil, err
		}
		// Innermost, so that an answer that a hook loses or delays has been made durable before.
		options = append(options, s.store.journal.serverOptions()...)
	}
	s.endpoint = newEndpoint(&service{store: s.store, indexes: o.Indexes}, options)
	return s, nil
}

// Close stops answering, waits for calls under way, and syncs and closes the file. What was acknowledged is kept;
// calls that were cut off may or may not have been applied. Closing twice is harmless.
func (s *Server) Close() error {
	err := s.endpoint.Close()
	s.store.close()
	if s.store.journal == nil {
		return err
	}
	return errors.Join(err, s.store.journal.close())
}

// bufferBytes is the size of the in-process connection's buffer each way.
const bufferBytes = 1 << 20

// windowBytes lets one call's messages of several megabytes through without waiting for the peer.
const windowBytes = 4 << 20

// streamWorkers is how many goroutines wait for calls; when all are busy a call gets one of its own.
const streamWorkers = 64

// endpoint serves the Firestore API in process and over TCP.
type endpoint struct {
	grpc   *grpc.Server
	buffer *bufconn.Listener

	mu     sync.Mutex
	wg     sync.WaitGroup
	errs   []error
	closed bool
}

func newEndpoint(api pb.FirestoreServer, options []grpc.ServerOption) *endpoint {
	options = append([]grpc.ServerOption{
		// Above Firestore's own limit, so that the engine can say what is wrong.
		grpc.MaxRecvMsgSize(2 * maxRequestBytes),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
		grpc.WaitForHandlers(true),
		grpc.ForceServerCodecV2(newCodec()),
		// Commits are deep messages: a goroutine of its own for each would grow its stack anew each time.
		grpc.NumStreamWorkers(streamWorkers),
	}, options...)
	e := &endpoint{grpc: grpc.NewServer(options...), buffer: bufconn.Listen(bufferBytes)}
	pb.RegisterFirestoreServer(e.grpc, api)
	e.Serve(e.buffer)
	return e
}

// Serve also answers on a listener, in the background, until Close. Nothing checks who connects.
func (e *endpoint) Serve(l net.Listener) {
	e.wg.Go(func() {
		// Serve returns nil, or ErrServerStopped, once Close has been called.
		if err := e.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.errs = append(e.errs, fmt.Errorf("firedb: serve on %s: %w", l.Addr(), err))
		}
	})
}

// Listen also serves TCP on addr, "127.0.0.1:0" for any free port, and returns the address: a client reaches it with
// FIRESTORE_EMULATOR_HOST set to it. Nothing checks who connects.
func (e *endpoint) Listen(addr string) (net.Addr, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("firedb: listen on %s: %w", addr, net.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
	defer cancel()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("firedb: listen on %s: %w", addr, err)
	}
	e.Serve(l)
	return l.Addr(), nil
}

const listenTimeout = 10 * time.Second // to resolve a host's name

// Conn returns a connection in process, for option.WithGRPCConn. The caller closes it; a Firestore client that was
// given it does so with itself.
func (e *endpoint) Conn() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///firedb",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return e.buffer.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithInitialWindowSize(windowBytes),
		grpc.WithInitialConnWindowSize(windowBytes),
	)
	if err != nil {
		return nil, fmt.Errorf("firedb: connect in process: %w", err)
	}
	return conn, nil
}

// Close cuts off the calls under way, waits for them to return, and stops answering.
func (e *endpoint) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.grpc.Stop()
	e.wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.errs...)
}

// statusOf turns the end of a context into the code that its caller expects.
func statusOf(ctx context.Context) error { return status.FromContextError(ctx.Err()).Err() }

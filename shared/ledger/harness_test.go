package ledger_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// clock is the system's clock of a test.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// testStore is a database with its clock.
type testStore struct {
	*engine.Engine
	clock *clock
}

func openStore(t testing.TB) *testStore {
	t.Helper()
	return &testStore{Engine: engine.New(t, engine.Embedded()), clock: newClock()}
}

// onEach runs a test on every engine there is.
func onEach(t *testing.T, test func(t *testing.T, s *testStore)) {
	t.Helper()
	engine.Each(t, func(t *testing.T, e *engine.Engine) { test(t, &testStore{Engine: e, clock: newClock()}) })
}

// ledger is a process of its own on the database.
func (s *testStore) ledger(t testing.TB, o ledger.Options) *ledger.Ledger {
	t.Helper()
	return s.open(t, s.Raw, o)
}

// ledgerThrough is a ledger whose calls pass through before, which may fail them.
func (s *testStore) ledgerThrough(t testing.TB, o ledger.Options, before func(ctx context.Context, method string, req any) error) *ledger.Ledger {
	t.Helper()
	addr, err := s.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if err := before(ctx, method, req); err != nil {
				return err
			}
			return call(ctx, method, req, reply, cc, opts...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return s.open(t, newClient(t, conn), o)
}

func (s *testStore) open(t testing.TB, client *firestore.Client, o ledger.Options) *ledger.Ledger {
	t.Helper()
	o.Now = s.clock.Now
	if o.Deadline == 0 {
		o.Deadline = time.Minute // a loaded machine is no reason to fail
	}
	l, err := ledger.New(client, s.Database(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newClient(t testing.TB, conn *grpc.ClientConn) *firestore.Client {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func ptr[T any](v T) *T { return &v }

func configure(t testing.TB, l *ledger.Ledger, org string) {
	t.Helper()
	if _, err := l.Do(t.Context(), org, credit.Configure{Zone: ptr("Africa/Johannesburg")}); err != nil {
		t.Fatal(err)
	}
}

// fund gives an organisation a wallet with purchased credits.
func fund(t testing.TB, l *ledger.Ledger, org string, credits int64) {
	t.Helper()
	configure(t, l, org)
	purchase(t, l, org, "pi_"+org, credits)
}

func purchase(t testing.TB, l *ledger.Ledger, org, payment string, credits int64) {
	t.Helper()
	if _, err := l.Do(t.Context(), org, credit.NewGrant{
		Key:   credit.SystemKey("grant", payment),
		Terms: credit.Terms{Source: credit.Purchase, Granted: credits, Payment: payment},
	}); err != nil {
		t.Fatal(err)
	}
}

func debit(id string, credits int64) credit.Debit {
	return credit.Debit{
		EventID: id, Credits: credits,
		Content: credit.Content{Kind: credit.KindDebit, Org: "acme", Feature: "custom-query", Credits: &credits},
		Work:    credit.Work{Feature: "custom-query", PriceVersion: 1},
	}
}

// document reads a document that must be there.
func (s *testStore) document(t testing.TB, path string) *pb.Document {
	t.Helper()
	d := s.find(t, path)
	if d == nil {
		t.Fatalf("%s does not exist", path)
	}
	return d
}

// find reads a document as it is stored, nil when there is none.
func (s *testStore) find(t testing.TB, path string) *pb.Document {
	t.Helper()
	stream, err := s.Raw.BatchGetDocuments(t.Context(), &pb.BatchGetDocumentsRequest{Database: s.Database(), Documents: []string{s.DocumentName(path)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m.GetFound()
}

// atOnce has commands of one wallet done at once, no more than may wait for it.
func atOnce(t testing.TB, l *ledger.Ledger, commands []credit.Command) {
	t.Helper()
	var all sync.WaitGroup
	room := make(chan struct{}, 1000)
	for _, c := range commands {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if _, err := l.Do(t.Context(), "acme", c); err != nil {
				t.Errorf("%T: %v", c, err)
			}
		})
	}
	all.Wait()
}

package firedb_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/indexes"
)

// open starts a server that ends with the test.
func open(tb testing.TB, o firedb.Options) *firedb.Server {
	tb.Helper()
	s, err := firedb.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

// connect returns a client of the server that is closed before it.
func connect(tb testing.TB, s *firedb.Server) *firestore.Client {
	tb.Helper()
	conn, err := s.Conn()
	if err != nil {
		tb.Fatal(err)
	}
	c, err := firestore.NewClient(context.WithoutCancel(tb.Context()), project, option.WithGRPCConn(conn))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

const project = "test"

func TestServerAnswersInProcessAndOverTCP(t *testing.T) {
	t.Parallel()
	s := open(t, firedb.Options{})
	c := connect(t, s)
	if _, err := c.Doc("a/b").Create(t.Context(), map[string]any{"n": 1}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		addr, err := s.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		d := document(t.Context(), t, pb.NewFirestoreClient(conn), "a/b")
		if got := d.GetFields()["n"].GetIntegerValue(); got != 1 {
			t.Errorf("over %s: n = %d, want 1", addr, got)
		}
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	s, err := firedb.Open(firedb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := api(t, s), t.Context()
	if _, err := get(ctx, c, begin(ctx, t, c), "a/b"); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- commit(ctx, c, nil, set("a/b", 1)) }() // for the lock that the transaction holds
	time.Sleep(10 * time.Millisecond)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := <-waiting; err == nil {
		t.Error("a commit that waited for a lock succeeded by Close")
	}
	if _, err := s.Listen("127.0.0.1:0"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen after Close: %v, want net.ErrClosed", err)
	}
}

func TestQueryWithoutItsIndexIsRefused(t *testing.T) {
	t.Parallel()
	list, err := indexes.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, open(t, firedb.Options{Indexes: list}))
	free := connect(t, open(t, firedb.Options{}))
	lanes := func(c *firestore.Client) firestore.Query {
		return c.Collection("wallets/w/entries").Where("lane", "in", []int{0, 1, 2}).OrderBy("at", firestore.Desc)
	}
	tests := map[string]struct {
		query  func(c *firestore.Client) firestore.Query
		served bool
	}{
		"entries by lane and time": {lanes, true},
		"the first entries":        {func(c *firestore.Client) firestore.Query { return lanes(c).LimitToLast(2) }, false},
		"entries by sequence": {func(c *firestore.Client) firestore.Query {
			return c.Collection("wallets/w/entries").Where("seq", ">", 1)
		}, false},
		"all wallets due": {func(c *firestore.Client) firestore.Query { return c.Collection("wallets").Where("next_due_at", "<", 1) }, true},
		"entries of all wallets": {func(c *firestore.Client) firestore.Query {
			return c.CollectionGroup("entries").OrderBy("at", firestore.Asc)
		}, false},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			if _, err := tc.query(free).Documents(t.Context()).GetAll(); err != nil {
				t.Errorf("without a list: %v", err)
			}
			_, err := tc.query(c).Documents(t.Context()).GetAll()
			q := tc.query(c)
			_, countErr := q.NewAggregationQuery().WithCount("n").Get(t.Context())
			for what, err := range map[string]error{"query": err, "count": countErr} {
				if tc.served && err != nil {
					t.Errorf("%s: %v", what, err)
				}
				refused := status.Code(err) == codes.FailedPrecondition && strings.Contains(err.Error(), "The query requires an index")
				if !tc.served && !refused {
					t.Errorf("%s: %v, want FAILED_PRECONDITION for want of an index", what, err)
				}
			}
		})
	}
}

package firedb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

const database = "projects/test/databases/(default)"

func name(path string) string { return database + "/documents/" + path }

// api returns a client of the bare API that is closed before the server.
func api(tb testing.TB, s *firedb.Server) pb.FirestoreClient {
	tb.Helper()
	conn, err := s.Conn()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return pb.NewFirestoreClient(conn)
}

func integer(i int64) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: i}}
}

// set writes a document whose one field is v.
func set(path string, v int64) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name(path), Fields: map[string]*pb.Value{"v": integer(v)}}}}
}

func commit(ctx context.Context, c pb.FirestoreClient, transaction []byte, writes ...*pb.Write) error {
	_, err := c.Commit(ctx, &pb.CommitRequest{Database: database, Transaction: transaction, Writes: writes})
	return err
}

func begin(ctx context.Context, tb testing.TB, c pb.FirestoreClient) []byte {
	tb.Helper()
	r, err := c.BeginTransaction(ctx, &pb.BeginTransactionRequest{Database: database})
	if err != nil {
		tb.Fatal(err)
	}
	return r.GetTransaction()
}

// get reads a document's v in a transaction, -1 for none.
func get(ctx context.Context, c pb.FirestoreClient, transaction []byte, path string) (int64, error) {
	s, err := c.BatchGetDocuments(ctx, &pb.BatchGetDocumentsRequest{
		Database: database, Documents: []string{name(path)},
		ConsistencySelector: &pb.BatchGetDocumentsRequest_Transaction{Transaction: transaction},
	})
	if err != nil {
		return 0, err
	}
	m, err := s.Recv()
	if err != nil {
		return 0, err
	}
	if m.GetFound() == nil {
		return -1, nil
	}
	return m.GetFound().GetFields()["v"].GetIntegerValue(), nil
}

// query returns the ids in a collection, in a transaction.
func query(ctx context.Context, c pb.FirestoreClient, transaction []byte, collection string) (string, error) {
	s, err := c.RunQuery(ctx, &pb.RunQueryRequest{
		Parent: database + "/documents",
		QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: &pb.StructuredQuery{
			From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: collection}},
		}},
		ConsistencySelector: &pb.RunQueryRequest_Transaction{Transaction: transaction},
	})
	if err != nil {
		return "", err
	}
	var ids []string
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return strings.Join(ids, ","), nil
		}
		if err != nil {
			return "", err
		}
		if n := m.GetDocument().GetName(); n != "" {
			ids = append(ids, n[strings.LastIndexByte(n, '/')+1:])
		}
	}
}

// virtual runs f with a server in a bubble, where a minute passes as soon as everybody waits.
func virtual(t *testing.T, f func(ctx context.Context, t *testing.T, c pb.FirestoreClient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := firedb.Open(firedb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := s.Conn()
		if err != nil {
			t.Fatal(err)
		}
		f(t.Context(), t, pb.NewFirestoreClient(conn))
		conn.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestTransactionEndsWhenIdleForAMinute(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		used, idle := begin(ctx, t, c), begin(ctx, t, c)
		for range 3 {
			time.Sleep(59 * time.Second)
			if _, err := get(ctx, c, used, "a/used"); err != nil {
				t.Fatalf("a transaction used each 59 s: %v", err)
			}
		}
		if err := commit(ctx, c, used, set("a/used", 1)); err != nil {
			t.Errorf("commit of a transaction used each 59 s: %v", err)
		}
		if err := commit(ctx, c, idle, set("a/idle", 1)); status.Code(err) != codes.InvalidArgument {
			t.Errorf("commit of a transaction idle for 177 s: %v, want INVALID_ARGUMENT", err)
		}
	})
}

func TestTransactionEndsAfter270Seconds(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		id, start := begin(ctx, t, c), time.Now()
		var err error
		for err == nil && time.Since(start) < 10*time.Minute {
			time.Sleep(30 * time.Second)
			_, err = get(ctx, c, id, "a/b")
		}
		if status.Code(err) != codes.InvalidArgument || time.Since(start) != 270*time.Second {
			t.Errorf("after %v: %v, want INVALID_ARGUMENT after 270 s", time.Since(start), err)
		}
		if err := commit(ctx, c, nil, set("a/b", 1)); err != nil || time.Since(start) != 270*time.Second {
			t.Errorf("a write after the lock's end: %v after %v, want it at once", err, time.Since(start))
		}
	})
}

func TestWriteWaitsForALockAndIsAbortedAfter20Seconds(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		id := begin(ctx, t, c)
		if _, err := get(ctx, c, id, "a/b"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := commit(ctx, c, nil, set("a/b", 1)); status.Code(err) != codes.Aborted || time.Since(start) != 20*time.Second {
			t.Errorf("a write to a locked document: %v after %v, want ABORTED after 20 s", err, time.Since(start))
		}
		if err := commit(ctx, c, nil, set("a/other", 1)); err != nil || time.Since(start) != 20*time.Second {
			t.Errorf("a write to another document: %v after %v, want it at once", err, time.Since(start))
		}
		if err := commit(ctx, c, id, set("a/b", 2)); err != nil {
			t.Errorf("commit of the lock's holder: %v", err)
		}
	})
}

func TestCallerThatGivesUpWaitingLeavesItsTransactionOpen(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		holder, other := begin(ctx, t, c), begin(ctx, t, c)
		if _, err := get(ctx, c, holder, "a/b"); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := get(short, c, other, "a/b"); status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("a read with a deadline of 1 s: %v, want DEADLINE_EXCEEDED", err)
		}
		synctest.Wait()
		if err := commit(ctx, c, holder); err != nil {
			t.Fatal(err)
		}
		if _, err := get(ctx, c, other, "a/b"); err != nil {
			t.Errorf("the same read once the lock is free: %v", err)
		}
	})
}

func TestLockGoesToThoseWhoWaitInTheirOrder(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		const waiting = 5
		holder := begin(ctx, t, c)
		if _, err := get(ctx, c, holder, "a/b"); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, waiting)
		for i := range waiting {
			id := begin(ctx, t, c)
			go func() {
				if _, err := get(ctx, c, id, "a/b"); err != nil {
					t.Errorf("reader %d: %v", i, err)
				}
				order <- i
				if err := commit(ctx, c, id, set("a/b", int64(i))); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}()
			synctest.Wait()
		}
		if err := commit(ctx, c, holder); err != nil {
			t.Fatal(err)
		}
		for want := range waiting {
			if got := <-order; got != want {
				t.Errorf("place %d went to %d", want, got)
			}
		}
		synctest.Wait()
	})
}

func TestRollbackWakesTheTransactionsOwnWaitingCall(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		holder, other := begin(ctx, t, c), begin(ctx, t, c)
		if _, err := get(ctx, c, holder, "a/b"); err != nil {
			t.Fatal(err)
		}
		start, done := time.Now(), make(chan error, 1)
		go func() {
			_, err := get(ctx, c, other, "a/b")
			done <- err
		}()
		synctest.Wait()
		if _, err := c.Rollback(ctx, &pb.RollbackRequest{Database: database, Transaction: other}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; status.Code(err) != codes.InvalidArgument || time.Since(start) != 0 {
			t.Errorf("the waiting read: %v after %v, want INVALID_ARGUMENT at once", err, time.Since(start))
		}
	})
}

func TestOfTransactionsThatWaitForEachOtherOneIsAborted(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 5} {
		t.Run(fmt.Sprint(n, " in a ring"), func(t *testing.T) {
			t.Parallel()
			virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
				t.Helper()
				path := func(i int) string { return fmt.Sprint("a/", i%n) }
				ids := make([][]byte, n)
				for i := range n {
					ids[i] = begin(ctx, t, c)
					if _, err := get(ctx, c, ids[i], path(i)); err != nil {
						t.Fatal(err)
					}
				}
				start, outcomes := time.Now(), make(chan codes.Code, n)
				for i := range n {
					go func() {
						_, err := get(ctx, c, ids[i], path(i+1))
						if err == nil {
							err = commit(ctx, c, ids[i], set(path(i), 1), set(path(i+1), 1))
						}
						outcomes <- status.Code(err)
					}()
				}
				got := map[codes.Code]int{}
				for range n {
					got[<-outcomes]++
				}
				if got[codes.Aborted] != 1 || got[codes.OK] != n-1 || time.Since(start) != 0 {
					t.Errorf("outcomes %v after %v, want one ABORTED and the rest OK, at once", got, time.Since(start))
				}
			})
		})
	}
}

func TestTransactionWhoseQueryGainedARowIsAborted(t *testing.T) {
	t.Parallel()
	c := api(t, open(t, firedb.Options{}))
	ctx := t.Context()
	if err := commit(ctx, c, nil, set("seats/1", 1)); err != nil {
		t.Fatal(err)
	}
	id := begin(ctx, t, c)
	if got, err := query(ctx, c, id, "seats"); err != nil || got != "1" {
		t.Fatalf("query: %q, %v", got, err)
	}
	if err := commit(ctx, c, nil, set("seats/2", 1)); err != nil {
		t.Fatal(err)
	}
	if err := commit(ctx, c, id, set("total/seats", 1)); status.Code(err) != codes.Aborted {
		t.Errorf("commit after a phantom: %v, want ABORTED", err)
	}
}

func TestQueryInATransactionLocksWhatItFound(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		if err := commit(ctx, c, nil, set("seats/1", 1), set("seats/2", 1)); err != nil {
			t.Fatal(err)
		}
		id := begin(ctx, t, c)
		if got, err := query(ctx, c, id, "seats"); err != nil || got != "1,2" {
			t.Fatalf("query: %q, %v", got, err)
		}
		start, done := time.Now(), make(chan time.Duration, 1)
		go func() {
			if err := commit(ctx, c, nil, set("seats/2", 5)); err != nil {
				t.Errorf("the write that waits: %v", err)
			}
			done <- time.Since(start)
		}()
		time.Sleep(3 * time.Second)
		if err := commit(ctx, c, id, set("total/seats", 2)); err != nil {
			t.Errorf("commit of the lock's holder: %v", err)
		}
		if waited := <-done; waited != 3*time.Second {
			t.Errorf("a write to what the query found waited for %v, want 3 s", waited)
		}
	})
}

func TestReadOnlyTransactionKeepsItsSnapshotAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	virtual(t, func(ctx context.Context, t *testing.T, c pb.FirestoreClient) {
		t.Helper()
		if err := commit(ctx, c, nil, set("a/b", 1)); err != nil {
			t.Fatal(err)
		}
		r, err := c.BeginTransaction(ctx, &pb.BeginTransactionRequest{Database: database, Options: &pb.TransactionOptions{
			Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: &pb.TransactionOptions_ReadOnly{}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i := int64(2); i < 5; i++ {
			if got, err := get(ctx, c, r.GetTransaction(), "a/b"); err != nil || got != 1 {
				t.Errorf("read-only read: %d, %v, want 1", got, err)
			}
			if err := commit(ctx, c, nil, set("a/b", i)); err != nil {
				t.Errorf("write beside it: %v", err)
			}
		}
		if err := commit(ctx, c, r.GetTransaction(), set("a/b", 9)); status.Code(err) != codes.InvalidArgument {
			t.Errorf("write in a read-only transaction: %v, want INVALID_ARGUMENT", err)
		}
	})
}

package firedb_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// hooked gives a test a Firestore behind hooks: the engine itself, and the engine behind a proxy with the hooks.
func hooked(t *testing.T, f func(t *testing.T, c pb.FirestoreClient, h *firedb.Hooks, proxied bool)) {
	t.Helper()
	t.Run("engine", func(t *testing.T) {
		t.Parallel()
		h := &firedb.Hooks{}
		f(t, api(t, open(t, firedb.Options{Hooks: h})), h, false)
	})
	t.Run("proxy", func(t *testing.T) {
		t.Parallel()
		h := &firedb.Hooks{}
		upstream, err := open(t, firedb.Options{}).Conn()
		if err != nil {
			t.Fatal(err)
		}
		p := firedb.Proxy(upstream, h)
		conn, err := p.Conn()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			conn.Close()
			if err := p.Close(); err != nil {
				t.Errorf("close the proxy: %v", err)
			}
			upstream.Close()
		})
		f(t, pb.NewFirestoreClient(conn), h, true)
	})
}

func TestFaultFailsACallBeforeOrAfterItTakesEffect(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault   firedb.Fault
		applied bool
		want    codes.Code
	}{
		"no fault":         {firedb.Fault{}, true, codes.OK},
		"fails before":     {firedb.Fault{Code: codes.Unavailable}, false, codes.Unavailable},
		"applied and lost": {firedb.Fault{Code: codes.DeadlineExceeded, After: true}, true, codes.DeadlineExceeded},
		"After alone":      {firedb.Fault{After: true}, true, codes.OK},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			hooked(t, func(t *testing.T, c pb.FirestoreClient, h *firedb.Hooks, _ bool) {
				t.Helper()
				ctx := t.Context()
				h.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: tc.fault})
				if err := commit(ctx, c, nil, set("a/b", 1)); status.Code(err) != tc.want {
					t.Errorf("commit: %v, want %v", err, tc.want)
				}
				if _, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("a/b")}); (err == nil) != tc.applied {
					t.Errorf("read: %v, want it there: %t", err, tc.applied)
				}
				if err := commit(ctx, c, nil, set("a/b", 2)); err != nil {
					t.Errorf("the next commit: %v", err)
				}
			})
		})
	}
}

func TestFaultLosesAStreamedAnswer(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			t.Parallel()
			hooked(t, func(t *testing.T, c pb.FirestoreClient, h *firedb.Hooks, _ bool) {
				t.Helper()
				ctx := t.Context()
				if err := commit(ctx, c, nil, set("a/1", 1), set("a/2", 1)); err != nil {
					t.Fatal(err)
				}
				h.Reset()
				h.Set(firedb.Rule{Method: "RunQuery", Fault: firedb.Fault{Code: codes.Unavailable, After: after}})
				if got, err := query(ctx, c, nil, "a"); status.Code(err) != codes.Unavailable || got != "" {
					t.Errorf("query: %q, %v, want UNAVAILABLE and no rows", got, err)
				}
				want := int64(0)
				if after {
					want = 2
				}
				if got := h.Counts(); got.Reads != want || got.RPCs["RunQuery"] != 1 {
					t.Errorf("counted %+v, want one RunQuery and %d reads", got, want)
				}
			})
		})
	}
}

func TestFailureOfTheCallItselfIsNotReplaced(t *testing.T) {
	t.Parallel()
	hooked(t, func(t *testing.T, c pb.FirestoreClient, h *firedb.Hooks, _ bool) {
		t.Helper()
		h.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.Unavailable, After: true}})
		if err := commit(t.Context(), c, nil, ifExists(true, set("a/b", 1))); status.Code(err) != codes.NotFound {
			t.Errorf("commit: %v, want NOT_FOUND", err)
		}
	})
}

func TestFirstRuleThatSelectsACallDecides(t *testing.T) {
	t.Parallel()
	hasWrites := func(m proto.Message) bool { return len(m.(*pb.CommitRequest).GetWrites()) > 0 }
	inB := func(m proto.Message) bool {
		return m.(*pb.RunQueryRequest).GetStructuredQuery().GetFrom()[0].GetCollectionId() == "b"
	}
	fail := func(code codes.Code) firedb.Fault { return firedb.Fault{Code: code} }
	tests := map[string]struct {
		rules []firedb.Rule
		want  []codes.Code // of commit, commit, an empty commit, query of a, query of b
	}{
		"none":         {nil, []codes.Code{codes.OK, codes.OK, codes.OK, codes.OK, codes.OK}},
		"every method": {[]firedb.Rule{{Method: "*", Fault: fail(codes.Internal)}}, slices.Repeat([]codes.Code{codes.Internal}, 5)},
		"no method":    {[]firedb.Rule{{Fault: fail(codes.Internal)}}, slices.Repeat([]codes.Code{codes.Internal}, 5)},
		"one method":   {[]firedb.Rule{{Method: "Commit", Fault: fail(codes.Aborted)}}, []codes.Code{codes.Aborted, codes.Aborted, codes.Aborted, codes.OK, codes.OK}},
		"count":        {[]firedb.Rule{{Method: "Commit", Count: 2, Fault: fail(codes.Aborted)}}, []codes.Code{codes.Aborted, codes.Aborted, codes.OK, codes.OK, codes.OK}},
		"one after another": {
			[]firedb.Rule{{Method: "Commit", Count: 1, Fault: fail(codes.Aborted)}, {Method: "Commit", Count: 1, Fault: fail(codes.Internal)}},
			[]codes.Code{codes.Aborted, codes.Internal, codes.OK, codes.OK, codes.OK},
		},
		"a condition":             {[]firedb.Rule{{Method: "Commit", When: hasWrites, Fault: fail(codes.Aborted)}}, []codes.Code{codes.Aborted, codes.Aborted, codes.OK, codes.OK, codes.OK}},
		"a condition on a stream": {[]firedb.Rule{{Method: "RunQuery", When: inB, Fault: fail(codes.Aborted)}}, []codes.Code{codes.OK, codes.OK, codes.OK, codes.OK, codes.Aborted}},
		"an exception":            {[]firedb.Rule{{Method: "Commit", Count: 1}, {Fault: fail(codes.Internal)}}, []codes.Code{codes.OK, codes.Internal, codes.Internal, codes.Internal, codes.Internal}},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			hooked(t, func(t *testing.T, c pb.FirestoreClient, h *firedb.Hooks, _ bool) {
				t.Helper()
				ctx := t.Context()
				h.Set(tc.rules...)
				var got []codes.Code
				got = append(got, status.Code(commit(ctx, c, nil, set("a/1", 1))), status.Code(commit(ctx, c, nil, set("a/1", 2))), status.Code(commit(ctx, c, nil)))
				for _, collection := range []string{"a", "b"} {
					_, err := query(ctx, c, nil, collection)
					got = append(got, status.Code(err))
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("%v, want %v", got, tc.want)
				}
			})
		})
	}
}

func TestChanceRepeatsWithItsSource(t *testing.T) {
	t.Parallel()
	const calls = 400
	run := func(seed uint64) (outcomes []bool) {
		h := &firedb.Hooks{Rand: rand.New(rand.NewPCG(seed, 1))}
		c := api(t, open(t, firedb.Options{Hooks: h}))
		h.Set(firedb.Rule{Method: "Commit", Chance: 0.25, Fault: firedb.Fault{Code: codes.Aborted}})
		for range calls {
			outcomes = append(outcomes, commit(t.Context(), c, nil, set("a/b", 1)) != nil)
		}
		return outcomes
	}
	first, again, other := run(7), run(7), run(8)
	if !slices.Equal(first, again) {
		t.Error("the same seed gave two different runs")
	}
	if slices.Equal(first, other) {
		t.Error("two seeds gave the same run")
	}
	failed := 0
	for _, f := range first {
		if f {
			failed++
		}
	}
	if failed < calls/8 || failed > calls/2 {
		t.Errorf("%d of %d calls failed at a chance of a quarter", failed, calls)
	}
}

func TestDelayHoldsACallBack(t *testing.T) {
	t.Parallel()
	steps := []time.Duration{time.Second, 3 * time.Second}
	tests := map[string]struct {
		fault firedb.Fault
		want  []time.Duration // of three commits
	}{
		"fixed":         {firedb.Fault{Delay: 40 * time.Second}, []time.Duration{40 * time.Second, 40 * time.Second, 40 * time.Second}},
		"before a code": {firedb.Fault{Delay: time.Second, Code: codes.Aborted}, []time.Duration{time.Second, time.Second, time.Second}},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			checkDelays(t, tc.fault, tc.want)
		})
	}
	t.Run("a distribution", func(t *testing.T) {
		t.Parallel()
		i := -1
		checkDelays(t, firedb.Fault{Delay: time.Hour, DelayFunc: func() time.Duration { i++; return steps[i%2] }},
			[]time.Duration{steps[0], steps[1], steps[0]})
	})
}

// checkDelays measures commits under a fault in virtual time.
func checkDelays(t *testing.T, fault firedb.Fault, want []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &firedb.Hooks{}
		c := api(t, open(t, firedb.Options{Hooks: h}))
		h.Set(firedb.Rule{Method: "Commit", Fault: fault})
		for i, w := range want {
			start := time.Now()
			if err := commit(t.Context(), c, nil, set("a/b", int64(i))); status.Code(err) != fault.Code {
				t.Errorf("commit %d: %v, want %v", i, err, fault.Code)
			}
			if got := time.Since(start); got != w {
				t.Errorf("commit %d took %v, want %v", i, got, w)
			}
		}
	})
}

func TestDelayEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &firedb.Hooks{}
		c := api(t, open(t, firedb.Options{Hooks: h}))
		h.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Delay: time.Hour}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := commit(ctx, c, nil, set("a/b", 1)); status.Code(err) != codes.DeadlineExceeded || time.Since(start) != time.Minute {
			t.Errorf("commit: %v after %v, want DEADLINE_EXCEEDED after a minute", err, time.Since(start))
		}
		synctest.Wait()
		h.Set()
		if _, err := c.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: name("a/b")}); status.Code(err) != codes.NotFound {
			t.Errorf("read: %v, want NOT_FOUND: the call had not run when its caller left", err)
		}
	})
}

func TestCountsAreWhatFirestoreBills(t *testing.T) {
	t.Parallel()
	type c = pb.FirestoreClient
	from := func(coll string) []*pb.StructuredQuery_CollectionSelector {
		return []*pb.StructuredQuery_CollectionSelector{{CollectionId: coll}}
	}
	run := func(ctx context.Context, cl c, q *pb.StructuredQuery) error {
		s, err := cl.RunQuery(ctx, &pb.RunQueryRequest{Parent: database + "/documents", QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q}})
		for err == nil {
			_, err = s.Recv()
		}
		return err
	}
	aggregate := func(ctx context.Context, cl c, coll string, a *pb.StructuredAggregationQuery_Aggregation) error {
		s, err := cl.RunAggregationQuery(ctx, &pb.RunAggregationQueryRequest{Parent: database + "/documents",
			QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: &pb.StructuredAggregationQuery{
				QueryType:    &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: &pb.StructuredQuery{From: from(coll)}},
				Aggregations: []*pb.StructuredAggregationQuery_Aggregation{a},
			}}})
		for err == nil {
			_, err = s.Recv()
		}
		return err
	}
	count := &pb.StructuredAggregationQuery_Aggregation{Alias: "n", Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{Count: &pb.StructuredAggregationQuery_Aggregation_Count{}}}
	sum := &pb.StructuredAggregationQuery_Aggregation{Operator: &pb.StructuredAggregationQuery_Aggregation_Sum_{Sum: &pb.StructuredAggregationQuery_Aggregation_Sum{Field: &pb.StructuredQuery_FieldReference{FieldPath: "v"}}}}
	remove := func(path string) *pb.Write { return &pb.Write{Operation: &pb.Write_Delete{Delete: name(path)}} }
	batchGet := func(paths ...string) func(context.Context, c) {
		return func(ctx context.Context, cl c) {
			r := &pb.BatchGetDocumentsRequest{Database: database}
			for _, p := range paths {
				r.Documents = append(r.Documents, name(p))
			}
			s, err := cl.BatchGetDocuments(ctx, r)
			for err == nil {
				_, err = s.Recv()
			}
		}
	}
	tests := map[string]struct {
		method     string
		call       func(ctx context.Context, cl c)
		want       firedb.Counts
		atLeastOne bool // all that a proxy can know
	}{
		"get":                     {"GetDocument", func(ctx context.Context, cl c) { cl.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("few/0")}) }, firedb.Counts{Reads: 1}, false},
		"get of nothing":          {"GetDocument", func(ctx context.Context, cl c) { cl.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("few/none")}) }, firedb.Counts{Reads: 1}, false},
		"get refused":             {"GetDocument", func(ctx context.Context, cl c) { cl.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("few/__0__")}) }, firedb.Counts{}, false},
		"get of three, one twice": {"BatchGetDocuments", batchGet("few/0", "few/1", "few/none", "few/0"), firedb.Counts{Reads: 3}, false},
		"query of 7":              {"RunQuery", func(ctx context.Context, cl c) { run(ctx, cl, &pb.StructuredQuery{From: from("few")}) }, firedb.Counts{Reads: 7}, false},
		"query of nothing":        {"RunQuery", func(ctx context.Context, cl c) { run(ctx, cl, &pb.StructuredQuery{From: from("none")}) }, firedb.Counts{Reads: 1}, false},
		"query refused":           {"RunQuery", func(ctx context.Context, cl c) { run(ctx, cl, &pb.StructuredQuery{}) }, firedb.Counts{}, false},
		"query of 3 after 2": {"RunQuery", func(ctx context.Context, cl c) {
			run(ctx, cl, &pb.StructuredQuery{From: from("few"), Offset: 2, Limit: wrapperspb.Int32(3)})
		}, firedb.Counts{Reads: 5}, false},
		"query that skips all 7": {"RunQuery", func(ctx context.Context, cl c) { run(ctx, cl, &pb.StructuredQuery{From: from("few"), Offset: 50}) }, firedb.Counts{Reads: 7}, false},
		"count of nothing":       {"RunAggregationQuery", func(ctx context.Context, cl c) { aggregate(ctx, cl, "none", count) }, firedb.Counts{Reads: 1}, false},
		"count of 1,000":         {"RunAggregationQuery", func(ctx context.Context, cl c) { aggregate(ctx, cl, "thousand", count) }, firedb.Counts{Reads: 1}, false},
		"count of 1,001":         {"RunAggregationQuery", func(ctx context.Context, cl c) { aggregate(ctx, cl, "more", count) }, firedb.Counts{Reads: 2}, false},
		"sum of 1,001":           {"RunAggregationQuery", func(ctx context.Context, cl c) { aggregate(ctx, cl, "more", sum) }, firedb.Counts{Reads: 2}, true},
		"list of 7": {"ListDocuments", func(ctx context.Context, cl c) {
			cl.ListDocuments(ctx, &pb.ListDocumentsRequest{Parent: database + "/documents", CollectionId: "few"})
		}, firedb.Counts{Reads: 7}, false},
		"list of nothing": {"ListDocuments", func(ctx context.Context, cl c) {
			cl.ListDocuments(ctx, &pb.ListDocumentsRequest{Parent: database + "/documents", CollectionId: "none"})
		}, firedb.Counts{Reads: 1}, false},
		"list of collections": {"ListCollectionIds", func(ctx context.Context, cl c) {
			cl.ListCollectionIds(ctx, &pb.ListCollectionIdsRequest{Parent: database + "/documents"})
		}, firedb.Counts{Reads: 1}, false},
		"commit": {"Commit", func(ctx context.Context, cl c) {
			commit(ctx, cl, nil, set("w/1", 1), increment("w/2", "n", 1), remove("few/0"), remove("w/none"))
		}, firedb.Counts{Writes: 2, Deletes: 2}, false},
		"commit that changes nothing": {"Commit", func(ctx context.Context, cl c) { commit(ctx, cl, nil, set("few/0", 0)) }, firedb.Counts{Writes: 1}, false},
		"commit refused":              {"Commit", func(ctx context.Context, cl c) { commit(ctx, cl, nil, set("w/1", 1), ifExists(true, set("w/none", 1))) }, firedb.Counts{}, false},
		"batch with one refused": {"BatchWrite", func(ctx context.Context, cl c) {
			cl.BatchWrite(ctx, &pb.BatchWriteRequest{Database: database, Writes: []*pb.Write{set("w/1", 1), ifExists(true, set("w/none", 1)), remove("few/0")}})
		}, firedb.Counts{Writes: 1, Deletes: 1}, false},
		"create": {"CreateDocument", func(ctx context.Context, cl c) {
			cl.CreateDocument(ctx, &pb.CreateDocumentRequest{Parent: database + "/documents", CollectionId: "w"})
		}, firedb.Counts{Writes: 1}, false},
		"update": {"UpdateDocument", func(ctx context.Context, cl c) {
			cl.UpdateDocument(ctx, &pb.UpdateDocumentRequest{Document: &pb.Document{Name: name("w/1")}})
		}, firedb.Counts{Writes: 1}, false},
		"delete": {"DeleteDocument", func(ctx context.Context, cl c) {
			cl.DeleteDocument(ctx, &pb.DeleteDocumentRequest{Name: name("few/0")})
		}, firedb.Counts{Deletes: 1}, false},
		"begin": {"BeginTransaction", func(ctx context.Context, cl c) {
			cl.BeginTransaction(ctx, &pb.BeginTransactionRequest{Database: database})
		}, firedb.Counts{}, false},
		"rollback": {"Rollback", func(ctx context.Context, cl c) { cl.Rollback(ctx, &pb.RollbackRequest{Database: database}) }, firedb.Counts{}, false},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			hooked(t, func(t *testing.T, cl c, h *firedb.Hooks, proxied bool) {
				t.Helper()
				ctx := t.Context()
				for coll, n := range map[string]int{"few": 7, "thousand": 1000, "more": 1001} {
					var writes []*pb.Write
					for i := range n {
						writes = append(writes, set(fmt.Sprint(coll, "/", i), int64(i)))
					}
					if err := commit(ctx, cl, nil, writes...); err != nil {
						t.Fatal(err)
					}
				}
				h.Reset()
				tc.call(ctx, cl)
				got, want := h.Counts(), tc.want
				want.RPCs = map[string]int64{tc.method: 1}
				if proxied && tc.atLeastOne {
					want.Reads = 1
				}
				if got.Reads != want.Reads || got.Writes != want.Writes || got.Deletes != want.Deletes || !maps.Equal(got.RPCs, want.RPCs) {
					t.Errorf("counted %+v, want %+v", got, want)
				}
			})
		})
	}
}

package firedb_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// orders: in which order results come, and which documents an order leaves out.
func orders(s *script) {
	q := twelve(s)
	for _, tc := range []struct {
		name  string
		query firestore.Query
	}{
		{"one field", q.OrderBy("i", up)},
		{"one field down", q.OrderBy("i", down)},
		{"two fields", q.OrderBy("i", down).OrderBy("j", up)},
		{"two fields down", q.OrderBy("i", down).OrderBy("j", down)},
		{"field and name", q.OrderBy("i", up).OrderBy(firestore.DocumentID, down)},
		{"field down and name", q.OrderBy("i", down).OrderBy(firestore.DocumentID, up)},
		{"name", q.OrderBy(firestore.DocumentID, up)},
		{"missing field", q.OrderBy("none", up)},
		{"field in a map", q.OrderBy("o.k", down)},
		{"map", q.OrderBy("o", down)},
		{"array", q.OrderBy("tags", up)},
		{"by the range", q.Where("i", ">=", 2)},
		{"by the range down", q.Where("i", ">=", 2).OrderBy("i", down)},
		{"by two ranges", q.Where("j", ">", 5).Where("i", ">=", 2)},
		{"by two ranges, one named", q.Where("j", ">", 5).Where("i", ">=", 2).OrderBy("j", down)},
		{"by not equal", q.Where("i", "!=", 2)},
		{"by not-in", q.Where("i", "not-in", []int{2})},
		{"not by in", q.Where("i", "in", []int{3, 1})},
		{"in, by the field", q.Where("i", "in", []int{3, 1}).OrderBy("i", up)},
		{"range and another field", q.Where("j", ">", 5).OrderBy("i", up).OrderBy("j", up)},
		{"equality and its field", q.Where("i", "==", 2).OrderBy("i", down)},
		{"contains and another field", q.Where("tags", "array-contains", "t1").OrderBy("j", down)},
		{"or and a field", q.WhereEntity(anyOf(where("i", "==", 3), where("j", "<", 3))).OrderBy("j", down)},
		{"range on the name and a field", q.Where(firestore.DocumentID, ">", q.Doc("n07")).OrderBy("i", up)},
	} {
		s.rows(tc.name, tc.query)
	}
	m := mixed(s)
	s.rows("every type", m.OrderBy("v", up))
	s.rows("every type down", m.OrderBy("v", down))
	for _, id := range []string{"a", "a-b", "a!", "A", "b", "é", "10", "9", "a b", "😀", "～", "__id7__x"} {
		s.put("ids/"+id, fields{"x": 1})
		s.put("ids/"+id+"/sub/1", fields{"x": 1})
	}
	s.rows("ids", s.Client.Collection("ids").Query)
	s.rows("ids down", s.Client.Collection("ids").OrderBy("x", down))
	s.note("whole names", rowPaths(s.Client.CollectionGroup("sub").Documents(s.t.Context())))
}

// cursors: where results begin and end, and how many there are.
func cursors(s *script) {
	q := twelve(s)
	j, ij := q.OrderBy("j", up), q.OrderBy("i", up).OrderBy("j", up)
	at := s.get("q/n06")
	for _, tc := range []struct {
		name  string
		query firestore.Query
	}{
		{"start at", j.StartAt(9)},
		{"start after", j.StartAfter(9)},
		{"start at what is not there", j.StartAt(8.5)},
		{"start beyond", j.StartAt(12)},
		{"start at another type", j.StartAt("x")},
		{"start at null", j.StartAt(nil)},
		{"end at", j.EndAt(2)},
		{"end before", j.EndBefore(2)},
		{"start and end", j.StartAt(3).EndBefore(5)},
		{"start after the end", j.StartAt(5).EndAt(3)},
		{"descending", q.OrderBy("j", down).StartAfter(3).EndAt(1)},
		{"two values", ij.StartAfter(2, 6)},
		{"two values, mixed directions", q.OrderBy("i", down).OrderBy("j", up).StartAt(2, 6).EndAt(1, 1)},
		{"fewer values than orders", ij.StartAfter(2)},
		{"at a document", q.OrderBy("i", up).StartAfter(at)},
		{"at a document, descending", q.OrderBy("i", down).StartAfter(at).Limit(3)},
		{"at a document, with a range", q.Where("i", ">", 0).StartAt(at).Limit(2)},
		{"at a document, by name", q.StartAt(at)},
		{"end at a document", q.OrderBy("i", up).EndAt(at)},
		{"at a name", q.OrderBy(firestore.DocumentID, up).StartAfter("n09")},
		{"at a name after a field", q.OrderBy("i", up).OrderBy(firestore.DocumentID, up).StartAfter(2, "n06")},
		{"with a filter", q.Where("kind", "==", "a").OrderBy("j", up).StartAt(5)},
		{"limit", j.Limit(2)},
		{"limit beyond", j.Limit(100)},
		{"offset", j.Offset(10)},
		{"offset beyond", j.Offset(30)},
		{"limit and offset", j.Offset(3).Limit(2)},
		{"limit, offset and start", j.StartAt(4).Offset(3).Limit(2)},
		{"limit to last", j.LimitToLast(2)},
		{"limit to last with start", j.StartAt(10).LimitToLast(5)},
		{"limit to last with end", j.EndBefore(4).LimitToLast(2)},
	} {
		s.rows(tc.name, tc.query)
	}
	rawCursors(s)
}

// rawCursors take fewer values than there are orders, which the client library does not send.
func rawCursors(s *script) {
	order := func(p string, d pb.StructuredQuery_Direction) *pb.StructuredQuery_Order {
		return &pb.StructuredQuery_Order{Field: &pb.StructuredQuery_FieldReference{FieldPath: p}, Direction: d}
	}
	for _, before := range []bool{true, false} {
		for _, d := range []pb.StructuredQuery_Direction{pb.StructuredQuery_ASCENDING, pb.StructuredQuery_DESCENDING} {
			q := &pb.StructuredQuery{
				From:    []*pb.StructuredQuery_CollectionSelector{{CollectionId: "q"}},
				OrderBy: []*pb.StructuredQuery_Order{order("i", d), order("j", pb.StructuredQuery_ASCENDING)},
				Limit:   wrapperspb.Int32(5),
			}
			q.StartAt = &pb.Cursor{Values: []*pb.Value{value(2)}, Before: before}
			s.note(fmt.Sprintf("start with a prefix, before %t, %s", before, d), s.runQuery(s.Database()+"/documents", q))
			q.StartAt, q.EndAt = nil, &pb.Cursor{Values: []*pb.Value{value(2)}, Before: before}
			s.note(fmt.Sprintf("end with a prefix, before %t, %s", before, d), s.runQuery(s.Database()+"/documents", q))
			q.EndAt = &pb.Cursor{Before: before}
			s.note(fmt.Sprintf("end with no values, before %t, %s", before, d), s.runQuery(s.Database()+"/documents", q))
		}
	}
}

// projections: which fields of the results come back.
func projections(s *script) {
	q := twelve(s)
	for _, tc := range []struct {
		name   string
		fields []string
	}{
		{"two fields", []string{"i", "o.k"}},
		{"a missing field", []string{"i", "none"}},
		{"a map and a field in it", []string{"o", "o.k"}},
		{"nothing but the name", []string{firestore.DocumentID}},
		{"the name and a field", []string{firestore.DocumentID, "i"}},
		{"nothing", nil},
	} {
		d, err := q.Where("j", "==", 5).Select(tc.fields...).Documents(s.t.Context()).Next()
		if err != nil {
			s.note(tc.name, code(err))
			continue
		}
		s.note(tc.name, d.Ref.ID+" "+show(d.Data()))
		s.note(tc.name+", times", d.CreateTime.Equal(s.get("q/n05").CreateTime) && d.UpdateTime.Equal(s.get("q/n05").UpdateTime))
	}
}

// collectionGroups: the same collection under many parents.
func collectionGroups(s *script) {
	for i, p := range []string{"u/1/e/a", "u/1/e/b", "u/2/e/a", "e/z", "u/2/e/a/e/deep", "u/2/ee/x", "e2/e"} {
		s.put(p, fields{"n": i, "m": i % 2})
	}
	doc, group := s.Client.Doc, s.Client.CollectionGroup("e")
	for _, tc := range []struct {
		name  string
		query firestore.Query
	}{
		{"all", group.Query},
		{"one collection", s.Client.Collection("u/2/e").Query},
		{"a collection at the root", s.Client.Collection("e").Query},
		{"equality", group.Where("m", "==", 0)},
		{"range and order", group.Where("n", ">=", 1).OrderBy("n", down)},
		{"order and limit", group.OrderBy("m", up).Limit(3)},
		{"after a name", group.Where(firestore.DocumentID, ">", doc("u/1/e/b"))},
		{"a name", group.Where(firestore.DocumentID, "==", doc("u/2/e/a"))},
		{"cursor at a document", group.OrderBy("m", up).StartAfter(s.get("u/1/e/a"))},
		{"unknown", s.Client.CollectionGroup("unknown").Query},
	} {
		s.note(tc.name, rowPaths(tc.query.Documents(s.t.Context())))
	}
	below := &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: "e", AllDescendants: true}}}
	s.note("below a document", s.runQuery(s.DocumentName("u/2"), below))
}

// aggregations: counts, sums and averages.
func aggregations(s *script) {
	q := twelve(s)
	for i, v := range []any{1, 2.5, "x", nil, 4} {
		s.put(fmt.Sprintf("agg/%d", i), fields{"v": v, "g": i % 2})
	}
	s.put("agg/without", fields{"g": 1})
	s.put("large/1", fields{"v": int64(math.MaxInt64)})
	s.put("large/2", fields{"v": 1})
	s.put("nan/1", fields{"v": math.NaN()})
	s.put("nan/2", fields{"v": 1})
	s.put("text/1", fields{"v": "x"})
	for i, x := range []int{3, 1, 2} {
		s.put(fmt.Sprintf("two/%d", i), fields{"x": x, "y": []int{10, 30, 20}[i]})
	}
	agg := s.Client.Collection("agg")
	all := func(q firestore.Query) *firestore.AggregationQuery {
		return q.NewAggregationQuery().WithCount("n").WithSum("v", "s").WithAvg("v", "a")
	}
	for _, tc := range []struct {
		name  string
		query *firestore.AggregationQuery
	}{
		{"count", agg.NewAggregationQuery().WithCount("n")},
		{"sum", agg.NewAggregationQuery().WithSum("v", "s")},
		{"average", agg.NewAggregationQuery().WithAvg("v", "a")},
		{"all three", all(agg.Query)},
		{"of some", all(agg.Where("g", "==", 1))},
		{"of the first two", all(agg.Limit(2))},
		{"after an offset", all(agg.Offset(1))},
		{"of the last two by another field", all(agg.OrderBy("g", down).Limit(2))},
		{"of two fields, the first two", sums(s.Client.Collection("two").Limit(2), "y", "x")},
		{"of one field, in the order of names", sums(s.Client.Collection("two").OrderBy(firestore.DocumentID, up).Limit(2), "y")},
		{"of one field, by another, the first two", sums(s.Client.Collection("two").OrderBy("y", down).Limit(2), "x")},
		{"of two fields, other way", sums(s.Client.Collection("two").Limit(2), "x", "y")},
		{"of none", all(agg.Where("g", "==", 7))},
		{"of an unknown collection", all(s.Client.Collection("unknown").Query)},
		{"beyond the largest integer", all(s.Client.Collection("large").Query)},
		{"with NaN", all(s.Client.Collection("nan").Query)},
		{"of text", all(s.Client.Collection("text").Query)},
		{"of integers", q.NewAggregationQuery().WithSum("j", "s").WithAvg("j", "a").WithCount("n")},
		{"of a field in a map", q.NewAggregationQuery().WithSum("o.k", "s")},
		{"ordered, with a cursor", wholeNumbers(q.OrderBy("j", up).StartAt(4).EndAt(7))},
		{"of a group", s.Client.CollectionGroup("sub").NewAggregationQuery().WithCount("n")},
		{"of a refused query", all(q.Where("i", "in", []int{}))},
		{"none", agg.NewAggregationQuery()},
	} {
		s.note(tc.name, s.aggregate(tc.query))
	}
	rawAggregations(s)
}

func sums(q firestore.Query, paths ...string) *firestore.AggregationQuery {
	a := q.NewAggregationQuery()
	for _, p := range paths {
		a = a.WithSum(p, p)
	}
	return a
}

func wholeNumbers(q firestore.Query) *firestore.AggregationQuery {
	return q.NewAggregationQuery().WithSum("j", "s").WithCount("n")
}

func (s *script) aggregate(q *firestore.AggregationQuery) string {
	got, err := q.Get(s.t.Context())
	if err != nil {
		return code(err)
	}
	var out []string
	for _, alias := range slices.Sorted(maps.Keys(got)) {
		out = append(out, alias+"="+show(got[alias]))
	}
	return strings.Join(out, " ")
}

func rawAggregations(s *script) {
	sum := func(path string) *pb.StructuredAggregationQuery_Aggregation {
		return &pb.StructuredAggregationQuery_Aggregation{Alias: "s", Operator: &pb.StructuredAggregationQuery_Aggregation_Sum_{
			Sum: &pb.StructuredAggregationQuery_Aggregation_Sum{Field: &pb.StructuredQuery_FieldReference{FieldPath: path}}}}
	}
	for _, tc := range []struct {
		name         string
		aggregations []*pb.StructuredAggregationQuery_Aggregation
	}{
		{"count up to 5", []*pb.StructuredAggregationQuery_Aggregation{countAs("n", wrapperspb.Int64(5))}},
		{"count up to 0", []*pb.StructuredAggregationQuery_Aggregation{countAs("n", wrapperspb.Int64(0))}},
		{"no alias", []*pb.StructuredAggregationQuery_Aggregation{countAs("", nil), countAs("", nil)}},
		{"an alias twice", []*pb.StructuredAggregationQuery_Aggregation{countAs("n", nil), countAs("n", nil)}},
		{"a reserved alias", []*pb.StructuredAggregationQuery_Aggregation{countAs("__n__", nil)}},
		{"a sum of a bad path", []*pb.StructuredAggregationQuery_Aggregation{sum("a..b")}},
		{"no operator", []*pb.StructuredAggregationQuery_Aggregation{{Alias: "n"}}},
		{"six", []*pb.StructuredAggregationQuery_Aggregation{countAs("a", nil), countAs("b", nil), countAs("c", nil), countAs("d", nil), countAs("e", nil), countAs("f", nil)}},
	} {
		got, err := drain(s.Raw.RunAggregationQuery(s.t.Context(), &pb.RunAggregationQueryRequest{
			Parent: s.Database() + "/documents",
			QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: &pb.StructuredAggregationQuery{
				QueryType: &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: &pb.StructuredQuery{
					From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: "q"}}}},
				Aggregations: tc.aggregations,
			}},
		}))
		if err != nil {
			s.note("raw, "+tc.name, code(err))
			continue
		}
		s.note("raw, "+tc.name, mapValue(got[0].GetResult().GetAggregateFields()))
	}
}

// listing: documents and collections by their place.
func listing(s *script) {
	ctx := s.t.Context()
	for _, p := range []string{"u/1/e/a", "u/1", "u/2/e/a", "u/2/ee/x", "u/4", "b/x", "a/y/z/z"} {
		s.put(p, fields{"n": 1})
	}
	for i := range 301 {
		s.put(fmt.Sprintf("page/%03d", i), fields{"n": i})
	}
	collections := func(it *firestore.CollectionIterator) string {
		var out []string
		for {
			c, err := it.Next()
			if errors.Is(err, iterator.Done) {
				return strings.Join(out, " ")
			}
			if err != nil {
				return code(err)
			}
			out = append(out, c.ID)
		}
	}
	s.note("collections", collections(s.Client.Collections(ctx)))
	s.note("collections of a document", collections(s.Client.Doc("u/2").Collections(ctx)))
	s.note("collections of a document without", collections(s.Client.Doc("u/4").Collections(ctx)))
	s.note("documents, missing ones too", s.list("u", true, "", 0))
	s.note("documents", s.list("u", false, "", 0))
	s.note("documents of a document", s.list("u/1/e", false, "", 0))
	s.note("documents of an unknown collection", s.list("unknown", true, "", 0))
	s.note("missing ones and an order", s.list("u", true, "n", 0))
	s.note("a negative page", s.list("u", false, "", -1))
	refs, err := s.Client.Collection("page").DocumentRefs(ctx).GetAll()
	s.note("more than a page", outcome(err, len(refs)))
	page, err := pb.NewFirestoreClient(s.Conn).ListDocuments(ctx, &pb.ListDocumentsRequest{Parent: s.Database() + "/documents", CollectionId: "page", PageSize: 2})
	s.note("a page of two", outcome(err, fmt.Sprint(len(page.GetDocuments()), " ", page.GetNextPageToken() != "")))
	page, err = pb.NewFirestoreClient(s.Conn).ListDocuments(ctx, &pb.ListDocumentsRequest{
		Parent: s.Database() + "/documents", CollectionId: "page", PageSize: 2, PageToken: page.GetNextPageToken()})
	s.note("the next page", outcome(err, relative(page.GetDocuments()[0].GetName())))
}

func (s *script) list(collection string, missing bool, order string, size int32) string {
	parent, id := s.Database()+"/documents", collection
	if i := strings.LastIndexByte(collection, '/'); i >= 0 {
		parent, id = s.DocumentName(collection[:i]), collection[i+1:]
	}
	it := s.Raw.ListDocuments(s.t.Context(), &pb.ListDocumentsRequest{Parent: parent, CollectionId: id, ShowMissing: missing, OrderBy: order, PageSize: size})
	var out []string
	for d, err := range it.All() {
		if err != nil {
			return code(err)
		}
		out = append(out, fmt.Sprint(relative(d.Name), " ", len(d.Fields)))
	}
	return strings.Join(out, ", ")
}

package firedb_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	up   = firestore.Asc
	down = firestore.Desc
)

// where is one filter on a field.
func where(path, operator string, v any) firestore.PropertyFilter {
	return firestore.PropertyFilter{Path: path, Operator: operator, Value: v}
}

func anyOf(f ...firestore.EntityFilter) firestore.OrFilter  { return firestore.OrFilter{Filters: f} }
func allOf(f ...firestore.EntityFilter) firestore.AndFilter { return firestore.AndFilter{Filters: f} }

// twelve writes the documents q/n00 to q/n11 and returns their collection.
func twelve(s *script) *firestore.CollectionRef {
	for i := range 12 {
		s.put(fmt.Sprintf("q/n%02d", i), fields{
			"i": i % 4, "j": i, "tags": []any{fmt.Sprint("t", i%3), "all"}, "o": fields{"k": i / 2}, "kind": string("ab"[i%2]),
		})
	}
	s.put("q/n05/sub/x", fields{"i": 2, "j": 5}) // in no query on q
	return s.Client.Collection("q")
}

// filters: single filters, and filters together.
func filters(s *script) {
	q := twelve(s)
	s.rows("none", q.Query)
	for _, tc := range []struct {
		path, operator string
		value          any
	}{
		{"i", "==", 2},
		{"i", "==", 2.0},
		{"i", "==", 2.5},
		{"o.k", "==", 3},
		{"o", "==", fields{"k": 3}},
		{"none", "==", 1},
		{"j", "<", 2},
		{"j", "<=", 2},
		{"j", ">", 9},
		{"j", ">=", 9.5},
		{"i", ">=", 2},
		{"i", "!=", 1},
		{"none", "!=", 1},
		{"i", "in", []int{3, 1}},
		{"i", "in", []any{3.0, "x", nil}},
		{"i", "not-in", []int{3, 1}},
		{"i", "not-in", []any{3, nil}},
		{"tags", "array-contains", "t1"},
		{"tags", "array-contains-any", []string{"t1", "t2"}},
		{"tags", "==", []any{"t1", "all"}},
		{"tags", "in", []any{[]any{"t1", "all"}, []any{"all", "t2"}}},
		{"i", "array-contains", 1},
	} {
		s.rows(fmt.Sprintf("%s %s %s", tc.path, tc.operator, showValue(plain(tc.value))), q.Where(tc.path, tc.operator, tc.value))
	}
	byName := func(name, operator string, v any) { s.rows(name, q.Where(firestore.DocumentID, operator, v)) }
	byName("name above", ">", q.Doc("n09"))
	byName("name at or below", "<=", q.Doc("n01"))
	byName("name is", "==", q.Doc("n09"))
	byName("name is not", "!=", q.Doc("n00"))
	byName("name among", "in", []*firestore.DocumentRef{q.Doc("n09"), q.Doc("n01"), q.Doc("none")})
	byName("name not among", "not-in", []*firestore.DocumentRef{q.Doc("n09"), q.Doc("n01")})
	s.rows("range", q.Where("j", ">=", 3).Where("j", "<", 6))
	s.rows("empty range", q.Where("j", ">", 6).Where("j", "<", 6))
	s.rows("three equalities", q.Where("i", "==", 2).Where("kind", "==", "a").Where("j", "==", 6))
	s.rows("equalities that contradict", q.Where("i", "==", 2).Where("i", "==", 3))
	s.rows("ranges on two fields", q.Where("i", ">=", 2).Where("j", ">", 5))
	s.rows("ranges on two fields, other way", q.Where("j", ">", 5).Where("i", ">=", 2))
	s.rows("equality and range", q.Where("kind", "==", "b").Where("j", ">", 5))
	s.rows("contains and equality", q.Where("tags", "array-contains", "t1").Where("kind", "==", "a"))
	s.rows("two in", q.Where("i", "in", []int{0, 1, 2}).Where("kind", "in", []string{"a", "c"}))
	s.rows("in and range", q.Where("i", "in", []int{3, 1}).Where("j", ">", 4))
	s.rows("not equal and range", q.Where("i", "!=", 2).Where("j", ">", 8))
	s.rows("or", q.WhereEntity(anyOf(where("j", "==", 4), where("i", "==", 3))))
	s.rows("or with a range", q.WhereEntity(anyOf(where("j", "<", 2), where("j", ">", 9))))
	s.rows("or of fields of which one is missing", q.WhereEntity(anyOf(where("none", "==", 4), where("i", "==", 3))))
	s.rows("or of ands", q.WhereEntity(anyOf(allOf(where("i", "==", 1), where("j", ">", 4)), allOf(where("i", "==", 2), where("kind", "==", "a")))))
	s.rows("and of ors", q.WhereEntity(allOf(anyOf(where("i", "==", 1), where("i", "==", 2)), anyOf(where("j", "==", 1), where("j", "==", 6)))))
	s.rows("or of contains", q.WhereEntity(anyOf(where("tags", "array-contains", "t0"), where("tags", "array-contains", "t2"))))
	s.rows("or with in", q.WhereEntity(anyOf(where("i", "in", []int{0, 1}), where("j", "==", 7))))
	s.rows("or of one", q.WhereEntity(anyOf(where("j", "==", 7))))
}

// plain turns the typed slices that filters take into what show knows.
func plain(v any) any {
	switch x := v.(type) {
	case []int:
		return anySlice(x)
	case []string:
		return anySlice(x)
	}
	return v
}

func anySlice[T any](in []T) []any {
	var out []any
	for _, v := range in {
		out = append(out, v)
	}
	return out
}

// everyType is a value of every type, in Firestore's order, with those where order is easily got wrong.
func everyType(s *script) []any {
	doc := s.Client.Collection("mix").Doc
	return []any{
		nil, false, true, math.NaN(), math.Inf(-1), -1, math.Copysign(0, -1), 0, 0.5, 1, int64(1 << 53), float64(1<<53) + 2, int64(1<<53 + 1),
		math.Inf(1), time.Unix(0, 0), time.Unix(1, 1000), "", "A", "a", "aa", "é", "～", "😀", []byte{}, []byte{1}, []byte{1, 0}, []byte{255},
		doc("a"), doc("b"), doc("a").Collection("c").Doc("a"), &latlng.LatLng{Latitude: 1, Longitude: 2}, &latlng.LatLng{Latitude: 1, Longitude: 3},
		[]any{}, []any{1}, []any{1, "a"}, []any{2}, []any{nil}, firestore.Vector64{3}, firestore.Vector64{1, 2},
		fields{}, fields{"a": 1}, fields{"a": 1, "b": 1}, fields{"a": 2}, fields{"b": 0}, fields{"aa": 0},
	}
}

// mixed writes a document for each value, v00 and on, and one without the field.
func mixed(s *script) *firestore.CollectionRef {
	for i, v := range everyType(s) {
		s.put(fmt.Sprintf("mix/v%02d", i), fields{"v": v})
	}
	s.put("mix/without", fields{"w": 1})
	return s.Client.Collection("mix")
}

// filtersOverTypes: each operator with an operand of each type.
func filtersOverTypes(s *script) {
	q := mixed(s)
	operands := []any{
		nil, math.NaN(), true, 0, 1.0, int64(1<<53 + 1), math.Inf(1), time.Unix(0, 0), "a", []byte{1}, q.Doc("a"),
		&latlng.LatLng{Latitude: 1, Longitude: 2}, []any{1}, firestore.Vector64{3}, fields{"a": 1}, fields{},
	}
	for _, operator := range []string{"==", "!=", "<", "<=", ">", ">="} {
		these := operands
		if operator != "==" && operator != "!=" {
			these = operands[2:] // the client library refuses ranges of null and NaN; rawQueries has them
		}
		for _, v := range these {
			s.rows(operator+" "+strings.ReplaceAll(showValue(v), ":", "."), q.Where("v", operator, v))
		}
	}
	for _, operator := range []string{"in", "not-in", "array-contains-any"} {
		s.rows(operator+" of types", q.Where("v", operator, []any{1, "a", true, fields{"a": 1}}))
		s.rows(operator+" with null", q.Where("v", operator, []any{nil, 1}))
		s.rows(operator+" with NaN", q.Where("v", operator, []any{math.NaN(), 1}))
	}
}

// refusedQueries: queries that no engine answers, and some near them that it does.
func refusedQueries(s *script) {
	q := twelve(s)
	thirty, thirtyOne := make([]int, 30), make([]int, 31)
	for i := range thirtyOne {
		thirtyOne[i] = i
	}
	copy(thirty, thirtyOne)
	for _, tc := range []struct {
		name  string
		query firestore.Query
	}{
		{"in of nothing", q.Where("i", "in", []int{})},
		{"in of thirty", q.Where("i", "in", thirty)},
		{"in of thirty-one", q.Where("i", "in", thirtyOne)},
		{"not-in of ten", q.Where("i", "not-in", thirty[:10])},
		{"not-in of eleven", q.Where("i", "not-in", thirty[:11])},
		{"not-in of thirty-one", q.Where("i", "not-in", thirtyOne)},
		{"array-contains-any of nothing", q.Where("tags", "array-contains-any", []int{})},
		{"array-contains-any of thirty-one", q.Where("tags", "array-contains-any", thirtyOne)},
		{"two in of six and five", q.Where("i", "in", thirty[:6]).Where("j", "in", thirty[:5])},
		{"two in of six", q.Where("i", "in", thirty[:6]).Where("j", "in", thirty[:6])},
		{"or of in, thirty-one ways", q.WhereEntity(anyOf(where("i", "in", thirty), where("j", "==", 1)))},
		{"two contains", q.Where("tags", "array-contains", "t1").Where("tags", "array-contains", "all")},
		{"contains twice the same", q.Where("tags", "array-contains", "t1").Where("tags", "array-contains", "t1")},
		{"contains 1 and 1.0", q.Where("tags", "array-contains", 1).Where("tags", "array-contains", 1.0)},
		{"contains-any of the same in another order", q.Where("tags", "array-contains-any", []any{"t1", 1}).Where("tags", "array-contains-any", []any{1, "t1"})},
		{"contains twice the same, one deeper", q.Where("tags", "array-contains", "t1").WhereEntity(allOf(where("i", "==", 1), where("tags", "array-contains", "t1")))},
		{"contains-any with null given twice", q.Where("tags", "array-contains-any", []any{nil, "t1"}).Where("tags", "array-contains-any", []any{nil, "t1"})},
		{"contains and contains-any", q.Where("tags", "array-contains", "t1").Where("tags", "array-contains-any", []string{"all"})},
		{"not equal twice", q.Where("i", "!=", 1).Where("j", "!=", 2)},
		{"not equal and not-in", q.Where("i", "!=", 1).Where("j", "not-in", []int{1})},
		{"not equal and not null", q.Where("i", "!=", 1).Where("j", "!=", nil)},
		{"not-in and in", q.Where("i", "not-in", []int{1}).Where("j", "in", []int{1})},
		{"not-in and or", q.Where("i", "not-in", []int{1}).WhereEntity(anyOf(where("j", "==", 1), where("j", "==", 2)))},
		{"not-in in an or of one", q.WhereEntity(anyOf(where("i", "not-in", []int{1})))},
		{"not equal and in", q.Where("i", "!=", 1).Where("j", "in", []int{1, 3, 6})},
		{"descending by name", q.OrderBy(firestore.DocumentID, down)},
		{"descending by name with an equality", q.Where("i", "==", 1).OrderBy(firestore.DocumentID, down)},
		{"descending by name with in", q.Where("i", "in", []int{1, 2}).OrderBy(firestore.DocumentID, down)},
		{"descending by name with contains", q.Where("tags", "array-contains", "t1").OrderBy(firestore.DocumentID, down)},
		{"descending by name among names", q.Where(firestore.DocumentID, "in", []*firestore.DocumentRef{q.Doc("n01"), q.Doc("n02")}).OrderBy(firestore.DocumentID, down)},
		{"descending by name, one name", q.Where(firestore.DocumentID, "==", q.Doc("n01")).OrderBy(firestore.DocumentID, down)},
		{"descending by name, names above", q.Where(firestore.DocumentID, ">", q.Doc("n08")).OrderBy(firestore.DocumentID, down)},
		{"descending by name with a range", q.Where("j", ">", 8).OrderBy(firestore.DocumentID, down)},
		{"a range without its order", q.Where("j", ">", 8).OrderBy("i", up)},
		{"order after the name", q.OrderBy(firestore.DocumentID, up).OrderBy("i", up)},
		{"a range and an order by name", q.Where("i", ">", 1).OrderBy(firestore.DocumentID, up)},
		{"order twice by a field", q.OrderBy("i", up).OrderBy("i", down)},
		{"cursor longer than the order", q.OrderBy("j", up).StartAt(1, 2, 3)},
		{"limit of zero", q.Limit(0)},
		{"limit to last without an order", q.LimitToLast(2)},
		{"name compared with a number", q.Where(firestore.DocumentID, ">", 7)},
		{"name compared with a foreign document", q.Where(firestore.DocumentID, ">", s.Client.Doc("other/x"))},
	} {
		s.rows(tc.name, tc.query)
	}
	rawQueries(s)
}

// rawQueries are what the client library would not send.
func rawQueries(s *script) {
	from, filter := collection("q"), fieldFilter
	const equal, in = pb.StructuredQuery_FieldFilter_EQUAL, pb.StructuredQuery_FieldFilter_IN
	for _, tc := range []struct {
		name  string
		query *pb.StructuredQuery
	}{
		{"no collection", &pb.StructuredQuery{}},
		{"two collections", &pb.StructuredQuery{From: slices.Concat(from, from)}},
		{"collection with a slash", &pb.StructuredQuery{From: collection("q/r")}},
		{"reserved collection", &pb.StructuredQuery{From: collection("__q__")}},
		{"every collection", &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{AllDescendants: true}}}},
		{"negative limit", &pb.StructuredQuery{From: from, Limit: wrapperspb.Int32(-1)}},
		{"negative offset", &pb.StructuredQuery{From: from, Offset: -1}},
		{"order by a bad path", &pb.StructuredQuery{From: from, OrderBy: []*pb.StructuredQuery_Order{{Field: field("a..b")}}}},
		{"filter by a bad path", &pb.StructuredQuery{From: from, Where: filter("a..b", equal, 1)}},
		{"filter by an unquoted dash", &pb.StructuredQuery{From: from, Where: filter("a-b", equal, 1)}},
		{"filter by an empty path", &pb.StructuredQuery{From: from, Where: filter("", equal, 1)}},
		{"select a bad path", &pb.StructuredQuery{From: from, Select: &pb.StructuredQuery_Projection{Fields: []*pb.StructuredQuery_FieldReference{field("a..b")}}}},
		{"in with a scalar", &pb.StructuredQuery{From: from, Where: filter("i", in, 1)}},
		{"an operator of no kind", &pb.StructuredQuery{From: from, Where: filter("i", 0, 1)}},
		{"equal to null as a field filter", &pb.StructuredQuery{From: from, Where: filter("i", equal, nil)}},
		{"equal to NaN as a field filter", &pb.StructuredQuery{From: from, Where: filter("i", equal, math.NaN())}},
		{"at most null", &pb.StructuredQuery{From: from, Where: filter("i", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, nil)}},
		{"above NaN", &pb.StructuredQuery{From: from, Where: filter("i", pb.StructuredQuery_FieldFilter_GREATER_THAN, math.NaN())}},
		{"array-contains null", &pb.StructuredQuery{From: from, Where: filter("tags", pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, nil)}},
		{"a filter of no kind", &pb.StructuredQuery{From: from, Where: &pb.StructuredQuery_Filter{}}},
		{"an empty and", &pb.StructuredQuery{From: from, Where: composite(pb.StructuredQuery_CompositeFilter_AND, nil)}},
		{"a composite of no kind", &pb.StructuredQuery{From: from, Where: composite(0, []*pb.StructuredQuery_Filter{filter("i", equal, 1)})}},
	} {
		s.note("raw, "+tc.name, s.runQuery(s.Database()+"/documents", tc.query))
	}
	s.note("raw, a bad parent", s.runQuery("nonsense", &pb.StructuredQuery{From: from}))
	s.note("raw, a collection as the parent", s.runQuery(s.DocumentName("q"), &pb.StructuredQuery{From: from}))
	s.note("raw, no query", s.runQuery(s.Database()+"/documents", nil))
}

// runQuery gives the ids of a raw query's results, or its code.
func (s *script) runQuery(parent string, q *pb.StructuredQuery) string {
	got, err := drain(s.Raw.RunQuery(s.t.Context(), &pb.RunQueryRequest{Parent: parent, QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q}}))
	if err != nil {
		return code(err)
	}
	var out []string
	for _, m := range got {
		if m.Document != nil {
			out = append(out, m.Document.Name[strings.LastIndexByte(m.Document.Name, '/')+1:])
		}
	}
	return strings.Join(out, " ")
}

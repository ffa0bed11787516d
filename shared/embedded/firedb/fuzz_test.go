package firedb_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
)

var seed = flag.Uint64("seed", 1, "seed of the random documents and queries")

const (
	fuzzDocuments     = 160
	fuzzQueriesAlone  = 1_000  // against the oracle only
	fuzzQueriesBeside = 10_000 // against Google's emulator and the oracle
	fuzzCallers       = 4
	fuzzReports       = 10 // queries that are reported in full
)

// TestRandomQueriesAnswerAsTheOracle asks each engine random queries on random documents and wants the oracle's rows, in
// its order, and its codes. Beside Google's emulator the embedded engine is asked the same queries as the emulator.
func TestRandomQueriesAnswerAsTheOracle(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		asked, n := []*engine.Engine{e}, fuzzQueriesAlone
		if e.IsEmulator {
			asked, n = append(asked, engine.New(t, engine.Embedded(), engine.AnyQuery())), fuzzQueriesBeside
		}
		fuzz(t, *seed, n, asked)
	}, engine.AnyQuery())
}

// fuzz asks the engines n queries.
func fuzz(t *testing.T, seed uint64, n int, engines []*engine.Engine) {
	t.Helper()
	var worlds []*world
	for _, e := range engines {
		w := newWorld(seed, e.Database())
		w.write(t, e)
		worlds = append(worlds, w)
	}
	var mu sync.Mutex
	wrong, refused, rows := 0, 0, 0
	report := func(q *pb.StructuredQuery, want, got string, by *engine.Engine) {
		mu.Lock()
		defer mu.Unlock()
		if wrong++; wrong <= fuzzReports {
			t.Errorf("seed %d, the %s engine on %s\n got  %s\n want %s", seed, by.Name, prototext.MarshalOptions{}.Format(q), got, want)
		}
	}
	slots := make(chan struct{}, fuzzCallers)
	var wg sync.WaitGroup
	for range n {
		queries := make([]*pb.StructuredQuery, len(worlds))
		for i, w := range worlds {
			queries[i] = w.query() // each world makes the same choices
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			want := oracle(worlds[0].documents, queries[0])
			for i, e := range engines {
				if got := ask(t.Context(), e, queries[i]); got != want {
					report(queries[i], want, got, e)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			rows += strings.Count(want, "\n")
			if !strings.HasSuffix(want, "OK") {
				refused++
			}
		})
	}
	wg.Wait()
	if wrong > 0 {
		t.Errorf("seed %d: %d of %d queries are answered otherwise than by the oracle; rerun with -seed %d", seed, wrong, n, seed)
	}
	// Documents or operands that rarely meet would make this test pass idly.
	if rows < n || refused > n/4 {
		t.Errorf("seed %d: %d queries have %d rows and %d refusals: they test too little", seed, n, rows, refused)
	}
}

// ask gives a line for each row and at last the code.
func ask(ctx context.Context, e *engine.Engine, q *pb.StructuredQuery) string {
	got, err := drain(e.Raw.RunQuery(ctx, &pb.RunQueryRequest{
		Parent: e.Database() + "/documents", QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q}}))
	var out []*pb.Document
	for _, m := range got {
		if m.Document != nil {
			out = append(out, m.Document)
		}
	}
	return answer(out, err)
}

func answer(documents []*pb.Document, err error) string {
	var b strings.Builder
	for _, d := range documents {
		fmt.Fprintln(&b, relative(d.Name), show(mapValue(d.Fields)))
	}
	b.WriteString(code(err))
	return b.String()
}

// world is a set of random documents and a source of random queries on them.
type world struct {
	*rand.Rand
	database  string
	documents []*pb.Document
	pool      []*pb.Value // few values, so that they meet
	scalars   []*pb.Value // those of them that are common
	odd       []*pb.Value // those of them that have rules of their own
}

func newWorld(seed uint64, database string) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), database: database}
	for _, v := range []any{0, 1, 2, 3, 1.0, 1.5, -2.5, "a", "b", "ab", ""} {
		w.scalars = append(w.scalars, value(v))
	}
	for _, v := range []any{nil, math.NaN(), true, []any{}, []any{nil, math.NaN()}, fields{"k": 1}, fields{"k": math.NaN()}} {
		w.odd = append(w.odd, value(v))
	}
	w.pool = slices.Concat(w.scalars, w.odd)
	for _, v := range []any{
		false, math.Inf(1), math.Inf(-1), math.Copysign(0, -1), int64(math.MaxInt64), int64(1 << 53), float64(1 << 53), "é", "～", "😀",
		[]any{1, "a"}, []any{2}, fields{"k": 2}, fields{"k": 1, "l": "a"}, fields{},
		timestamp(0, 0), timestamp(0, 1000), point(1, 2), point(1, -2), point(-1, 2),
		fields{"__type__": "__vector__", "value": []any{1.0}}, fields{"__type__": "__vector__", "value": []any{0.5, 2.0}},
		&pb.Value{ValueType: &pb.Value_BytesValue{BytesValue: []byte{0, 255}}}, &pb.Value{ValueType: &pb.Value_BytesValue{BytesValue: []byte{1}}},
		&pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: database + "/documents/k/001"}},
		&pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: database + "/documents/k/001/k/1"}},
	} {
		w.pool = append(w.pool, value(v))
	}
	places := []string{"k/%03d", "par/1/k/%03d", "par/2/k/%03d", "k/%03d/k/x", "other/%03d"}
	for i := range fuzzDocuments {
		w.documents = append(w.documents, w.document(fmt.Sprintf(places[w.IntN(len(places))], i)))
	}
	return w
}

func (w *world) chance(percent int) bool { return w.IntN(100) < percent }

func pick[T any](w *world, from []T) T { return from[w.IntN(len(from))] }

func (w *world) scalar() *pb.Value { return pick(w, w.scalars) }

// operand is a value to write or to compare with: mostly one of the few scalars.
func (w *world) operand() *pb.Value {
	switch n := w.IntN(100); {
	case n < 20:
		return pick(w, w.odd)
	case n < 40:
		return pick(w, w.pool)
	}
	return w.scalar()
}

func (w *world) document(path string) *pb.Document {
	d := &pb.Document{Name: w.database + "/documents/" + path, Fields: map[string]*pb.Value{}}
	for _, f := range []string{"a", "b", "c"} {
		if w.chance(85) {
			d.Fields[f] = w.operand()
		}
	}
	if w.chance(60) {
		d.Fields["m"] = value(fields{"x": w.operand(), "y": fields{"z": w.scalar()}})
	}
	if w.chance(60) {
		d.Fields["tags"] = value([]any{w.scalar(), w.element()})
	}
	return d
}

// element is an operand that may stand in an array.
func (w *world) element() *pb.Value {
	for {
		v := w.operand()
		if _, array := v.ValueType.(*pb.Value_ArrayValue); !array && kindOf(v) != kindVector {
			return v
		}
	}
}

func (w *world) write(t *testing.T, e *engine.Engine) {
	t.Helper()
	for batch := range slices.Chunk(w.documents, 50) {
		var writes []*pb.Write
		for _, d := range batch {
			writes = append(writes, &pb.Write{Operation: &pb.Write_Update{Update: d}})
		}
		if _, err := e.Raw.Commit(t.Context(), &pb.CommitRequest{Database: e.Database(), Writes: writes}); err != nil {
			t.Fatal(err)
		}
	}
}

// fuzzPaths are the fields that conditions and orders speak of.
var fuzzPaths = []string{"a", "b", "c", "m.x", "m.y.z", "m", "tags"}

// query is a random query on which the oracle has a say.
func (w *world) query() *pb.StructuredQuery {
	for {
		if q := w.anyQuery(); !isSimplified(q) {
			return q
		}
	}
}

func (w *world) anyQuery() *pb.StructuredQuery {
	q := &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: "k", AllDescendants: w.chance(35)}}}
	var filters []*pb.StructuredQuery_Filter
	for range w.IntN(4) {
		filters = append(filters, w.filter(1))
	}
	if len(filters) > 0 {
		q.Where = composite(pb.StructuredQuery_CompositeFilter_AND, filters)
	}
	for _, i := range w.Perm(len(fuzzPaths))[:w.IntN(3)] {
		q.OrderBy = append(q.OrderBy, &pb.StructuredQuery_Order{Field: field(fuzzPaths[i]), Direction: w.direction()})
	}
	if len(q.OrderBy) > 0 && w.chance(20) {
		q.OrderBy = append(q.OrderBy, &pb.StructuredQuery_Order{Field: field("__name__"), Direction: w.direction()})
	}
	if w.chance(25) {
		q.StartAt = w.cursor(q)
	}
	if w.chance(25) {
		q.EndAt = w.cursor(q)
	}
	if w.chance(30) {
		q.Limit = wrapperspb.Int32(int32(w.IntN(20)))
	}
	if w.chance(20) {
		q.Offset = int32(w.IntN(10))
	}
	if w.chance(20) {
		q.Select = &pb.StructuredQuery_Projection{}
		for _, i := range w.Perm(len(fuzzPaths))[:1+w.IntN(3)] {
			q.Select.Fields = append(q.Select.Fields, field(fuzzPaths[i]))
		}
	}
	return q
}

func field(path string) *pb.StructuredQuery_FieldReference {
	return &pb.StructuredQuery_FieldReference{FieldPath: path}
}

func (w *world) direction() pb.StructuredQuery_Direction {
	return pick(w, []pb.StructuredQuery_Direction{pb.StructuredQuery_ASCENDING, pb.StructuredQuery_DESCENDING})
}

// cursor has values for some of the explicit orders.
func (w *world) cursor(q *pb.StructuredQuery) *pb.Cursor {
	c := &pb.Cursor{Before: w.chance(50)}
	if len(q.OrderBy) == 0 {
		return nil
	}
	for _, o := range q.OrderBy[:1+w.IntN(len(q.OrderBy))] {
		v := w.operand()
		if o.Field.FieldPath == "__name__" {
			v = &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: pick(w, w.documents).Name}}
		}
		c.Values = append(c.Values, v)
	}
	return c
}

// filter is a random condition; depth more levels of and, or may be in it.
func (w *world) filter(depth int) *pb.StructuredQuery_Filter {
	if depth > 0 && w.chance(15) {
		op := pick(w, []pb.StructuredQuery_CompositeFilter_Operator{pb.StructuredQuery_CompositeFilter_AND, pb.StructuredQuery_CompositeFilter_OR})
		return composite(op, []*pb.StructuredQuery_Filter{w.filter(depth - 1), w.filter(depth - 1)})
	}
	if w.chance(8) {
		return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_UnaryFilter{UnaryFilter: &pb.StructuredQuery_UnaryFilter{
			Op:          pb.StructuredQuery_UnaryFilter_Operator(2 + w.IntN(4)), // IS_NAN, IS_NULL, IS_NOT_NAN, IS_NOT_NULL
			OperandType: &pb.StructuredQuery_UnaryFilter_Field{Field: field(pick(w, fuzzPaths))}}}}
	}
	path, op := pick(w, fuzzPaths), pick(w, fuzzOperators)
	name := fieldOperators[op]
	if strings.HasPrefix(name, "array-") {
		path = "tags"
	}
	if name != "in" && name != "not-in" && name != "array-contains-any" {
		return fieldFilter(path, op, w.operand())
	}
	var choice []any
	for range 1 + w.IntN(3) {
		choice = append(choice, w.operand())
	}
	return fieldFilter(path, op, choice)
}

// fuzzOperators has the commoner operators more often.
var fuzzOperators = []pb.StructuredQuery_FieldFilter_Operator{
	pb.StructuredQuery_FieldFilter_EQUAL, pb.StructuredQuery_FieldFilter_EQUAL, pb.StructuredQuery_FieldFilter_EQUAL,
	pb.StructuredQuery_FieldFilter_LESS_THAN, pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL,
	pb.StructuredQuery_FieldFilter_GREATER_THAN, pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL,
	pb.StructuredQuery_FieldFilter_NOT_EQUAL, pb.StructuredQuery_FieldFilter_IN, pb.StructuredQuery_FieldFilter_NOT_IN,
	pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY,
}

func composite(op pb.StructuredQuery_CompositeFilter_Operator, filters []*pb.StructuredQuery_Filter) *pb.StructuredQuery_Filter {
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{
		CompositeFilter: &pb.StructuredQuery_CompositeFilter{Op: op, Filters: filters}}}
}

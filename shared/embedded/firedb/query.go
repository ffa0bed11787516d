package firedb

import (
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// order is one key of a query's order.
type order struct {
	path       fieldPath
	descending bool
}

// query is a checked StructuredQuery.
type query struct {
	parent     string // key below which to look
	collection string // id
	group      bool   // in every collection of that id below parent
	where      predicate
	orders     []order // complete: it always ends in the document's name
	start, end *pb.Cursor
	offset     int
	limit      int         // -1 for none
	projection []fieldPath // nil for whole documents
}

// compileQuery checks a query as Firestore does, but for its index. The fields that are aggregated over its result must
// exist, and order it as the fields of inequalities do: that decides what a limit leaves.
func compileQuery(parent string, sq *pb.StructuredQuery, aggregated ...string) (*query, error) {
	if err := checkParent(parent); err != nil {
		return nil, err
	}
	if len(sq.GetFrom()) != 1 {
		return nil, invalid("A query needs exactly one collection.")
	}
	if sq.GetFindNearest() != nil {
		return nil, unsupported("find_nearest")
	}
	from := sq.GetFrom()[0]
	if err := checkID(from.GetCollectionId()); err != nil {
		return nil, err
	}
	q := &query{
		parent: keyOf(parent), collection: from.GetCollectionId(), group: from.GetAllDescendants(),
		start: sq.GetStartAt(), end: sq.GetEndAt(), offset: int(sq.GetOffset()), limit: -1,
		where: func(*pb.Document) bool { return true },
	}
	if sq.GetLimit() != nil {
		q.limit = int(sq.GetLimit().GetValue())
	}
	if q.offset < 0 || sq.GetLimit() != nil && q.limit < 0 {
		return nil, invalid("Limit and offset must not be negative.")
	}
	var filters filterCompiler
	if sq.GetWhere() != nil {
		var err error
		if q.where, err = filters.compile(sq.GetWhere(), 1); err != nil {
			return nil, err
		}
		if err := checkCombination(sq.GetWhere()); err != nil {
			return nil, err
		}
	}
	if len(sq.GetOrderBy()) > 0 && !filters.onFields && descendsNames(sq.GetOrderBy()[0]) {
		return nil, status.Error(codes.FailedPrecondition, "Firestore does not support descending key scans")
	}
	if err := q.compileOrders(sq.GetOrderBy(), slices.Concat(filters.inequalities, aggregated)); err != nil {
		return nil, err
	}
	for _, c := range []*pb.Cursor{q.start, q.end} {
		if len(c.GetValues()) > len(q.orders) {
			return nil, invalid("Cursor has too many values.")
		}
	}
	var err error
	if len(sq.GetSelect().GetFields()) > 0 {
		q.projection, err = parsePaths(sq.GetSelect().GetFields())
	}
	return q, err
}

// descendsNames reports whether an order is by the document's name, last first.
func descendsNames(o *pb.StructuredQuery_Order) bool {
	return o.GetDirection() == pb.StructuredQuery_DESCENDING && o.GetField().GetFieldPath() == documentID
}

// compileOrders completes the stated order: by the fields of inequalities, then by name, in the last direction.
func (q *query) compileOrders(stated []*pb.StructuredQuery_Order, inequalities []string) error {
	descending, named := false, false
	for i, o := range stated {
		name := o.GetField().GetFieldPath()
		path, err := parseFieldPath(name)
		if err != nil {
			return err
		}
		if named {
			return invalid("order by clause cannot contain more fields after the key")
		}
		if slices.ContainsFunc(stated[:i], func(o *pb.StructuredQuery_Order) bool { return o.GetField().GetFieldPath() == name }) {
			return invalid("order by clause cannot contain duplicate fields %s", name)
		}
		descending = o.GetDirection() == pb.StructuredQuery_DESCENDING
		named = path == nil
		inequalities = slices.DeleteFunc(slices.Clone(inequalities), func(p string) bool { return p == name })
		q.orders = append(q.orders, order{path, descending})
	}
	inequalities = slices.Sorted(slices.Values(inequalities))
	for _, name := range slices.Compact(inequalities) {
		if name == documentID {
			continue
		}
		if named {
			return invalid("order by clause cannot contain more fields after the key")
		}
		path, err := parseFieldPath(name)
		if err != nil {
			return err
		}
		q.orders = append(q.orders, order{path, descending})
	}
	if !named {
		q.orders = append(q.orders, order{nil, descending})
	}
	return nil
}

// parsePaths returns a projection: never nil, so that the name alone can be asked for.
func parsePaths(fields []*pb.StructuredQuery_FieldReference) ([]fieldPath, error) {
	out := []fieldPath{}
	for _, f := range fields {
		path, err := parseFieldPath(f.GetFieldPath())
		if err != nil {
			return nil, err
		}
		if path != nil {
			out = append(out, path)
		}
	}
	return out, nil
}

// changeKey names the collection whose changes can change the result: its key, or for a group its id.
func (q *query) changeKey() string {
	if q.group {
		return q.collection
	}
	return q.parent + separator + q.collection
}

// run evaluates q. It returns whole documents and the number of matches that the offset skipped.
func (q *query) run(t *tree) (docs []*pb.Document, skipped int) {
	inKeyOrder := len(q.orders) == 1 && q.orders[0].path == nil && !q.orders[0].descending
	enough := -1
	if inKeyOrder && q.limit >= 0 {
		enough = q.offset + q.limit
	}
	if enough != 0 {
		q.scan(t, func(d *pb.Document) bool {
			if q.matches(d) {
				docs = append(docs, d)
			}
			return len(docs) != enough
		})
	}
	if !inKeyOrder {
		q.sort(docs)
	}
	skipped = min(q.offset, len(docs))
	docs = docs[skipped:]
	if q.limit >= 0 {
		docs = docs[:min(q.limit, len(docs))]
	}
	return docs, skipped
}

// firstKey is a key before which a query in the order of names has no results: a listing that goes on from a cursor does not begin anew.
func (q *query) firstKey() string {
	if len(q.orders) == 0 || q.orders[0].path != nil || q.orders[0].descending || len(q.start.GetValues()) == 0 {
		return ""
	}
	return keyOf(q.start.GetValues()[0].GetReferenceValue())
}

// scan visits the documents of the query's collection, or group of collections, in the order of their names.
func (q *query) scan(t *tree, visit func(*pb.Document) bool) {
	if q.group {
		prefix := q.parent + separator
		for k, d := range t.from(prefix) {
			if !strings.HasPrefix(k, prefix) {
				return
			}
			if _, id := collectionOf(k); id == q.collection && !visit(d) {
				return
			}
		}
		return
	}
	t.scanCollection(q.parent+separator+q.collection, q.firstKey(), visit)
}

// sort brings documents into the query's order; their sort keys are looked up once.
func (q *query) sort(docs []*pb.Document) {
	type row struct {
		doc  *pb.Document
		keys []*pb.Value
	}
	width := len(q.orders)
	rows, keys := make([]row, len(docs)), make([]*pb.Value, len(docs)*width)
	for i, d := range docs {
		rows[i] = row{d, keys[i*width : (i+1)*width]}
		for j, o := range q.orders {
			if o.path != nil {
				rows[i].keys[j] = valueAt(d.GetFields(), o.path)
			}
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		for j, o := range q.orders {
			var c int
			if o.path == nil {
				c = compareNames(a.doc.GetName(), b.doc.GetName())
			} else {
				c = compareIndexed(a.keys[j], b.keys[j])
			}
			if c != 0 {
				return o.directed(c)
			}
		}
		return 0
	})
	for i, r := range rows {
		docs[i] = r.doc
	}
}

func (o order) directed(c int) int {
	if o.descending {
		return -c
	}
	return c
}

// matches reports whether a document is in the result: it has every field of the order, passes the filter and lies
// between the cursors.
func (q *query) matches(d *pb.Document) bool {
	for _, o := range q.orders {
		if o.path != nil && valueAt(d.GetFields(), o.path) == nil {
			return false
		}
	}
	if !q.where(d) {
		return false
	}
	if q.start != nil {
		if c := q.compareCursor(d, q.start); c < 0 || c == 0 && !q.start.GetBefore() {
			return false
		}
	}
	if q.end != nil {
		if c := q.compareCursor(d, q.end); c > 0 || c == 0 && q.end.GetBefore() {
			return false
		}
	}
	return true
}

// compareCursor compares a document's place in the order with a cursor, which may name only its first keys.
func (q *query) compareCursor(d *pb.Document, cursor *pb.Cursor) int {
	for i, v := range cursor.GetValues() {
		o := q.orders[i]
		if c := compareIndexed(field(d, o.path), v); c != 0 {
			return o.directed(c)
		}
	}
	return 0
}

// project cuts a document down to paths; nil paths leave it whole.
func project(d *pb.Document, paths []fieldPath) *pb.Document {
	if paths == nil {
		return d
	}
	var out edit
	for _, p := range paths {
		if v := valueAt(d.GetFields(), p); v != nil {
			out.set(p, v)
		}
	}
	return &pb.Document{Name: d.GetName(), Fields: out.fields, CreateTime: d.GetCreateTime(), UpdateTime: d.GetUpdateTime()}
}

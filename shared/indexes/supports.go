package indexes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// MissingError says which entry of the list would serve a query that none serves.
type MissingError struct {
	Member string // of the list: "indexes" or "fields"
	Entry  string // to be pasted there; one for a field replaces the field's entry, if it has one
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("The query requires an index: in indexes.json, %q needs %s", e.Member, e.Entry)
}

// Supports returns a *MissingError unless the list, together with the automatic indexes, serves the query; a sum or an
// average needs its field in the index too. Of an OR, of which each branch needs its own index, the first branch
// without one is reported. The query is one that Firestore accepts otherwise.
func (s *Set) Supports(q *pb.StructuredQuery, aggregations ...*pb.StructuredAggregationQuery_Aggregation) error {
	if len(q.GetFrom()) != 1 {
		return errors.New("a query has exactly one collection")
	}
	from := q.GetFrom()[0]
	scope := Collection
	if from.GetAllDescendants() {
		scope = CollectionGroup
	}
	branches, err := branchesOf(q.GetWhere(), 1)
	if err != nil {
		return err
	}
	orders, name := ordersOf(q.GetOrderBy(), branches)
	for _, filters := range branches {
		n := need{collection: from.GetCollectionId(), scope: scope, equal: map[string]bool{}, name: name}
		for _, f := range filters {
			n.addFilter(f)
		}
		for _, o := range orders {
			if !n.equal[o.Path] { // all results are equal in it
				n.orders = append(n.orders, o)
			}
		}
		for _, a := range aggregations {
			n.addAggregate(a)
		}
		if missing := s.missing(n); missing != nil {
			return missing
		}
	}
	return nil
}

// kind is how a filter uses an index.
type kind int

const (
	equality kind = iota
	inequality
	membership // array-contains
)

// filter is one condition on a field.
type filter struct {
	path string
	kind kind
}

const (
	maxBranches = 30
	maxDepth    = 20
)

// branchesOf returns f's disjunctive normal form. The values of an "in" differ in no way that matters to an index, so
// they are one branch.
func branchesOf(f *pb.StructuredQuery_Filter, depth int) ([][]filter, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("filters are nested deeper than %d levels", maxDepth)
	}
	c := f.GetCompositeFilter()
	if c == nil {
		return [][]filter{leaf(f)}, nil
	}
	or := c.GetOp() == pb.StructuredQuery_CompositeFilter_OR
	var out [][]filter
	for i, sub := range c.GetFilters() {
		branches, err := branchesOf(sub, depth+1)
		if err != nil {
			return nil, err
		}
		switch {
		case or:
			out = append(out, branches...)
		case i == 0:
			out = branches
		default:
			out = product(out, branches)
		}
		if len(out) > maxBranches {
			return nil, fmt.Errorf("the query has more than %d disjunctions", maxBranches)
		}
	}
	return out, nil
}

func product(a, b [][]filter) [][]filter {
	var out [][]filter
	for _, x := range a {
		for _, y := range b {
			out = append(out, slices.Concat(x, y))
		}
	}
	return out
}

// leaf returns the condition of a filter that is not composite; no filter has none.
func leaf(f *pb.StructuredQuery_Filter) []filter {
	if u := f.GetUnaryFilter(); u != nil {
		k := equality
		if op := u.GetOp(); op == pb.StructuredQuery_UnaryFilter_IS_NOT_NULL || op == pb.StructuredQuery_UnaryFilter_IS_NOT_NAN {
			k = inequality
		}
		return []filter{{u.GetField().GetFieldPath(), k}}
	}
	x := f.GetFieldFilter()
	if x == nil {
		return nil
	}
	var k kind
	switch x.GetOp() {
	case pb.StructuredQuery_FieldFilter_EQUAL, pb.StructuredQuery_FieldFilter_IN:
		k = equality
	case pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY:
		k = membership
	default:
		k = inequality
	}
	return []filter{{x.GetField().GetFieldPath(), k}}
}

// ordersOf returns a query's order without the document's name, which always comes last, and the name's direction. To
// the stated order Firestore adds the fields of inequalities, by their paths, in the last stated direction.
func ordersOf(stated []*pb.StructuredQuery_Order, branches [][]filter) (orders []IndexField, name Order) {
	name = Ascending
	seen := map[string]bool{documentID: true}
	for _, o := range stated {
		name = Ascending
		if o.GetDirection() == pb.StructuredQuery_DESCENDING {
			name = Descending
		}
		if p := o.GetField().GetFieldPath(); !seen[p] {
			seen[p] = true
			orders = append(orders, IndexField{Path: p, Order: name})
		}
	}
	implicit := map[string]bool{}
	for _, branch := range branches {
		for _, f := range branch {
			if f.kind == inequality && !seen[f.path] {
				implicit[f.path] = true
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(implicit)) {
		orders = append(orders, IndexField{Path: p, Order: name})
	}
	return orders, name
}

// need is what one branch of a query wants of indexes.
type need struct {
	collection string
	scope      Scope
	equal      map[string]bool // fields compared for equality
	contains   []string        // array fields
	orders     []IndexField    // the order, then the fields aggregated, whose order does not matter
	aggregated int             // how many of those at the end are aggregated
	name       Order           // direction of the document's name at the end
}

func (n *need) addFilter(f filter) {
	switch {
	case f.path == documentID: // every index holds the name
	case f.kind == equality:
		n.equal[f.path] = true
	case f.kind == membership && !slices.Contains(n.contains, f.path):
		n.contains = append(n.contains, f.path)
	}
}

func (n *need) addAggregate(a *pb.StructuredAggregationQuery_Aggregation) {
	p := a.GetSum().GetField().GetFieldPath()
	if p == "" {
		p = a.GetAvg().GetField().GetFieldPath()
	}
	ordered := slices.ContainsFunc(n.orders, func(o IndexField) bool { return o.Path == p })
	if p == "" || n.equal[p] || ordered {
		return
	}
	n.orders = append(n.orders, IndexField{Path: p, Order: Ascending})
	n.aggregated++
}

// missing returns the entry that n wants and the list does not have.
func (s *Set) missing(n need) *MissingError {
	if len(n.equal)+len(n.contains)+len(n.orders) == 0 {
		return nil // documents are kept in the order of their names
	}
	covered, served := map[IndexField]bool{}, false
	for _, x := range s.candidates(n) {
		if n.fits(x) {
			served = true
			for _, f := range x[:len(x)-len(n.orders)] {
				covered[IndexField{Path: f.Path, ArrayConfig: f.ArrayConfig}] = true
			}
		}
	}
	if served && len(covered) == len(n.equal)+len(n.contains) {
		return nil
	}
	return s.suggest(n)
}

// candidates returns the fields of every index of the collection and scope that could be of use to n, without the
// document's name where its direction is the one that n wants.
func (s *Set) candidates(n need) [][]IndexField {
	var out [][]IndexField
	for _, x := range s.composites {
		if x.Collection != n.collection || x.Scope != n.scope {
			continue
		}
		fields, name := x.Fields, lastOrder(x.Fields)
		if last := len(fields) - 1; fields[last].Path == documentID {
			fields = fields[:last]
		}
		if n.wantsName(name) {
			out = append(out, fields)
		}
	}
	for _, path := range n.paths() {
		for _, x := range s.single(n.collection, path) {
			f := []IndexField{{Path: path, Order: x.Order, ArrayConfig: x.ArrayConfig}}
			if x.Scope == n.scope && n.wantsName(lastOrder(f)) {
				out = append(out, f)
			}
		}
	}
	return out
}

// lastOrder is the direction of the document's name at the end of an index.
func lastOrder(fields []IndexField) Order {
	if o := fields[len(fields)-1].Order; o != "" {
		return o
	}
	return Ascending
}

// wantsName reports whether an index may end in that direction. To an aggregation it does not matter.
func (n need) wantsName(o Order) bool { return n.aggregated > 0 || o == n.name }

// paths returns the fields that n needs in indexes: equality first, as an index has them.
func (n need) paths() []string {
	out := slices.Concat(slices.Sorted(maps.Keys(n.equal)), n.contains)
	for _, o := range n.orders {
		out = append(out, o.Path)
	}
	return out
}

// fits reports whether an index is some of n's equality filters followed by its whole order.
func (n need) fits(x []IndexField) bool {
	split := len(x) - len(n.orders)
	if split < 0 {
		return false
	}
	for _, f := range x[:split] {
		if f.ArrayConfig == "" && !n.equal[f.Path] || f.ArrayConfig != "" && !slices.Contains(n.contains, f.Path) {
			return false
		}
	}
	stated := len(n.orders) - n.aggregated
	if !slices.Equal(x[split:split+stated], n.orders[:stated]) {
		return false
	}
	for _, f := range x[split+stated:] {
		isAggregated := func(o IndexField) bool { return o.Path == f.Path && f.ArrayConfig == "" }
		if !slices.ContainsFunc(n.orders[stated:], isAggregated) {
			return false
		}
	}
	return true
}

// single returns the single-field indexes of a field: its own, those of the nearest field above it, those of all
// fields of the collection, or the automatic ones.
func (s *Set) single(collection, path string) []FieldIndex {
	for p := path; p != ""; p = above(p) {
		if f, ok := s.fields[fieldKey{collection, p}]; ok {
			return f.Indexes
		}
	}
	if f, ok := s.fields[fieldKey{collection, wildcard}]; ok {
		return f.Indexes
	}
	return []FieldIndex{
		{Scope: Collection, Order: Ascending},
		{Scope: Collection, Order: Descending},
		{Scope: Collection, ArrayConfig: Contains},
	}
}

// above returns the path of the map that holds a field, "" for one that lies in no map. Dots in a quoted name are
// part of it.
func above(path string) string {
	quoted := false
	cut := 0
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\':
			i++
		case '`':
			quoted = !quoted
		case '.':
			if !quoted {
				cut = i
			}
		}
	}
	return strings.Clone(path[:cut])
}

// suggest spells out the entry that would serve n by itself.
func (s *Set) suggest(n need) *MissingError {
	paths := n.paths()
	var fields []IndexField
	for _, p := range paths[:len(paths)-len(n.orders)] {
		f := IndexField{Path: p, Order: Ascending}
		if !n.equal[p] {
			f = IndexField{Path: p, ArrayConfig: Contains}
		}
		fields = append(fields, f)
	}
	fields = append(fields, n.orders...)
	// An equality alone is served in either direction, so in the one that the name wants.
	if len(fields) == 1 && len(n.equal) == 1 {
		fields[0].Order = n.name
	}
	if !n.wantsName(lastOrder(fields)) {
		fields = append(fields, IndexField{Path: documentID, Order: n.name})
	}
	if len(fields) > 1 {
		return &MissingError{"indexes", text(Index{n.collection, n.scope, fields})}
	}
	f := s.fields[fieldKey{n.collection, paths[0]}]
	f.Collection, f.Path = n.collection, paths[0]
	last := FieldIndex{n.scope, fields[0].Order, fields[0].ArrayConfig}
	f.Indexes = append(slices.Clone(s.single(n.collection, paths[0])), last)
	return &MissingError{"fields", text(f)}
}

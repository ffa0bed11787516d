package firedb_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The oracle answers a query by the shortest way: look at every document, sort what is left, cut. It shares no code with
// the engine, and Google's emulator confirms it. It knows the queries that world makes, with plain field paths.

// oracle gives what ask gives for a query on documents.
func oracle(documents []*pb.Document, q *pb.StructuredQuery) string {
	if why := refusal(q); why != nil {
		return answer(nil, why)
	}
	orders := allOrders(q)
	var out []*pb.Document
	for _, d := range documents {
		there := func(o *pb.StructuredQuery_Order) bool { return at(d, o.Field.FieldPath) != nil }
		if in(d, q.From[0]) && !slices.ContainsFunc(orders, func(o *pb.StructuredQuery_Order) bool { return !there(o) }) &&
			(q.Where == nil || holds(d, q.Where)) && within(d, q, orders) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *pb.Document) int {
		for _, o := range orders {
			if c := directed(o, at(a, o.Field.FieldPath), at(b, o.Field.FieldPath)); c != 0 {
				return c
			}
		}
		return 0
	})
	out = out[min(int(q.Offset), len(out)):]
	if q.Limit != nil {
		out = out[:min(int(q.Limit.Value), len(out))]
	}
	for i, d := range out {
		out[i] = projected(d, q.Select)
	}
	return answer(out, nil)
}

// refusal tells whether the query breaks a rule on how conditions may be combined.
func refusal(q *pb.StructuredQuery) error {
	var negations, notIns, disjunctions int
	var ways func(f *pb.StructuredQuery_Filter) [][]*pb.StructuredQuery_FieldFilter // disjunctive normal form
	ways = func(f *pb.StructuredQuery_Filter) [][]*pb.StructuredQuery_FieldFilter {
		switch op := f.GetUnaryFilter().GetOp(); op {
		case pb.StructuredQuery_UnaryFilter_IS_NOT_NAN, pb.StructuredQuery_UnaryFilter_IS_NOT_NULL:
			negations++
		}
		if c := f.GetCompositeFilter(); c != nil {
			out := [][]*pb.StructuredQuery_FieldFilter{nil}
			if c.Op == pb.StructuredQuery_CompositeFilter_OR {
				disjunctions++
				out = nil
			}
			for _, sub := range c.Filters {
				w := ways(sub)
				if c.Op == pb.StructuredQuery_CompositeFilter_OR {
					out = append(out, w...)
					continue
				}
				var product [][]*pb.StructuredQuery_FieldFilter
				for _, a := range out {
					for _, b := range w {
						product = append(product, slices.Concat(a, b))
					}
				}
				out = product
			}
			return out
		}
		ff := f.GetFieldFilter()
		switch ff.GetOp() {
		case pb.StructuredQuery_FieldFilter_NOT_IN:
			notIns++
			negations++
		case pb.StructuredQuery_FieldFilter_NOT_EQUAL:
			negations++
		case pb.StructuredQuery_FieldFilter_IN, pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY:
			disjunctions++
			var out [][]*pb.StructuredQuery_FieldFilter
			for range ff.Value.GetArrayValue().Values {
				out = append(out, []*pb.StructuredQuery_FieldFilter{ff})
			}
			return out
		}
		return [][]*pb.StructuredQuery_FieldFilter{{ff}}
	}
	normal := ways(q.Where)
	tooManyContains := slices.ContainsFunc(normal, func(all []*pb.StructuredQuery_FieldFilter) bool {
		var contains []*pb.StructuredQuery_FieldFilter
		for _, f := range all {
			switch f.GetOp() {
			case pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY:
				contains = append(contains, f)
			}
		}
		// The same condition may be given twice.
		return slices.ContainsFunc(contains, func(f *pb.StructuredQuery_FieldFilter) bool {
			return f.Op != contains[0].Op || order(f.Value, contains[0].Value) != 0
		})
	})
	named := slices.ContainsFunc(q.OrderBy, func(o *pb.StructuredQuery_Order) bool { return o.Field.FieldPath == "__name__" })
	switch {
	case tooManyContains, len(normal) > 30, negations > 1, notIns > 0 && disjunctions > 0,
		named && len(allOrders(q)) > len(q.OrderBy):
		return status.Error(codes.InvalidArgument, "refused")
	}
	return nil
}

// allOrders is the explicit orders, then the fields of inequalities by name, then the document's name.
func allOrders(q *pb.StructuredQuery) []*pb.StructuredQuery_Order {
	var unordered []string
	var walk func(f *pb.StructuredQuery_Filter)
	walk = func(f *pb.StructuredQuery_Filter) {
		for _, sub := range f.GetCompositeFilter().GetFilters() {
			walk(sub)
		}
		switch f.GetUnaryFilter().GetOp() {
		case pb.StructuredQuery_UnaryFilter_IS_NOT_NAN, pb.StructuredQuery_UnaryFilter_IS_NOT_NULL:
			unordered = append(unordered, f.GetUnaryFilter().GetField().FieldPath)
		}
		switch f.GetFieldFilter().GetOp() {
		case pb.StructuredQuery_FieldFilter_LESS_THAN, pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, pb.StructuredQuery_FieldFilter_GREATER_THAN,
			pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL, pb.StructuredQuery_FieldFilter_NOT_EQUAL, pb.StructuredQuery_FieldFilter_NOT_IN:
			unordered = append(unordered, f.GetFieldFilter().Field.FieldPath)
		}
	}
	walk(q.Where)
	slices.Sort(unordered)
	out := slices.Clone(q.OrderBy)
	direction := pb.StructuredQuery_ASCENDING
	if len(out) > 0 {
		direction = out[len(out)-1].Direction
	}
	for _, path := range append(slices.Compact(unordered), "__name__") {
		if !slices.ContainsFunc(out, func(o *pb.StructuredQuery_Order) bool { return o.Field.FieldPath == path }) {
			out = append(out, &pb.StructuredQuery_Order{Field: field(path), Direction: direction})
		}
	}
	return out
}

// in reports whether a document is in a collection, or in one of that id anywhere.
func in(d *pb.Document, from *pb.StructuredQuery_CollectionSelector) bool {
	path := strings.Split(relative(d.Name), "/")
	return path[len(path)-2] == from.CollectionId && (from.AllDescendants || len(path) == 2)
}

// at is the value at a field path; nil if there is none.
func at(d *pb.Document, path string) *pb.Value {
	if path == "__name__" {
		return &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: d.Name}}
	}
	v := mapValue(d.Fields)
	for segment := range strings.SplitSeq(path, ".") {
		if v = v.GetMapValue().GetFields()[segment]; v == nil {
			return nil
		}
	}
	return v
}

// holds reports whether a document meets a condition.
func holds(d *pb.Document, f *pb.StructuredQuery_Filter) bool {
	switch t := f.FilterType.(type) {
	case *pb.StructuredQuery_Filter_CompositeFilter:
		or := t.CompositeFilter.Op == pb.StructuredQuery_CompositeFilter_OR
		for _, sub := range t.CompositeFilter.Filters {
			if holds(d, sub) == or {
				return or
			}
		}
		return !or
	case *pb.StructuredQuery_Filter_UnaryFilter:
		v := at(d, t.UnaryFilter.GetField().FieldPath)
		switch t.UnaryFilter.Op {
		case pb.StructuredQuery_UnaryFilter_IS_NAN:
			return v != nil && isNaN(v)
		case pb.StructuredQuery_UnaryFilter_IS_NULL:
			return v != nil && kindOf(v) == kindNull
		case pb.StructuredQuery_UnaryFilter_IS_NOT_NAN:
			return v != nil && kindOf(v) != kindNull && !isNaN(v)
		}
		return v != nil && kindOf(v) != kindNull
	case *pb.StructuredQuery_Filter_FieldFilter:
		v := at(d, t.FieldFilter.Field.FieldPath)
		return v != nil && compares(v, t.FieldFilter.Op, t.FieldFilter.Value)
	}
	panic(fmt.Sprintf("the oracle does not know the filter %v", f))
}

func compares(v *pb.Value, op pb.StructuredQuery_FieldFilter_Operator, with *pb.Value) bool {
	among := func(set *pb.Value, v *pb.Value) bool {
		return slices.ContainsFunc(set.GetArrayValue().GetValues(), func(e *pb.Value) bool { return same(e, v) })
	}
	switch op {
	case pb.StructuredQuery_FieldFilter_EQUAL:
		return same(v, with)
	case pb.StructuredQuery_FieldFilter_NOT_EQUAL:
		return kindOf(v) != kindNull && kindOf(with) != kindNull && !same(v, with)
	case pb.StructuredQuery_FieldFilter_IN:
		return among(with, v)
	case pb.StructuredQuery_FieldFilter_NOT_IN:
		withNull := slices.ContainsFunc(with.GetArrayValue().GetValues(), func(e *pb.Value) bool { return kindOf(e) == kindNull })
		return kindOf(v) != kindNull && !withNull && !among(with, v)
	case pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS:
		return among(v, with)
	case pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY:
		return slices.ContainsFunc(v.GetArrayValue().GetValues(), func(e *pb.Value) bool { return among(with, e) })
	}
	if kindOf(v) != kindOf(with) || kindOf(v) == kindNull || isNaN(v) || isNaN(with) {
		return false
	}
	c := order(v, with)
	switch op {
	case pb.StructuredQuery_FieldFilter_LESS_THAN:
		return c < 0
	case pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL:
		return c <= 0
	case pb.StructuredQuery_FieldFilter_GREATER_THAN:
		return c > 0
	case pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL:
		return c >= 0
	}
	panic(fmt.Sprintf("the oracle does not know the operator %v", op))
}

// within reports whether a document lies between the query's cursors.
func within(d *pb.Document, q *pb.StructuredQuery, orders []*pb.StructuredQuery_Order) bool {
	position := func(c *pb.Cursor) int {
		for i, v := range c.Values {
			if r := directed(orders[i], at(d, orders[i].Field.FieldPath), v); r != 0 {
				return r
			}
		}
		return 0
	}
	if c := q.StartAt; c != nil {
		if p := position(c); p < 0 || p == 0 && !c.Before {
			return false
		}
	}
	if c := q.EndAt; c != nil {
		if p := position(c); p > 0 || p == 0 && c.Before {
			return false
		}
	}
	return true
}

func directed(o *pb.StructuredQuery_Order, a, b *pb.Value) int {
	if o.Direction == pb.StructuredQuery_DESCENDING {
		return order(b, a)
	}
	return order(a, b)
}

// projected is a document with the selected fields only.
func projected(d *pb.Document, s *pb.StructuredQuery_Projection) *pb.Document {
	if s == nil {
		return d
	}
	out := mapValue(map[string]*pb.Value{})
	for _, f := range s.Fields {
		v := at(d, f.FieldPath)
		if v == nil {
			continue
		}
		into := out.GetMapValue().Fields
		segments := strings.Split(f.FieldPath, ".")
		for _, segment := range segments[:len(segments)-1] {
			next := map[string]*pb.Value{}
			maps.Copy(next, into[segment].GetMapValue().GetFields())
			into[segment] = mapValue(next)
			into = next
		}
		into[segments[len(segments)-1]] = v
	}
	return &pb.Document{Name: d.Name, Fields: out.GetMapValue().Fields}
}

// The kinds of values in the order in which they sort.
const (
	kindNull = iota
	kindBoolean
	kindNumber
	kindTimestamp
	kindString
	kindBytes
	kindReference
	kindPoint
	kindArray
	kindVector
	kindMap
)

func kindOf(v *pb.Value) int {
	switch x := v.ValueType.(type) {
	case *pb.Value_BooleanValue:
		return kindBoolean
	case *pb.Value_IntegerValue, *pb.Value_DoubleValue:
		return kindNumber
	case *pb.Value_TimestampValue:
		return kindTimestamp
	case *pb.Value_StringValue:
		return kindString
	case *pb.Value_BytesValue:
		return kindBytes
	case *pb.Value_ReferenceValue:
		return kindReference
	case *pb.Value_GeoPointValue:
		return kindPoint
	case *pb.Value_ArrayValue:
		return kindArray
	case *pb.Value_MapValue:
		if x.MapValue.GetFields()["__type__"].GetStringValue() == "__vector__" {
			return kindVector
		}
		return kindMap
	}
	return kindNull
}

func isNaN(v *pb.Value) bool { return math.IsNaN(v.GetDoubleValue()) }

// same is what equality filters mean: null and NaN are equal to nothing, though values that hold them may be.
func same(a, b *pb.Value) bool { return order(a, b) == 0 && kindOf(a) != kindNull && !isNaN(a) }

// order is the order of any two values.
func order(a, b *pb.Value) int {
	if c := cmp.Compare(kindOf(a), kindOf(b)); c != 0 {
		return c
	}
	switch kindOf(a) {
	case kindBoolean:
		return strings.Compare(fmt.Sprint(a.GetBooleanValue()), fmt.Sprint(b.GetBooleanValue())) // false, true
	case kindNumber:
		return numberOrder(a, b)
	case kindTimestamp:
		return a.GetTimestampValue().AsTime().Compare(b.GetTimestampValue().AsTime())
	case kindString, kindBytes:
		return strings.Compare(a.GetStringValue()+string(a.GetBytesValue()), b.GetStringValue()+string(b.GetBytesValue()))
	case kindReference:
		return slices.Compare(strings.Split(a.GetReferenceValue(), "/"), strings.Split(b.GetReferenceValue(), "/"))
	case kindPoint:
		p, q := a.GetGeoPointValue(), b.GetGeoPointValue()
		return cmp.Or(cmp.Compare(p.Latitude, q.Latitude), cmp.Compare(p.Longitude, q.Longitude))
	case kindArray:
		return slices.CompareFunc(a.GetArrayValue().Values, b.GetArrayValue().Values, order)
	case kindVector:
		p, q := a.GetMapValue().Fields["value"].GetArrayValue().Values, b.GetMapValue().Fields["value"].GetArrayValue().Values
		return cmp.Or(cmp.Compare(len(p), len(q)), slices.CompareFunc(p, q, order))
	case kindMap:
		return slices.CompareFunc(entries(a), entries(b), func(p, q entry) int { return cmp.Or(strings.Compare(p.key, q.key), order(p.value, q.value)) })
	}
	return 0
}

type entry struct {
	key   string
	value *pb.Value
}

func entries(v *pb.Value) []entry {
	var out []entry
	for _, k := range slices.Sorted(maps.Keys(v.GetMapValue().GetFields())) {
		out = append(out, entry{k, v.GetMapValue().Fields[k]})
	}
	return out
}

// numberOrder compares exactly; NaN is below all others.
func numberOrder(a, b *pb.Value) int {
	if isNaN(a) || isNaN(b) {
		return cmp.Compare(b2i(!isNaN(a)), b2i(!isNaN(b)))
	}
	exact := func(v *pb.Value) *big.Float {
		return new(big.Float).SetPrec(2000).Add(new(big.Float).SetInt64(v.GetIntegerValue()), big.NewFloat(v.GetDoubleValue()))
	}
	return exact(a).Cmp(exact(b))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

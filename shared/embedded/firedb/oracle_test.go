package firedb_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
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

// holds reports whether a document meets a filter.
func holds(d *pb.Document, f *pb.StructuredQuery_Filter) bool {
	if c := f.GetCompositeFilter(); c != nil {
		or := isOr(c)
		for _, sub := range c.Filters {
			if holds(d, sub) == or {
				return or
			}
		}
		return !or
	}
	c := conditionOf(f)
	v := at(d, c.path)
	return v != nil && c.holds(v)
}

// holds reports whether a field's value meets a condition.
func (c condition) holds(v *pb.Value) bool {
	among := func(set *pb.Value, v *pb.Value) bool {
		return slices.ContainsFunc(set.GetArrayValue().GetValues(), func(e *pb.Value) bool { return same(e, v) })
	}
	isNull := kindOf(v) == kindNull
	switch c.operator {
	case "is null":
		return isNull
	case "is not null":
		return !isNull
	case "is NaN":
		return isNaN(v)
	case "is not NaN":
		return !isNull && !isNaN(v)
	case "==":
		return same(v, c.operand)
	case "!=":
		return !isNull && kindOf(c.operand) != kindNull && !same(v, c.operand)
	case "in":
		return among(c.operand, v)
	case "not-in":
		withNull := slices.ContainsFunc(c.operand.GetArrayValue().GetValues(), func(e *pb.Value) bool { return kindOf(e) == kindNull })
		return !isNull && !withNull && !among(c.operand, v)
	case "array-contains":
		return among(v, c.operand)
	case "array-contains-any":
		return slices.ContainsFunc(v.GetArrayValue().GetValues(), func(e *pb.Value) bool { return among(c.operand, e) })
	}
	if isNull || kindOf(v) != kindOf(c.operand) || isNaN(v) || isNaN(c.operand) {
		return false
	}
	by := order(v, c.operand)
	switch c.operator {
	case "<":
		return by < 0
	case "<=":
		return by <= 0
	case ">":
		return by > 0
	case ">=":
		return by >= 0
	}
	panic(fmt.Sprintf("the oracle does not know the operator %q", c.operator))
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

package firedb_test

import (
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// condition is a filter on one field.
type condition struct {
	path     string
	operator string // as the client library writes it, or one of "is null", "is not null", "is NaN", "is not NaN"
	operand  *pb.Value
}

// The operators by the names that condition uses.
var (
	fieldOperators = map[pb.StructuredQuery_FieldFilter_Operator]string{
		pb.StructuredQuery_FieldFilter_EQUAL: "==", pb.StructuredQuery_FieldFilter_NOT_EQUAL: "!=",
		pb.StructuredQuery_FieldFilter_LESS_THAN: "<", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL: "<=",
		pb.StructuredQuery_FieldFilter_GREATER_THAN: ">", pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL: ">=",
		pb.StructuredQuery_FieldFilter_IN: "in", pb.StructuredQuery_FieldFilter_NOT_IN: "not-in",
		pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS: "array-contains", pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY: "array-contains-any",
	}
	unaryOperators = map[pb.StructuredQuery_UnaryFilter_Operator]string{
		pb.StructuredQuery_UnaryFilter_IS_NULL: "is null", pb.StructuredQuery_UnaryFilter_IS_NOT_NULL: "is not null",
		pb.StructuredQuery_UnaryFilter_IS_NAN: "is NaN", pb.StructuredQuery_UnaryFilter_IS_NOT_NAN: "is not NaN",
	}
)

func conditionOf(f *pb.StructuredQuery_Filter) condition {
	if u := f.GetUnaryFilter(); u != nil {
		return condition{path: u.GetField().GetFieldPath(), operator: unaryOperators[u.Op]}
	}
	ff := f.GetFieldFilter()
	return condition{path: ff.GetField().GetFieldPath(), operator: fieldOperators[ff.GetOp()], operand: ff.GetValue()}
}

func isOr(c *pb.StructuredQuery_CompositeFilter) bool {
	return c.Op == pb.StructuredQuery_CompositeFilter_OR
}

// conditionsIn returns all conditions of a filter.
func conditionsIn(f *pb.StructuredQuery_Filter) []condition {
	if f == nil {
		return nil
	}
	c := f.GetCompositeFilter()
	if c == nil {
		return []condition{conditionOf(f)}
	}
	var out []condition
	for _, sub := range c.Filters {
		out = append(out, conditionsIn(sub)...)
	}
	return out
}

// branches is the filter's disjunctive normal form: the conditions that must hold together, for each way to meet it. A
// choice among values is a way for each.
func branches(f *pb.StructuredQuery_Filter) [][]condition {
	if f == nil {
		return [][]condition{nil}
	}
	c := f.GetCompositeFilter()
	if c == nil {
		one := conditionOf(f)
		if one.operator == "in" || one.operator == "array-contains-any" {
			return slices.Repeat([][]condition{{one}}, len(one.operand.GetArrayValue().Values))
		}
		return [][]condition{{one}}
	}
	if isOr(c) {
		var out [][]condition
		for _, sub := range c.Filters {
			out = append(out, branches(sub)...)
		}
		return out
	}
	out := [][]condition{nil}
	for _, sub := range c.Filters {
		var product [][]condition
		for _, a := range out {
			for _, b := range branches(sub) {
				product = append(product, slices.Concat(a, b))
			}
		}
		out = product
	}
	return out
}

// hasChoice reports whether a filter has an or in it, or a choice among values.
func hasChoice(f *pb.StructuredQuery_Filter) bool {
	if c := f.GetCompositeFilter(); c != nil {
		return isOr(c) || slices.ContainsFunc(c.Filters, hasChoice)
	}
	op := conditionOf(f).operator
	return op == "in" || op == "array-contains-any"
}

// refusal tells whether the query breaks a rule on how conditions may be combined.
func refusal(q *pb.StructuredQuery) error {
	negations, notIns := 0, 0
	for _, c := range conditionsIn(q.Where) {
		switch c.operator {
		case "not-in":
			notIns++
			negations++
		case "!=", "is not null", "is not NaN":
			negations++
		}
	}
	ways := branches(q.Where)
	named := slices.ContainsFunc(q.OrderBy, func(o *pb.StructuredQuery_Order) bool { return o.Field.FieldPath == "__name__" })
	switch {
	case negations > 1,
		notIns > 0 && hasChoice(q.Where),
		len(ways) > 30,
		slices.ContainsFunc(ways, wantsTwoArrays),
		named && len(allOrders(q)) > len(q.OrderBy):
		return status.Error(codes.InvalidArgument, "refused")
	}
	return nil
}

// wantsTwoArrays reports whether conditions that must hold together look into arrays more than once.
func wantsTwoArrays(together []condition) bool { return len(arrayConditions(together)) > 1 }

func arrayConditions(all []condition) []condition {
	return slices.DeleteFunc(slices.Clone(all), func(c condition) bool {
		return c.operator != "array-contains" && c.operator != "array-contains-any"
	})
}

// isSimplified reports whether Google's emulator may change the query before it checks and orders it: it drops ways that
// no document can go, and an array condition that stands twice in one place. A query that it would refuse, or order
// otherwise, may then be answered; the oracle knows nothing of this.
func isSimplified(q *pb.StructuredQuery) bool {
	arrays := arrayConditions(conditionsIn(q.Where))
	for i, c := range arrays {
		if slices.ContainsFunc(arrays[:i], func(o condition) bool { return o.operator == c.operator && order(o.operand, c.operand) == 0 }) {
			return true
		}
	}
	return slices.ContainsFunc(conditionsIn(q.Where), condition.isHopeless) && (hasChoice(q.Where) || refusal(q) != nil)
}

// isHopeless reports whether no document can meet a condition.
func (c condition) isHopeless() bool {
	isNull := func(v *pb.Value) bool { return kindOf(v) == kindNull }
	switch c.operator {
	case "==", "<", "<=", ">", ">=", "array-contains":
		return isNull(c.operand) || isNaN(c.operand)
	case "!=":
		return isNull(c.operand)
	case "not-in":
		return slices.ContainsFunc(c.operand.GetArrayValue().Values, isNull)
	case "in", "array-contains-any":
		return !slices.ContainsFunc(c.operand.GetArrayValue().Values, func(v *pb.Value) bool { return !isNull(v) && !isNaN(v) })
	}
	return false
}

// allOrders is the explicit orders, then the fields of inequalities by name, then the document's name.
func allOrders(q *pb.StructuredQuery) []*pb.StructuredQuery_Order {
	var unordered []string
	for _, c := range conditionsIn(q.Where) {
		switch c.operator {
		case "<", "<=", ">", ">=", "!=", "not-in", "is not null", "is not NaN":
			unordered = append(unordered, c.path)
		}
	}
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

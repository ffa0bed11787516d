package firedb

import (
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
)

// Short names for the operators of the API.
const (
	opLess             = pb.StructuredQuery_FieldFilter_LESS_THAN
	opLessOrEqual      = pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL
	opGreater          = pb.StructuredQuery_FieldFilter_GREATER_THAN
	opGreaterOrEqual   = pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL
	opEqual            = pb.StructuredQuery_FieldFilter_EQUAL
	opNotEqual         = pb.StructuredQuery_FieldFilter_NOT_EQUAL
	opIn               = pb.StructuredQuery_FieldFilter_IN
	opNotIn            = pb.StructuredQuery_FieldFilter_NOT_IN
	opArrayContains    = pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS
	opArrayContainsAny = pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY

	opIsNull    = pb.StructuredQuery_UnaryFilter_IS_NULL
	opIsNotNull = pb.StructuredQuery_UnaryFilter_IS_NOT_NULL
	opIsNaN     = pb.StructuredQuery_UnaryFilter_IS_NAN
	opIsNotNaN  = pb.StructuredQuery_UnaryFilter_IS_NOT_NAN
)

const (
	maxDisjunctions = 30 // conjunctions in disjunctive normal form, and values of one filter
	maxNotIn        = 10 // values of one not-in
	maxFilterDepth  = 20 // composite filters within each other; a bound of this engine
)

// predicate says whether a document passes a filter.
type predicate func(*pb.Document) bool

// filterCompiler turns a filter into a predicate and notes the fields it compares by inequality, which order the
// result, and whether it compares any field but the document's name.
type filterCompiler struct {
	inequalities []string
	onFields     bool
}

func (c *filterCompiler) compile(f *pb.StructuredQuery_Filter, depth int) (predicate, error) {
	if depth > maxFilterDepth {
		return nil, invalid("Filters are nested deeper than %d levels.", maxFilterDepth)
	}
	switch t := f.GetFilterType().(type) {
	case *pb.StructuredQuery_Filter_CompositeFilter:
		return c.compileComposite(t.CompositeFilter, depth)
	case *pb.StructuredQuery_Filter_UnaryFilter:
		return c.compileUnary(t.UnaryFilter)
	case *pb.StructuredQuery_Filter_FieldFilter:
		return c.compileField(t.FieldFilter)
	}
	return nil, invalid("A filter is neither composite, unary nor on a field.")
}

func (c *filterCompiler) compileComposite(f *pb.StructuredQuery_CompositeFilter, depth int) (predicate, error) {
	if len(f.GetFilters()) == 0 {
		return nil, invalid("A composite filter has no filters.")
	}
	var parts []predicate
	for _, sub := range f.GetFilters() {
		p, err := c.compile(sub, depth+1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	switch f.GetOp() {
	case pb.StructuredQuery_CompositeFilter_AND:
		return func(d *pb.Document) bool {
			return !slices.ContainsFunc(parts, func(p predicate) bool { return !p(d) })
		}, nil
	case pb.StructuredQuery_CompositeFilter_OR:
		return func(d *pb.Document) bool {
			return slices.ContainsFunc(parts, func(p predicate) bool { return p(d) })
		}, nil
	default:
		return nil, invalid("A composite filter is neither AND nor OR.")
	}
}

func (c *filterCompiler) compileUnary(f *pb.StructuredQuery_UnaryFilter) (predicate, error) {
	name := f.GetField().GetFieldPath()
	path, err := parseFieldPath(name)
	if err != nil {
		return nil, err
	}
	if path == nil {
		return nil, errNameOperand()
	}
	c.onFields = true
	var test func(v *pb.Value) bool
	switch f.GetOp() {
	case opIsNull:
		test = isNull
	case opIsNotNull:
		test = func(v *pb.Value) bool { return !isNull(v) }
	case opIsNaN:
		test = isNaN
	case opIsNotNaN:
		test = func(v *pb.Value) bool { return !isNull(v) && !isNaN(v) }
	default:
		return nil, invalid("A unary filter has no operator.")
	}
	if f.GetOp() == opIsNotNull || f.GetOp() == opIsNotNaN {
		c.inequalities = append(c.inequalities, name)
	}
	return func(d *pb.Document) bool {
		v := field(d, path)
		return v != nil && test(v)
	}, nil
}

func (c *filterCompiler) compileField(f *pb.StructuredQuery_FieldFilter) (predicate, error) {
	name, op, operand := f.GetField().GetFieldPath(), f.GetOp(), f.GetValue()
	path, err := parseFieldPath(name)
	if err != nil {
		return nil, err
	}
	if path == nil {
		if err := checkNameOperand(op, operand); err != nil {
			return nil, err
		}
	}
	c.onFields = c.onFields || path != nil
	if isInequality(op) {
		c.inequalities = append(c.inequalities, name)
	}
	test, err := fieldTest(op, operand)
	if err != nil {
		return nil, err
	}
	return func(d *pb.Document) bool {
		v := field(d, path)
		return v != nil && test(v)
	}, nil
}

// checkNameOperand checks what a document's name is compared with.
func checkNameOperand(op pb.StructuredQuery_FieldFilter_Operator, operand *pb.Value) error {
	operands := []*pb.Value{operand}
	if op == opIn || op == opNotIn {
		operands = operand.GetArrayValue().GetValues()
	}
	for _, v := range operands {
		if rankOf(v) != rankReference {
			return errNameOperand()
		}
	}
	return nil
}

func errNameOperand() error { return invalid("__key__ filter value must be a Key") }

func isInequality(op pb.StructuredQuery_FieldFilter_Operator) bool {
	switch op {
	case opLess, opLessOrEqual, opGreater, opGreaterOrEqual, opNotEqual, opNotIn:
		return true
	default:
		return false
	}
}

// fieldTest returns the test that op makes of a field's value.
func fieldTest(op pb.StructuredQuery_FieldFilter_Operator, operand *pb.Value) (func(*pb.Value) bool, error) {
	set := operand.GetArrayValue().GetValues()
	if isTooLong(operand) {
		return nil, errTooLong()
	}
	if op == opIn || op == opNotIn || op == opArrayContainsAny {
		if slices.ContainsFunc(set, isTooLong) {
			return nil, errTooLong()
		}
		if len(set) == 0 {
			return nil, invalid("'%s' requires an non-empty ArrayValue.", op)
		}
		most := maxDisjunctions
		if op == opNotIn {
			most = maxNotIn
		}
		if len(set) > most {
			return nil, invalid("'%s' supports up to %d comparison values.", op, most)
		}
	}
	switch op {
	case opEqual:
		return func(v *pb.Value) bool { return isEqual(v, operand) }, nil
	case opNotEqual:
		if isNull(operand) {
			return nothing, nil
		}
		return func(v *pb.Value) bool { return !isNull(v) && !isEqual(v, operand) }, nil
	case opIn:
		return func(v *pb.Value) bool { return isOneOf(v, set) }, nil
	case opNotIn:
		if slices.ContainsFunc(set, isNull) {
			return nothing, nil
		}
		return func(v *pb.Value) bool { return !isNull(v) && !isOneOf(v, set) }, nil
	case opArrayContains:
		return func(v *pb.Value) bool {
			return slices.ContainsFunc(v.GetArrayValue().GetValues(), func(e *pb.Value) bool { return isEqual(e, operand) })
		}, nil
	case opArrayContainsAny:
		return func(v *pb.Value) bool {
			return slices.ContainsFunc(v.GetArrayValue().GetValues(), func(e *pb.Value) bool { return isOneOf(e, set) })
		}, nil
	case opLess, opLessOrEqual, opGreater, opGreaterOrEqual:
		return rangeTest(op, operand), nil
	default:
		return nil, invalid("A field filter has no operator.")
	}
}

// isTooLong reports whether a value is longer than what an index holds of it.
func isTooLong(v *pb.Value) bool {
	return len(v.GetStringValue()) > indexedBytes || len(v.GetBytesValue()) > indexedBytes
}

func errTooLong() error {
	return invalid("A value longer than %d bytes cannot be used in a query.", indexedBytes)
}

// nothing is the test that no value passes.
func nothing(*pb.Value) bool { return false }

// isEqual compares for filters on fields: null and NaN are equal to nothing, not even to themselves. Clients ask for
// them by unary filters.
func isEqual(v, operand *pb.Value) bool {
	return !isNull(operand) && !isNaN(operand) && compareIndexed(v, operand) == 0
}

// rangeTest compares within one type only: a range never crosses types, and null and NaN are in none.
func rangeTest(op pb.StructuredQuery_FieldFilter_Operator, operand *pb.Value) func(*pb.Value) bool {
	if isNull(operand) || isNaN(operand) {
		return nothing
	}
	return func(v *pb.Value) bool {
		if rankOf(v) != rankOf(operand) || isNaN(v) {
			return false
		}
		c := compareIndexed(v, operand)
		switch op {
		case opLess:
			return c < 0
		case opLessOrEqual:
			return c <= 0
		case opGreater:
			return c > 0
		default:
			return c >= 0
		}
	}
}

// isOneOf reports whether v is equal to an element of set.
func isOneOf(v *pb.Value, set []*pb.Value) bool {
	return slices.ContainsFunc(set, func(e *pb.Value) bool { return isEqual(v, e) })
}

// filterShape is what Firestore's rules on combining filters look at.
type filterShape struct {
	negations int // !=, not-in, is-not-null, is-not-nan
	notIns    int
	choices   int // in, array-contains-any, or
}

// checkCombination applies the rules on how filters may be combined.
func checkCombination(f *pb.StructuredQuery_Filter) error {
	var s filterShape
	disjunctions, contains := s.measure(f)
	switch {
	case contains > 1:
		return invalid("A maximum of 1 'ARRAY_CONTAINS' filter is allowed per disjunction.")
	case s.notIns > 0 && s.choices > 0:
		return invalid("'NOT_IN' cannot be used in the same query with 'IN', 'ARRAY_CONTAINS_ANY' or 'OR'.")
	case s.negations > 1:
		return invalid("Only a single 'NOT_EQUAL', 'NOT_IN', 'IS_NOT_NAN', or 'IS_NOT_NULL' filter allowed per query.")
	case disjunctions > maxDisjunctions:
		return invalid("The query has %d disjunctions in disjunctive normal form; at most %d are allowed.", disjunctions, maxDisjunctions)
	}
	return nil
}

// measure returns the number of disjunctions of f's normal form, and the most array-contains in one of them.
func (s *filterShape) measure(f *pb.StructuredQuery_Filter) (disjunctions, contains int) {
	switch t := f.GetFilterType().(type) {
	case *pb.StructuredQuery_Filter_UnaryFilter:
		if op := t.UnaryFilter.GetOp(); op == opIsNotNaN || op == opIsNotNull {
			s.negations++
		}
		return 1, 0
	case *pb.StructuredQuery_Filter_FieldFilter:
		return s.measureField(t.FieldFilter)
	case *pb.StructuredQuery_Filter_CompositeFilter:
		return s.measureComposite(t.CompositeFilter)
	}
	return 1, 0
}

func (s *filterShape) measureField(f *pb.StructuredQuery_FieldFilter) (disjunctions, contains int) {
	values := max(1, len(f.GetValue().GetArrayValue().GetValues()))
	switch f.GetOp() {
	case opArrayContains:
		return 1, 1
	case opArrayContainsAny:
		s.choices++
		return values, 1
	case opIn:
		s.choices++
		return values, 0
	case opNotIn:
		s.notIns++
		s.negations++
	case opNotEqual:
		s.negations++
	default: // one comparison with one value
	}
	return 1, 0
}

func (s *filterShape) measureComposite(f *pb.StructuredQuery_CompositeFilter) (disjunctions, contains int) {
	or := f.GetOp() == pb.StructuredQuery_CompositeFilter_OR
	if or {
		s.choices++
	}
	sum, product := 0, 1
	most, all := 0, 0
	for i, sub := range f.GetFilters() {
		n, c := s.measure(sub)
		if slices.ContainsFunc(f.GetFilters()[:i], func(o *pb.StructuredQuery_Filter) bool { return sameContains(o, sub) }) {
			continue // an array filter given twice counts once
		}
		// Products are cut off above the limit, where their exact size no longer matters.
		sum, product = sum+n, min(product*n, maxDisjunctions+1)
		most, all = max(most, c), all+c
	}
	if or {
		return sum, most
	}
	return product, all
}

// sameContains reports whether two filters ask for the same elements of the same array; 1 and 1.0 are not the same.
func sameContains(a, b *pb.StructuredQuery_Filter) bool {
	x, y := a.GetFieldFilter(), b.GetFieldFilter()
	if x.GetOp() != y.GetOp() || x.GetField().GetFieldPath() != y.GetField().GetFieldPath() {
		return false
	}
	switch x.GetOp() {
	case opArrayContains:
		return proto.Equal(x.GetValue(), y.GetValue())
	case opArrayContainsAny:
		u, v := x.GetValue().GetArrayValue().GetValues(), y.GetValue().GetArrayValue().GetValues()
		return isSubset(u, v) && isSubset(v, u)
	default:
		return false
	}
}

func isSubset(a, b []*pb.Value) bool {
	return !slices.ContainsFunc(a, func(x *pb.Value) bool {
		return !slices.ContainsFunc(b, func(y *pb.Value) bool { return proto.Equal(x, y) })
	})
}

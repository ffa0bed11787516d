package firedb

import (
	"fmt"
	"math"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

const maxAggregations = 5 // in one query

// aggregation is one checked aggregation: a count, or a sum or average over path.
type aggregation struct {
	alias   string
	path    fieldPath // nil for a count
	average bool
	upTo    int64 // for a count; 0 for no bound
}

// compileAggregations checks a query's aggregations and gives aliases to those without one.
func compileAggregations(list []*pb.StructuredAggregationQuery_Aggregation) ([]aggregation, error) {
	if len(list) == 0 || len(list) > maxAggregations {
		return nil, invalid("A query has %d aggregations; 1 to %d are allowed.", len(list), maxAggregations)
	}
	var out []aggregation
	seen := map[string]bool{}
	for i, a := range list {
		c := aggregation{alias: a.GetAlias()}
		if c.alias == "" {
			c.alias = fmt.Sprintf("field_%d", i+1)
		}
		if seen[c.alias] {
			return nil, invalid("Two aggregations have the alias %q.", c.alias)
		}
		seen[c.alias] = true
		err := checkFieldName(c.alias)
		if err != nil {
			return nil, err
		}
		switch op := a.GetOperator().(type) {
		case *pb.StructuredAggregationQuery_Aggregation_Count_:
			if up := op.Count.GetUpTo(); up != nil {
				if c.upTo = up.GetValue(); c.upTo <= 0 {
					return nil, invalid("A count's bound must be positive.")
				}
			}
		case *pb.StructuredAggregationQuery_Aggregation_Sum_:
			c.path, err = parseStoredPath(op.Sum.GetField().GetFieldPath())
		case *pb.StructuredAggregationQuery_Aggregation_Avg_:
			c.average = true
			c.path, err = parseStoredPath(op.Avg.GetField().GetFieldPath())
		default:
			return nil, invalid("An aggregation is neither a count, a sum nor an average.")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// aggregatedPaths returns the fields over which there are sums and averages.
func aggregatedPaths(list []*pb.StructuredAggregationQuery_Aggregation) []string {
	var out []string
	for _, a := range list {
		switch op := a.GetOperator().(type) {
		case *pb.StructuredAggregationQuery_Aggregation_Sum_:
			out = append(out, op.Sum.GetField().GetFieldPath())
		case *pb.StructuredAggregationQuery_Aggregation_Avg_:
			out = append(out, op.Avg.GetField().GetFieldPath())
		}
	}
	return out
}

// of computes the aggregation over a query's result.
func (a aggregation) of(docs []*pb.Document) *pb.Value {
	if a.path == nil {
		n := int64(len(docs))
		if a.upTo > 0 {
			n = min(n, a.upTo)
		}
		return integerValue(n)
	}
	sum, n := a.sum(docs)
	if !a.average {
		return sum
	}
	if n == 0 {
		return nullValue()
	}
	return doubleValue(toDouble(sum) / float64(n))
}

// sum adds the numbers among the field's values and counts them. The sum is an integer while all are integers and it
// fits, as in Firestore; else it is a double.
func (a aggregation) sum(docs []*pb.Document) (sum *pb.Value, n int) {
	var whole int64
	var double float64
	exact := true
	for _, d := range docs {
		v := valueAt(d.GetFields(), a.path)
		if v == nil || !isNumber(v) {
			continue
		}
		n++
		double += toDouble(v)
		i, isInteger := v.GetValueType().(*pb.Value_IntegerValue)
		if exact = exact && isInteger; exact {
			whole, exact = addIntegers(whole, i.IntegerValue)
		}
	}
	if exact {
		return integerValue(whole), n
	}
	if math.IsNaN(double) {
		double = math.NaN() // one NaN, whatever its bits were
	}
	return doubleValue(double), n
}

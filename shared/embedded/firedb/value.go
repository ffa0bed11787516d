package firedb

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// rank is a value's place in Firestore's order across types.
type rank int

const (
	rankNull rank = iota
	rankBoolean
	rankNumber
	rankTimestamp
	rankString
	rankBytes
	rankReference
	rankGeoPoint
	rankArray
	rankVector
	rankMap
)

// rankOf returns the rank of v; a nil value ranks as null.
func rankOf(v *pb.Value) rank {
	switch t := v.GetValueType().(type) {
	case nil, *pb.Value_NullValue:
		return rankNull
	case *pb.Value_BooleanValue:
		return rankBoolean
	case *pb.Value_IntegerValue, *pb.Value_DoubleValue:
		return rankNumber
	case *pb.Value_TimestampValue:
		return rankTimestamp
	case *pb.Value_StringValue:
		return rankString
	case *pb.Value_BytesValue:
		return rankBytes
	case *pb.Value_ReferenceValue:
		return rankReference
	case *pb.Value_GeoPointValue:
		return rankGeoPoint
	case *pb.Value_ArrayValue:
		return rankArray
	case *pb.Value_MapValue:
		if t.MapValue.GetFields()[typeField].GetStringValue() == "__vector__" {
			return rankVector
		}
	}
	return rankMap
}

// compareValues orders two values as Firestore does.
func compareValues(a, b *pb.Value) int {
	ra, rb := rankOf(a), rankOf(b)
	if ra != rb {
		return cmp.Compare(ra, rb)
	}
	switch ra {
	case rankNull:
		return 0
	case rankBoolean:
		return compareBooleans(a.GetBooleanValue(), b.GetBooleanValue())
	case rankNumber:
		return compareNumbers(a, b)
	case rankTimestamp:
		ta, tb := a.GetTimestampValue(), b.GetTimestampValue()
		return cmp.Or(cmp.Compare(ta.GetSeconds(), tb.GetSeconds()), cmp.Compare(ta.GetNanos(), tb.GetNanos()))
	case rankString:
		return strings.Compare(a.GetStringValue(), b.GetStringValue())
	case rankBytes:
		return bytes.Compare(a.GetBytesValue(), b.GetBytesValue())
	case rankReference:
		return compareNames(a.GetReferenceValue(), b.GetReferenceValue())
	case rankGeoPoint:
		ga, gb := a.GetGeoPointValue(), b.GetGeoPointValue()
		return cmp.Or(cmp.Compare(ga.GetLatitude(), gb.GetLatitude()), cmp.Compare(ga.GetLongitude(), gb.GetLongitude()))
	case rankArray:
		return slices.CompareFunc(a.GetArrayValue().GetValues(), b.GetArrayValue().GetValues(), compareValues)
	case rankVector:
		va, vb := vectorOf(a), vectorOf(b)
		return cmp.Or(cmp.Compare(len(va), len(vb)), slices.CompareFunc(va, vb, compareValues))
	case rankMap:
		return compareMaps(a.GetMapValue().GetFields(), b.GetMapValue().GetFields())
	}
	return 0
}

// indexedBytes is how much of a string or of bytes an index holds; what follows does not count in queries.
const indexedBytes = 1500

// compareIndexed orders two values as an index does: strings and bytes count up to indexedBytes.
func compareIndexed(a, b *pb.Value) int {
	switch ra, rb := rankOf(a), rankOf(b); {
	case ra == rankString && rb == rankString:
		return strings.Compare(clip(a.GetStringValue()), clip(b.GetStringValue()))
	case ra == rankBytes && rb == rankBytes:
		return bytes.Compare(clip(a.GetBytesValue()), clip(b.GetBytesValue()))
	}
	return compareValues(a, b)
}

func clip[S string | []byte](s S) S { return s[:min(len(s), indexedBytes)] }

func compareBooleans(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareMaps(a, b map[string]*pb.Value) int {
	ka, kb := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))
	for i := range min(len(ka), len(kb)) {
		if c := cmp.Or(strings.Compare(ka[i], kb[i]), compareValues(a[ka[i]], b[kb[i]])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(ka), len(kb))
}

// compareNumbers orders integers and doubles together, exactly beyond 2^53 too; NaN comes first.
func compareNumbers(a, b *pb.Value) int {
	ia, aInt := a.GetValueType().(*pb.Value_IntegerValue)
	ib, bInt := b.GetValueType().(*pb.Value_IntegerValue)
	if aInt && bInt {
		return cmp.Compare(ia.IntegerValue, ib.IntegerValue)
	}
	fa, fb := toDouble(a), toDouble(b)
	if aInt == bInt || math.IsNaN(fa) || math.IsNaN(fb) || math.IsInf(fa, 0) || math.IsInf(fb, 0) {
		return cmp.Compare(fa, fb)
	}
	return toBig(a).Cmp(toBig(b))
}

func vectorOf(v *pb.Value) []*pb.Value {
	return v.GetMapValue().GetFields()["value"].GetArrayValue().GetValues()
}

func toBig(v *pb.Value) *big.Float {
	if i, ok := v.GetValueType().(*pb.Value_IntegerValue); ok {
		return new(big.Float).SetInt64(i.IntegerValue)
	}
	return big.NewFloat(v.GetDoubleValue())
}

// toDouble converts a number. Doubles are values that a client may store; no figure of credits or money passes here.
func toDouble(v *pb.Value) float64 {
	if i, ok := v.GetValueType().(*pb.Value_IntegerValue); ok {
		return float64(i.IntegerValue)
	}
	return v.GetDoubleValue()
}

func isNull(v *pb.Value) bool   { return rankOf(v) == rankNull }
func isNumber(v *pb.Value) bool { return rankOf(v) == rankNumber }
func isNaN(v *pb.Value) bool    { return isNumber(v) && math.IsNaN(toDouble(v)) }

// equalValues reports whether two values are the same to array transforms: 1 equals 1.0.
func equalValues(a, b *pb.Value) bool { return compareValues(a, b) == 0 }

func nullValue() *pb.Value { return &pb.Value{ValueType: &pb.Value_NullValue{}} }

func integerValue(i int64) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: i}}
}

func doubleValue(f float64) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_DoubleValue{DoubleValue: f}}
}

func referenceValue(name string) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: name}}
}

func arrayValue(vs []*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: vs}}}
}

func mapValue(m map[string]*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: m}}}
}

// addNumbers adds as an increment does: integers stop at the ends of int64, a double makes the sum a double.
func addNumbers(a, b *pb.Value) *pb.Value {
	ia, aInt := a.GetValueType().(*pb.Value_IntegerValue)
	ib, bInt := b.GetValueType().(*pb.Value_IntegerValue)
	if !aInt || !bInt {
		return doubleValue(toDouble(a) + toDouble(b))
	}
	sum, exact := addIntegers(ia.IntegerValue, ib.IntegerValue)
	if exact {
		return integerValue(sum)
	}
	if ib.IntegerValue > 0 {
		return integerValue(math.MaxInt64)
	}
	return integerValue(math.MinInt64)
}

// addIntegers returns x+y and whether it fits in an int64.
func addIntegers(x, y int64) (sum int64, exact bool) {
	if y > 0 && x > math.MaxInt64-y || y < 0 && x < math.MinInt64-y {
		return 0, false
	}
	return x + y, true
}

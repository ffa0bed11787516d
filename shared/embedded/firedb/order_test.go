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
)

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

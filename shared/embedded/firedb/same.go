package firedb

import (
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
)

// Every write asks whether it changes its document and whether its request is too large, and reflection answers both slowly. The functions
// here give the same answers by looking at the types that nearly all values have; the rest is left to package proto.

// sameFields is proto.Equal of two documents' or maps' fields. What a newer API may put beside them, and no checked value has, does not count.
func sameFields(a, b map[string]*pb.Value) bool {
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !sameValue(x, y) {
			return false
		}
	}
	return true
}

func sameValue(a, b *pb.Value) bool {
	if a == b { // documents share what a write did not touch
		return true
	}
	switch x := a.GetValueType().(type) {
	case *pb.Value_IntegerValue:
		y, ok := b.GetValueType().(*pb.Value_IntegerValue)
		return ok && x.IntegerValue == y.IntegerValue
	case *pb.Value_StringValue:
		y, ok := b.GetValueType().(*pb.Value_StringValue)
		return ok && x.StringValue == y.StringValue
	case *pb.Value_BooleanValue:
		y, ok := b.GetValueType().(*pb.Value_BooleanValue)
		return ok && x.BooleanValue == y.BooleanValue
	case *pb.Value_TimestampValue:
		y, ok := b.GetValueType().(*pb.Value_TimestampValue)
		return ok && x.TimestampValue.GetSeconds() == y.TimestampValue.GetSeconds() && x.TimestampValue.GetNanos() == y.TimestampValue.GetNanos()
	case *pb.Value_MapValue:
		y, ok := b.GetValueType().(*pb.Value_MapValue)
		return ok && sameFields(x.MapValue.GetFields(), y.MapValue.GetFields())
	case *pb.Value_ArrayValue:
		y, ok := b.GetValueType().(*pb.Value_ArrayValue)
		return ok && slices.EqualFunc(x.ArrayValue.GetValues(), y.ArrayValue.GetValues(), sameValue)
	}
	return proto.Equal(a, b)
}

// frameBytes is more than tag and length of a field take: at most ten bytes each way. A value lies in at most two messages of its own,
// and in a map beside its name.
const frameBytes = 16

// commitBytesMost is at least how large a commit's request is.
func commitBytesMost(r *pb.CommitRequest) int {
	n := frameBytes*4 + len(r.GetDatabase()) + len(r.GetTransaction()) + proto.Size(r.GetRequestOptions())
	for _, w := range r.GetWrites() {
		op, ok := w.GetOperation().(*pb.Write_Update)
		if !ok {
			n += frameBytes + proto.Size(w)
			continue
		}
		n += 6*frameBytes + len(op.Update.GetName()) + fieldsBytesMost(op.Update.GetFields())
		if d := op.Update; d.GetCreateTime() != nil || d.GetUpdateTime() != nil {
			n += 4 * frameBytes
		}
		for _, path := range w.GetUpdateMask().GetFieldPaths() {
			n += frameBytes + len(path)
		}
		for _, t := range w.GetUpdateTransforms() {
			n += frameBytes + proto.Size(t)
		}
		if w.GetCurrentDocument() != nil {
			n += 4 * frameBytes
		}
	}
	return n
}

func fieldsBytesMost(fields map[string]*pb.Value) int {
	n := 0
	for name, v := range fields {
		n += 2*frameBytes + len(name) + valueBytesMost(v)
	}
	return n
}

func valueBytesMost(v *pb.Value) int {
	n := 2 * frameBytes
	switch x := v.GetValueType().(type) {
	case *pb.Value_IntegerValue, *pb.Value_BooleanValue, *pb.Value_NullValue, *pb.Value_DoubleValue:
	case *pb.Value_StringValue:
		n += len(x.StringValue)
	case *pb.Value_TimestampValue:
		n += 2 * frameBytes
	case *pb.Value_MapValue:
		n += fieldsBytesMost(x.MapValue.GetFields())
	case *pb.Value_ArrayValue:
		for _, e := range x.ArrayValue.GetValues() {
			n += valueBytesMost(e)
		}
	default:
		n += proto.Size(v)
	}
	return n
}

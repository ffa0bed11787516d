package firedb

import (
	"math"
	"strings"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// drawValue draws a value of any type that can be stored, from so few that equal ones are common.
func drawValue(t *rapid.T, depth int) *pb.Value {
	kinds := 9
	if depth == 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nullValue()
	case 1:
		return integerValue(rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}).Draw(t, "integer"))
	case 2:
		return doubleValue(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, math.NaN(), math.Inf(1)}).Draw(t, "double"))
	case 3:
		return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: rapid.SampledFrom([]string{"", "a", strings.Repeat("long", 100)}).Draw(t, "string")}}
	case 4:
		return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: rapid.Bool().Draw(t, "boolean")}}
	case 5:
		at := &timestamppb.Timestamp{Seconds: rapid.Int64Range(-1, 1).Draw(t, "seconds"), Nanos: rapid.Int32Range(0, 1).Draw(t, "nanos") * 1000}
		return &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: at}}
	case 6:
		return &pb.Value{ValueType: &pb.Value_BytesValue{BytesValue: rapid.SampledFrom([][]byte{{}, {0}, make([]byte, 300)}).Draw(t, "bytes")}}
	case 7:
		return mapValue(drawFields(t, depth-1))
	}
	vs := make([]*pb.Value, rapid.IntRange(0, 3).Draw(t, "elements"))
	for i := range vs {
		vs[i] = drawValue(t, depth-1)
	}
	return arrayValue(vs)
}

func drawFields(t *rapid.T, depth int) map[string]*pb.Value {
	out := map[string]*pb.Value{}
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		out[rapid.SampledFrom([]string{"a", "b", strings.Repeat("name", 50)}).Draw(t, "name")] = drawValue(t, depth)
	}
	return out
}

func TestFieldsAreTheSameIfTheirMessagesAreEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawFields(t, 2), drawFields(t, 2)
		if rapid.Bool().Draw(t, "copied") { // and one value changed, or none
			b = proto.CloneOf(mapValue(a)).GetMapValue().GetFields()
			for name := range b {
				b[name] = rapid.SampledFrom([]*pb.Value{b[name], drawValue(t, 1)}).Draw(t, "changed")
				break
			}
		}
		want := proto.Equal(&pb.MapValue{Fields: a}, &pb.MapValue{Fields: b})
		if got := sameFields(a, b); got != want {
			t.Errorf("sameFields is %v, proto.Equal %v, of %v and %v", got, want, a, b)
		}
	})
}

func TestNoCommitIsLargerThanItsEstimate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawCommit(t)
		if got, size := commitBytesMost(r), proto.Size(r); got < size {
			t.Errorf("%d bytes estimated, %d true: %v", got, size, r)
		}
	})
}

// drawCommit draws a request with writes of every kind.
func drawCommit(t *rapid.T) *pb.CommitRequest {
	at := &timestamppb.Timestamp{Seconds: math.MinInt64, Nanos: -1} // ten bytes each, the most that numbers take
	r := &pb.CommitRequest{Database: "projects/p/databases/d", Transaction: make([]byte, rapid.IntRange(0, 300).Draw(t, "transaction"))}
	for range rapid.IntRange(0, 4).Draw(t, "writes") {
		w := &pb.Write{}
		switch rapid.IntRange(0, 3).Draw(t, "operation") {
		case 0:
			w.Operation = &pb.Write_Delete{Delete: strings.Repeat("n", rapid.IntRange(0, 300).Draw(t, "name"))}
		case 1:
			w.Operation = &pb.Write_Transform{Transform: &pb.DocumentTransform{Document: "d", FieldTransforms: drawTransforms(t)}}
		default:
			d := &pb.Document{Name: strings.Repeat("n", rapid.IntRange(0, 300).Draw(t, "name")), Fields: drawFields(t, 3)}
			if rapid.IntRange(0, 3).Draw(t, "timed") == 0 {
				d.CreateTime, d.UpdateTime = at, at
			}
			w.Operation, w.UpdateTransforms = &pb.Write_Update{Update: d}, drawTransforms(t)
		}
		if rapid.Bool().Draw(t, "masked") {
			w.UpdateMask = &pb.DocumentMask{FieldPaths: []string{"", "a.b"}}
		}
		if rapid.Bool().Draw(t, "conditional") {
			w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: at}}
		}
		r.Writes = append(r.Writes, w)
	}
	return r
}

func drawTransforms(t *rapid.T) []*pb.DocumentTransform_FieldTransform {
	out := make([]*pb.DocumentTransform_FieldTransform, rapid.IntRange(0, 2).Draw(t, "transforms"))
	for i := range out {
		out[i] = &pb.DocumentTransform_FieldTransform{
			FieldPath: "a", TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: integerValue(math.MinInt64)},
		}
	}
	return out
}

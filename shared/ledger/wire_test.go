package ledger

import (
	"math"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// drawWireValue draws a value of any kind, those that the commit path writes and others.
func drawWireValue(t *rapid.T, depth int) *pb.Value {
	kinds := 8
	if depth == 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return intValue(rapid.SampledFrom([]int64{0, 1, -1, 127, 128, math.MaxInt64, math.MinInt64}).Draw(t, "integer"))
	case 1:
		return stringValue(rapid.SampledFrom([]string{"", "a", "ü", strings.Repeat("x", 127), strings.Repeat("x", 40_000)}).Draw(t, "string"))
	case 2:
		return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: rapid.Bool().Draw(t, "boolean")}}
	case 3:
		at := rapid.SampledFrom([]time.Time{{}, time.Unix(0, 0), time.Unix(-1, 1), time.Unix(1<<33, 999_999_999)}).Draw(t, "time")
		return timeValue(at)
	case 4:
		return &pb.Value{ValueType: &pb.Value_DoubleValue{DoubleValue: 1.5}}
	case 5:
		return &pb.Value{ValueType: &pb.Value_NullValue{}}
	case 6:
		return mapValue(drawWireFields(t, depth-1))
	}
	vs := make([]*pb.Value, rapid.IntRange(0, 3).Draw(t, "elements"))
	for i := range vs {
		vs[i] = drawWireValue(t, depth-1)
	}
	return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: vs}}}
}

func drawWireFields(t *rapid.T, depth int) fields {
	out := fields{}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		out[rapid.SampledFrom([]string{"", "v", "seq", strings.Repeat("name", 40)}).Draw(t, "name")] = drawWireValue(t, depth)
	}
	return out
}

func drawWireWrite(t *rapid.T) *pb.Write {
	w := setWrite(rapid.SampledFrom([]string{"", "projects/p/databases/d/documents/wallets/w"}).Draw(t, "document"), drawWireFields(t, 3))
	switch rapid.IntRange(0, 4).Draw(t, "operation") {
	case 0:
		return &pb.Write{Operation: &pb.Write_Delete{Delete: "d"}}
	case 1:
		w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{}}
	case 2:
		w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: timestamppb.New(time.Unix(5, 6000))}}
	case 3:
		w.UpdateMask = &pb.DocumentMask{FieldPaths: rapid.SampledFrom([][]string{nil, {"v", "org"}}).Draw(t, "mask")}
		w.UpdateTransforms = []*pb.DocumentTransform_FieldTransform{
			{FieldPath: "cells.`a`", TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: drawWireValue(t, 0)}},
			{FieldPath: "", TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: intValue(0)}},
			{FieldPath: "at", TransformType: &pb.DocumentTransform_FieldTransform_SetToServerValue{
				SetToServerValue: pb.DocumentTransform_FieldTransform_REQUEST_TIME,
			}},
		}
	}
	return w
}

func TestCommitsAreWrittenAsProtocolBuffersAre(t *testing.T) {
	t.Parallel()
	codec := newCommitCodec()
	rapid.Check(t, func(t *rapid.T) {
		r := &pb.CommitRequest{Database: rapid.SampledFrom([]string{"", "projects/p/databases/d"}).Draw(t, "database")}
		for range rapid.IntRange(0, 4).Draw(t, "writes") {
			r.Writes = append(r.Writes, drawWireWrite(t))
		}
		if rapid.IntRange(0, 9).Draw(t, "transactional") == 0 {
			r.Transaction = []byte("t")
		}
		data, err := codec.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		defer data.Free()
		var got pb.CommitRequest
		if err := proto.Unmarshal(data.Materialize(), &got); err != nil {
			t.Fatalf("%v, of %v", err, r)
		}
		if !proto.Equal(&got, r) || len(got.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("%v became %v", r, &got)
		}
		if r.Database != "" && data.Len() > proto.Size(r)+len(r.Writes)*4 { // empty strings are written out
			t.Errorf("%d bytes, package proto takes %d", data.Len(), proto.Size(r))
		}
	})
}

func TestWhatNoProtocolBufferHoldsIsRefused(t *testing.T) {
	t.Parallel()
	codec := newCommitCodec()
	const bad = "\xff"
	tests := []struct {
		name  string
		write *pb.Write
	}{
		{"a value", setWrite("d", fields{"f": stringValue(bad)})},
		{"a field's name", setWrite("d", fields{bad: intValue(1)})},
		{"a document's name", setWrite(bad, nil)},
		{"a write of another kind", &pb.Write{Operation: &pb.Write_Delete{Delete: bad}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if data, err := codec.Marshal(&pb.CommitRequest{Writes: []*pb.Write{tt.write}}); err == nil {
				t.Errorf("written as %q", data.Materialize())
			}
		})
	}
}

func BenchmarkCommitOnTheWire(b *testing.B) {
	wallet := fields{"v": intValue(1)}.str("org", "acme").num("seq", 1<<20).num("available", 1<<30).time("at", time.Unix(1<<31, 0)).
		list("grants", []*pb.Value{mapValue(fields{}.str("id", "g-1").num("free", 1<<30).time("created_at", time.Unix(1<<31, 0)))})
	entry := make(fields, entryFields)
	for i := range entryFields {
		entry.str(strings.Repeat(string(rune('a'+i)), 8), "something")
	}
	r := &pb.CommitRequest{Database: "projects/p/databases/d", Writes: []*pb.Write{
		setWrite("wallet", wallet), createWrite("entry-1", entry), createWrite("entry-2", entry),
	}}
	ours := newCommitCodec()
	for name, codec := range map[string]encoding.CodecV2{"ledger": ours, "proto": ours.CodecV2} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				data, err := codec.Marshal(r)
				if err != nil {
					b.Fatal(err)
				}
				data.Free()
			}
		})
	}
}

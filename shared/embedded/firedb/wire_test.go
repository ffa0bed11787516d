package firedb

import (
	"slices"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// TestCommitsAreReadAsProtocolBuffersAre holds for requests as clients send them, and for what is left of them once bytes are changed, lost,
// or said twice.
func TestCommitsAreReadAsProtocolBuffersAre(t *testing.T) {
	t.Parallel()
	c := newCodec()
	rapid.Check(t, func(t *rapid.T) {
		b, err := proto.Marshal(drawCommit(t))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(t, "harms") {
			if len(b) == 0 {
				break
			}
			i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "harm") {
			case 0:
				b[i] = rapid.Byte().Draw(t, "byte")
			case 1:
				b = slices.Delete(b, i, rapid.IntRange(i, min(len(b), i+9)).Draw(t, "until"))
			case 2:
				b = append(b, b[i:]...)
			}
		}
		var want, got pb.CommitRequest
		wantErr := proto.Unmarshal(b, &want)
		gotErr := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("%v, package proto says %v, of %x", gotErr, wantErr, b)
		}
		if wantErr == nil && !proto.Equal(&want, &got) {
			t.Errorf("read %v, package proto %v", &got, &want)
		}
	})
}

func TestValuesMayLieDeep(t *testing.T) {
	t.Parallel()
	var v []byte
	for range 4 * deepest { // far beyond what is read here, and what is stored
		array := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), v)
		v = protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), array)
	}
	entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "f")
	entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), v)
	b := []byte(nil)
	for _, field := range []protowire.Number{2, 1, 2} { // the document's, the write's, the commit's
		if b == nil {
			b = entry
		}
		b = protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	var want, got pb.CommitRequest
	if err := proto.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got); err != nil || !proto.Equal(&got, &want) || len(got.GetWrites()) != 1 {
		t.Errorf("%v, read %v", err, &got)
	}
}

func BenchmarkCommitIsRead(b *testing.B) {
	fields := map[string]*pb.Value{}
	for i := range 24 {
		fields[string(rune('a'+i))+"-field"] = integerValue(int64(i) << 20)
	}
	r := &pb.CommitRequest{Database: "projects/p/databases/d"}
	for range 3 {
		r.Writes = append(r.Writes, &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: "d", Fields: fields}}})
	}
	wire, err := proto.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	ours := newCodec()
	for name, read := range map[string]func(mem.BufferSlice, any) error{"firedb": ours.Unmarshal, "proto": ours.CodecV2.Unmarshal} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(mem.BufferSlice{mem.SliceBuffer(wire)}, &pb.CommitRequest{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzCommitIsRead reads any bytes as a commit, as package proto does.
func FuzzCommitIsRead(f *testing.F) {
	c := newCodec()
	f.Fuzz(func(t *testing.T, b []byte) {
		var want, got pb.CommitRequest
		wantErr := proto.Unmarshal(b, &want)
		gotErr := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got)
		if (wantErr == nil) != (gotErr == nil) || wantErr == nil && !proto.Equal(&want, &got) {
			t.Fatalf("read %v, %v; package proto %v, %v", &got, gotErr, &want, wantErr)
		}
	})
}

package ledger

import (
	"errors"
	"unicode/utf8"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// commitCodec is gRPC's codec for protocol buffers, but for commits: package proto goes through a document's map of fields by reflection,
// three times, which took a fifth of the processor of a busy ledger. Requests of the shapes that the commit path makes are written here from
// their last byte to their first, so that no length must be known before what it measures is written. Whatever else is package proto's.
type commitCodec struct{ encoding.CodecV2 }

func newCommitCodec() commitCodec { return commitCodec{encoding.GetCodecV2("proto")} }

// Marshal implements encoding.CodecV2.
func (c commitCodec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*pb.CommitRequest)
	if !ok || r.GetTransaction() != nil || r.GetRequestOptions() != nil {
		return c.CodecV2.Marshal(v)
	}
	pool := mem.DefaultBufferPool()
	w := &backwards{pool: pool, buf: pool.Get(firstBufferBytes)}
	w.at = len(*w.buf)
	for i := len(r.GetWrites()) - 1; i >= 0; i-- {
		w.write(r.GetWrites()[i])
	}
	w.text(1, r.GetDatabase())
	defer pool.Put(w.buf)
	if w.err != nil { // package proto says better what is wrong
		return c.CodecV2.Marshal(v)
	}
	out := pool.Get(len(*w.buf) - w.at)
	copy(*out, (*w.buf)[w.at:])
	return mem.BufferSlice{mem.NewBuffer(out, pool)}, nil
}

// firstBufferBytes holds a commit of a few debits.
const firstBufferBytes = 16 << 10

var errNotText = errors.New("a string is not UTF-8")

// backwards writes a message into the end of a buffer, last field first.
type backwards struct {
	pool mem.BufferPool
	buf  *[]byte
	at   int // where what was written begins
	err  error
}

// room makes n bytes free before what was written and returns them.
func (w *backwards) room(n int) []byte {
	if w.at < n {
		written := (*w.buf)[w.at:]
		larger := w.pool.Get(2*len(*w.buf) + n)
		copy((*larger)[len(*larger)-len(written):], written)
		w.pool.Put(w.buf)
		w.buf, w.at = larger, len(*larger)-len(written)
	}
	w.at -= n
	return (*w.buf)[w.at : w.at+n]
}

func (w *backwards) varint(n uint64) {
	protowire.AppendVarint(w.room(protowire.SizeVarint(n))[:0], n)
}

func (w *backwards) tag(field protowire.Number, t protowire.Type) {
	w.varint(protowire.EncodeTag(field, t))
}

// number writes a field that is a number, also when it is zero.
func (w *backwards) number(field protowire.Number, n uint64) {
	w.varint(n)
	w.tag(field, protowire.VarintType)
}

// text writes a field that is a string; present ones of a oneof also when they are empty.
func (w *backwards) text(field protowire.Number, s string) {
	if !utf8.ValidString(s) {
		w.err = errNotText
	}
	copy(w.room(len(s)), s)
	w.varint(uint64(len(s)))
	w.tag(field, protowire.BytesType)
}

// close begins the message whose content ends where the writer was at end.
func (w *backwards) close(field protowire.Number, left int) {
	w.varint(uint64(w.left() - left))
	w.tag(field, protowire.BytesType)
}

// left is how much is written: what a message's content is measured by.
func (w *backwards) left() int { return len(*w.buf) - w.at }

// other writes a message as package proto does.
func (w *backwards) other(field protowire.Number, m proto.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		w.err = err
		return
	}
	copy(w.room(len(b)), b)
	w.varint(uint64(len(b)))
	w.tag(field, protowire.BytesType)
}

func (w *backwards) write(m *pb.Write) {
	op, ok := m.GetOperation().(*pb.Write_Update)
	if !ok {
		w.other(2, m)
		return
	}
	end := w.left()
	for i := len(m.GetUpdateTransforms()) - 1; i >= 0; i-- {
		w.transform(m.GetUpdateTransforms()[i])
	}
	if p := m.GetCurrentDocument(); p != nil {
		w.other(4, p)
	}
	if mask := m.GetUpdateMask(); mask != nil {
		w.other(3, mask)
	}
	start := w.left()
	w.fields(2, op.Update.GetFields())
	w.text(1, op.Update.GetName())
	w.close(1, start)
	w.close(2, end)
}

func (w *backwards) transform(m *pb.DocumentTransform_FieldTransform) {
	add, ok := m.GetTransformType().(*pb.DocumentTransform_FieldTransform_Increment)
	if !ok {
		w.other(7, m)
		return
	}
	end := w.left()
	w.value(3, add.Increment)
	w.text(1, m.GetFieldPath())
	w.close(7, end)
}

func (w *backwards) fields(field protowire.Number, fields map[string]*pb.Value) {
	for name, v := range fields {
		end := w.left()
		w.value(2, v)
		w.text(1, name)
		w.close(field, end)
	}
}

func (w *backwards) value(field protowire.Number, v *pb.Value) {
	end := w.left()
	switch x := v.GetValueType().(type) {
	case *pb.Value_IntegerValue:
		w.number(2, uint64(x.IntegerValue))
	case *pb.Value_StringValue:
		w.text(17, x.StringValue)
	case *pb.Value_BooleanValue:
		w.number(1, protowire.EncodeBool(x.BooleanValue))
	case *pb.Value_TimestampValue:
		w.timestamp(10, x.TimestampValue)
	case *pb.Value_MapValue:
		inner := w.left()
		w.fields(1, x.MapValue.GetFields())
		w.close(6, inner)
	case *pb.Value_ArrayValue:
		inner := w.left()
		for i := len(x.ArrayValue.GetValues()) - 1; i >= 0; i-- {
			w.value(1, x.ArrayValue.GetValues()[i])
		}
		w.close(9, inner)
	default:
		w.other(field, v)
		return
	}
	w.close(field, end)
}

func (w *backwards) timestamp(field protowire.Number, t *timestamppb.Timestamp) {
	end := w.left()
	if n := t.GetNanos(); n != 0 {
		w.number(2, uint64(int64(n)))
	}
	if s := t.GetSeconds(); s != 0 {
		w.number(1, uint64(s))
	}
	w.close(field, end)
}

package firedb

import (
	"slices"
	"unicode/utf8"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// codec is gRPC's codec for protocol buffers, but for commits: package proto fills the map of each document by reflection, which took a third
// of a commit's time. What is read here has the shapes that clients send; whatever else, well formed or not, is left to package proto.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*pb.CommitRequest)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	b := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	if readCommit(b.ReadOnlyData(), r) {
		return nil
	}
	proto.Reset(r)
	return proto.Unmarshal(b.ReadOnlyData(), r)
}

// deepest is how far values may lie within each other to be read here; Firestore takes 20 levels.
const deepest = 50

// eachField calls visit with each field of a message that has a length, and returns whether all have one and are taken.
func eachField(b []byte, visit func(field int32, content []byte) bool) bool {
	for len(b) > 0 {
		field, t, n := protowire.ConsumeTag(b)
		if n < 0 || t != protowire.BytesType {
			return false
		}
		content, m := protowire.ConsumeBytes(b[n:])
		if m < 0 || !visit(int32(field), content) {
			return false
		}
		b = b[n+m:]
	}
	return true
}

// text reads a string that must be UTF-8, and is not set yet.
func text(s *string, content []byte) bool {
	if *s != "" || !utf8.Valid(content) {
		return false
	}
	*s = string(content)
	return true
}

func readCommit(b []byte, r *pb.CommitRequest) bool {
	return eachField(b, func(field int32, content []byte) bool {
		switch field {
		case 1:
			return text(&r.Database, content)
		case 2:
			w := &pb.Write{}
			r.Writes = append(r.Writes, w)
			if readWrite(content, w) {
				return true
			}
			proto.Reset(w)
			return proto.Unmarshal(content, w) == nil
		case 3:
			r.Transaction = slices.Clone(content)
			return true
		}
		return false
	})
}

func readWrite(b []byte, w *pb.Write) bool {
	return eachField(b, func(field int32, content []byte) bool {
		switch {
		case field == 1 && w.Operation == nil:
			d := &pb.Document{}
			w.Operation = &pb.Write_Update{Update: d}
			return readDocument(content, d)
		case field == 3 && w.UpdateMask == nil:
			w.UpdateMask = &pb.DocumentMask{}
			return proto.Unmarshal(content, w.UpdateMask) == nil
		case field == 4 && w.CurrentDocument == nil:
			w.CurrentDocument = &pb.Precondition{}
			return proto.Unmarshal(content, w.CurrentDocument) == nil
		case field == 7:
			t := &pb.DocumentTransform_FieldTransform{}
			w.UpdateTransforms = append(w.UpdateTransforms, t)
			return proto.Unmarshal(content, t) == nil
		}
		return false
	})
}

func readDocument(b []byte, d *pb.Document) bool {
	fields, ok := fieldsOf(b, 2)
	if !ok {
		return false
	}
	d.Fields = fields
	return eachField(b, func(field int32, content []byte) bool {
		switch field {
		case 1:
			return text(&d.Name, content)
		case 2:
			return readField(content, d.Fields, 0)
		}
		return false
	})
}

// fieldsOf makes a map for the entries that a message has, nil for none.
func fieldsOf(b []byte, entry int32) (map[string]*pb.Value, bool) {
	n := 0
	ok := eachField(b, func(field int32, _ []byte) bool {
		if field == entry {
			n++
		}
		return true
	})
	if n == 0 {
		return nil, ok
	}
	return make(map[string]*pb.Value, n), ok
}

// readField reads an entry of a map: a name and a value, both there.
func readField(b []byte, into map[string]*pb.Value, depth int) bool {
	var name string
	var v *pb.Value
	ok := eachField(b, func(field int32, content []byte) bool {
		switch {
		case field == 1:
			return text(&name, content)
		case field == 2 && v == nil:
			v = readValue(content, depth)
			return v != nil
		}
		return false
	})
	if !ok || v == nil {
		return false
	}
	into[name] = v
	return true
}

// readValue reads a value; nil for one that is left to package proto. A value and its content are one allocation.
func readValue(b []byte, depth int) *pb.Value {
	field, t, n := protowire.ConsumeTag(b)
	if n < 0 || depth > deepest {
		return nil
	}
	if t == protowire.VarintType {
		return readNumber(int32(field), b[n:])
	}
	content, m := protowire.ConsumeBytes(b[n:])
	if t != protowire.BytesType || m < 0 || n+m != len(b) {
		return otherValue(b)
	}
	switch int32(field) {
	case 17:
		v := &struct {
			value   pb.Value
			content pb.Value_StringValue
		}{}
		v.value.ValueType = &v.content
		if !text(&v.content.StringValue, content) {
			return nil
		}
		return &v.value
	case 10:
		at := &timestamppb.Timestamp{}
		if proto.Unmarshal(content, at) != nil {
			return nil
		}
		return &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: at}}
	case 6:
		fields, ok := fieldsOf(content, 1)
		if !ok || !eachField(content, func(field int32, entry []byte) bool {
			return field == 1 && readField(entry, fields, depth+1)
		}) {
			return nil
		}
		return mapValue(fields)
	case 9:
		var vs []*pb.Value
		if !eachField(content, func(field int32, element []byte) bool {
			vs = append(vs, readValue(element, depth+1))
			return field == 1 && vs[len(vs)-1] != nil
		}) {
			return nil
		}
		return arrayValue(vs)
	}
	return otherValue(b)
}

func readNumber(field int32, b []byte) *pb.Value {
	x, n := protowire.ConsumeVarint(b)
	if n != len(b) {
		return nil
	}
	switch field {
	case 1:
		return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: protowire.DecodeBool(x)}}
	case 2:
		v := &struct {
			value   pb.Value
			content pb.Value_IntegerValue
		}{content: pb.Value_IntegerValue{IntegerValue: int64(x)}}
		v.value.ValueType = &v.content
		return &v.value
	}
	return nil
}

// otherValue reads a value as package proto does; nil if it cannot.
func otherValue(b []byte) *pb.Value {
	v := &pb.Value{}
	if proto.Unmarshal(b, v) != nil {
		return nil
	}
	return v
}

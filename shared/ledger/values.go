package ledger

import (
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// fields builds a document or map. Zero values are left out, so that documents stay small and read well.
type fields map[string]*pb.Value

func (f fields) str(name, s string) fields {
	if s != "" {
		f[name] = stringValue(s)
	}
	return f
}

func (f fields) num(name string, n int64) fields {
	if n != 0 {
		f[name] = intValue(n)
	}
	return f
}

func (f fields) flag(name string, b bool) fields {
	if b {
		f[name] = &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: b}}
	}
	return f
}

func (f fields) time(name string, t time.Time) fields {
	if !t.IsZero() {
		f[name] = timeValue(t)
	}
	return f
}

func (f fields) group(name string, sub fields) fields {
	if len(sub) > 0 {
		f[name] = mapValue(sub)
	}
	return f
}

func (f fields) list(name string, vs []*pb.Value) fields {
	if len(vs) > 0 {
		f[name] = &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: vs}}}
	}
	return f
}

// An entry has some twenty values, and a busy wallet many entries: a value and its content are one allocation.

func intValue(n int64) *pb.Value {
	v := &struct {
		value   pb.Value
		content pb.Value_IntegerValue
	}{content: pb.Value_IntegerValue{IntegerValue: n}}
	v.value.ValueType = &v.content
	return &v.value
}

func stringValue(s string) *pb.Value {
	v := &struct {
		value   pb.Value
		content pb.Value_StringValue
	}{content: pb.Value_StringValue{StringValue: s}}
	v.value.ValueType = &v.content
	return &v.value
}

func timeValue(t time.Time) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamppb.New(t)}}
}

func mapValue(f fields) *pb.Value {
	v := &struct {
		value   pb.Value
		content pb.Value_MapValue
		fields  pb.MapValue
	}{}
	v.fields.Fields = f
	v.content.MapValue, v.value.ValueType = &v.fields, &v.content
	return &v.value
}

// reader takes fields out of a document or map, and keeps the first that has the wrong type.
type reader struct {
	name string
	m    map[string]*pb.Value
	err  *error
}

func readDocument(d *pb.Document) reader {
	return reader{name: d.GetName(), m: d.GetFields(), err: new(error)}
}

func (r reader) wrong(field string, v *pb.Value, want string) {
	if *r.err == nil {
		*r.err = fmt.Errorf("%s: field %s is %T, not %s", r.name, field, v.GetValueType(), want)
	}
}

func (r reader) str(field string) string {
	v, ok := r.m[field]
	if !ok {
		return ""
	}
	s, ok := v.ValueType.(*pb.Value_StringValue)
	if !ok {
		r.wrong(field, v, "a string")
		return ""
	}
	return s.StringValue
}

func (r reader) num(field string) int64 {
	v, ok := r.m[field]
	if !ok {
		return 0
	}
	n, ok := v.ValueType.(*pb.Value_IntegerValue)
	if !ok {
		r.wrong(field, v, "an integer")
		return 0
	}
	return n.IntegerValue
}

func (r reader) flag(field string) bool {
	v, ok := r.m[field]
	if !ok {
		return false
	}
	b, ok := v.ValueType.(*pb.Value_BooleanValue)
	if !ok {
		r.wrong(field, v, "a boolean")
		return false
	}
	return b.BooleanValue
}

func (r reader) time(field string) time.Time {
	v, ok := r.m[field]
	if !ok {
		return time.Time{}
	}
	t, ok := v.ValueType.(*pb.Value_TimestampValue)
	if !ok {
		r.wrong(field, v, "a timestamp")
		return time.Time{}
	}
	return t.TimestampValue.AsTime()
}

func (r reader) group(field string) reader {
	sub := reader{name: r.name + " " + field, err: r.err}
	if v, ok := r.m[field]; ok {
		m, ok := v.ValueType.(*pb.Value_MapValue)
		if !ok {
			r.wrong(field, v, "a map")
			return sub
		}
		sub.m = m.MapValue.GetFields()
	}
	return sub
}

func (r reader) list(field string) []*pb.Value {
	v, ok := r.m[field]
	if !ok {
		return nil
	}
	a, ok := v.ValueType.(*pb.Value_ArrayValue)
	if !ok {
		r.wrong(field, v, "an array")
		return nil
	}
	return a.ArrayValue.GetValues()
}

// groups reads a list of maps.
func (r reader) groups(field string) []reader {
	vs := r.list(field)
	out := make([]reader, 0, len(vs))
	for i, v := range vs {
		m, ok := v.ValueType.(*pb.Value_MapValue)
		if !ok {
			r.wrong(field, v, "a list of maps")
			return nil
		}
		out = append(out, reader{name: fmt.Sprintf("%s %s[%d]", r.name, field, i), m: m.MapValue.GetFields(), err: r.err})
	}
	return out
}

// strings reads a list of strings.
func (r reader) strings(field string) []string {
	vs := r.list(field)
	out := make([]string, 0, len(vs))
	for _, v := range vs {
		s, ok := v.ValueType.(*pb.Value_StringValue)
		if !ok {
			r.wrong(field, v, "a list of strings")
			return nil
		}
		out = append(out, s.StringValue)
	}
	return out
}

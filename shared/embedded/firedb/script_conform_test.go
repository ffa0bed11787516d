package firedb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
)

// callTimeout bounds what might wait for another.
const callTimeout = 60 * time.Second

// fields is a document's content as the client takes it.
type fields = map[string]any

// step is one thing done to an engine, and what came of it, as text that is the same on every engine and in every run.
type step struct{ name, outcome string }

// script is a section of the suite at work on one engine.
type script struct {
	*engine.Engine
	t     *testing.T
	steps []step
}

// note records an outcome.
func (s *script) note(name string, outcome any) {
	s.t.Helper()
	if slices.ContainsFunc(s.steps, func(x step) bool { return x.name == name }) {
		s.t.Fatalf("two steps are called %q", name)
	}
	if strings.ContainsAny(name, ":\n") {
		s.t.Fatalf("the transcript cannot hold the name %q", name)
	}
	s.steps = append(s.steps, step{name, show(outcome)})
}

// put writes a document that later steps work on.
func (s *script) put(path string, f fields) *firestore.DocumentRef {
	s.t.Helper()
	d := s.Client.Doc(path)
	if _, err := d.Set(s.t.Context(), f); err != nil {
		s.t.Fatalf("set %s: %v", path, err)
	}
	return d
}

// get reads a document that must be there.
func (s *script) get(path string) *firestore.DocumentSnapshot {
	s.t.Helper()
	d, err := s.Client.Doc(path).Get(s.t.Context())
	if err != nil {
		s.t.Fatalf("get %s: %v", path, err)
	}
	return d
}

// content is what a document holds, or the code that reading it gave.
func (s *script) content(path string) any {
	d, err := s.Client.Doc(path).Get(s.t.Context())
	if err != nil {
		return err
	}
	return d.Data()
}

// rows notes the ids of a query's results, in order.
func (s *script) rows(name string, q firestore.Query) {
	s.t.Helper()
	s.note(name, rowIDs(q.Documents(s.t.Context())))
}

// set notes the code of writing f, and what the document holds after it.
func (s *script) set(name, path string, f any, opts ...firestore.SetOption) {
	s.t.Helper()
	_, err := s.Client.Doc(path).Set(s.t.Context(), f, opts...)
	s.note(name, outcome(err, s.content(path)))
}

// update notes the code of an update, and what the document holds after it.
func (s *script) update(name, path string, u []firestore.Update, pre ...firestore.Precondition) {
	s.t.Helper()
	_, err := s.Client.Doc(path).Update(s.t.Context(), u, pre...)
	s.note(name, outcome(err, s.content(path)))
}

// commit sends writes in one Commit without a transaction.
func (s *script) commit(writes ...*pb.Write) (*pb.CommitResponse, error) {
	return s.Raw.Commit(s.t.Context(), &pb.CommitRequest{Database: s.Database(), Writes: writes})
}

// write is an update of the document at path: all of it without a mask, else what the mask names.
func (s *script) write(path string, f fields, mask ...string) *pb.Write {
	w := &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: s.DocumentName(path), Fields: value(f).GetMapValue().GetFields()}}}
	if mask != nil {
		w.UpdateMask = &pb.DocumentMask{FieldPaths: mask}
	}
	return w
}

// outcome is the code of err and, when it is OK, what there is then.
func outcome(err error, then any) string {
	if err != nil {
		return code(err)
	}
	return "OK " + show(then)
}

// code is err's gRPC code; errors that the client library finds by itself have none.
func code(err error) string {
	if err == nil {
		return codes.OK.String()
	}
	var coded interface{ GRPCStatus() *status.Status }
	if errors.As(err, &coded) {
		return coded.GRPCStatus().Code().String()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return codes.DeadlineExceeded.String()
	}
	return "refused by the client"
}

func rowIDs(it *firestore.DocumentIterator) string {
	docs, err := it.GetAll()
	if err != nil {
		return code(err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, d.Ref.ID)
	}
	return strings.Join(out, " ")
}

// rowPaths is as rowIDs, with the whole path of each document.
func rowPaths(it *firestore.DocumentIterator) string {
	docs, err := it.GetAll()
	if err != nil {
		return code(err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, relative(d.Ref.Path))
	}
	return strings.Join(out, " ")
}

// relative is a document's name without its database.
func relative(name string) string {
	_, path, _ := strings.Cut(name, "/documents/")
	return path
}

// show renders a value so that different values, also of different types, read differently.
func show(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case error:
		return code(x)
	case string:
		return x
	case map[string]any:
		return "{" + showFields(x) + "}"
	case *pb.Value:
		return showValue(fromValue(x))
	}
	return showValue(v)
}

func showFields(m map[string]any) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		name := k
		if len(k) > 60 {
			name = fmt.Sprintf("name of %d bytes", len(k))
		}
		out = append(out, name+"="+showValue(m[k]))
	}
	return strings.Join(out, " ")
}

func showValue(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case string:
		if len(x) > 60 {
			return fmt.Sprintf("string of %d bytes", len(x))
		}
		return fmt.Sprintf("%q", x)
	case []byte:
		return fmt.Sprintf("bytes(%x)", x)
	case float64:
		return fmt.Sprintf("%gf", x)
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	case *firestore.DocumentRef:
		return "ref(" + relative(x.Path) + ")"
	case *latlng.LatLng:
		return fmt.Sprintf("geo(%g,%g)", x.Latitude, x.Longitude)
	case firestore.Vector64:
		return fmt.Sprintf("vector%v", []float64(x))
	case map[string]any:
		return "{" + showFields(x) + "}"
	case []any:
		var out []string
		for _, e := range x {
			out = append(out, showValue(e))
		}
		return "[" + strings.Join(out, " ") + "]"
	}
	return fmt.Sprint(v)
}

// value turns the plain Go values that raw steps use into the API's.
func value(v any) *pb.Value {
	switch x := v.(type) {
	case nil:
		return &pb.Value{ValueType: &pb.Value_NullValue{}}
	case bool:
		return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: x}}
	case int:
		return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: int64(x)}}
	case int64:
		return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: x}}
	case float64:
		return &pb.Value{ValueType: &pb.Value_DoubleValue{DoubleValue: x}}
	case string:
		return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: x}}
	case []any:
		a := &pb.ArrayValue{}
		for _, e := range x {
			a.Values = append(a.Values, value(e))
		}
		return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: a}}
	case map[string]any:
		m := &pb.MapValue{Fields: map[string]*pb.Value{}}
		for k, e := range x {
			m.Fields[k] = value(e)
		}
		return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: m}}
	case *pb.Value:
		return x
	}
	panic(fmt.Sprintf("no value for a %T", v))
}

// fromValue is value's inverse.
func fromValue(v *pb.Value) any {
	switch x := v.GetValueType().(type) {
	case *pb.Value_BooleanValue:
		return x.BooleanValue
	case *pb.Value_IntegerValue:
		return x.IntegerValue
	case *pb.Value_DoubleValue:
		return x.DoubleValue
	case *pb.Value_StringValue:
		return x.StringValue
	case *pb.Value_BytesValue:
		return x.BytesValue
	case *pb.Value_TimestampValue:
		return x.TimestampValue.AsTime()
	case *pb.Value_GeoPointValue:
		return x.GeoPointValue
	case *pb.Value_ReferenceValue:
		return &firestore.DocumentRef{Path: x.ReferenceValue}
	case *pb.Value_ArrayValue:
		var out []any
		for _, e := range x.ArrayValue.Values {
			out = append(out, fromValue(e))
		}
		return out
	case *pb.Value_MapValue:
		out := map[string]any{}
		for k, e := range x.MapValue.Fields {
			out[k] = fromValue(e)
		}
		return out
	}
	return nil
}

// drain reads a stream to its end.
func drain[M any](stream interface{ Recv() (*M, error) }, err error) ([]*M, error) {
	var out []*M
	for err == nil {
		var m *M
		if m, err = stream.Recv(); err == nil {
			out = append(out, m)
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return out, nil
}

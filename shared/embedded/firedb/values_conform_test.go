package firedb_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
)

// values: each kind of value comes back as it went in, but for a timestamp's nanoseconds.
func values(s *script) {
	ref := s.Client.Doc("v/x")
	for _, tc := range []struct {
		name  string
		value any
	}{
		{"null", nil},
		{"false", false},
		{"true", true},
		{"zero", 0},
		{"largest integer", int64(math.MaxInt64)},
		{"smallest integer", int64(math.MinInt64)},
		{"double", 1.5},
		{"whole double", 2.0},
		{"negative zero", math.Copysign(0, -1)},
		{"NaN", math.NaN()},
		{"infinity", math.Inf(1)},
		{"negative infinity", math.Inf(-1)},
		{"smallest double", math.SmallestNonzeroFloat64},
		{"empty string", ""},
		{"string", "é\x00😀"},
		{"empty bytes", []byte{}},
		{"bytes", []byte{0, 255}},
		{"timestamp", time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)},
		{"timestamp with nanoseconds", time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)},
		{"timestamp before 1970", time.Date(1912, 5, 6, 7, 8, 9, 123456789, time.UTC)},
		{"first timestamp", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"last timestamp", time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{"reference", ref},
		{"geographical point", &latlng.LatLng{Latitude: 1, Longitude: -2}},
		{"vector", firestore.Vector64{1, 2.5}},
		{"empty array", []any{}},
		{"array", []any{1, "x", 1.0, nil, fields{"k": []any{1}}}},
		{"empty map", fields{}},
		{"map", fields{"b": 1, "a": fields{"c": []any{}}}},
		{"map with odd keys", fields{"a.b": 1, "é `": 2, "0": 3, "__x": 4}},
		{"twenty maps in one another", nest(19)},
	} {
		s.set(tc.name, "v/x", fields{"f": tc.value})
	}
	s.set("empty document", "v/x", fields{})
	s.set("odd field names", "v/x", fields{"a.b": 1, "0": 2, "`": 3, "\\": 4, " ": 5})
	s.set("string just under a mebibyte", "v/big", fields{"f": strings.Repeat("x", 1<<20-200)})
	s.set("field name of 1,500 bytes", "v/long", fields{strings.Repeat("n", 1500): 1}, firestore.MergeAll)
}

// nest returns a map with depth further maps in it, one in the other.
func nest(depth int) fields {
	m := fields{"v": 1}
	for range depth {
		m = fields{"m": m}
	}
	return m
}

// refusedValues: what no document may hold.
func refusedValues(s *script) {
	vector := func(elements ...any) fields { return fields{"__type__": "__vector__", "value": elements} }
	for _, tc := range []struct {
		name   string
		fields fields
	}{
		{"array in an array", fields{"f": []any{[]any{1}}}},
		{"array in an array in a map", fields{"f": fields{"m": []any{[]any{}}}}},
		{"empty key in a map", fields{"f": fields{"": 1}}},
		{"empty field name", fields{"": 1}},
		{"reserved field name", fields{"__x__": 1}},
		{"reserved field name in a map", fields{"f": fields{"__x__": 1}}},
		{"field name of 1,501 bytes", fields{strings.Repeat("n", 1501): 1}},
		{"twenty-one maps in one another", fields{"f": nest(20)}},
		{"a mebibyte of string", fields{"f": strings.Repeat("x", 1<<20)}},
		{"a mebibyte of many strings", manyStrings()},
		{"timestamp before the year 1", fields{"f": timestamp(-62135596801, 0)}},
		{"timestamp after the year 9999", fields{"f": timestamp(253402300800, 0)}},
		{"timestamp with a billion nanoseconds", fields{"f": timestamp(0, 1_000_000_000)}},
		{"latitude beyond the pole", fields{"f": point(91, 0)}},
		{"longitude beyond the date line", fields{"f": point(0, 181)}},
		{"reference that is no name", fields{"f": &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: "x/y"}}}},
		{"reference to a collection", fields{"f": &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: s.DocumentName("c")}}}},
		{"value without a type", fields{"f": &pb.Value{}}},
		{"vector of integers", fields{"f": vector(1, 2)}},
		{"vector without elements", fields{"f": vector()}},
		{"vector in an array", fields{"f": []any{vector(1.0)}}},
		{"vector with another field", fields{"f": fields{"__type__": "__vector__", "value": []any{1.0}, "x": 1}}},
		{"vector of 2,048 elements", fields{"f": vector(slices.Repeat([]any{1.0}, 2048)...)}},
		{"vector of 2,049 elements", fields{"f": vector(slices.Repeat([]any{1.0}, 2049)...)}},
		{"vector whose value is no array", fields{"f": fields{"__type__": "__vector__", "value": 1.0}}},
		{"map of another type", fields{"f": fields{"__type__": "__other__", "value": 1.0}}},
		{"map whose type is a number", fields{"f": fields{"__type__": 1}}},
		{"document with a type", fields{"__type__": "__vector__", "value": []any{1.0}}},
		{"reference to another database", fields{"f": &pb.Value{ValueType: &pb.Value_ReferenceValue{
			ReferenceValue: "projects/other/databases/(default)/documents/c/d"}}}},
		{"reference to a reserved id", fields{"f": &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: s.DocumentName("c/__x__")}}}},
		{"latitude NaN", fields{"f": point(math.NaN(), 0)}},
		{"at the poles and the date line", fields{"f": []any{point(90, 180), point(-90, -180)}}},
	} {
		_, err := s.commit(s.write("v/x", tc.fields))
		s.note(tc.name, code(err))
	}
	s.note("nothing was written", rowIDs(s.Client.Collection("v").Where("f", "==", "x").Documents(s.t.Context())))
}

func manyStrings() fields {
	f := fields{}
	for i := range 1100 {
		f[fmt.Sprintf("f%04d", i)] = strings.Repeat("x", 1000)
	}
	return f
}

func timestamp(seconds int64, nanos int32) *pb.Value {
	v := &pb.Value_TimestampValue{TimestampValue: newTimestamp(seconds, nanos)}
	return &pb.Value{ValueType: v}
}

func point(latitude, longitude float64) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_GeoPointValue{GeoPointValue: &latlng.LatLng{Latitude: latitude, Longitude: longitude}}}
}

// names: which documents and collections there can be.
func names(s *script) {
	x := strings.Repeat("x", 1500)
	deep := "a/b" + strings.Repeat("/a/b", 99)
	for _, tc := range []struct{ name, document string }{
		{"plain", s.DocumentName("c/d")},
		{"subcollection", s.DocumentName("c/d/e/f")},
		{"spaces and signs", s.DocumentName("a b/c.d,e;f=g&h+i%20")},
		{"not ASCII", s.DocumentName("é/😀")},
		{"two dots and a letter", s.DocumentName("c/..a")},
		{"underscores on one side", s.DocumentName("c/__x")},
		{"four underscores", s.DocumentName("c/____")},
		{"three underscores", s.DocumentName("c/___")},
		{"id of 1,500 bytes", s.DocumentName("c/" + x)},
		{"id of 1,501 bytes", s.DocumentName("c/" + x + "x")},
		{"collection of 1,501 bytes", s.DocumentName(x + "x/d")},
		{"a hundred collections deep", s.DocumentName(deep)},
		{"a hundred and one collections deep", s.DocumentName(deep + "/a/b")},
		{"dot", s.DocumentName("c/.")},
		{"two dots", s.DocumentName("c/..")},
		{"dot as a collection", s.DocumentName("./d")},
		{"reserved id", s.DocumentName("c/__x__")},
		{"reserved collection", s.DocumentName("__x__/d")},
		{"reserved id of a parent", s.DocumentName("c/__x__/e/f")},
		{"empty id", s.DocumentName("c/")},
		{"empty collection", s.DocumentName("/d")},
		{"a collection's name", s.DocumentName("c")},
		{"three segments", s.DocumentName("c/d/e")},
		{"no document", s.Database() + "/documents"},
		{"relative", "c/d"},
		{"empty", ""},
		{"leading slash", "/" + s.DocumentName("c/d")},
		{"trailing slash", s.DocumentName("c/d/")},
	} {
		_, err := s.Raw.Commit(s.t.Context(), &pb.CommitRequest{Database: s.Database(), Writes: []*pb.Write{
			{Operation: &pb.Write_Update{Update: &pb.Document{Name: tc.document}}},
		}})
		s.note("write "+tc.name, code(err))
		_, err = drain(s.Raw.BatchGetDocuments(s.t.Context(), &pb.BatchGetDocumentsRequest{Database: s.Database(), Documents: []string{tc.document}}))
		s.note("read "+tc.name, code(err))
	}
	_, err := s.commit(&pb.Write{Operation: &pb.Write_Delete{Delete: s.DocumentName("c/__x__")}})
	s.note("delete a reserved id", code(err))
	_, err = s.commit(&pb.Write{})
	s.note("a write that does nothing", code(err))
	other := "projects/" + s.Project + "/databases/other"
	_, err = s.Raw.Commit(s.t.Context(), &pb.CommitRequest{Database: s.Database(), Writes: []*pb.Write{
		{Operation: &pb.Write_Update{Update: &pb.Document{Name: other + "/documents/c/d"}}},
	}})
	s.note("a document of another database", code(err))
	_, err = s.Raw.Commit(s.t.Context(), &pb.CommitRequest{Database: "nonsense"})
	s.note("commit to what is no database", code(err))
	_, err = s.Raw.BeginTransaction(s.t.Context(), &pb.BeginTransactionRequest{Database: "nonsense"})
	s.note("a transaction on what is no database", code(err))
}

package firedb_test

import (
	"fmt"
	"math"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// The transforms, and the values of the field that they meet.
var (
	transformKinds = []struct {
		name      string
		transform func(field string) *pb.DocumentTransform_FieldTransform
	}{
		{"increment by 2", func(f string) *pb.DocumentTransform_FieldTransform { return incremented(f, 2) }},
		{"increment by -1.5", func(f string) *pb.DocumentTransform_FieldTransform { return incremented(f, -1.5) }},
		{"maximum with 3", func(f string) *pb.DocumentTransform_FieldTransform { return maximum(f, 3) }},
		{"maximum with 3.0", func(f string) *pb.DocumentTransform_FieldTransform { return maximum(f, 3.0) }},
		{"minimum with 3", func(f string) *pb.DocumentTransform_FieldTransform { return minimum(f, 3) }},
		{"minimum with NaN", func(f string) *pb.DocumentTransform_FieldTransform { return minimum(f, math.NaN()) }},
		{"union with 1 and 1.0 and a", func(f string) *pb.DocumentTransform_FieldTransform { return union(f, 1, 1.0, "a", "a") }},
		{"removal of 1 and a", func(f string) *pb.DocumentTransform_FieldTransform { return removal(f, 1.0, "a") }},
	}
	transformed = []struct {
		name  string
		value any
	}{
		{"absent", nil}, // not written
		{"null", nil},
		{"2", 2},
		{"3", 3},
		{"3.0", 3.0},
		{"4.5", 4.5},
		{"NaN", math.NaN()},
		{"text", "text"},
		{"array", []any{1, "a", 1, 2, "a"}},
		{"map", fields{"k": 1}},
	}
)

// transforms: every transform on every kind of value, with its result.
func transforms(s *script) {
	for _, k := range transformKinds {
		for _, before := range transformed {
			f := fields{"f": before.value}
			if before.name == "absent" {
				f = fields{}
			}
			s.put("t/d", f)
			got, err := s.commit(s.touch("t/d", k.transform("f")))
			text := outcome(err, s.content("t/d"))
			if err == nil {
				text += " result " + show(got.GetWriteResults()[0].GetTransformResults()[0])
			}
			s.note(fmt.Sprintf("%s of %s", k.name, before.name), text)
		}
	}
	transformsAtTheEdge(s)
	refusedTransforms(s)
	serverTime(s)
}

func transformsAtTheEdge(s *script) {
	for _, tc := range []struct {
		name   string
		before any
		by     any
	}{
		{"increment above the largest integer", int64(math.MaxInt64 - 1), 10},
		{"increment below the smallest integer", int64(math.MinInt64 + 1), -10},
		{"increment of a large integer by a double", int64(math.MaxInt64), 1.0},
		{"increment of a double to a whole one", 1.5, 0.5},
		{"increment by zero", 7, 0},
	} {
		s.put("t/e", fields{"f": tc.before})
		_, err := s.commit(s.touch("t/e", incremented("f", tc.by)))
		s.note(tc.name, outcome(err, s.content("t/e")))
	}
	before := s.get("t/e").UpdateTime
	_, err := s.commit(s.touch("t/e", incremented("f", 0)))
	s.note("a transform without effect keeps the update time", outcome(err, s.get("t/e").UpdateTime.Equal(before)))
	_, err = s.commit(s.touch("t/new", incremented("n.a", 1), union("l", 1)))
	s.note("transforms create a document", outcome(err, s.content("t/new")))
	got, err := s.commit(s.touch("t/new", incremented("n.a", 4), removal("none", 1), union("l", 2), maximum("n.b", 9)))
	s.note("several at once", outcome(err, s.content("t/new")))
	for _, w := range got.GetWriteResults() {
		for i, r := range w.GetTransformResults() {
			s.note(fmt.Sprintf("several at once, result %d", i), r)
		}
	}
	_, err = s.commit(s.touch("t/new", incremented("n.a", 1), incremented("n.a", 1)))
	s.note("twice the same field", outcome(err, s.content("t/new")))
	w := s.write("t/new", fields{"n": fields{"a": 100}})
	w.UpdateTransforms = []*pb.DocumentTransform_FieldTransform{incremented("n.a", 1), incremented("o", 1)}
	_, err = s.commit(w)
	s.note("after an update", outcome(err, s.content("t/new")))
	_, err = s.commit(&pb.Write{Operation: &pb.Write_Transform{Transform: &pb.DocumentTransform{
		Document: s.DocumentName("t/new"), FieldTransforms: []*pb.DocumentTransform_FieldTransform{incremented("o", 5)}}}})
	s.note("as a write of their own", outcome(err, s.content("t/new")))
	_, err = s.commit(&pb.Write{Operation: &pb.Write_Transform{Transform: &pb.DocumentTransform{
		Document: s.DocumentName("t/own"), FieldTransforms: []*pb.DocumentTransform_FieldTransform{incremented("o", 5)}}}})
	s.note("as a write of their own, of a missing document", outcome(err, s.content("t/own")))
	_, err = s.commit(&pb.Write{Operation: &pb.Write_Transform{Transform: &pb.DocumentTransform{Document: s.DocumentName("t/own")}}})
	s.note("as a write of their own, none", code(err))
	s.set("through the client", "t/new", fields{"o": firestore.Increment(2), "l": firestore.ArrayRemove(1)}, firestore.MergeAll)
}

func refusedTransforms(s *script) {
	for _, tc := range []struct {
		name      string
		transform *pb.DocumentTransform_FieldTransform
	}{
		{"increment by text", incremented("f", "x")},
		{"increment by null", incremented("f", nil)},
		{"maximum with text", maximum("f", "x")},
		{"union with an array", union("f", []any{1})},
		{"union with nothing", union("f")},
		{"increment of a bad path", incremented("f..g", 1)},
		{"increment of an empty path", incremented("", 1)},
		{"increment of the name", incremented("__name__", 1)},
		{"increment of a reserved field", incremented("__x__", 1)},
		{"increment through a scalar", incremented("f.g", 1)},
		{"a transform of no kind", &pb.DocumentTransform_FieldTransform{FieldPath: "f"}},
	} {
		s.put("t/r", fields{"f": 1})
		_, err := s.commit(s.touch("t/r", tc.transform))
		s.note(tc.name, outcome(err, s.content("t/r")))
	}
	for _, n := range []int{500, 501} {
		var many []*pb.DocumentTransform_FieldTransform
		for i := range n {
			many = append(many, incremented(fmt.Sprintf("f%03d", i), 1))
		}
		_, err := s.commit(s.touch("t/many", many...))
		s.note(fmt.Sprintf("%d transforms of one document", n), code(err))
	}
	one := s.touch("t/many2", incremented("a", 1))
	two := s.touch("t/many2", incremented("b", 1))
	_, err := s.commit(one, two)
	s.note("two writes with transforms of one document", outcome(err, s.content("t/many2")))
}

func serverTime(s *script) {
	now := &pb.DocumentTransform_FieldTransform{FieldPath: "n.t", TransformType: &pb.DocumentTransform_FieldTransform_SetToServerValue{
		SetToServerValue: pb.DocumentTransform_FieldTransform_REQUEST_TIME}}
	none := &pb.DocumentTransform_FieldTransform{FieldPath: "t", TransformType: &pb.DocumentTransform_FieldTransform_SetToServerValue{}}
	got, err := s.commit(s.touch("t/time", now))
	if err != nil {
		s.t.Fatal(err)
	}
	stored := s.timeAt("t/time")
	s.note("server time is whole milliseconds", stored.Nanosecond()%1e6 == 0)
	result := got.GetWriteResults()[0].GetTransformResults()[0].GetTimestampValue().AsTime()
	s.note("server time is the result", stored.Equal(result))
	s.note("server time is not after the commit", !stored.After(got.GetCommitTime().AsTime()))
	_, err = s.commit(s.touch("t/time", none))
	s.note("server value of no kind", code(err))
	a, b := s.touch("t/time1", now), s.touch("t/time2", now)
	_, err = s.commit(a, b)
	s.note("server time twice in a commit", code(err))
	s.note("server time is one for a commit", s.timeAt("t/time1").Equal(s.timeAt("t/time2")))
}

// timeAt is the time in the field n.t of a document that must have it.
func (s *script) timeAt(path string) time.Time {
	s.t.Helper()
	v, err := s.get(path).DataAt("n.t")
	at, ok := v.(time.Time)
	if err != nil || !ok {
		s.t.Fatalf("%s has no time: %v, %v", path, v, err)
	}
	return at
}

func maximum(field string, v any) *pb.DocumentTransform_FieldTransform {
	return &pb.DocumentTransform_FieldTransform{FieldPath: field, TransformType: &pb.DocumentTransform_FieldTransform_Maximum{Maximum: value(v)}}
}

func minimum(field string, v any) *pb.DocumentTransform_FieldTransform {
	return &pb.DocumentTransform_FieldTransform{FieldPath: field, TransformType: &pb.DocumentTransform_FieldTransform_Minimum{Minimum: value(v)}}
}

func union(field string, v ...any) *pb.DocumentTransform_FieldTransform {
	return &pb.DocumentTransform_FieldTransform{FieldPath: field, TransformType: &pb.DocumentTransform_FieldTransform_AppendMissingElements{
		AppendMissingElements: value(v).GetArrayValue()}}
}

func removal(field string, v ...any) *pb.DocumentTransform_FieldTransform {
	return &pb.DocumentTransform_FieldTransform{FieldPath: field, TransformType: &pb.DocumentTransform_FieldTransform_RemoveAllFromArray{
		RemoveAllFromArray: value(v).GetArrayValue()}}
}

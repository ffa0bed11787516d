package firedb_test

import (
	"fmt"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func newTimestamp(seconds int64, nanos int32) *timestamppb.Timestamp {
	return &timestamppb.Timestamp{Seconds: seconds, Nanos: nanos}
}

// writes: creating, replacing, deleting, several writes at once, and the times they leave.
func writes(s *script) {
	ctx, doc := s.t.Context(), s.Client.Doc
	result, err := doc("w/d").Create(ctx, fields{"a": 1, "n": fields{"x": 1, "y": 2}})
	s.note("create", outcome(err, s.content("w/d")))
	born := s.get("w/d")
	s.note("create and update times are the result's", born.CreateTime.Equal(born.UpdateTime) && born.UpdateTime.Equal(result.UpdateTime))
	s.note("read time is not before", !born.ReadTime.Before(born.UpdateTime))
	s.note("times are whole microseconds", born.UpdateTime.Nanosecond()%1000 == 0)
	_, err = doc("w/d").Create(ctx, fields{})
	s.note("create again", code(err))
	s.set("replace", "w/d", fields{"b": 2})
	replaced := s.get("w/d")
	s.note("replacing keeps the create time", replaced.CreateTime.Equal(born.CreateTime))
	s.note("replacing moves the update time", replaced.UpdateTime.After(born.UpdateTime))
	same, err := doc("w/d").Set(ctx, fields{"b": 2})
	s.note("replace with the same", code(err))
	s.note("the same keeps the document's update time", s.get("w/d").UpdateTime.Equal(replaced.UpdateTime))
	s.note("the same has the old update time as its result", same.UpdateTime.Equal(replaced.UpdateTime))
	got, err := s.commit(s.write("w/d", fields{"b": 3}), s.write("w/d", fields{"b": 2}))
	s.note("there and back in one commit", outcome(err, s.content("w/d")))
	s.note("there and back moves the update time", s.get("w/d").UpdateTime.After(replaced.UpdateTime))
	for i, r := range got.GetWriteResults() {
		s.note(fmt.Sprintf("there and back, result %d has the old update time", i), r.GetUpdateTime().AsTime().Equal(replaced.UpdateTime))
	}
	got, err = s.commit(s.write("w/d", fields{"b": 3}), remove(s, "w/d"), s.write("w/d", fields{"b": 2}))
	s.note("away and back in one commit", outcome(err, s.content("w/d")))
	s.note("away and back moves the update time", s.get("w/d").UpdateTime.After(replaced.UpdateTime))
	s.note("away and back moves the create time", s.get("w/d").CreateTime.After(replaced.CreateTime))
	for i, r := range got.GetWriteResults() {
		s.note(fmt.Sprintf("away and back, result %d", i), fmt.Sprint(r.GetUpdateTime() != nil, r.GetUpdateTime().AsTime().Equal(replaced.UpdateTime)))
	}
	s.update("update a missing document", "w/none", []firestore.Update{{Path: "a", Value: 1}})
	s.note("get a missing document", s.content("w/none"))
	_, err = doc("w/none").Delete(ctx)
	s.note("delete a missing document", code(err))
	_, err = doc("w/d").Delete(ctx)
	s.note("delete", outcome(err, s.content("w/d")))
	_, err = doc("w/d").Create(ctx, fields{"again": true})
	s.note("create after deleting", outcome(err, s.content("w/d")))
	s.note("a new life has a new create time", s.get("w/d").CreateTime.After(born.CreateTime))
	s.note("a parent need not exist", s.put("w/none/sub/d", fields{"a": 1}).Parent.Parent.ID)
	s.note("and does not come to exist", s.content("w/none"))
	writesTogether(s)
}

func writesTogether(s *script) {
	ctx, doc := s.t.Context(), s.Client.Doc
	s.put("w/there", fields{"a": 1})
	_, err := s.commit(s.write("w/b1", fields{"a": 1}), exists(s.write("w/there", nil), false))
	s.note("one of two fails", code(err))
	s.note("so neither is done", s.content("w/b1"))
	got, err := s.commit()
	s.note("no writes", code(err))
	s.note("no writes still have a commit time", got.GetCommitTime().IsValid())
	got, err = s.commit(
		exists(s.write("w/b2", fields{"a": 1}), false),
		s.touch("w/b2", incremented("a", 2)),
		s.write("w/b2", fields{"c": 1}, "c"),
	)
	s.note("create, increment and set one document", outcome(err, s.content("w/b2")))
	s.note("one result for each write", len(got.GetWriteResults()))
	_, err = s.commit(remove(s, "w/b2"), exists(s.write("w/b2", fields{"z": 1}), false))
	s.note("delete and create one document", outcome(err, s.content("w/b2")))
	_, err = s.commit(s.write("w/b3", fields{"z": 1}), remove(s, "w/b3"))
	s.note("create and delete one document", outcome(err, s.content("w/b3")))
	_, err = s.commit(remove(s, "w/b2"), exists(s.write("w/b2", fields{"z": 2}), true))
	s.note("delete and then want it there", code(err))
	s.note("the deleted one is there still", s.content("w/b2"))
	many := make([]*pb.Write, 0, 501)
	for i := range cap(many) {
		many = append(many, s.write(fmt.Sprintf("many/%03d", i), fields{"i": i}))
	}
	_, err = s.commit(many...)
	s.note("501 writes", code(err))
	snaps, err := s.Client.GetAll(ctx, []*firestore.DocumentRef{doc("w/there"), doc("w/none"), doc("many/007"), doc("w/there")})
	if err != nil {
		s.t.Fatal(err)
	}
	for i, d := range snaps {
		s.note(fmt.Sprintf("get all %d", i), fmt.Sprint(d.Ref.ID, " ", d.Exists()))
	}
}

// masks: which fields a write touches and a read returns.
func masks(s *script) {
	start := fields{"a": 1, "n": fields{"x": 1, "y": 2}, "s": "text"}
	for _, tc := range []struct {
		name   string
		fields fields
		mask   []string
	}{
		{"no mask", fields{"b": 1}, nil},
		{"empty mask", fields{"b": 1}, []string{}},
		{"one field", fields{"a": 2, "b": 3}, []string{"a"}},
		{"absent field is deleted", fields{}, []string{"a"}},
		{"field in a map", fields{"n": fields{"x": 9}}, []string{"n.x"}},
		{"absent field in a map is deleted", fields{}, []string{"n.x"}},
		{"all fields of a map deleted", fields{}, []string{"n.x", "n.y"}},
		{"new maps on the way", fields{"p": fields{"q": fields{"r": 1}}}, []string{"p.q.r"}},
		{"through a scalar", fields{"s": fields{"t": fields{"u": 1}}}, []string{"s.t.u"}},
		{"deletion through a scalar", fields{}, []string{"s.t"}},
		{"deletion in an absent map", fields{}, []string{"p.q"}},
		{"quoted", fields{"o.d": fields{"`\\": 1}}, []string{"`o.d`.`\\`\\\\`"}},
		{"twice the same", fields{"a": 5}, []string{"a", "a"}},
		{"a map and a field in it", fields{"n": fields{"x": 5}}, []string{"n", "n.x"}},
		{"empty path", fields{"a": 5}, []string{""}},
		{"empty segment", fields{"a": 5}, []string{"n..x"}},
		{"trailing dot", fields{"a": 5}, []string{"n."}},
		{"open quote", fields{"a": 5}, []string{"`a"}},
		{"unquoted space", fields{"a": 5}, []string{"a b"}},
		{"unquoted digit", fields{"0": 5}, []string{"0"}},
		{"unquoted dash", fields{"a-b": 5}, []string{"a-b"}},
		{"unquoted letter beyond ASCII", fields{"é": 5}, []string{"é"}},
		{"reserved", fields{"__x__": 5}, []string{"__x__"}},
		{"the name", fields{}, []string{"__name__"}},
	} {
		s.put("m/d", start)
		_, err := s.commit(s.write("m/d", tc.fields, tc.mask...))
		s.note("write with "+tc.name, outcome(err, s.content("m/d")))
	}
	_, err := s.commit(s.write("m/new", fields{"a": 1, "b": 2}, "a"))
	s.note("a mask on a missing document creates it", outcome(err, s.content("m/new")))
	_, err = s.commit(s.touch("m/empty"))
	s.note("an empty mask on a missing document creates it", outcome(err, s.content("m/empty")))
	mergesThroughTheClient(s)
	s.put("m/d", start)
	for _, mask := range [][]string{{}, {"a"}, {"n.x"}, {"n", "n.x"}, {"none"}, {"a.b"}, {"__name__"}, {"n..x"}, {""}} {
		req := &pb.GetDocumentRequest{Name: s.DocumentName("m/d"), Mask: &pb.DocumentMask{FieldPaths: mask}}
		got, err := s.Raw.GetDocument(s.t.Context(), req)
		s.note(fmt.Sprintf("read with %q", mask), outcome(err, fromValue(mapValue(got.GetFields()))))
	}
	found, err := drain(s.Raw.BatchGetDocuments(s.t.Context(), &pb.BatchGetDocumentsRequest{
		Database: s.Database(), Documents: []string{s.DocumentName("m/d")}, Mask: &pb.DocumentMask{FieldPaths: []string{"n.y", "s"}}}))
	for _, m := range found {
		s.note("batch read with a mask", outcome(err, fromValue(mapValue(m.GetFound().GetFields()))))
	}
	_, err = s.Raw.GetDocument(s.t.Context(), &pb.GetDocumentRequest{Name: s.DocumentName("m/none")})
	s.note("read a missing document", code(err))
}

func mergesThroughTheClient(s *script) {
	s.put("m/c", fields{"a": 1, "n": fields{"x": 1, "y": 2}})
	s.set("merge all", "m/c", fields{"n": fields{"z": 3}, "q": 1}, firestore.MergeAll)
	s.set("merge one path", "m/c", fields{"n": fields{"z": 4}, "q": 2}, firestore.Merge([]string{"n"}))
	s.set("merge an empty map", "m/c", fields{"n": fields{}}, firestore.MergeAll)
	s.set("merge nothing", "m/c", fields{}, firestore.MergeAll)
	s.set("merge nothing into nothing", "m/c2", fields{}, firestore.MergeAll)
	s.set("merge a deletion", "m/c", fields{"q": firestore.Delete}, firestore.MergeAll)
	s.update("update three fields", "m/c", []firestore.Update{
		{Path: "n.x", Value: 9}, {Path: "a", Value: firestore.Delete}, {FieldPath: []string{"odd.na`me", "k"}, Value: "v"},
	})
	s.update("update through a scalar", "m/c", []firestore.Update{{Path: "n.x.y", Value: 1}})
}

func mapValue(m map[string]*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: m}}}
}

// touch is an update that writes no field but those it transforms.
func (s *script) touch(path string, transforms ...*pb.DocumentTransform_FieldTransform) *pb.Write {
	return &pb.Write{
		Operation:  &pb.Write_Update{Update: &pb.Document{Name: s.DocumentName(path)}},
		UpdateMask: &pb.DocumentMask{}, UpdateTransforms: transforms,
	}
}

// exists puts a precondition on a write.
func exists(w *pb.Write, want bool) *pb.Write {
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: want}}
	return w
}

// unmoved puts the precondition on a write that the document was last written at that time.
func unmoved(w *pb.Write, at *timestamppb.Timestamp) *pb.Write {
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: at}}
	return w
}

func remove(s *script, path string) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Delete{Delete: s.DocumentName(path)}}
}

func incremented(field string, by any) *pb.DocumentTransform_FieldTransform {
	return &pb.DocumentTransform_FieldTransform{FieldPath: field, TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: value(by)}}
}

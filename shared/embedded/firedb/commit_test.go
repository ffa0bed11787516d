package firedb_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

func document(ctx context.Context, tb testing.TB, c pb.FirestoreClient, path string) *pb.Document {
	tb.Helper()
	d, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name(path)})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func ifUnchangedSince(at *timestamppb.Timestamp, w *pb.Write) *pb.Write {
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: at}}
	return w
}

func ifExists(exists bool, w *pb.Write) *pb.Write {
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: exists}}
	return w
}

// masked limits a write to the named fields.
func masked(w *pb.Write, fields ...string) *pb.Write {
	w.UpdateMask = &pb.DocumentMask{FieldPaths: fields}
	return w
}

func increment(path, field string, by int64) *pb.Write {
	w := masked(&pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name(path)}}})
	w.UpdateTransforms = []*pb.DocumentTransform_FieldTransform{{
		FieldPath: field, TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: integer(by)},
	}}
	return w
}

// TestPreconditionCommitsOnOneDocumentAreSerial is the product's way to change a wallet: one commit that names the
// wallet's last update time and creates the entries. Each of the callers' commits must be counted once.
func TestPreconditionCommitsOnOneDocumentAreSerial(t *testing.T) {
	t.Parallel()
	const callers, each = 8, 25
	c := api(t, open(t, firedb.Options{}))
	ctx := t.Context()
	if err := commit(ctx, c, nil, set("wallets/w", 0)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := 0; n < each; {
				d, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("wallets/w")})
				if err != nil {
					t.Error(err)
					return
				}
				err = commit(ctx, c, nil,
					ifUnchangedSince(d.GetUpdateTime(), set("wallets/w", d.GetFields()["v"].GetIntegerValue()+1)),
					ifExists(false, set(fmt.Sprintf("wallets/w/entries/%d-%d", caller, n), 1)))
				switch status.Code(err) {
				case codes.OK:
					n++
				case codes.FailedPrecondition:
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := document(ctx, t, c, "wallets/w").GetFields()["v"].GetIntegerValue(); got != callers*each {
		t.Errorf("the wallet counts %d commits, want %d", got, callers*each)
	}
	ids, err := c.ListDocuments(ctx, &pb.ListDocumentsRequest{Parent: name("wallets/w"), CollectionId: "entries", PageSize: 300})
	if err != nil || len(ids.GetDocuments()) != callers*each {
		t.Errorf("%d entries, %v, want %d", len(ids.GetDocuments()), err, callers*each)
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	stale := timestamppb.New(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	remove := func(path string) *pb.Write { return &pb.Write{Operation: &pb.Write_Delete{Delete: name(path)}} }
	tests := map[string]struct {
		write func(now *timestamppb.Timestamp) *pb.Write
		want  codes.Code
	}{
		"create what is not there":          {func(*timestamppb.Timestamp) *pb.Write { return ifExists(false, set("a/new", 2)) }, codes.OK},
		"create what is there":              {func(*timestamppb.Timestamp) *pb.Write { return ifExists(false, set("a/b", 2)) }, codes.AlreadyExists},
		"update what is not there":          {func(*timestamppb.Timestamp) *pb.Write { return ifExists(true, set("a/new", 2)) }, codes.NotFound},
		"update the version read":           {func(now *timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(now, set("a/b", 2)) }, codes.OK},
		"update an older version":           {func(*timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(stale, set("a/b", 2)) }, codes.FailedPrecondition},
		"update a version of what is gone":  {func(*timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(stale, set("a/new", 2)) }, codes.FailedPrecondition},
		"delete what is not there":          {func(*timestamppb.Timestamp) *pb.Write { return remove("a/new") }, codes.OK},
		"delete what must be there":         {func(*timestamppb.Timestamp) *pb.Write { return ifExists(true, remove("a/new")) }, codes.NotFound},
		"delete an older version":           {func(*timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(stale, remove("a/b")) }, codes.FailedPrecondition},
		"verify the version read":           {func(now *timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(now, masked(set("a/b", 2))) }, codes.OK},
		"verify an older version":           {func(*timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(stale, masked(set("a/b", 2))) }, codes.FailedPrecondition},
		"transform with a version, as read": {func(now *timestamppb.Timestamp) *pb.Write { return ifUnchangedSince(now, increment("a/b", "v", 1)) }, codes.OK},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			c := api(t, open(t, firedb.Options{}))
			ctx := t.Context()
			if err := commit(ctx, c, nil, set("a/b", 1)); err != nil {
				t.Fatal(err)
			}
			now := document(ctx, t, c, "a/b").GetUpdateTime()
			err := commit(ctx, c, nil, tc.write(now), set("a/beside", 1))
			if status.Code(err) != tc.want {
				t.Errorf("commit: %v, want %v", err, tc.want)
			}
			_, err = c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("a/beside")})
			if applied := err == nil; applied != (tc.want == codes.OK) {
				t.Errorf("the write beside it: %v; a commit is all or nothing", err)
			}
		})
	}
}

func TestWriteThatChangesNothingKeepsTheUpdateTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		write   *pb.Write
		changes bool
	}{
		"the same document":   {set("a/b", 1), false},
		"the same field":      {masked(set("a/b", 1), "v"), false},
		"no field":            {masked(set("a/b", 2)), false},
		"increment by 0":      {increment("a/b", "v", 0), false},
		"another value":       {set("a/b", 2), true},
		"a further field":     {increment("a/b", "w", 0), true},
		"an integer's double": {&pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name("a/b"), Fields: map[string]*pb.Value{"v": {ValueType: &pb.Value_DoubleValue{DoubleValue: 1}}}}}}, true},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			c := api(t, open(t, firedb.Options{}))
			ctx := t.Context()
			if err := commit(ctx, c, nil, set("a/b", 1)); err != nil {
				t.Fatal(err)
			}
			before := document(ctx, t, c, "a/b")
			r, err := c.Commit(ctx, &pb.CommitRequest{Database: database, Writes: []*pb.Write{tc.write}})
			if err != nil {
				t.Fatal(err)
			}
			after := document(ctx, t, c, "a/b")
			if changed := !proto.Equal(before.GetUpdateTime(), after.GetUpdateTime()); changed != tc.changes {
				t.Errorf("update time changed: %t, want %t", changed, tc.changes)
			}
			if !proto.Equal(r.GetWriteResults()[0].GetUpdateTime(), after.GetUpdateTime()) {
				t.Errorf("the result says %v, the document %v", r.GetWriteResults()[0].GetUpdateTime(), after.GetUpdateTime())
			}
			if !proto.Equal(before.GetCreateTime(), after.GetCreateTime()) {
				t.Error("the create time changed")
			}
		})
	}
}

func TestCommitTimesRiseWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	steps := []time.Duration{0, 0, time.Hour, -time.Hour, 0, 999 * time.Nanosecond, 2 * time.Hour}
	var mu sync.Mutex
	clock := start
	s := open(t, firedb.Options{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}})
	c := api(t, s)
	var last time.Time
	for i, step := range steps {
		mu.Lock()
		clock = clock.Add(step)
		mu.Unlock()
		r, err := c.Commit(t.Context(), &pb.CommitRequest{Database: database, Writes: []*pb.Write{set("a/b", int64(i))}})
		if err != nil {
			t.Fatal(err)
		}
		at := r.GetCommitTime().AsTime()
		if !at.After(last) || at.Nanosecond()%1000 != 0 {
			t.Errorf("commit %d at %v after %v: want later, in whole microseconds", i, at, last)
		}
		read := document(t.Context(), t, c, "a/b").GetUpdateTime().AsTime()
		if !read.Equal(at) {
			t.Errorf("commit %d: the document says %v, the commit %v", i, read, at)
		}
		last = at
	}
	if want := start.Add(2 * time.Hour); last.Before(want) {
		t.Errorf("the last commit is at %v, want the clock's %v or later", last, want)
	}
}

func text(n int) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: strings.Repeat("x", n)}}
}

// nested returns a value that lies in n maps or arrays in turn.
func nested(n int) *pb.Value {
	v := integer(1)
	for i := range n {
		if i%2 == 0 {
			v = &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: []*pb.Value{v}}}}
		} else {
			v = &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: map[string]*pb.Value{"m": v}}}}
		}
	}
	return v
}

func TestLimits(t *testing.T) {
	t.Parallel()
	fields := func(path string, m map[string]*pb.Value) []*pb.Write {
		return []*pb.Write{{Operation: &pb.Write_Update{Update: &pb.Document{Name: name(path), Fields: m}}}}
	}
	// The document a/b with the fields v and w: 20 bytes of name, 4 of field names, 2 of string ends, 32.
	sized := func(total int) []*pb.Write {
		return fields("a/b", map[string]*pb.Value{"v": text(500_000), "w": text(total - 500_000 - 58)})
	}
	transforms := func(counts ...int) []*pb.Write {
		var out []*pb.Write
		for _, n := range counts {
			w := increment("a/transformed", "f", 1)
			for len(w.GetUpdateTransforms()) < n {
				w.UpdateTransforms = append(w.UpdateTransforms, w.GetUpdateTransforms()[0])
			}
			out = append(out, w)
		}
		return out
	}
	request := func(n int) []*pb.Write {
		var out []*pb.Write
		for i := range 11 {
			out = append(out, fields(fmt.Sprint("big/", i), map[string]*pb.Value{"v": text(n / 11)})...)
		}
		return out
	}
	tests := map[string]struct {
		writes []*pb.Write
		want   codes.Code
	}{
		"document of 1 MiB":                   {sized(1 << 20), codes.OK},
		"document of 1 MiB and a byte":        {sized(1<<20 + 1), codes.InvalidArgument},
		"grown beyond 1 MiB by a mask":        {append(sized(1<<20), masked(fields("a/b", map[string]*pb.Value{"u": integer(1)})[0], "u")), codes.InvalidArgument},
		"value of 1 MiB less 89 bytes":        {fields("a/b", map[string]*pb.Value{"v": text(1<<20 - 89)}), codes.OK},
		"value of 1 MiB less 88 bytes":        {fields("a/b", map[string]*pb.Value{"v": text(1<<20 - 88)}), codes.InvalidArgument},
		"request below 10 MiB":                {request(10<<20 - 2000), codes.OK},
		"request above 10 MiB":                {request(10<<20 + 100), codes.InvalidArgument},
		"500 transforms":                      {transforms(500), codes.OK},
		"501 transforms":                      {transforms(501), codes.InvalidArgument},
		"501 transforms in two writes":        {transforms(250, 251), codes.InvalidArgument},
		"20 levels of values":                 {fields("a/b", map[string]*pb.Value{"v": nested(20)}), codes.OK},
		"21 levels of values":                 {fields("a/b", map[string]*pb.Value{"v": nested(21)}), codes.InvalidArgument},
		"id of 1,500 bytes":                   {fields("a/"+strings.Repeat("x", 1500), nil), codes.OK},
		"id of 1,501 bytes":                   {fields("a/"+strings.Repeat("x", 1501), nil), codes.InvalidArgument},
		"field name of 1,500 bytes":           {fields("a/b", map[string]*pb.Value{strings.Repeat("x", 1500): integer(1)}), codes.OK},
		"field name of 1,501 bytes":           {fields("a/b", map[string]*pb.Value{strings.Repeat("x", 1501): integer(1)}), codes.InvalidArgument},
		"reserved id":                         {fields("a/__b__", nil), codes.InvalidArgument},
		"reserved collection":                 {fields("__a__/b", nil), codes.InvalidArgument},
		"id .":                                {fields("a/.", nil), codes.InvalidArgument},
		"id ..":                               {fields("a/..", nil), codes.InvalidArgument},
		"id ...":                              {fields("a/...", nil), codes.OK},
		"id with a zero byte":                 {fields("a/b\x00", nil), codes.InvalidArgument},
		"empty id":                            {fields("a/", nil), codes.InvalidArgument},
		"collection for a document":           {fields("a", nil), codes.InvalidArgument},
		"reserved field":                      {fields("a/b", map[string]*pb.Value{"__v__": integer(1)}), codes.InvalidArgument},
		"reserved field in a map":             {fields("a/b", map[string]*pb.Value{"m": {ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: map[string]*pb.Value{"__v__": integer(1)}}}}}), codes.InvalidArgument},
		"array in an array":                   {fields("a/b", map[string]*pb.Value{"v": {ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: []*pb.Value{nested(1)}}}}}), codes.InvalidArgument},
		"value without a type":                {fields("a/b", map[string]*pb.Value{"v": {}}), codes.InvalidArgument},
		"mask with a path that needs quoting": {[]*pb.Write{masked(set("a/b", 1), "a-b")}, codes.InvalidArgument},
		"mask with a quoted path":             {[]*pb.Write{masked(set("a/b", 1), "`a-b`.`c.d`")}, codes.OK},
		"increment by text":                   {[]*pb.Write{{Operation: &pb.Write_Update{Update: &pb.Document{Name: name("a/b")}}, UpdateTransforms: []*pb.DocumentTransform_FieldTransform{{FieldPath: "v", TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: text(1)}}}}}, codes.InvalidArgument},
		"no operation":                        {[]*pb.Write{{}}, codes.InvalidArgument},
	}
	s := open(t, firedb.Options{})
	c := api(t, s)
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			if err := commit(t.Context(), c, nil, tc.writes...); status.Code(err) != tc.want {
				t.Errorf("commit: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestCommitToAnotherDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	c := api(t, open(t, firedb.Options{}))
	for _, db := range []string{"", "projects/test", "projects/other/databases/(default)"} {
		_, err := c.Commit(t.Context(), &pb.CommitRequest{Database: db, Writes: []*pb.Write{set("a/b", 1)}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("database %q: %v, want INVALID_ARGUMENT", db, err)
		}
	}
}

func TestBatchWriteAppliesEachWriteByItself(t *testing.T) {
	t.Parallel()
	c := api(t, open(t, firedb.Options{}))
	if err := commit(t.Context(), c, nil, set("a/there", 1)); err != nil {
		t.Fatal(err)
	}
	r, err := c.BatchWrite(t.Context(), &pb.BatchWriteRequest{Database: database, Writes: []*pb.Write{
		ifExists(false, set("a/1", 1)), ifExists(false, set("a/there", 2)), ifExists(false, set("a/2", 1)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []codes.Code{codes.OK, codes.AlreadyExists, codes.OK}
	for i, st := range r.GetStatus() {
		if codes.Code(st.GetCode()) != want[i] {
			t.Errorf("write %d: %v, want %v", i, st, want[i])
		}
	}
	for _, malformed := range [][]*pb.Write{{set("a/1", 1), set("a/1", 2)}, {set("a/1", 1), set("a/__bad__", 1)}} {
		_, err = c.BatchWrite(t.Context(), &pb.BatchWriteRequest{Database: database, Writes: malformed})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v, want INVALID_ARGUMENT for all", malformed, err)
		}
	}
}

func TestSingleDocumentCalls(t *testing.T) {
	t.Parallel()
	c := api(t, open(t, firedb.Options{}))
	ctx := t.Context()
	two := map[string]*pb.Value{"a": integer(1), "b": integer(2)}
	created, err := c.CreateDocument(ctx, &pb.CreateDocumentRequest{Parent: database + "/documents", CollectionId: "c", DocumentId: "d", Document: &pb.Document{Fields: two}})
	if err != nil || len(created.GetFields()) != 2 || created.GetName() != name("c/d") {
		t.Errorf("create: %v, %v", created, err)
	}
	again, err := c.CreateDocument(ctx, &pb.CreateDocumentRequest{Parent: database + "/documents", CollectionId: "c", DocumentId: "d"})
	if status.Code(err) != codes.AlreadyExists {
		t.Errorf("create again: %v, %v, want ALREADY_EXISTS", again, err)
	}
	named, err := c.CreateDocument(ctx, &pb.CreateDocumentRequest{Parent: database + "/documents", CollectionId: "c"})
	if err != nil || len(named.GetName()) < len(name("c/"))+20 {
		t.Errorf("create without an id: %v, %v", named, err)
	}
	updated, err := c.UpdateDocument(ctx, &pb.UpdateDocumentRequest{
		Document:   &pb.Document{Name: name("c/d"), Fields: map[string]*pb.Value{"a": integer(7), "b": integer(7)}},
		UpdateMask: &pb.DocumentMask{FieldPaths: []string{"a"}}, Mask: &pb.DocumentMask{FieldPaths: []string{"b"}},
	})
	if err != nil || len(updated.GetFields()) != 1 || updated.GetFields()["b"].GetIntegerValue() != 2 {
		t.Errorf("update of a, answered with b: %v, %v", updated, err)
	}
	if _, err := c.DeleteDocument(ctx, &pb.DeleteDocumentRequest{Name: name("c/d")}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("c/d")}); status.Code(err) != codes.NotFound {
		t.Errorf("get after delete: %v, want NOT_FOUND", err)
	}
}

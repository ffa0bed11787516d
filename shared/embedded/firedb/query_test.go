package firedb_test

import (
	"fmt"
	"strings"
	"testing"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// ids runs a query and returns its documents' ids, or the code it was refused with.
func ids(t *testing.T, q firestore.Query) string {
	t.Helper()
	docs, err := q.Documents(t.Context()).GetAll()
	if err != nil {
		return status.Code(err).String()
	}
	var out []string
	for _, d := range docs {
		out = append(out, d.Ref.ID)
	}
	return strings.Join(out, ",")
}

func TestQueryReadsItsOwnCollectionAlone(t *testing.T) {
	t.Parallel()
	c := connect(t, open(t, firedb.Options{}))
	for _, path := range []string{
		"a/1", "a/1/b/deep", "a/1/a/same", "a/10", "a/1!", "a/2/b/only-below", "a/3", "ab/4", "b/5",
	} {
		if _, err := c.Doc(path).Set(t.Context(), map[string]any{"v": 1}); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		query firestore.Query
		want  string
	}{
		"collection":                {c.Collection("a").Query, "1,1!,10,3"},
		"its first two":             {c.Collection("a").Limit(2), "1,1!"},
		"two after one":             {c.Collection("a").Offset(1).Limit(2), "1!,10"},
		"all but one":               {c.Collection("a").Offset(1), "1!,10,3"},
		"none":                      {c.Collection("a").Offset(9), ""},
		"matching, the first":       {c.Collection("a").Where("v", "==", 1).Limit(1), "1"},
		"below a document":          {c.Collection("a/1/b").Query, "deep"},
		"below one that is missing": {c.Collection("a/2/b").Query, "only-below"},
		"group":                     {c.CollectionGroup("b").Query, "deep,only-below,5"},
		"group, its first two":      {c.CollectionGroup("b").Limit(2), "deep,only-below"},
		"group named as its parent": {c.CollectionGroup("a").Query, "1,same,1!,10,3"},
		"missing collection":        {c.Collection("none").Query, ""},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			if got := ids(t, tc.query); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}

func TestQuerySees1500BytesOfAValue(t *testing.T) {
	t.Parallel()
	c := connect(t, open(t, firedb.Options{}))
	head := strings.Repeat("x", 1500)
	for id, v := range map[string]any{
		"1": head + "b", "2": head + "a", "3": []byte(head + "b"), "4": []byte(head + "a"), "5": head, "6": head[1:],
	} {
		if _, err := c.Doc("a/"+id).Set(t.Context(), map[string]any{"v": v}); err != nil {
			t.Fatal(err)
		}
	}
	a := c.Collection("a")
	tests := map[string]struct {
		query firestore.Query
		want  string
	}{
		"order":                 {a.OrderBy("v", firestore.Asc), "6,1,2,5,3,4"},
		"equality":              {a.Where("v", "==", head), "1,2,5"},
		"equality, bytes":       {a.Where("v", "==", []byte(head)), "3,4"},
		"range":                 {a.Where("v", ">", head), ""},
		"operand too long":      {a.Where("v", "==", head+"b"), codes.InvalidArgument.String()},
		"one of a set too long": {a.Where("v", "in", []string{"x", head + "b"}), codes.InvalidArgument.String()},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			if got := ids(t, tc.query); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}

func TestListingGoesThroughPagesWithoutGapsOrRepeats(t *testing.T) {
	t.Parallel()
	const documents = 701
	c := connect(t, open(t, firedb.Options{}))
	ctx := t.Context()
	for from := 0; from < documents; from += 100 {
		b := c.Batch() //nolint:staticcheck // atomic, and shorter than the bare API here
		for i := from; i < min(from+100, documents); i++ {
			b.Set(c.Doc(fmt.Sprintf("a/%04d", i)), map[string]any{"i": i})
			b.Set(c.Doc(fmt.Sprintf("a/%04d/below/x", i)), map[string]any{"i": i})
			b.Set(c.Doc(fmt.Sprintf("root/r/c%04d/x", i)), map[string]any{"i": i})
		}
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	refs, err := c.Collection("a").DocumentRefs(ctx).GetAll()
	if err != nil {
		t.Fatal(err)
	}
	collections, err := c.Doc("root/r").Collections(ctx).GetAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(refs) != documents || len(collections) != documents {
		t.Fatalf("%d documents and %d collections, want %d of each", len(refs), len(collections), documents)
	}
	for i := range documents {
		if refs[i].ID != fmt.Sprintf("%04d", i) || collections[i].ID != fmt.Sprintf("c%04d", i) {
			t.Fatalf("place %d: document %s, collection %s", i, refs[i].ID, collections[i].ID)
		}
	}
}

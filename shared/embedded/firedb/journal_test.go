package firedb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

func TestReopenedFileHoldsTheSameDocuments(t *testing.T) {
	t.Parallel()
	for _, noSync := range []bool{false, true} {
		t.Run(fmt.Sprint("NoSync ", noSync), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "documents.db")
			ctx := t.Context()
			future := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
			before := map[string]*pb.Document{}
			write := func() time.Time {
				s, err := firedb.Open(firedb.Options{Path: file, NoSync: noSync, Now: func() time.Time { return future }})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				c := api(t, s)
				for i := range 20 {
					if err := commit(ctx, c, nil, set(fmt.Sprint("a/", i), int64(i)), set(fmt.Sprint("a/", i, "/b/c"), 1)); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 20 {
					path := fmt.Sprint("a/", i)
					before[path] = document(ctx, t, c, path)
				}
				r, err := c.Commit(ctx, &pb.CommitRequest{Database: database, Writes: []*pb.Write{
					{Operation: &pb.Write_Delete{Delete: name("a/3")}},
				}})
				if err != nil {
					t.Fatal(err)
				}
				return r.GetCommitTime().AsTime()
			}
			last := write()
			past := future.Add(-time.Hour)
			c := api(t, open(t, firedb.Options{Path: file, NoSync: noSync, Now: func() time.Time { return past }}))
			for path, want := range before {
				if path == "a/3" {
					continue
				}
				if got := document(ctx, t, c, path); !proto.Equal(got, want) {
					t.Errorf("%s is %v, want %v", path, got, want)
				}
			}
			if _, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("a/3")}); status.Code(err) != codes.NotFound {
				t.Errorf("the deleted document: %v, want NOT_FOUND", err)
			}
			r, err := c.Commit(ctx, &pb.CommitRequest{Database: database, Writes: []*pb.Write{set("a/3", 1)}})
			if err != nil || !r.GetCommitTime().AsTime().After(last) {
				t.Errorf("a commit at %v, %v, after one at %v before the file was closed", r.GetCommitTime().AsTime(), err, last)
			}
		})
	}
}

func TestOpenSaysWhatIsWrongWithAFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(t *testing.T, file string)
		want  error
		text  string
	}{
		"newer format": {
			spoil: func(t *testing.T, file string) {
				t.Helper()
				edit(t, file, func(tx *bolt.Tx) error { return tx.Bucket([]byte("firedb")).Put([]byte("format"), []byte("2")) })
			},
			want: firedb.ErrNewerFormat, text: "format 2, this version reads up to 1",
		},
		"another program's file": {
			spoil: func(t *testing.T, file string) {
				t.Helper()
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				edit(t, file, func(tx *bolt.Tx) error {
					_, err := tx.CreateBucket([]byte("theirs"))
					return err
				})
			},
			want: firedb.ErrForeign, text: "something else",
		},
		"not a database": {
			spoil: func(t *testing.T, file string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(strings.Repeat("text ", 10_000)), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			text: "invalid database",
		},
		"broken document": {
			spoil: func(t *testing.T, file string) {
				t.Helper()
				edit(t, file, func(tx *bolt.Tx) error {
					return tx.Bucket([]byte("documents")).Put([]byte("broken"), []byte("\xff\xff"))
				})
			},
			text: `document "broken"`,
		},
		"in use": {
			spoil: func(t *testing.T, file string) {
				t.Helper()
				open(t, firedb.Options{Path: file})
			},
			want: firedb.ErrInUse, text: "in use",
		},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "documents.db")
			s, err := firedb.Open(firedb.Options{Path: file})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, file)
			s, err = firedb.Open(firedb.Options{Path: file})
			if err == nil {
				s.Close()
				t.Fatal("Open succeeded")
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("Open: %v, want one that is %v", err, tc.want)
			}
			if !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), file) {
				t.Errorf("Open: %v, want the file's name and %q", err, tc.text)
			}
		})
	}
}

func edit(t *testing.T, file string, f func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsAnsweredBeforeItIsInTheFile stops the disk and asks for what a commit under way has changed. Whoever
// saw it, or was refused because of it, would be wrong after a crash.
func TestNothingIsAnsweredBeforeItIsInTheFile(t *testing.T) {
	t.Parallel()
	asks := map[string]func(ctx context.Context, c pb.FirestoreClient) error{
		"a read": func(ctx context.Context, c pb.FirestoreClient) error {
			_, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("a/b")})
			return err
		},
		"a query": func(ctx context.Context, c pb.FirestoreClient) error {
			got, err := query(ctx, c, nil, "a")
			if err == nil && got != "b" {
				return fmt.Errorf("found %q", got)
			}
			return err
		},
		"a refusal": func(ctx context.Context, c pb.FirestoreClient) error {
			err := commit(ctx, c, nil, ifExists(false, set("a/b", 1)))
			if status.Code(err) == codes.AlreadyExists {
				return nil
			}
			return fmt.Errorf("create again: %w", err)
		},
		"a commit on top of it": func(ctx context.Context, c pb.FirestoreClient) error {
			return commit(ctx, c, nil, ifExists(true, set("a/b", 2)))
		},
	}
	for desc, ask := range asks {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			s := open(t, firedb.Options{Path: filepath.Join(t.TempDir(), "documents.db")})
			c, ctx := api(t, s), t.Context()
			release, err := firedb.HoldFile(s)
			if err != nil {
				t.Fatal(err)
			}
			var released atomic.Bool
			var calls sync.WaitGroup
			call := func(what string, f func() error) {
				calls.Go(func() {
					err := f()
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					if !released.Load() {
						t.Errorf("%s was answered before the file was written", what)
					}
				})
			}
			call("the commit", func() error { return commit(ctx, c, nil, set("a/b", 1)) })
			awaitApplied(t, s, "a/b")
			call(desc, func() error { return ask(ctx, c) })
			time.Sleep(30 * time.Millisecond) // long enough for an answer that does not wait
			released.Store(true)
			if _, err := release(); err != nil {
				t.Fatal(err)
			}
			calls.Wait()
		})
	}
}

// awaitApplied waits until the store holds a document, in the file or not.
func awaitApplied(t *testing.T, s *firedb.Server, path string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !firedb.Applied(s, name(path)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s has not been applied after 5 s", path)
		}
	}
}

func TestCommitsThatWaitForTheDiskShareOneTransaction(t *testing.T) {
	t.Parallel()
	const commits = 50
	s := open(t, firedb.Options{Path: filepath.Join(t.TempDir(), "documents.db")})
	c, ctx := api(t, s), t.Context()
	release, err := firedb.HoldFile(s)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range commits {
		wg.Go(func() {
			if err := commit(ctx, c, nil, set(fmt.Sprint("a/", i), 1)); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range commits {
		awaitApplied(t, s, fmt.Sprint("a/", i))
	}
	written, err := release()
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	// The first may have been on its way to the file when it was held.
	if n := written(); n < 1 || n > 2 {
		t.Errorf("%d commits took %d transactions of the file, want 1 or 2", commits, n)
	}
}

func TestServerAnswersNothingOnceItsFileFails(t *testing.T) {
	t.Parallel()
	s, err := firedb.Open(firedb.Options{Path: filepath.Join(t.TempDir(), "documents.db")})
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := api(t, s), t.Context()
	if err := commit(ctx, c, nil, set("a/b", 1)); err != nil {
		t.Fatal(err)
	}
	if err := firedb.LoseFile(s); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := commit(ctx, c, nil, set("a/b", 2)); status.Code(err) != codes.Internal {
			t.Errorf("commit: %v, want INTERNAL", err)
		}
		if _, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: name("a/b")}); status.Code(err) != codes.Internal {
			t.Errorf("read: %v, want INTERNAL", err)
		}
		if _, err := query(ctx, c, nil, "a"); status.Code(err) != codes.Internal {
			t.Errorf("query: %v, want INTERNAL", err)
		}
	}
	if err := s.Close(); err == nil {
		t.Error("Close says nothing of the commits that are not in the file")
	}
}

package firedb_test

import (
	"context"
	"testing"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/option"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// open starts a server that ends with the test.
func open(t testing.TB, o firedb.Options) *firedb.Server {
	t.Helper()
	s, err := firedb.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// connect returns a client of the server that is closed before it.
func connect(t testing.TB, s *firedb.Server) *firestore.Client {
	t.Helper()
	conn, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	c, err := firestore.NewClient(context.WithoutCancel(t.Context()), project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const project = "test"

func TestServerAnswersInProcessAndOverTCP(t *testing.T) {
	t.Parallel()
	s := open(t, firedb.Options{})
	c := connect(t, s)
	if _, err := c.Doc("a/b").Create(t.Context(), map[string]any{"n": 1}); err != nil {
		t.Fatal(err)
	}
	d, err := c.Doc("a/b").Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Data()["n"]; got != int64(1) {
		t.Errorf("n = %v, want 1", got)
	}
}

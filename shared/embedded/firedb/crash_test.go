package firedb_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/needs"
)

// crashFile names the variable that turns this test binary into a server of the file that it names.
const crashFile = "FIREDB_TEST_CRASH_FILE"

func TestMain(m *testing.M) {
	if file := os.Getenv(crashFile); file != "" {
		if err := serveUntilKilled(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveUntilKilled serves file, says where on standard output, and ends with standard input: with its parent, if it is
// not killed before.
func serveUntilKilled(file string) error {
	s, err := firedb.Open(firedb.Options{Path: file, NoSync: strings.HasSuffix(file, ".nosync")})
	if err != nil {
		return err
	}
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(addr)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Close()
}

const (
	crashWriters = 4  // each with a document of its own
	crashParts   = 3  // documents that each commit creates, and deletes
	crashKept    = 10 // commits whose parts are there
)

// TestKilledServerKeepsEveryAcknowledgedCommitAndNoHalfOfOne kills a server with SIGKILL at random moments of a stream
// of commits, and opens its file again after each.
//
// Commit n of a writer sets its counter to n, creates the parts of n and deletes those of n-crashKept. So the counter
// says exactly which parts there must be.
func TestKilledServerKeepsEveryAcknowledgedCommitAndNoHalfOfOne(t *testing.T) {
	t.Parallel()
	moments := 12
	if needs.Thorough() {
		moments = 200
	}
	for _, suffix := range []string{".sync", ".nosync"} {
		t.Run(suffix[1:], func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "documents"+suffix)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			reached := make([]int64, crashWriters)
			for moment := range moments / 2 {
				after := crashMoment{random.Int64N(60), time.Duration(random.IntN(int(3 * time.Millisecond)))}
				seen := runUntilKilled(t, file, reached, after)
				stored := checkCrashed(t, file)
				for w := range crashWriters {
					if stored[w] < seen[w] {
						t.Errorf("moment %d: writer %d's commit %d was acknowledged or read, the file has %d", moment, w, seen[w], stored[w])
					}
					if stored[w] > seen[w]+1 {
						t.Errorf("moment %d: writer %d sent up to commit %d, the file has %d", moment, w, seen[w]+1, stored[w])
					}
				}
				if t.Failed() {
					return
				}
				reached = stored
			}
		})
	}
}

// crashMoment is when a server is killed: so long after so many acknowledged commits.
type crashMoment struct {
	commits int64
	delay   time.Duration
}

// runUntilKilled serves file from a process of its own, has writers go on from what they reached, kills it at the
// moment, and returns the latest commit of each that was acknowledged or read.
func runUntilKilled(t *testing.T, file string, reached []int64, moment crashMoment) []int64 {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashFile+"="+file)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server said %q: %v", addr, err)
	}
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimSpace(addr), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := pb.NewFirestoreClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var commits atomic.Int64
	acknowledged, read := make([]int64, crashWriters), make([]int64, crashWriters)
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() { acknowledged[w] = writeUntilKilled(ctx, c, w, reached[w], &commits) })
		wg.Go(func() { read[w] = readUntilKilled(ctx, c, w) })
	}
	for commits.Load() < moment.commits && ctx.Err() == nil {
		time.Sleep(100 * time.Microsecond)
	}
	time.Sleep(moment.delay)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	// It was killed: its exit status says no more than that.
	if err := cmd.Wait(); err == nil {
		t.Error("the server ended by itself")
	}
	if commits.Load() < moment.commits {
		t.Errorf("only %d commits were acknowledged, want %d before the server is killed", commits.Load(), moment.commits)
	}
	for w := range acknowledged {
		acknowledged[w] = max(acknowledged[w], read[w])
	}
	return acknowledged
}

// writeUntilKilled commits until the server is gone, counts what was acknowledged and returns the last of it.
func writeUntilKilled(ctx context.Context, c pb.FirestoreClient, w int, last int64, commits *atomic.Int64) int64 {
	for {
		n := last + 1
		writes := []*pb.Write{set(fmt.Sprint("writers/", w), n)}
		for part := range crashParts {
			writes = append(writes,
				ifExists(false, set(partPath(w, n, part), n)),
				&pb.Write{Operation: &pb.Write_Delete{Delete: name(partPath(w, n-crashKept, part))}})
		}
		if err := commit(ctx, c, nil, writes...); err != nil {
			return last
		}
		last = n
		commits.Add(1)
	}
}

func partPath(w int, n int64, part int) string {
	return fmt.Sprintf("writers/%d/parts/%d-%d", w, n, part)
}

// readUntilKilled reads a writer's counter until the server is gone and returns the last that it saw.
func readUntilKilled(ctx context.Context, c pb.FirestoreClient, w int) int64 {
	last := int64(0)
	for {
		got, err := get(ctx, c, nil, fmt.Sprint("writers/", w))
		if err != nil {
			return last
		}
		last = max(last, got)
	}
}

// checkCrashed opens the file of a killed server, checks that it holds whole commits, and returns the last of each
// writer.
func checkCrashed(t *testing.T, file string) []int64 {
	t.Helper()
	s, err := firedb.Open(firedb.Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, ctx := pb.NewFirestoreClient(conn), t.Context()
	stored := make([]int64, crashWriters)
	for w := range crashWriters {
		last, err := get(ctx, c, nil, fmt.Sprint("writers/", w))
		if err != nil {
			t.Fatal(err)
		}
		stored[w] = max(last, 0)
		want := map[string]bool{}
		for n := max(1, stored[w]-crashKept+1); n <= stored[w]; n++ {
			for part := range crashParts {
				want[name(partPath(w, n, part))] = true
			}
		}
		list, err := c.ListDocuments(ctx, &pb.ListDocumentsRequest{Parent: name(fmt.Sprint("writers/", w)), CollectionId: "parts"})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.GetDocuments()) != len(want) {
			t.Errorf("writer %d at commit %d has %d parts, want %d", w, stored[w], len(list.GetDocuments()), len(want))
		}
		for _, d := range list.GetDocuments() {
			if !want[d.GetName()] {
				t.Errorf("writer %d at commit %d has the part %s", w, stored[w], d.GetName())
			}
		}
	}
	return stored
}

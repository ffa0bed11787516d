package audit

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	apiv1 "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/indexes"
	"github.com/fluxori/ai-credits/shared/needs"
)

// asEngine makes this test binary an engine that serves until its input ends, so that what it holds is not counted as the audit's.
const asEngine = "AUDIT_TEST_AS_ENGINE"

func TestMain(m *testing.M) {
	if os.Getenv(asEngine) != "1" {
		os.Exit(m.Run())
	}
	if err := serveEngine(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveEngine() error {
	set, err := indexes.Load()
	if err != nil {
		return err
	}
	s, err := firedb.Open(firedb.Options{Indexes: set})
	if err != nil {
		return err
	}
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(addr)
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	_ = err // the parent is gone, or done
	return s.Close()
}

// elsewhere is a system whose engine is a process of its own.
func elsewhere(t *testing.T) *system {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asEngine+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(strings.TrimSpace(addr), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	e := &engine.Engine{Name: "elsewhere", Project: "test-scale", Conn: conn}
	ctx := context.WithoutCancel(t.Context())
	if e.Client, err = firestore.NewClient(ctx, e.Project, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	if e.Raw, err = apiv1.NewClient(ctx, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	return open(t, e)
}

// maxLiveHeap bounds what this process may hold while a wallet is audited: a page of entries as they came and as they are read, and the tests
// around it.
const maxLiveHeap = 128 << 20

// liveHeap is what is in use once what is not needed is gone, in bytes.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// howMany names the variable that says how many entries a wallet is to have: a million takes the embedded engine, which has no indexes, some
// twenty minutes of its processor.
const howMany = "AUDIT_TEST_ENTRIES"

// TestManyEntriesAreProvenInBoundedMemory audits a wallet with 20,000 entries, with CREDITS_TEST_FULL=1 200,000, or as many as are asked for, over
// some weeks. What it holds must not grow with them.
func TestManyEntriesAreProvenInBoundedMemory(t *testing.T) {
	t.Parallel()
	n := 20_000
	if needs.Thorough() {
		n = 200_000
	}
	if asked, err := strconv.Atoi(os.Getenv(howMany)); err == nil {
		n = asked
	}
	s := elsewhere(t)
	s.live(t, "acme")
	s.do(t, "acme", purchase("pi_many", int64(2*n)))
	began := time.Now()
	spendMany(t, s, "acme", n, "many")
	t.Logf("%d entries written in %v", n, time.Since(began).Round(time.Second))
	s.ledger = nil // with what it remembers
	var err error
	s.auditor, err = New(Options{Documents: s.Client, Ledger: s.process(t), Log: slog.New(slog.NewJSONHandler(s.log, nil)), Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	var most int64
	var pages int
	began = time.Now()
	r, err := s.auditor.Wallet(t.Context(), "acme", Request{Whole: true, Progress: func(p Progress) {
		if pages++; pages%8 == 1 {
			held := liveHeap()
			most = max(most, held)
			t.Logf("%d of %d, %.1f MiB", p.Seq, p.Of, float64(held)/(1<<20))
		}
	}})
	if err != nil || r.Finding != nil || r.Entries < int64(n) {
		t.Fatalf("%+v, %v, %v", r, r.Finding, err)
	}
	t.Logf("%d entries proven in %v, %.1f MiB held at most, in %d pages", r.Entries, time.Since(began).Round(time.Millisecond), float64(most)/(1<<20), pages)
	if most > maxLiveHeap {
		t.Errorf("%d MiB are held", most>>20)
	}
	s.ledger = s.process(t)
	s.do(t, "acme", debit("acme", "one more", 1), credit.FreezeWallet{EventID: "f", Content: credit.Content{Kind: credit.KindFreeze, Org: "acme"}, Frozen: true, Reason: "x"})
	if again := s.agrees(t, "acme", false); again.Entries != 2 {
		t.Errorf("%+v reads what was verified", again)
	}
}

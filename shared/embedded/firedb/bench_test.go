package firedb_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// subject is what a benchmark measures.
type subject struct {
	name    string
	callers int // at most: more make Google's emulator fail nearly every transaction on one document
	dial    func(b *testing.B) *grpc.ClientConn
}

// subjects returns the engine in its three forms, and Google's emulator if CREDITS_TEST_EMULATOR says host:port.
func subjects() []subject {
	embedded := func(name string, options func(b *testing.B) firedb.Options) subject {
		return subject{name, math.MaxInt, func(b *testing.B) *grpc.ClientConn {
			b.Helper()
			conn, err := open(b, options(b)).Conn()
			if err != nil {
				b.Fatal(err)
			}
			return conn
		}}
	}
	out := []subject{
		embedded("memory", func(*testing.B) firedb.Options { return firedb.Options{} }),
		embedded("file", func(b *testing.B) firedb.Options {
			b.Helper()
			return firedb.Options{Path: filepath.Join(b.TempDir(), "documents.db")}
		}),
		embedded("file-nosync", func(b *testing.B) firedb.Options {
			b.Helper()
			return firedb.Options{Path: filepath.Join(b.TempDir(), "documents.db"), NoSync: true}
		}),
	}
	if addr := os.Getenv("CREDITS_TEST_EMULATOR"); addr != "" {
		out = append(out, subject{"emulator", 4, func(b *testing.B) *grpc.ClientConn {
			b.Helper()
			conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			return conn
		}})
	}
	return out
}

// benchmark runs f on every engine, with a project of its own.
func benchmark(b *testing.B, f func(ctx context.Context, b *testing.B, e subject, c *bench)) {
	b.Helper()
	for _, e := range subjects() {
		b.Run(e.name, func(b *testing.B) {
			conn := e.dial(b)
			id := fmt.Sprintf("bench-%d", time.Now().UnixNano())
			// The emulator takes this for an administrator, who passes its security rules.
			ctx := metadata.AppendToOutgoingContext(context.WithoutCancel(b.Context()), "authorization", "Bearer owner")
			client, err := firestore.NewClient(ctx, id, option.WithGRPCConn(conn), option.WithoutAuthentication())
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			f(ctx, b, e, &bench{client, pb.NewFirestoreClient(conn), "projects/" + id + "/databases/(default)"})
		})
	}
}

// bench is a benchmark's connection.
type bench struct {
	client   *firestore.Client
	api      pb.FirestoreClient
	database string
}

func (c *bench) set(path string, fields map[string]*pb.Value) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: c.database + "/documents/" + path, Fields: fields}}}
}

// spread calls f b.N times from callers and reports the rate of those that succeed.
func spread(b *testing.B, callers int, f func(caller, n int) error) {
	b.Helper()
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for caller := range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := f(caller, int(n)); err != nil {
					failed.Add(1)
					b.Log(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(int64(b.N)-failed.Load())/b.Elapsed().Seconds(), "ok/s")
	b.ReportMetric(float64(failed.Load()), "failed")
}

// BenchmarkTransaction reads and writes one of so many documents in a transaction, from 64 callers (4 on the emulator).
func BenchmarkTransaction(b *testing.B) {
	for _, documents := range []int{1, 100} {
		b.Run(fmt.Sprint("documents=", documents), func(b *testing.B) {
			benchmark(b, func(ctx context.Context, b *testing.B, e subject, c *bench) {
				b.Helper()
				for i := range documents {
					if _, err := c.client.Doc(fmt.Sprint("hot/", i)).Set(ctx, map[string]any{"n": 0}); err != nil {
						b.Fatal(err)
					}
				}
				spread(b, min(64, e.callers), func(caller, n int) error {
					doc := c.client.Doc(fmt.Sprint("hot/", (caller*7919+n)%documents))
					return c.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
						d, err := tx.Get(doc)
						if err != nil {
							return err
						}
						return tx.Update(doc, []firestore.Update{{Path: "n", Value: d.Data()["n"].(int64) + 1}})
					})
				})
			})
		})
	}
}

// BenchmarkBatchCommit commits a wallet with its last update time as precondition and 200 entries that must not exist,
// as the product does; each wallet has one caller.
func BenchmarkBatchCommit(b *testing.B) {
	const entries = 200
	for _, wallets := range []int{1, 16} {
		b.Run(fmt.Sprint("wallets=", wallets), func(b *testing.B) {
			benchmark(b, func(ctx context.Context, b *testing.B, e subject, c *bench) {
				b.Helper()
				callers := min(wallets, e.callers)
				wallet := make([]*pb.Write, callers)
				for w := range callers {
					wallet[w] = ifExists(false, c.set(fmt.Sprint("wallets/", w), nil))
				}
				spread(b, callers, func(w, n int) error {
					wallet[w].GetUpdate().Fields = map[string]*pb.Value{"seq": integer(int64(n)), "available": integer(1000), "grants": text(2000)}
					writes := []*pb.Write{wallet[w]}
					for i := range entries {
						writes = append(writes, ifExists(false, c.set(fmt.Sprintf("wallets/%d/entries/c_%08x-%d-%d", w, i*2654435761%(1<<32), n, i),
							map[string]*pb.Value{"kind": text(5), "credits": integer(15), "changes": text(150), "lane": integer(int64(i % 24))})))
					}
					r, err := c.api.Commit(ctx, &pb.CommitRequest{Database: c.database, Writes: writes})
					if err != nil {
						return err
					}
					wallet[w] = ifUnchangedSince(r.GetWriteResults()[0].GetUpdateTime(), c.set(fmt.Sprint("wallets/", w), nil))
					return nil
				})
				b.ReportMetric(float64(b.N*(entries+1))/b.Elapsed().Seconds(), "writes/s")
			})
		})
	}
}

// BenchmarkQuery filters and orders 20,000 documents, of which 5,000 match, and takes the first 50.
func BenchmarkQuery(b *testing.B) {
	const documents, perCommit = 20_000, 500
	benchmark(b, func(ctx context.Context, b *testing.B, _ subject, c *bench) {
		b.Helper()
		for from := 0; from < documents; from += perCommit {
			var writes []*pb.Write
			for i := from; i < from+perCommit; i++ {
				writes = append(writes, c.set(fmt.Sprint("q/", i), map[string]*pb.Value{
					"kind": integer(int64(i % 4)), "at": integer(int64(i * 7919 % documents)), "note": text(100),
				}))
			}
			if _, err := c.api.Commit(ctx, &pb.CommitRequest{Database: c.database, Writes: writes}); err != nil {
				b.Fatal(err)
			}
		}
		q := c.client.Collection("q").Where("kind", "==", 1).OrderBy("at", firestore.Desc).Limit(50)
		b.ResetTimer()
		for range b.N {
			docs, err := q.Documents(ctx).GetAll()
			if err != nil || len(docs) != 50 {
				b.Fatalf("%d documents, %v", len(docs), err)
			}
		}
	})
}

// BenchmarkReady opens a server in process, waits for its first answer and closes it.
func BenchmarkReady(b *testing.B) {
	for range b.N {
		s, err := firedb.Open(firedb.Options{})
		if err != nil {
			b.Fatal(err)
		}
		conn, err := s.Conn()
		if err != nil {
			b.Fatal(err)
		}
		if err := commit(b.Context(), pb.NewFirestoreClient(conn), nil, set("a/b", 1)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		conn.Close()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

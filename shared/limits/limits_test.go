package limits_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/wiring"
)

func load(t *testing.T) *limits.Table {
	t.Helper()
	l, err := limits.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEveryFunctionIsBounded(t *testing.T) {
	t.Parallel()
	l := load(t)
	folders, err := os.ReadDir(filepath.Join("..", "..", "functions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		row := l.Function(f.Name())
		if row.Concurrency == 0 {
			t.Errorf("limits.json has no row for %s", f.Name())
			continue
		}
		source, err := os.ReadFile(filepath.Join("..", "..", "functions", f.Name(), "function.go"))
		if err != nil {
			t.Fatal(err)
		}
		opens := "Open(ctx, " + strconv.Quote(f.Name()) // of package backend, or of merchant, which opens one
		if uses := strings.Contains(string(source), "backend."+opens) || strings.Contains(string(source), "merchant."+opens); uses != (row.Bounds != nil) {
			t.Errorf("%s has a backend bounded by its row: %v; the row has bounds for one: %v", f.Name(), uses, row.Bounds != nil)
		}
		if strings.Contains(string(source), "ledger.New(") {
			t.Errorf("%s makes a ledger by itself", f.Name())
		}
	}
}

// TestPushesAreThoseOfTheWiring holds the two tables together: who is pushed to, and how long a push may take.
func TestPushesAreThoseOfTheWiring(t *testing.T) {
	t.Parallel()
	l := load(t)
	w, err := wiring.Load()
	if err != nil {
		t.Fatal(err)
	}
	pushed := map[string]bool{}
	for _, s := range w.Subscriptions {
		pushed[s.Function] = true
		if f := l.Function(s.Function); f.AckDeadlineSeconds != s.AckDeadlineSeconds {
			t.Errorf("%s has %d s to acknowledge here and %d s in the wiring", s.Name, f.AckDeadlineSeconds, s.AckDeadlineSeconds)
		}
	}
	for _, f := range l.Functions {
		if f.PushConcurrency > 0 && !pushed[f.Name] {
			t.Errorf("%s is not pushed to, but has a limit for it", f.Name)
		}
	}
}

func TestTheLedgersOptionsAreTheRow(t *testing.T) {
	t.Parallel()
	f := load(t).Function("debit")
	b := f.Bounds
	o, err := f.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	if o.BatchItems != b.BatchItems || o.SharedBatchItems != b.SharedBatchItems || o.QueueItems != b.QueueItems || o.TotalItems != b.TotalItems ||
		o.CachedWallets != b.CachedWallets || o.RecentEntries != b.RecentEntries || o.Concurrency != b.WalletsAtWork ||
		int(o.Linger.Microseconds()) != b.LingerMicros {
		t.Errorf("%+v is not %+v", o, *b)
	}
	for _, without := range []string{"alerts", "nothing"} {
		if o, err := load(t).Function(without).Ledger(); err == nil {
			t.Errorf("%s has a ledger bounded by %+v", without, o)
		}
	}
}

func TestTheCollectorIsTheRuntimesUnlessTheRowSaysOtherwise(t *testing.T) {
	t.Parallel()
	for said, want := range map[int]int{0: 100, 150: 150} {
		f := limits.Function{MemoryMiB: 256, GCPercent: said}
		if p, l := f.CollectorPercent(), f.MemoryLimitBytes(); p != want || l != 192<<20 {
			t.Errorf("%d said: %d percent up to %d bytes, want %d percent up to 192 MiB", said, p, l, want)
		}
	}
}

func TestParseRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	const row = `"name":"one","concurrency":80,"cpu_millis":1000,"memory_mib":256,"min_instances":0,"max_instances":5,"push_concurrency":8,"ack_deadline_seconds":30,"reason":"r",` +
		`"ledger":{"batch_items":400,"shared_batch_items":1000,"queue_items":256,"total_items":4096,"cached_wallets":500,"recent_entries":1024,"wallets_at_work":64,"linger_micros":1000}`
	with := func(old, changed string) string {
		if !strings.Contains(row, old) {
			t.Fatalf("the row has no %s", old)
		}
		return `{"functions":[{` + strings.Replace(row, old, changed, 1) + `}]}`
	}
	tests := []struct{ name, table, want string }{
		{"a good row", with(`"one"`, `"one"`), ""},
		{"an unknown member", with(`"reason":"r"`, `"reason":"r","color":1`), "unknown field"},
		{"something after it", with(`"one"`, `"one"`) + "{}", "follows"},
		{"a name", with(`"one"`, `"One"`), "no function's name"},
		{"a name twice", `{"functions":[{` + row + `},{` + row + `}]}`, "twice"},
		{"no reason", with(`"r"`, `""`), "why"},
		{"concurrency without a whole processor", with(`:1000,"memory`, `:500,"memory`), "cpu_millis"},
		{"more at once than Cloud Run allows", with(`"concurrency":80`, `"concurrency":1001`), "concurrency"},
		{"little memory", with(`256,"min`, `64,"min`), "memory_mib"},
		{"more instances at least than at most", with(`"min_instances":0`, `"min_instances":6`), "min_instances"},
		{"more pushes than requests", with(`"push_concurrency":8`, `"push_concurrency":81`), "push_concurrency"},
		{"pushes without a deadline", with(`"ack_deadline_seconds":30,`, ``), "go together"},
		{"a short deadline", with(`:30`, `:9`), "ack_deadline_seconds"},
		{"a batch larger than when shared", with(`"batch_items":400`, `"batch_items":1001`), "batch_items"},
		{"a queue larger than all", with(`"queue_items":256`, `"queue_items":4097`), "queue_items"},
		{"less room than requests", with(`"total_items":4096`, `"total_items":79`), "total_items"},
		{"no slots", with(`"wallets_at_work":64`, `"wallets_at_work":0`), "wallets_at_work"},
		{"a heap that may not grow", with(`"reason"`, `"gc_percent":49,"reason"`), "gc_percent"},
		{"a collector told", with(`"reason"`, `"gc_percent":150,"reason"`), ""},
		{"a long linger", with(`"linger_micros":1000`, `"linger_micros":10001`), "linger_micros"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := limits.Parse([]byte(tt.table))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// Package limits is the one table of what bounds each function: how many requests an instance takes at once, its processor and memory, how
// many instances there are, how much waits in it, and how fast it is pushed to, each row with the reason for its figures.
//
// The table is limits.json. Terraform sets it in the cloud, with jsondecode; the functions take the bounds of their ledger from it; the load
// test runs with it. So what is measured is what is deployed.
//
// Invariants: a Table has passed every check of [Parse]; an instance can hold all the requests it is sent, so that its queues, and not the
// platform, say when it is full; acknowledgement deadlines are those of package wiring, and each function has its row, which tests hold to.
//
// It does not own deadlines of requests and limits of their bodies, which are part of a function's contract (package serve), nor what sets
// functions off (package wiring).
package limits

import (
	_ "embed" // for the table
	"fmt"
	"regexp"
	"time"

	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/table"
	"github.com/fluxori/ai-credits/shared/throttle"
)

//go:embed limits.json
var own []byte

// Table is what bounds the functions.
type Table struct {
	Functions []Function `json:"functions"`
}

// Function is what bounds one function.
type Function struct {
	Name string `json:"name"`
	// Concurrency is how many requests an instance takes at once.
	Concurrency int `json:"concurrency"`
	// CPUMillis is an instance's processor in thousandths, MemoryMiB its memory.
	CPUMillis    int `json:"cpu_millis"`
	MemoryMiB    int `json:"memory_mib"`
	MinInstances int `json:"min_instances"`
	MaxInstances int `json:"max_instances"`
	// PushConcurrency is how many pushes may be under way to an instance, AckDeadlineSeconds how long one may take; 0 for a function that is
	// not pushed to.
	PushConcurrency    int `json:"push_concurrency,omitempty"`
	AckDeadlineSeconds int `json:"ack_deadline_seconds,omitempty"`
	// Bounds are those of the function's ledger; nil for one that has none.
	Bounds *Bounds `json:"ledger,omitempty"`
	// Caller bounds how often one caller asks one instance; nil for a function that only Google and Stripe call.
	Caller *Caller `json:"caller,omitempty"`
	// GCPercent is how far the heap may grow beyond what is live before it is collected; 0 for the runtime's 100 percent.
	GCPercent int    `json:"gc_percent,omitempty"`
	Reason    string `json:"reason"`
}

// Bounds are those of a ledger. Their meaning is that of [ledger.Options].
type Bounds struct {
	BatchItems       int `json:"batch_items"`
	SharedBatchItems int `json:"shared_batch_items"`
	QueueItems       int `json:"queue_items"`
	TotalItems       int `json:"total_items"`
	CachedWallets    int `json:"cached_wallets"`
	RecentEntries    int `json:"recent_entries"`
	WalletsAtWork    int `json:"wallets_at_work"`
	LingerMicros     int `json:"linger_micros"`
}

// Caller bounds one caller. Its meaning is that of [throttle.Options].
type Caller struct {
	PerSecond int `json:"per_second"`
	Burst     int `json:"burst"`
	// Remembered is how many callers an instance remembers.
	Remembered int `json:"remembered"`
}

// Gate returns what holds callers to the function's bound; nil if it has none.
func (f Function) Gate() (*throttle.Gate, error) {
	c := f.Caller
	if c == nil {
		return nil, nil //nolint:nilnil // of a function without callers
	}
	return throttle.New(throttle.Options{PerSecond: c.PerSecond, Burst: c.Burst, Callers: c.Remembered})
}

// Ledger returns the options of the function's ledger; clock, publisher and logger are the caller's to add. A function without one is an
// error.
func (f Function) Ledger() (ledger.Options, error) {
	b := f.Bounds
	if b == nil {
		return ledger.Options{}, fmt.Errorf("limits.json has no bounds for a ledger of %q", f.Name)
	}
	return ledger.Options{
		BatchItems: b.BatchItems, SharedBatchItems: b.SharedBatchItems, QueueItems: b.QueueItems, TotalItems: b.TotalItems,
		CachedWallets: b.CachedWallets, RecentEntries: b.RecentEntries, Concurrency: b.WalletsAtWork,
		Linger: time.Duration(b.LingerMicros) * time.Microsecond,
	}, nil
}

// MemoryLimitBytes is when an instance's collector works harder: at three quarters of its memory. Terraform sets it as GOMEMLIMIT. Set much
// lower, an instance that has more live than that would spend most of its processor on collecting.
func (f Function) MemoryLimitBytes() int64 { return int64(f.MemoryMiB) << 20 / 4 * 3 }

// CollectorPercent is how far an instance's heap may grow beyond what is live before it is collected. Terraform sets it as GOGC.
func (f Function) CollectorPercent() int {
	if f.GCPercent > 0 {
		return f.GCPercent
	}
	return 100
}

// Load returns the system's own table.
func Load() (*Table, error) {
	t, err := Parse(own)
	if err != nil {
		return nil, fmt.Errorf("limits.json: %w", err)
	}
	return t, nil
}

// Parse reads and checks a table. Unknown members are errors, and so is whatever cannot be or be deployed; the error tells all.
func Parse(data []byte) (*Table, error) {
	t, err := table.Read[Table](data)
	if err != nil {
		return nil, err
	}
	c := checker{names: map[string]bool{}}
	for _, f := range t.Functions {
		c.function(f)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return &t, nil
}

// Function returns a function's row; an empty row with its name for one that is not in the table.
func (t *Table) Function(name string) Function {
	for _, f := range t.Functions {
		if f.Name == name {
			return f
		}
	}
	return Function{Name: name}
}

var namePattern = regexp.MustCompile(`^[a-z]+$`)

// checker gathers what is wrong with a table.
type checker struct {
	table.Findings
	names map[string]bool
}

// function checks a row against what Cloud Run and Pub/Sub take, and against itself.
func (c *checker) function(f Function) {
	c.Must(namePattern.MatchString(f.Name), "%q is no function's name", f.Name)
	c.Must(!c.names[f.Name], "%s is listed twice", f.Name)
	c.Must(f.Reason != "", "%s does not say why", f.Name)
	c.names[f.Name] = true
	c.Within(f.Name+": concurrency", f.Concurrency, 1, 1000)
	c.Within(f.Name+": cpu_millis", f.CPUMillis, 1000, 8000) // less allows no concurrency
	c.Within(f.Name+": memory_mib", f.MemoryMiB, 128, 32<<10)
	c.Within(f.Name+": max_instances", f.MaxInstances, 1, 100)
	c.Within(f.Name+": min_instances", f.MinInstances, 0, f.MaxInstances)
	if f.GCPercent != 0 {
		c.Within(f.Name+": gc_percent", f.GCPercent, 50, 1000)
	}
	c.Must((f.PushConcurrency > 0) == (f.AckDeadlineSeconds > 0), "%s: push_concurrency and ack_deadline_seconds go together", f.Name)
	if f.PushConcurrency > 0 {
		c.Within(f.Name+": push_concurrency", f.PushConcurrency, 1, f.Concurrency)
		c.Within(f.Name+": ack_deadline_seconds", f.AckDeadlineSeconds, 10, 600)
	}
	if f.Caller != nil {
		c.Within(f.Name+": caller per_second", f.Caller.PerSecond, 1, 100_000)
		c.Within(f.Name+": caller burst", f.Caller.Burst, f.Concurrency, 1_000_000) // a caller alone can fill an instance
		c.Within(f.Name+": caller remembered", f.Caller.Remembered, f.Concurrency, 100_000)
	}
	if f.Bounds != nil {
		c.bounds(f)
	}
}

func (c *checker) bounds(f Function) {
	b := f.Bounds
	c.Within(f.Name+": batch_items", b.BatchItems, 1, 1000)
	c.Within(f.Name+": shared_batch_items", b.SharedBatchItems, b.BatchItems, 2000)
	c.Within(f.Name+": queue_items", b.QueueItems, 1, b.TotalItems)
	c.Within(f.Name+": total_items", b.TotalItems, f.Concurrency, 1<<17) // what an instance is sent finds room
	c.Within(f.Name+": cached_wallets", b.CachedWallets, 1, 10_000)
	c.Within(f.Name+": recent_entries", b.RecentEntries, 1, 1<<17)
	c.Within(f.Name+": wallets_at_work", b.WalletsAtWork, 1, 1000)
	c.Within(f.Name+": linger_micros", b.LingerMicros, 1, 10_000)
}

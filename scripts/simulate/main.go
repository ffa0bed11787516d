// Package simulate runs the whole credit system, with its real functions and client libraries, against faults at high rates, in virtual time,
// and judges it by rules that are written down a second time.
//
//	go run ./scripts/simulate                     100 runs, each of 1,000 operations
//	go run ./scripts/simulate -seeds 1000         as many as are wanted
//	go run ./scripts/simulate -first 77 -seeds 1  one again
//
// One seed makes every choice that can be made: what people, services, Stripe and the scheduler do, and what goes wrong. What it cannot choose is
// in which order the Go scheduler lets goroutines go on: so a run is nearly, not wholly, repeatable. A run that breaks a rule prints the rule,
// its history, and a smaller run that breaks one too.
//
// It does not own the rules: they are DESIGN's, §4. It shares no code with what it judges; what it reads of the store is the format of §5.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	var p plan
	seeds := flag.Int("seeds", 100, "how many runs")
	first := flag.Uint64("first", 1, "the first seed")
	flag.IntVar(&p.Operations, "operations", 1000, "what is done in a run, about")
	flag.IntVar(&p.Rounds, "rounds", rounds, "rounds of trouble in a run")
	flag.IntVar(&p.Orgs, "orgs", 3, "organisations in a run")
	jobs := flag.Int("jobs", runtime.NumCPU(), "runs at once, each in a process of its own")
	out := flag.String("out", "", "a folder for the histories of runs that break a rule; none without it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := runAll(ctx, p, *first, *seeds, *jobs, *out)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// report is what a process says of its run.
type report struct {
	Result
	History string
}

// How a plan is handed to a process that runs it, and where that writes its report. Virtual time is to be had in tests only.
const (
	planVariable   = "CREDITS_SIMULATE_PLAN"
	reportVariable = "CREDITS_SIMULATE_REPORT"
)

// runner starts runs, each in a process of its own: one that panics or hangs is a broken run, not the end of all.
type runner struct {
	folder string // with the program, and the reports
	n      atomic.Int64
}

// newRunner builds the program that runs plans.
func newRunner(ctx context.Context) (*runner, error) {
	folder, err := os.MkdirTemp("", "simulate")
	if err != nil {
		return nil, err
	}
	r := &runner{folder: folder}
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", r.program(), "github.com/fluxori/ai-credits/scripts/simulate").CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build the simulation: %w\n%s", err, out), r.close())
	}
	return r, nil
}

func (r *runner) program() string { return filepath.Join(r.folder, "simulation") }
func (r *runner) close() error    { return os.RemoveAll(r.folder) }

// run runs a plan.
func (r *runner) run(ctx context.Context, p plan) report {
	ctx, cancel := context.WithTimeout(ctx, maxReal)
	defer cancel()
	sent, err := json.Marshal(p)
	must(err)
	file := filepath.Join(r.folder, fmt.Sprintf("report-%d.json", r.n.Add(1)))
	c := exec.CommandContext(ctx, r.program(), "-test.run", "^TestRulesHoldUnderFaults$")
	c.Env = append(os.Environ(), "GOMAXPROCS=1", planVariable+"="+string(sent), reportVariable+"="+file)
	said, failed := c.CombinedOutput()
	var out report
	data, err := os.ReadFile(file)
	if err == nil {
		err = errors.Join(json.Unmarshal(data, &out), os.Remove(file))
	}
	if err != nil || failed != nil && out.Broken == "" {
		out.Plan, out.Broken = p, fmt.Sprintf("the process failed: %v", errors.Join(failed, err))
		out.History = string(said[max(0, len(said)-maxTail):])
	}
	return out
}

const (
	// maxReal is how long a run may take, in real time.
	maxReal = 5 * time.Minute
	maxTail = 64 << 10
)

// totals are what all runs came to.
type totals struct {
	runs, operations int
	faults           map[kind]int
	simulated        time.Duration
	broken           []report
}

func runAll(ctx context.Context, p plan, first uint64, seeds, jobs int, out string) (err error) {
	began := time.Now()
	processes, err := newRunner(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, processes.close()) }()
	sum := totals{faults: map[kind]int{}}
	todo, reports := make(chan plan), make(chan report)
	var workers sync.WaitGroup
	for range max(jobs, 1) {
		workers.Go(func() {
			for p := range todo {
				reports <- processes.run(ctx, p)
			}
		})
	}
	go func() {
		defer close(todo)
		for i := range seeds {
			p.Seed = first + uint64(i) //nolint:gosec // a count
			select {
			case todo <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() { workers.Wait(); close(reports) }()
	for r := range reports {
		if ctx.Err() != nil {
			break
		}
		sum.add(r)
		if r.Broken != "" {
			fmt.Printf("\nseed %d broke a rule: %s\n", r.Plan.Seed, r.Broken)
		}
		if sum.runs%10 == 0 || sum.runs == seeds {
			fmt.Printf("%d of %d runs, %d operations, %.1f runs a minute, %s simulated, %d broken\n",
				sum.runs, seeds, sum.operations, float64(sum.runs)/time.Since(began).Minutes(), sum.simulated.Round(time.Hour), len(sum.broken))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	sum.print(os.Stdout)
	for i, r := range sum.broken {
		small := r
		if i == 0 {
			small = processes.shrink(ctx, r)
		}
		if err := small.tell(os.Stdout, out); err != nil {
			return err
		}
	}
	if len(sum.broken) > 0 {
		return fmt.Errorf("%d of %d runs broke a rule", len(sum.broken), sum.runs)
	}
	return nil
}

func (t *totals) add(r report) {
	t.runs++
	t.operations += r.Operations
	t.simulated += r.Simulated
	for k, n := range r.Faults {
		t.faults[k] += n
	}
	if r.Broken != "" {
		t.broken = append(t.broken, r)
	}
}

func (t *totals) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d operations in %d runs, %.0f simulated days. Faults injected:\n", t.operations, t.runs, t.simulated.Hours()/24)
	for _, k := range kinds {
		fmt.Fprintf(w, "%9d  %s\n", t.faults[k], k)
	}
}

// tell prints a broken run, and keeps its history.
func (r report) tell(w io.Writer, folder string) error {
	fmt.Fprintf(w, "\nseed %d, %d operations in %d rounds, %d organisations, without %q: %s\n",
		r.Plan.Seed, r.Plan.Operations, r.Plan.Rounds, r.Plan.Orgs, r.Plan.Without, r.Broken)
	if folder == "" {
		_, err := io.WriteString(w, r.History)
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	path := filepath.Join(folder, fmt.Sprintf("seed-%d.txt", r.Plan.Seed))
	return errors.Join(os.WriteFile(path, []byte(r.Broken+"\n\n"+r.History), 0o600))
}

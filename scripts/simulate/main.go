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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
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
	one := flag.Bool("one", false, "run the plan that is read from standard input in this process, and print its result; what the others do")
	testing.Init()
	flag.Parse()
	if *one {
		if err := runOne(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runAll(ctx, p, *first, *seeds, *jobs, *out); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		stop()
		os.Exit(1)
	}
}

// report is what a process says of its run.
type report struct {
	result
	History string
}

// bubble runs a plan in virtual time.
func bubble(p plan) (out report) {
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "seed", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) { out.result = simulate(p, slog.New(slog.DiscardHandler)) })
	}}})
	if !ok && out.Broken == "" {
		out.Broken = "the run did not end as it should"
	}
	if out.Broken != "" {
		var b bytes.Buffer
		out.history.print(&b)
		out.History = b.String()
	}
	return out
}

func runOne(in io.Reader, out io.Writer) error {
	var p plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(bubble(p))
}

// start runs a plan in a process of its own: one that panics or hangs is a broken run, not the end of all.
func start(ctx context.Context, p plan) report {
	ctx, cancel := context.WithTimeout(ctx, maxReal)
	defer cancel()
	sent, err := json.Marshal(p)
	must(err)
	self, err := os.Executable()
	must(err)
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, self, "-one")
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(sent), &stdout, &stderr
	err = c.Run()
	var r report
	if err != nil || json.Unmarshal(stdout.Bytes(), &r) != nil {
		tail := stderr.String()
		return report{result: result{Plan: p, Broken: fmt.Sprintf("the process failed (%v)", err)}, History: tail[max(0, len(tail)-maxTail):]}
	}
	return r
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

func runAll(ctx context.Context, p plan, first uint64, seeds, jobs int, out string) error {
	began := time.Now()
	sum := totals{faults: map[kind]int{}}
	todo, reports := make(chan plan), make(chan report)
	var workers sync.WaitGroup
	for range max(jobs, 1) {
		workers.Go(func() {
			for p := range todo {
				reports <- start(ctx, p)
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
			small = shrink(ctx, r)
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

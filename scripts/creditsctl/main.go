// Command creditsctl is the operators' tool.
//
//	go run ./scripts/creditsctl                       # the verbs
//	go run ./scripts/creditsctl help adjust           # one verb: flags, who may, an example
//	go run ./scripts/creditsctl balance acme          # of the system on this machine
//	go run ./scripts/creditsctl balance acme -to https://europe-west4-PROJECT.cloudfunctions.net
//
// What concerns organisations, purchases, messages and the catalogue goes through the function account, as the person whose ID token is given; jobs
// through Cloud Scheduler and copies of wallets through Firestore, as Google's application default credentials. README.md has a walk through it.
//
// Invariants: what moves credits or money, or cannot be undone, is shown first and asks, unless -yes is given; where nobody can answer and -yes
// is not given, it is refused. What takes a key prints it before the first attempt, so that it can be repeated as the same. People read tables on
// standard output; -json gives programs the API's own JSON there, one object a line, and nothing else. Questions, progress and errors go to
// standard error. Every command ends within its -timeout. It ends with 0 if it was done, 1 if it was refused or failed, 2 if it was not understood.
//
// It does not own what anybody may do, nor what anything does: each verb asks a function or a package that decides.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // organisations' zones, wherever it runs

	"golang.org/x/term"
	"google.golang.org/api/option"
)

// What the command ends with.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t := &tool{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv, terminal: term.IsTerminal(int(os.Stdin.Fd())), http: http.DefaultClient, //nolint:gosec // a descriptor is small
		sleep: sleep,
	}
	code := t.main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// tool is one run of the command.
type tool struct {
	in io.Reader
	// terminal says that somebody sits there who can answer.
	terminal bool
	out, err io.Writer
	lookup   func(string) (string, bool) // of the environment
	http     *http.Client
	sleep    func(context.Context, time.Duration) error
	// options reach Google's services; none for the real ones.
	options []option.ClientOption

	// What every verb's flags say.
	json    bool
	timeout time.Duration
	yes     bool
}

// defaultTimeout bounds one command, with the time that a person takes to answer.
const defaultTimeout = 2 * time.Minute

// errUsage says that the command line was not understood; how it should be has been printed.
var errUsage = errors.New("not understood")

// main runs the command and returns what it ends with.
func (t *tool) main(ctx context.Context, args []string) int {
	err := t.run(ctx, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.Is(err, errUsage):
		fmt.Fprintln(t.err, "creditsctl:", err)
		return exitUsage
	}
	fmt.Fprintln(t.err, "creditsctl:", err)
	return exitFailed
}

func (t *tool) run(ctx context.Context, args []string) error {
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		return t.help(args[1:])
	}
	v, rest, ok := find(args)
	if !ok {
		t.usage()
		return fmt.Errorf("%w: %q", errUsage, strings.Join(args, " "))
	}
	flags, do := t.prepare(v)
	operands, err := parse(flags, rest)
	if err != nil {
		return err
	}
	if len(operands) != len(v.operands) {
		flags.Usage()
		return fmt.Errorf("%w: %s takes %d operands, not %d", errUsage, v.name, len(v.operands), len(operands))
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return do(ctx, operands)
}

// prepare makes the flags of a verb, and what runs once they are parsed.
func (t *tool) prepare(v verb) (*flag.FlagSet, action) {
	flags := flag.NewFlagSet(v.name, flag.ContinueOnError)
	flags.SetOutput(t.err)
	flags.Usage = func() { t.describe(v, flags) }
	flags.BoolVar(&t.json, "json", false, "answer in JSON, one object a line")
	flags.DurationVar(&t.timeout, "timeout", defaultTimeout, "how long it may take")
	if v.asks {
		flags.BoolVar(&t.yes, "yes", false, "do not ask")
	}
	return flags, v.prepare(t, flags)
}

// parse reads flags before, between and after operands.
func parse(flags *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if flags.NArg() == 0 {
			return operands, nil
		}
		operands, args = append(operands, flags.Arg(0)), flags.Args()[1:]
	}
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Command creditsctl is the operators' tool.
//
//	go run ./scripts/creditsctl                              # the verbs
//	go run ./scripts/creditsctl jobs apply -project PROJECT  # make Cloud Scheduler's jobs those of the list
//	go run ./scripts/creditsctl jobs list -h                 # a verb's flags
//
// It signs in as whoever runs it: Google's application default credentials.
//
// Invariants: what changes more than it names is shown first, and asks, unless -yes is given; -dry-run changes nothing. People read tables
// on standard output; -json gives programs the same there, and nothing else. Questions and errors go to standard error. Every command ends
// within its -timeout. It decides nothing itself: each verb asks a package that does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"google.golang.org/api/option"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &tool{in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv}
	if err := t.run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "creditsctl:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// verb is something that the tool does. Its name may be several words.
type verb struct {
	name    string
	operand string // what it wants beside its flags; empty for nothing
	summary string
	// prepare adds the verb's flags, and returns what is run once they are parsed.
	prepare func(t *tool, flags *flag.FlagSet) action
}

// action runs a verb on its operand.
type action func(ctx context.Context, operand string) error

// verbs are all that the tool does.
func verbs() []verb { return slices.Concat(jobVerbs(), walletVerbs()) }

// tool is one run of the command.
type tool struct {
	in       io.Reader
	out, err io.Writer
	lookup   func(string) (string, bool) // of the environment
	// options reach Google's services; none for the real ones.
	options []option.ClientOption

	// What every verb's flags say.
	json    bool
	timeout time.Duration
}

// defaultTimeout bounds one command, with the time that a person takes to answer.
const defaultTimeout = 2 * time.Minute

// errUsage says that the command line was not understood; how it should be has been printed.
var errUsage = errors.New("that is no command")

func (t *tool) run(ctx context.Context, args []string) error {
	v, rest, ok := find(args)
	if !ok {
		t.usage()
		if len(args) == 0 || slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
			return flag.ErrHelp
		}
		return fmt.Errorf("%w: %s", errUsage, strings.Join(args, " "))
	}
	flags := flag.NewFlagSet(v.name, flag.ContinueOnError)
	flags.SetOutput(t.err)
	flags.Usage = func() {
		fmt.Fprintf(t.err, "creditsctl %s %s[flags]: %s\n", v.name, spaced(v.operand), v.summary)
		flags.PrintDefaults()
	}
	flags.BoolVar(&t.json, "json", false, "answer in JSON")
	flags.DurationVar(&t.timeout, "timeout", defaultTimeout, "how long it may take")
	do := v.prepare(t, flags)
	operands, err := parse(flags, rest)
	if err != nil {
		return err
	}
	wanted := 0
	if v.operand != "" {
		wanted = 1
	}
	if len(operands) != wanted {
		flags.Usage()
		return fmt.Errorf("%w: %s takes %d operands, not %d", errUsage, v.name, wanted, len(operands))
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return do(ctx, strings.Join(operands, ""))
}

// find returns the verb that the arguments begin with, and those after it.
func find(args []string) (verb, []string, bool) {
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return v, args[len(words):], true
		}
	}
	return verb{}, nil, false
}

// parse reads flags before, between and after operands.
func parse(flags *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return operands, nil
		}
		operands, args = append(operands, flags.Arg(0)), flags.Args()[1:]
	}
}

func (t *tool) usage() {
	fmt.Fprintln(t.err, "creditsctl VERB [flags], where VERB is")
	w := tabwriter.NewWriter(t.err, 0, 0, 2, ' ', 0)
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %s %s\t%s\n", v.name, v.operand, v.summary)
	}
	w.Flush()
	fmt.Fprintln(t.err, "creditsctl VERB -h lists a verb's flags.")
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return s + " "
}

// answer prints a value as JSON when that was asked for, and otherwise as a table that rows writes, cells separated by tabs.
func (t *tool) answer(value any, rows func(w io.Writer)) error {
	if t.json {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	rows(w)
	return w.Flush()
}

// errNotConfirmed says that a person did not agree.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm asks a person. Anything but yes is no, and so is no answer before the context ends.
func (t *tool) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(t.err, "%s [yes/no] ", question)
	answered := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(t.in, 1<<10)).ReadString('\n')
		if err != nil && line == "" {
			line = "no"
		}
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answered:
		if a != "yes" && a != "y" {
			return errNotConfirmed
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNotConfirmed, ctx.Err())
	}
}

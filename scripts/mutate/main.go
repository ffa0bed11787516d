// Command mutate breaks the domain and the ledger in named ways, one at a time, and shows for each a test that notices.
//
//	go run ./scripts/mutate                 each mutation with the test that is known to notice it
//	go run ./scripts/mutate -search -write  look for a test where none is known, or the known one does not notice, and keep it in the list
//	go run ./scripts/mutate -only 'hold'    those whose name matches
//
// A mutation is a text in one file, which must be there exactly once, and what takes its place: mutations.json. The tree is not touched: go
// test is given the changed file by an overlay, so that what did not change is not built again. It ends with 1 when a mutation survives, does
// not build, or no longer fits the code.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "a regular expression of names")
	search := flags.Bool("search", false, "look for a test in the whole package where the known one does not notice")
	write := flags.Bool("write", false, "keep the tests that were found in the list")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood", flags.Arg(0))
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	root, err := findRoot(ctx)
	if err != nil {
		return err
	}
	list, err := load(root)
	if err != nil {
		return err
	}
	b, err := newBreaker(root, *search, "-rapid.nofailfile") // what fails on broken code is not to be tried again
	if err != nil {
		return err
	}
	defer b.close()
	return b.breakAll(ctx, list, match, stdout, func() error {
		if *write {
			return save(root, list)
		}
		return nil
	})
}

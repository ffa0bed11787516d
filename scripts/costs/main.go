// Command costs computes what a month costs, from list prices, a stated use, and operations that it counts.
//
//	go run ./scripts/costs [-write FILE]
//
// It runs each kind of request against the embedded Firestore, which counts documents as Firestore bills them, and multiplies. It prints the
// tables that README.md shows, or with -write puts them there.
//
// Invariants: amounts are integers, nano-dollars; every figure that is not counted stands in prices.go or use.go, with its meaning; free tiers
// are left out, so that small figures are too high rather than too low.
//
// It does not own prices: the provider's list does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// timeout bounds a run.
const timeout = 2 * time.Minute

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "costs:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("costs", flag.ContinueOnError)
	file := flags.String("write", "", "the README to put the tables into")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	text, err := report(ctx)
	if err != nil {
		return err
	}
	if *file == "" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	readme, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	shown, err := between(string(readme), text)
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	return os.WriteFile(*file, []byte(shown), 0o644)
}

// The marks in the README around what is computed.
const (
	begin = "<!-- computed -->\n"
	end   = "<!-- /computed -->\n"
)

// between puts a text between the marks.
func between(readme, text string) (string, error) {
	before, rest, ok := strings.Cut(readme, begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", errors.New("there are no marks around what is computed")
	}
	return before + begin + text + end + after, nil
}

// Command loadtest drives the hot path and measures it: package ledger directly, the debit function over HTTP, or the usage function over
// Pub/Sub, in processes of their own, beside the naive transaction per debit in the same run.
//
//	go run ./scripts/loadtest                                  # one wallet, 256 callers, 5 ms added to every RPC
//	go run ./scripts/loadtest -callers 1024 -delay region -processes 4
//	go run ./scripts/loadtest -via http -processes 4 -kill
//	go run ./scripts/loadtest -h
//
// Invariants: it ends by itself, and with it every process it started; it listens on loopback only; what is in flight, kept and read is
// bounded. When the load is over every wallet is audited and compared with what callers were told: acknowledged is charged, once, and what
// was refused is not; a refusal means that the wallet was dry. A figure is printed only beside the outcome of that check, and the command
// fails with it.
//
// It re-executes itself for each role: the engine (Firestore, Pub/Sub and an issuer of tokens), the function's processes and the drivers.
// A driver holds the ledger itself when it drives it directly. It does not own limits or deadlines: those are the functions' own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// roleSetting names the environment variable that makes the process one of those that the command starts.
const roleSetting = "LOADTEST_ROLE"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if role := os.Getenv(roleSetting); role != "" {
		err = play(ctx, role, os.Stdin, os.Stdout)
	} else {
		err = command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// play is one of the processes that the command starts.
func play(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	switch role {
	case roleEngine:
		return playEngine(ctx, in, out)
	case roleFunction:
		return playFunction(ctx, in, out)
	case roleDriver:
		return playDriver(ctx, in, out)
	}
	return fmt.Errorf("there is no role %q", role)
}

// command carries out what the command line asks for.
func command(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) > 0 && args[0] == "starts" {
		return commandStarts(ctx, args[1:], out, progress)
	}
	p, err := parsePlan(args, progress)
	if err != nil {
		return err
	}
	r, err := run(ctx, p, progress)
	if err != nil {
		return err
	}
	if p.JSON {
		err = r.writeJSON(out)
	} else {
		err = r.writeTable(out)
	}
	if err != nil {
		return err
	}
	if len(r.Violations) > 0 {
		return fmt.Errorf("%d invariants do not hold", len(r.Violations))
	}
	return nil
}

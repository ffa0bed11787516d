// Command local runs the whole credit system in one process, for development, demonstrations and tests: every function, an embedded Firestore
// and Pub/Sub, stand-ins for Stripe, for the OpenID Connect issuer and for the mail server, and the scheduled jobs.
//
//	go run ./scripts/local [-addr localhost:8080] [-data DIR] [-demo=false] [-v]
//
// It listens on loopback only, needs nothing but Go, and keeps nothing unless -data names a folder: then credits, events and the clock survive
// even a SIGKILL, Stripe's stand-in all but its last 200 ms or so; e-mails and signing keys last as long as the process. With FIRESTORE_EMULATOR_HOST,
// PUBSUB_EMULATOR_HOST, STRIPE_API_KEY or SMTP_HOST set, it uses those instead of its own.
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
	"time"
)

// stopTimeout bounds how long a clean stop may take.
const stopTimeout = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := options{stderr: stderr, environ: os.LookupEnv}
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "localhost:8080", "where to serve; loopback only")
	flags.StringVar(&o.data, "data", "", "a folder that keeps the data; empty keeps nothing")
	flags.BoolVar(&o.demo, "demo", true, "make a demonstration organisation with a month of history")
	flags.BoolVar(&o.verbose, "v", false, "log every request")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag; try -help", flags.Arg(0))
	}
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	s.welcome(stdout)
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.failed:
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(failed, s.stop(stopping))
}

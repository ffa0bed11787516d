// Command acceptance tries a deployment: what Stripe, an AI service over HTTP and one over Pub/Sub would do, and that it had its effect.
//
//	STRIPE_WEBHOOK_SECRETS=… go run ./scripts/acceptance -project PROJECT -id ID [-livemode]
//
// It runs at the end of a build, as the account that deploys: one of the callers of debit, bound to the organisation smoke, which
// scripts/bootstrap registers. An event of Stripe's that asks for nothing is taken if it is signed, and refused if it is not. A debit is
// decided. A usage message is charged for within two minutes. What was charged is given back, so that the organisation's figures do not grow.
//
// Invariants: no other organisation is touched; the ids of its commands follow from -id, so that a repeated run has no second effect.
//
// It does not own what is right in detail: the tests do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/idtoken"
)

// What bounds a run: rights that a deployment has just given can take minutes until they hold, so that what fails is tried again.
const (
	timeout = 15 * time.Minute
	tries   = 6
	pause   = 30 * time.Second
)

var (
	projectPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("acceptance", flag.ContinueOnError)
	project := flags.String("project", "", "the Google Cloud project")
	id := flags.String("id", "", "what the ids of this run's commands begin with")
	livemode := flags.Bool("livemode", false, "whether the deployment takes Stripe's live events")
	if err := flags.Parse(args); err != nil {
		return err
	}
	secret, _, _ := strings.Cut(env("STRIPE_WEBHOOK_SECRETS"), ",")
	switch {
	case !projectPattern.MatchString(*project):
		return fmt.Errorf("-project names no Google Cloud project: %q", *project)
	case !idPattern.MatchString(*id):
		return fmt.Errorf("-id is %q, not 1 to 64 letters, digits and dashes", *id)
	case secret == "":
		return errors.New("STRIPE_WEBHOOK_SECRETS is not set")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	messages, err := pubsub.NewClient(ctx, *project)
	if err != nil {
		return fmt.Errorf("open Pub/Sub: %w", err)
	}
	defer messages.Close()
	base := "https://europe-west4-" + *project + ".cloudfunctions.net/"
	t := trial{
		url: func(function string) string { return base + function }, token: idToken, messages: messages,
		id: *id, secret: secret, livemode: *livemode, out: stdout, now: time.Now, wait: 2 * time.Second, attempts: 60,
	}
	return t.insist(ctx, base+"debit", tries, pause)
}

// idToken is a token of the account that this runs as.
func idToken(ctx context.Context, audience string) (string, error) {
	source, err := idtoken.NewTokenSource(ctx, audience)
	if err != nil {
		return "", fmt.Errorf("a token for %s: %w", audience, err)
	}
	t, err := source.Token()
	if err != nil {
		return "", fmt.Errorf("a token for %s: %w", audience, err)
	}
	return t.AccessToken, nil
}

// Command bootstrap makes an empty Google Cloud project and a Stripe account into a running system, in the order that works.
//
//	go run ./scripts/bootstrap -project PROJECT -env staging|prod [-operator EMAIL] [-from STAGING]
//
// It does what is still to be done and goes past what is done already, so that it is run again until it comes to its end. Where it needs what
// only Google, Stripe or a person can give, it stops and says what is missing: a sign-in, a project with billing, a line in terraform/env/, or a
// secret in its environment (STRIPE_API_KEY, STRIPE_WEBHOOK_SECRETS, SMTP_PASSWORD, PEOPLE_CLIENT_SECRET), which goes to Secret Manager by
// standard input.
//
// The order: the state's bucket and the first APIs, since Terraform needs them; then by Terraform the secrets, the bucket of sources and the
// database; then the secrets' values and Stripe's endpoint, whose address is known beforehand, since a function does not start without its
// secrets; then the catalogue and the organisation that deployments are tried with; then the first build; then the first operator, who signs in
// at what the build has made. With -from, releases of another project may be promoted to this one.
//
// Invariants: nothing is deleted or replaced; no secret is printed or stands on a command line.
//
// It does not own what is deployed (terraform, cloudbuild.yaml), nor later releases.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// timeout bounds one command; the first build is the slowest.
const timeout = 90 * time.Minute

var (
	projectPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	emailPattern   = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

func main() {
	err := run(context.Background(), os.Args[1:], outside{
		command: command, env: os.Getenv, seed: seedCloud, stripe: newStripe, http: http.DefaultClient, identity: identityURL, root: ".", out: os.Stdout,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bootstrap:", err)
		os.Exit(1)
	}
}

// missing is what only somebody else can give.
type missing struct{ what string }

func (m missing) Error() string { return "stopped, because this is missing: " + m.what }

// outside is what a run reaches beyond itself.
type outside struct {
	// command runs a program with what it reads, and returns what it prints.
	command func(ctx context.Context, stdin, name string, args ...string) (string, error)
	env     func(name string) string
	seed    func(ctx context.Context, project string) error
	stripe  func(key string) endpoints
	http    *http.Client
	// identity is the URL of Identity Platform's API.
	identity string
	root     string
	out      io.Writer
}

// command runs a program.
func command(ctx context.Context, stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(problems.String())
		return string(out), fmt.Errorf("%s %s: %w: %.1000s", name, strings.Join(args, " "), err, text)
	}
	return string(out), nil
}

func run(ctx context.Context, args []string, o outside) error {
	flags := flag.NewFlagSet("bootstrap", flag.ContinueOnError)
	b := &bootstrap{outside: o}
	flags.StringVar(&b.project, "project", "", "the Google Cloud project")
	flags.StringVar(&b.environment, "env", "", "staging or prod")
	flags.StringVar(&b.operator, "operator", "", "the e-mail address of the first operator")
	flags.StringVar(&b.from, "from", "", "the project whose releases are promoted to this one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is not understood", flags.Args())
	case !projectPattern.MatchString(b.project):
		return fmt.Errorf("-project names no Google Cloud project: %q", b.project)
	case b.environment != "staging" && b.environment != "prod":
		return errors.New("-env is staging or prod")
	case b.from != "" && (!projectPattern.MatchString(b.from) || b.from == b.project):
		return fmt.Errorf("-from names no other Google Cloud project: %q", b.from)
	case b.operator != "" && !emailPattern.MatchString(b.operator):
		return fmt.Errorf("-operator is no e-mail address: %q", b.operator)
	}
	for _, step := range b.steps() {
		fmt.Fprintln(o.out, "·", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	where := b.dashboardURL()
	if b.people.platform {
		where = strings.TrimSuffix(where, "ui/") + "docs (no dashboard: people is null)"
	}
	fmt.Fprintln(o.out, "done:", where)
	return nil
}

// Command freeze stops the whole system, and lets it go on.
//
//	go run ./scripts/freeze -project PROJECT [-n] on|off
//
// On: every function is given FROZEN=true, and refuses whatever would change something as unavailable (package serve); every push is turned
// off, so that messages wait without using up their attempts. Off: the reverse, pushes last, so that nothing is pushed to a frozen function.
// With -n it only says what it would do.
//
// Invariants: the functions and pushes are those of package limits and package wiring; a step that fails does not keep others from being done,
// and makes the command fail; each step may be repeated.
//
// It does not own what a frozen function answers, nor deployments: the next one sets what Terraform's variable frozen says.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// region is where everything runs.
const region = "europe-west4"

// timeout bounds a step: a new revision has to start.
const timeout = 5 * time.Minute

var projectPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, gcloud); err != nil {
		fmt.Fprintln(os.Stderr, "freeze:", err)
		os.Exit(1)
	}
}

// gcloud runs one of gcloud's commands.
func gcloud(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "gcloud", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func run(ctx context.Context, args []string, stdout io.Writer, do func(context.Context, []string) error) error {
	flags := flag.NewFlagSet("freeze", flag.ContinueOnError)
	project := flags.String("project", "", "the Google Cloud project")
	dry := flags.Bool("n", false, "only say what would be done")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !projectPattern.MatchString(*project) {
		return fmt.Errorf("-project names no Google Cloud project: %q", *project)
	}
	if flags.NArg() != 1 || flags.Arg(0) != "on" && flags.Arg(0) != "off" {
		return errors.New("say on or off")
	}
	steps, err := plan(*project, flags.Arg(0) == "on")
	if err != nil {
		return err
	}
	var failed []error
	for _, step := range steps {
		fmt.Fprintln(stdout, "gcloud", strings.Join(step, " "))
		if *dry {
			continue
		}
		if err := do(ctx, step); err != nil {
			failed = append(failed, fmt.Errorf("gcloud %s: %w", strings.Join(step, " "), err))
		}
	}
	return errors.Join(failed...)
}

// plan is what is to be done, in order, as arguments of gcloud.
func plan(project string, on bool) ([][]string, error) {
	table, err := limits.Load()
	if err != nil {
		return nil, err
	}
	list, err := wiring.Load()
	if err != nil {
		return nil, err
	}
	var functions, pushes [][]string
	for _, f := range table.Functions {
		functions = append(functions, []string{"run", "services", "update", f.Name, "--project=" + project, "--region=" + region,
			fmt.Sprintf("--update-env-vars=FROZEN=%t", on), "--quiet"})
	}
	for _, s := range list.Subscriptions {
		address := "https://" + region + "-" + project + ".cloudfunctions.net/" + s.Function
		step := []string{"pubsub", "subscriptions", "modify-push-config", s.Name, "--project=" + project}
		if on {
			step = append(step, "--push-endpoint=")
		} else {
			step = append(step, "--push-endpoint="+address+s.Path,
				"--push-auth-service-account=push@"+project+".iam.gserviceaccount.com", "--push-auth-token-audience="+address)
		}
		pushes = append(pushes, step)
	}
	return append(functions, pushes...), nil
}

// Command deployment checks that what is deployed is what the code wants: before a build, and in continuous integration.
//
//	go run ./scripts/deployment [-root DIR] [-terraform registry|PROGRAM]
//
// It holds together what Terraform and Cloud Build read and what the functions say of themselves: each function's row in
// terraform/functions.json is what its configuration wants; each route that a job or a push sets off is wired; each topic that is published to
// exists; each alert watches a line that somebody writes, or a metric that is recorded, and links a playbook that says what to do; each secret
// has a version; cloudbuild.yaml is a build. With -terraform it also formats, validates and tests terraform/ with the real lists: with the
// provider from the registry, or by a program that is given the folder.
//
// Invariants: it reads the tree and changes nothing; it tells all that is wrong, not the first of it.
//
// It does not own the lists (packages wiring, limits, indexes), nor what Google accepts beyond them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fluxori/ai-credits/shared/indexes"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/table"
	"github.com/fluxori/ai-credits/shared/telemetry"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// timeout bounds a run; Terraform's tests are the slowest of it.
const timeout = 10 * time.Minute

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("deployment", flag.ContinueOnError)
	root := flags.String("root", ".", "the project's root")
	checker := flags.String("terraform", "", "how Terraform is checked too: registry, or a program")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := check(*root); err != nil {
		return err
	}
	if *checker != "" {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := checkTerraform(ctx, *root, *checker); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, "what is deployed is what the code wants")
	return nil
}

// project is a tree that is being checked, and what is wrong with it.
type project struct {
	root    string
	folders []string // of functions/
	wiring  *wiring.List
	limits  *limits.Table
	metrics []telemetry.Metric
	rows    map[string]row // of terraform/functions.json
	wrong   []error
}

func (p *project) must(ok bool, format string, args ...any) {
	if !ok {
		p.wrong = append(p.wrong, fmt.Errorf(format, args...))
	}
}

func (p *project) path(elements ...string) string {
	return filepath.Join(append([]string{p.root}, elements...)...)
}

// check returns all that is wrong with a tree, apart from what only Terraform knows.
func check(root string) error {
	p := &project{root: root}
	if err := p.load(); err != nil {
		return err
	}
	for _, step := range []func() error{p.checkFunctions, p.checkRoutes, p.checkTopics, p.checkAlerts, p.checkMetrics, p.checkPlaybooks, p.checkCommon, p.checkBuild} {
		if err := step(); err != nil {
			p.wrong = append(p.wrong, err)
		}
	}
	return errors.Join(p.wrong...)
}

// load reads the lists. Each has checks of its own.
func (p *project) load() error {
	read := func(path string, parse func([]byte) error) error {
		data, err := os.ReadFile(p.path(filepath.FromSlash(path)))
		if err != nil {
			return err
		}
		if err := parse(data); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	entries, err := os.ReadDir(p.path("functions"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			p.folders = append(p.folders, e.Name())
		}
	}
	return errors.Join(
		read("shared/wiring/wiring.json", func(data []byte) (err error) { p.wiring, err = wiring.Parse(data); return err }),
		read("shared/limits/limits.json", func(data []byte) (err error) { p.limits, err = limits.Parse(data); return err }),
		read("shared/telemetry/metrics.json", func(data []byte) (err error) { p.metrics, err = telemetry.Parse(data); return err }),
		read("shared/indexes/indexes.json", func(data []byte) error { _, err := indexes.Parse(data); return err }),
		read("terraform/functions.json", func(data []byte) (err error) { p.rows, err = table.Read[map[string]row](data); return err }),
	)
}

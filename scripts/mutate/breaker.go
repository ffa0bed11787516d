package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// testTime bounds the tests of one mutation, which may never end.
const testTime = 6 * time.Minute

// breaker runs tests on broken code.
type breaker struct {
	root   string
	folder string // of overlays
	search bool
	flags  []string // of the tests, beside what this sets
}

func newBreaker(root string, search bool, flags ...string) (*breaker, error) {
	folder, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	return &breaker{root: root, folder: folder, search: search, flags: flags}, nil
}

func (b *breaker) close() { _ = os.RemoveAll(b.folder) }

// breakAll tries the mutations whose name matches, one after another, and writes a row of a table for each as it goes. What was found to
// notice is noted in the list, and found is called.
func (b *breaker) breakAll(ctx context.Context, list []mutation, match *regexp.Regexp, stdout io.Writer, found func() error) error {
	fmt.Fprintln(stdout, "| broken so | in | noticed by | seconds |\n|---|---|---|---|")
	var failed []error
	caught, tried := 0, 0
	for i := range list {
		m := &list[i]
		if !match.MatchString(m.Name) {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(failed, ctx.Err())...)
		}
		tried++
		began := time.Now()
		by, err := b.try(ctx, *m)
		switch {
		case err != nil:
			failed = append(failed, err)
			by = "**" + err.Error() + "**"
		case by == "":
			failed = append(failed, fmt.Errorf("%q survives", m.Name))
			by = "**nothing**"
		default:
			caught++
			if m.CaughtBy != by {
				m.CaughtBy = by
				err = found()
			}
			if err != nil {
				return err
			}
		}
		fmt.Fprintf(stdout, "| %s | %s | %s | %.1f |\n", m.Name, m.File, by, time.Since(began).Seconds())
	}
	fmt.Fprintf(stdout, "\n%d of %d are noticed.\n", caught, tried)
	return errors.Join(failed...)
}

// try is the test that notices a mutation; empty for none.
func (b *breaker) try(ctx context.Context, m mutation) (string, error) {
	if m.CaughtBy != "" {
		by, err := b.test(ctx, m, "^"+regexp.QuoteMeta(m.CaughtBy)+"$", "")
		if by != "" || err != nil || !b.search {
			return by, err
		}
	}
	if !b.search {
		return "", fmt.Errorf("no test is known for %q: -search looks for one", m.Name)
	}
	if by, err := b.test(ctx, m, "", large); by != "" || err != nil {
		return by, err
	}
	return b.test(ctx, m, "", "")
}

// large are the names of tests that take long, and say less of what is wrong: they are asked when no other notices.
const large = "Random|Thousand|Histories|Fuzz"

// test runs the tests of a mutation's package that match one expression and not another, and returns the first that fails; then the others are
// ended.
func (b *breaker) test(ctx context.Context, m mutation, match, not string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	binary, err := b.build(ctx, m)
	if err != nil {
		return "", err
	}
	args := append([]string{
		"-test.v", "-test.failfast", "-test.timeout=" + (testTime - time.Minute).String(), "-test.run=" + match, "-test.skip=" + not,
	}, b.flags...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.Join(b.root, m.folder())
	cmd.Env = append(os.Environ(), "CREDITS_TEST_FULL=") // a part of what tests can try must do
	cmd.WaitDelay = 10 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = cmd.Stdout // what a panic says
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start the tests of %s: %w", m.pkg(), err)
	}
	failed, ran := firstFailure(stdout)
	if failed != "" {
		cancel()
	}
	err = cmd.Wait()
	switch {
	case failed != "":
		return failed, nil
	case ran == "":
		return "", fmt.Errorf("%q: no test matches %q", m.Name, match)
	case err != nil: // it ended without a word, or did not end
		return ran, nil
	}
	return "", nil
}

// build makes the tests of a mutation's package, with the mutation.
func (b *breaker) build(ctx context.Context, m mutation) (string, error) {
	overlay, err := b.overlay(m)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(b.folder, "broken.test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "-vet=off", "-overlay", overlay, m.pkg())
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%q does not build: %w: %.2000s", m.Name, err, out)
	}
	return binary, nil
}

// maxLine bounds a line of output that is looked at.
const maxLine = 8 << 20

// firstFailure reads what tests tell until one of them fails, or panics, and names that; ran is the last that began.
func firstFailure(r io.Reader) (failed, ran string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "=== RUN   "):
			ran, _, _ = strings.Cut(strings.TrimPrefix(line, "=== RUN   "), "/")
		case strings.HasPrefix(line, "--- FAIL: "):
			failed, _, _ = strings.Cut(strings.TrimPrefix(line, "--- FAIL: "), " ")
			return failed, ran
		case strings.HasPrefix(line, "panic: "):
			return ran, ran
		}
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long: the process must not wait for its reader
	return "", ran
}

// overlay writes the broken file, and what tells go of it.
func (b *breaker) overlay(m mutation) (string, error) {
	source, err := m.apply(b.root)
	if err != nil {
		return "", err
	}
	file, overlay := filepath.Join(b.folder, "broken.go"), filepath.Join(b.folder, "overlay.json")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(b.root, m.File): file}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}

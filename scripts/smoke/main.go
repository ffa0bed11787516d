// Command smoke does what the README says, line by line, and compares the answers: a README whose commands no longer work fails.
//
//	go run ./scripts/smoke [-addr localhost:8080] [README.md]
//
// It runs the commands of the fenced blocks marked console in one shell, against a system that is already running (scripts/local). A line that
// begins with "$ " is a command, lines that begin with "> " go on with it, and what follows up to the next command is its answer, in which
// … stands for anything. Commands in blocks of other kinds are not run.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The address that the README uses, and bounds.
const (
	writtenAddr = "localhost:8080"
	timeout     = 5 * time.Minute
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	addr := flags.String("addr", writtenAddr, "where the system runs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	file := "README.md"
	if flags.NArg() > 0 {
		file = flags.Arg(0)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	steps := parse(strings.ReplaceAll(string(text), writtenAddr, *addr))
	if len(steps) == 0 {
		return fmt.Errorf("%s has no console block", file)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	answers, err := shell(ctx, steps)
	if err != nil {
		return err
	}
	failed := 0
	for i, s := range steps {
		if got := answers[i]; !s.matches(got) {
			failed++
			fmt.Fprintf(stdout, "line %d: $ %s\nanswered\n%s\ninstead of\n%s\n\n", s.line, s.command, got, s.want)
		}
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", len(steps)-failed, failed)
	if failed > 0 {
		return errors.New("the README does not say what the system does")
	}
	return nil
}

// step is one command and its answer.
type step struct {
	line    int
	command string
	want    string
}

// parse finds the commands of the console blocks.
func parse(text string) []step {
	var out []step
	console := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case !console:
			console = line == "```console"
		case line == "```":
			console = false
		case strings.HasPrefix(line, "$ "):
			out = append(out, step{line: i + 1, command: line[2:]})
		case len(out) == 0: // an answer to nothing
		case strings.HasPrefix(line, "> ") && out[len(out)-1].want == "":
			out[len(out)-1].command += "\n" + line[2:]
		default:
			out[len(out)-1].want += line + "\n"
		}
	}
	for i := range out {
		out[i].want = strings.TrimSpace(out[i].want)
	}
	return out
}

// matches compares an answer with what the README shows.
func (s step) matches(got string) bool {
	parts := strings.Split(s.want, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*?") + `$`).MatchString(strings.TrimSpace(got))
}

// shell runs all commands in one bash, so that variables stay, and returns what each printed.
func shell(ctx context.Context, steps []step) ([]string, error) {
	const mark = "\x1e"
	var script strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&script, "%s\nprintf '%s%d\\n'\n", s.command, mark, i)
	}
	cmd := exec.CommandContext(ctx, "bash", "-u")
	cmd.Stdin = strings.NewReader(script.String())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the shell stopped: %w\n%s", err, out.String())
	}
	answers := make([]string, len(steps))
	rest := out.String()
	for i := range steps {
		answer, after, ok := strings.Cut(rest, mark+strconv.Itoa(i)+"\n")
		if !ok {
			return nil, fmt.Errorf("no answer to line %d: %s", steps[i].line, rest)
		}
		answers[i], rest = answer, after
	}
	return answers, nil
}

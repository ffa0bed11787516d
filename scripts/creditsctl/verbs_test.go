package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// process runs the tool as a process of its own, with nobody at a terminal, and returns what it printed and ended with.
func process(t *testing.T, system string, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProcess+"=1", "CREDITSCTL_TO="+system, "CREDITSCTL_TOKEN=", "CREDITSCTL_TOKEN_COMMAND=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("process\n"), &o, &e
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return o.String(), e.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), 0
}

func TestAProcessEndsAsItWent(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.open("process", "Process")
	tests := []struct {
		name string
		args []string
		code int
		want string // of standard output and error
	}{
		{"done", []string{"balance", "process"}, exitDone, "Process (process), times in Africa/Johannesburg"},
		{"for programs", []string{"balance", "process", "-json"}, exitDone, `{"available":0,`},
		{"refused", []string{"balance", "nowhere"}, exitFailed, "creditsctl: unknown_org (404)"},
		{"nobody to ask", []string{"adjust", "process", "-add", "5", "-reason", "r"}, exitFailed, "standard input is no terminal"},
		{"a script", []string{"freeze", "process", "-reason", "r", "-yes"}, exitDone, "freeze"},
		{"nothing", nil, exitUsage, "creditsctl VERB [flags]"},
		{"no verb", []string{"burn"}, exitUsage, `not understood: "burn"`},
		{"no operand", []string{"balance"}, exitUsage, "balance takes 1 operands, not 0"},
		{"help", []string{"help"}, exitDone, "dead-letters replay ID"},
		{"help with a verb", []string{"help", "adjust"}, exitDone, "For example: creditsctl adjust kalahari-crafts -add 50"},
		{"help with a group", []string{"help", "quarantine"}, exitDone, "creditsctl quarantine resolve EVENT [flags]"},
		{"a verb's help", []string{"refund", "-h"}, exitDone, "It needs the claim support."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := process(t, o.system, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("ended with %d, printed\n%s%s", code, out, errs)
			}
			if tt.code != exitDone && out != "" {
				t.Errorf("standard output has %q", out)
			}
		})
	}
}

// TestEveryVerbIsDescribed keeps the table whole: each verb is found by its own name, has an example that calls it, and asks if it says so.
func TestEveryVerbIsDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range verbs() {
		if seen[v.name] || v.summary == "" || v.prepare == nil {
			t.Errorf("%q stands twice, or has no summary, or does nothing", v.name)
		}
		seen[v.name] = true
		got, _, ok := find(strings.Fields(v.example))
		if !ok || got.name != v.name {
			t.Errorf("the example of %q is %q, which is %q", v.name, v.example, got.name)
		}
		var errs bytes.Buffer
		c := &tool{out: &errs, err: &errs, lookup: func(string) (string, bool) { return "", false }}
		flags, _ := c.prepare(v)
		if (flags.Lookup("yes") != nil) != v.asks || (flags.Lookup("to") != nil) != (v.who != "") {
			t.Errorf("%q: its flags are not those of what it says it is", v.name)
		}
		words, _, _ := strings.Cut(v.example, " >") // what a shell does
		fields := strings.Fields(strings.ReplaceAll(words, `"`, ""))
		if flag := strings.IndexByte(words, '-'); len(fields) < len(strings.Fields(v.synopsis())) && flag < 0 {
			t.Errorf("the example of %q lacks operands: %q", v.name, v.example)
		}
	}
}

func TestWhatOthersWroteDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &tool{out: &out}
	long := strings.Repeat("é", cellMax+1)
	if err := table(c, []string{"\x1b[2Jgone\n", "\u202emca\u2066\u2028", long, ""}, []column[string]{{head: "TEXT", cell: func(s string) string { return s }}}); err != nil {
		t.Fatal(err)
	}
	if want := "TEXT\n·[2Jgone·\n·mca··\n" + strings.Repeat("é", cellMax-1) + "…\n-\n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}

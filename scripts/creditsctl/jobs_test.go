package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"

	"github.com/fluxori/ai-credits/shared/schedule"
	"github.com/fluxori/ai-credits/shared/schedule/scheduletest"
	"github.com/fluxori/ai-credits/shared/wiring"
)

const testJobs = "projects/fluxori-test/locations/europe-west4/jobs/"

// command runs the tool against a server, as a person who answers in with a line, and returns what it printed.
func command(t *testing.T, server *scheduletest.Server, in io.Reader, args ...string) (out, errs string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	c := &tool{in: in, terminal: true, out: &o, err: &e, options: server.Options(t), lookup: func(name string) (string, bool) {
		return "fluxori-test", name == "GOOGLE_CLOUD_PROJECT"
	}}
	err = c.run(t.Context(), args)
	return o.String(), e.String(), err
}

// must runs the tool without anyone to answer.
func must(t *testing.T, server *scheduletest.Server, args ...string) string {
	t.Helper()
	out, _, err := command(t, server, strings.NewReader(""), args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out
}

func count(t *testing.T) int {
	t.Helper()
	l, err := wiring.Load()
	if err != nil {
		t.Fatal(err)
	}
	return len(l.Jobs)
}

func TestApplyAsksFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		flags    []string
		made     bool
		err      error
	}{
		{"yes", "yes\n", nil, true, nil},
		{"y", "y\n", nil, false, errNotConfirmed},
		{"no", "no\n", nil, false, errNotConfirmed},
		{"nothing", "\n", nil, false, errNotConfirmed},
		{"nobody there", "", nil, false, errNotConfirmed},
		{"not to be asked", "", []string{"-yes"}, true, nil},
		{"a dry run", "yes\n", []string{"-dry-run"}, false, nil},
		{"a dry run that need not ask", "", []string{"-dry-run", "-yes"}, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := scheduletest.New(t)
			out, errs, err := command(t, server, strings.NewReader(tt.in), append([]string{"jobs", "apply"}, tt.flags...)...)
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if !strings.Contains(out, "create outbox (* * * * * Etc/UTC, https://europe-west4-fluxori-test.cloudfunctions.net/outbox)") {
				t.Errorf("the change is not shown: %s", out)
			}
			if asked := strings.Contains(errs, "Type yes to go on"); asked != (len(tt.flags) == 0) {
				t.Errorf("asked: %t: %s", asked, errs)
			}
			if calls := len(server.Calls()); tt.made && calls != count(t) || !tt.made && calls != 0 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

func TestDriftIsShownBeforeItIsUndone(t *testing.T) {
	t.Parallel()
	server := scheduletest.New(t)
	must(t, server, "jobs", "apply", "-yes")
	server.Edit(t, testJobs+"outbox", func(j *schedulerpb.Job) { j.Schedule = "0 0 * * *" })
	if out := must(t, server, "jobs", "apply", "-yes"); !strings.Contains(out, `schedule: "0 0 * * *" becomes "* * * * *"`) || !strings.Contains(out, "1 changes were made") {
		t.Errorf("%s", out)
	}
	if out := must(t, server, "jobs", "apply", "-yes"); !strings.Contains(out, "jobs are as wanted") || !strings.Contains(out, "0 changes were made") {
		t.Errorf("%s", out)
	}
}

func TestJobsArePausedResumedAndFiredByName(t *testing.T) {
	t.Parallel()
	server := scheduletest.New(t)
	must(t, server, "jobs", "apply", "-yes")
	server.Calls()
	for _, args := range [][]string{{"jobs", "pause", "outbox"}, {"jobs", "resume", "-json", "outbox"}, {"jobs", "run", "outbox", "-json"}} {
		if out := must(t, server, args...); !strings.Contains(out, "outbox") {
			t.Errorf("%q: %s", args, out)
		}
	}
	if calls := server.Calls(); !slices.Equal(calls, []string{"pause outbox", "resume outbox", "run outbox"}) {
		t.Errorf("%q", calls)
	}
	if _, _, err := command(t, server, strings.NewReader(""), "jobs", "run", "inbox"); !errors.Is(err, schedule.ErrNoJob) {
		t.Errorf("%v", err)
	}
}

func TestJSONIsAllThatProgramsRead(t *testing.T) {
	t.Parallel()
	server := scheduletest.New(t)
	var a applied
	if err := json.Unmarshal([]byte(must(t, server, "jobs", "apply", "-yes", "-json")), &a); err != nil || len(a.Planned) != count(t) || len(a.Done) != count(t) {
		t.Errorf("%+v %v", a, err)
	}
	must(t, server, "jobs", "pause", "outbox")
	var rows []schedule.Row
	for line := range strings.Lines(must(t, server, "jobs", "list", "-json")) {
		var r schedule.Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		rows = append(rows, r)
	}
	if len(rows) != count(t) {
		t.Fatalf("%+v", rows)
	}
	for _, r := range rows {
		if (r.State == "paused") != (r.Name == "outbox") || r.Action != schedule.None {
			t.Errorf("%+v", r)
		}
	}
	if out := must(t, server, "jobs", "list"); strings.Count(out, "\n") != count(t)+1 || !strings.Contains(out, "paused") {
		t.Errorf("%s", out)
	}
}

func TestWhatIsNotUnderstoodSaysHowItShouldBe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		args  []string
		err   error
		shown string
	}{
		{"nothing", nil, errUsage, "jobs pause JOB"},
		{"help about nothing", []string{"help", "burn"}, errUsage, "jobs pause JOB"},
		{"another verb", []string{"jobs", "burn"}, errUsage, "jobs pause JOB"},
		{"half a verb", []string{"jobs"}, errUsage, "jobs pause JOB"},
		{"no job", []string{"jobs", "run"}, errUsage, "-region"},
		{"two jobs", []string{"jobs", "run", "a", "b"}, errUsage, "-region"},
		{"a job for the list", []string{"jobs", "list", "outbox"}, errUsage, "-region"},
		{"no project", []string{"jobs", "list", "-project", ""}, errUsage, ""},
		{"a verb's help", []string{"jobs", "apply", "-h"}, flag.ErrHelp, "-dry-run"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := scheduletest.New(t)
			out, errs, err := command(t, server, strings.NewReader(""), tt.args...)
			if !errors.Is(err, tt.err) || !strings.Contains(errs, tt.shown) || out != "" {
				t.Errorf("%v, printed %q and %q", err, out, errs)
			}
			if calls := server.Calls(); len(calls) > 0 {
				t.Errorf("%q", calls)
			}
		})
	}
}

// TestNobodyIsWaitedForLongerThanAllowed: the person never answers.
func TestNobodyIsWaitedForLongerThanAllowed(t *testing.T) {
	t.Parallel()
	in, silent := io.Pipe()
	t.Cleanup(func() { silent.Close() })
	server := scheduletest.New(t)
	_, _, err := command(t, server, in, "jobs", "apply", "-timeout", "500ms")
	if !errors.Is(err, errNotConfirmed) || !errors.Is(err, context.DeadlineExceeded) || len(server.Calls()) > 0 {
		t.Errorf("%v", err)
	}
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	scheduler "cloud.google.com/go/scheduler/apiv1"

	"github.com/fluxori/ai-credits/shared/schedule"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// defaultRegion is where everything runs.
const defaultRegion = "europe-west4"

// jobVerbs are the verbs about Cloud Scheduler's jobs.
func jobVerbs() []verb {
	fire := func(do func(*schedule.Schedule, context.Context, string) (schedule.Row, error)) func(*tool, *flag.FlagSet) action {
		return func(t *tool, flags *flag.FlagSet) action {
			j := t.jobFlags(flags)
			return func(ctx context.Context, name string) error { return j.one(ctx, name, do) }
		}
	}
	return []verb{
		{name: "jobs list", summary: "what is scheduled, how it does, and how it differs from the list", prepare: func(t *tool, flags *flag.FlagSet) action {
			j := t.jobFlags(flags)
			return func(ctx context.Context, _ string) error { return j.list(ctx) }
		}},
		{name: "jobs apply", summary: "make the jobs those of the list, after showing what changes", prepare: func(t *tool, flags *flag.FlagSet) action {
			j := t.jobFlags(flags)
			flags.BoolVar(&j.dryRun, "dry-run", false, "show what would change, and change nothing")
			flags.BoolVar(&j.yes, "yes", false, "do not ask")
			return func(ctx context.Context, _ string) error { return j.apply(ctx) }
		}},
		{name: "jobs run", operand: "JOB", summary: "fire a job now", prepare: fire((*schedule.Schedule).Run)},
		{name: "jobs pause", operand: "JOB", summary: "keep a job from being fired", prepare: fire((*schedule.Schedule).Pause)},
		{name: "jobs resume", operand: "JOB", summary: "let a paused job be fired again", prepare: fire((*schedule.Schedule).Resume)},
	}
}

// jobs runs the verbs about jobs.
type jobs struct {
	*tool
	place       schedule.Place
	dryRun, yes bool
}

func (t *tool) jobFlags(flags *flag.FlagSet) *jobs {
	j := &jobs{tool: t}
	project, _ := t.lookup("GOOGLE_CLOUD_PROJECT")
	flags.StringVar(&j.place.Project, "project", project, "the project; GOOGLE_CLOUD_PROJECT unless given")
	flags.StringVar(&j.place.Region, "region", defaultRegion, "the region")
	flags.StringVar(&j.place.BaseURL, "url", "", "what functions' names are added to; https://REGION-PROJECT.cloudfunctions.net unless given")
	flags.StringVar(&j.place.Account, "account", "", "the service account that jobs run as; scheduler@PROJECT.iam.gserviceaccount.com unless given")
	return j
}

// with opens the schedule of the place for as long as do takes.
func (j *jobs) with(ctx context.Context, do func(*schedule.Schedule) error) (err error) {
	if j.place.Project == "" {
		return fmt.Errorf("%w: -project is missing", errUsage)
	}
	if j.place.BaseURL == "" {
		j.place.BaseURL = fmt.Sprintf("https://%s-%s.cloudfunctions.net", j.place.Region, j.place.Project)
	}
	if j.place.Account == "" {
		j.place.Account = "scheduler@" + j.place.Project + ".iam.gserviceaccount.com"
	}
	list, err := wiring.Load()
	if err != nil {
		return err
	}
	client, err := scheduler.NewCloudSchedulerClient(ctx, j.options...)
	if err != nil {
		return fmt.Errorf("open Cloud Scheduler: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	s, err := schedule.New(client, j.place, list.Jobs)
	if err != nil {
		return err
	}
	return do(s)
}

func (j *jobs) list(ctx context.Context) error {
	return j.with(ctx, func(s *schedule.Schedule) error {
		rows, err := s.Survey(ctx)
		if err != nil {
			return err
		}
		return j.answer(rows, func(w io.Writer) { table(w, rows) })
	})
}

func (j *jobs) one(ctx context.Context, name string, do func(*schedule.Schedule, context.Context, string) (schedule.Row, error)) error {
	return j.with(ctx, func(s *schedule.Schedule) error {
		row, err := do(s, ctx, name)
		if err != nil {
			return err
		}
		return j.answer(row, func(w io.Writer) { table(w, []schedule.Row{row}) })
	})
}

// applied is what apply answers.
type applied struct {
	// Planned are the jobs that were not as wanted, Done those of them that are now.
	Planned []schedule.Row `json:"planned"`
	Done    []string       `json:"done"`
}

func (j *jobs) apply(ctx context.Context) error {
	return j.with(ctx, func(s *schedule.Schedule) error {
		rows, err := s.Survey(ctx)
		if err != nil {
			return err
		}
		a := applied{Planned: []schedule.Row{}, Done: []string{}}
		for _, r := range rows {
			if r.Action != schedule.None {
				a.Planned = append(a.Planned, r)
			}
		}
		shown := j.out
		if j.json {
			shown = j.err
		}
		plan(shown, a.Planned, len(rows))
		if len(a.Planned) > 0 && !j.dryRun {
			if !j.yes {
				question := fmt.Sprintf("Make %d changes to the jobs of project %s in %s?", len(a.Planned), j.place.Project, j.place.Region)
				if err := j.confirm(ctx, question); err != nil {
					return err
				}
			}
			if a.Done, err = s.Apply(ctx, a.Planned); err != nil {
				return fmt.Errorf("%d of %d changes were made: %w", len(a.Done), len(a.Planned), err)
			}
		}
		return j.answer(a, func(w io.Writer) { fmt.Fprintf(w, "%d changes were made\n", len(a.Done)) })
	})
}

// plan shows what is to be done about jobs, with each difference.
func plan(w io.Writer, rows []schedule.Row, jobs int) {
	if len(rows) == 0 {
		fmt.Fprintf(w, "all %d jobs are as wanted\n", jobs)
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%s %s (%s %s, %s)\n", r.Action, r.Name, r.Schedule, r.Zone, r.URL)
		for _, d := range r.Differences {
			fmt.Fprintf(w, "  %s: %q becomes %q\n", d.Field, d.Is, d.Wanted)
		}
	}
}

// table shows jobs to people.
func table(w io.Writer, rows []schedule.Row) {
	fmt.Fprintln(w, "JOB\tSCHEDULE\tZONE\tSTATE\tNEXT\tLAST\tLAST ERROR\tTO DO")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Schedule, r.Zone, r.State, moment(r.Next), moment(r.Last), dash(r.LastError), dash(string(r.Action)))
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func dash(s string) string {
	if s == "" || s == string(schedule.None) {
		return "-"
	}
	return s
}

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
			return func(ctx context.Context, o []string) error { return j.one(ctx, o[0], do) }
		}
	}
	return []verb{
		{name: "jobs list", example: "jobs list -project PROJECT", summary: "what is scheduled, how it does, and how it differs from the list", prepare: func(t *tool, flags *flag.FlagSet) action {
			j := t.jobFlags(flags)
			return func(ctx context.Context, _ []string) error { return j.list(ctx) }
		}},
		{name: "jobs apply", asks: true, example: "jobs apply -project PROJECT -dry-run", summary: "make the jobs those of the list, after showing what changes", prepare: func(t *tool, flags *flag.FlagSet) action {
			j := t.jobFlags(flags)
			flags.BoolVar(&j.dryRun, "dry-run", false, "show what would change, and change nothing")
			return func(ctx context.Context, _ []string) error { return j.apply(ctx) }
		}},
		{name: "jobs run", operands: []string{"JOB"}, example: "jobs run expiry-sweep -project PROJECT", summary: "fire a job now", prepare: fire((*schedule.Schedule).Run)},
		{name: "jobs pause", operands: []string{"JOB"}, example: "jobs pause expiry-sweep -project PROJECT", summary: "keep a job from being fired", prepare: fire((*schedule.Schedule).Pause)},
		{name: "jobs resume", operands: []string{"JOB"}, example: "jobs resume expiry-sweep -project PROJECT", summary: "let a paused job be fired again", prepare: fire((*schedule.Schedule).Resume)},
	}
}

// jobs runs the verbs about jobs.
type jobs struct {
	*tool
	place  schedule.Place
	dryRun bool
}

func (t *tool) jobFlags(flags *flag.FlagSet) *jobs {
	j := &jobs{tool: t}
	flags.StringVar(&j.place.Project, "project", t.setting("GOOGLE_CLOUD_PROJECT"), "the project; GOOGLE_CLOUD_PROJECT unless given")
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
		return j.show(rows)
	})
}

func (j *jobs) one(ctx context.Context, name string, do func(*schedule.Schedule, context.Context, string) (schedule.Row, error)) error {
	return j.with(ctx, func(s *schedule.Schedule) error {
		row, err := do(s, ctx, name)
		if err != nil {
			return err
		}
		return j.show([]schedule.Row{row})
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
			what := fmt.Sprintf("This makes %d changes to the jobs of project %s in %s.", len(a.Planned), j.place.Project, j.place.Region)
			if err := j.confirm(ctx, what, "yes"); err != nil {
				return err
			}
			if a.Done, err = s.Apply(ctx, a.Planned); err != nil {
				return fmt.Errorf("%d of %d changes were made: %w", len(a.Done), len(a.Planned), err)
			}
		}
		if j.json {
			return j.printValue(a)
		}
		_, err = fmt.Fprintf(j.out, "%d changes were made\n", len(a.Done))
		return err
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

// show tells of jobs: as a table, or a line each.
func (j *jobs) show(rows []schedule.Row) error {
	if j.json {
		for _, r := range rows {
			if err := j.printValue(r); err != nil {
				return err
			}
		}
		return nil
	}
	return table(j.tool, rows, []column[schedule.Row]{
		{head: "JOB", cell: func(r schedule.Row) string { return r.Name }},
		{head: "SCHEDULE", cell: func(r schedule.Row) string { return r.Schedule }},
		{head: "ZONE", cell: func(r schedule.Row) string { return r.Zone }},
		{head: "STATE", cell: func(r schedule.Row) string { return r.State }},
		{head: "NEXT (UTC)", cell: func(r schedule.Row) string { return moment(&r.Next, time.UTC) }},
		{head: "LAST (UTC)", cell: func(r schedule.Row) string { return moment(&r.Last, time.UTC) }},
		{head: "LAST ERROR", cell: func(r schedule.Row) string { return r.LastError }},
		{head: "TO DO", cell: func(r schedule.Row) string {
			if r.Action == schedule.None {
				return ""
			}
			return string(r.Action)
		}},
	})
}

// Package schedule makes Cloud Scheduler's jobs those of the list in package wiring: it compares what is wanted with what there is, tells
// the differences, and applies them.
//
// Invariants: a survey changes nothing; what is applied is what a survey told, and nothing else; applied again, nothing is left to do. A
// job that a person paused stays paused. Jobs of others in the same project and region are neither told nor touched: the system's own are
// those of the list, and those that call its functions.
//
// It does not own which jobs there are (package wiring), the account that they run as and its rights (Terraform), or what they set off.
// Jobs stand apart from Terraform because the list of differences is to be seen, and a job run, paused and resumed, by whoever is on call.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	scheduler "cloud.google.com/go/scheduler/apiv1"
	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/fluxori/ai-credits/shared/wiring"
)

// maxJobs bounds how many jobs of one region are read: Cloud Scheduler allows a project some thousand.
const maxJobs = 5_000

// ErrNoJob says that a name is none of the list's.
var ErrNoJob = errors.New("there is no such job")

// Action is what a survey finds is to be done about a job.
type Action string

// The actions.
const (
	None   Action = "none"
	Create Action = "create"
	Change Action = "change"
	Delete Action = "delete"
)

// Difference is a property of a job that is not as wanted.
type Difference struct {
	Field  string `json:"field"`
	Is     string `json:"is"`
	Wanted string `json:"wanted"`
}

// Row is a job: what it is, how it does, and what is to be done about it.
type Row struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	Zone     string `json:"zone"`
	URL      string `json:"url"`
	// State is enabled, paused, disabled or update_failed; absent for a job that is not there yet.
	State string `json:"state"`
	// Next is when it is due, Last when it last ran; zero for never. LastError is how that run failed; empty if it did not.
	Next        time.Time    `json:"next,omitzero"`
	Last        time.Time    `json:"last,omitzero"`
	LastError   string       `json:"last_error,omitempty"`
	Action      Action       `json:"action"`
	Differences []Difference `json:"differences,omitempty"`

	wanted *schedulerpb.Job
}

// absent is the state of a job that is not there.
const absent = "absent"

// Schedule is the system's jobs at one place. It may be used concurrently.
type Schedule struct {
	client *scheduler.CloudSchedulerClient
	place  Place
	wanted []wiring.Job
}

// New returns the schedule of a place, where the wanted jobs are to be.
func New(client *scheduler.CloudSchedulerClient, place Place, wanted []wiring.Job) (*Schedule, error) {
	if err := place.check(); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return &Schedule{client: client, place: place, wanted: wanted}, nil
}

// Survey compares what is wanted with what there is: first the list's jobs, in its order, then those of the system that it names no more.
func (s *Schedule) Survey(ctx context.Context) ([]Row, error) {
	actual, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, w := range s.wanted {
		want := s.place.want(w)
		rows = append(rows, compare(want, actual[want.GetName()]))
		delete(actual, want.GetName())
	}
	var left []Row
	for _, j := range actual {
		if s.place.owns(j) {
			r := describe(j)
			r.Action = Delete
			left = append(left, r)
		}
	}
	slices.SortFunc(left, func(a, b Row) int { return strings.Compare(a.Name, b.Name) })
	return append(rows, left...), nil
}

// list reads all jobs of the place, by name.
func (s *Schedule) list(ctx context.Context) (map[string]*schedulerpb.Job, error) {
	out := map[string]*schedulerpb.Job{}
	for it := s.client.ListJobs(ctx, &schedulerpb.ListJobsRequest{Parent: s.place.parent(), PageSize: 500}); ; {
		j, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list the jobs of %s: %w", s.place.parent(), err)
		}
		if len(out) == maxJobs {
			return nil, fmt.Errorf("%s has more than %d jobs", s.place.parent(), maxJobs)
		}
		out[j.GetName()] = j
	}
}

// compare tells how a job that is there, or nil, differs from what is wanted.
func compare(want, is *schedulerpb.Job) Row {
	if is == nil {
		r := describe(want)
		r.State, r.Action, r.wanted = absent, Create, want
		return r
	}
	r := describe(is)
	r.wanted = want
	for _, f := range fields() {
		if a, b := f.of(is), f.of(want); a != b {
			r.Differences = append(r.Differences, Difference{Field: f.name, Is: a, Wanted: b})
		}
	}
	if len(r.Differences) > 0 {
		r.Action = Change
	}
	return r
}

func describe(j *schedulerpb.Job) Row {
	r := Row{
		Name: path.Base(j.GetName()), Schedule: j.GetSchedule(), Zone: j.GetTimeZone(), URL: j.GetHttpTarget().GetUri(),
		State: strings.ToLower(j.GetState().String()), Action: None,
	}
	if t := j.GetScheduleTime(); t != nil {
		r.Next = t.AsTime()
	}
	if t := j.GetLastAttemptTime(); t != nil {
		r.Last = t.AsTime()
		if s := j.GetStatus(); s.GetCode() != 0 {
			r.LastError = fmt.Sprintf("code %d %s", s.GetCode(), s.GetMessage())
		}
	}
	return r
}

// Apply does what a survey found is to be done, in its order, and returns the names of the jobs that are as wanted now. It stops at the
// first that fails; whoever surveys and applies again goes on from there.
func (s *Schedule) Apply(ctx context.Context, rows []Row) (done []string, err error) {
	for _, r := range rows {
		switch r.Action {
		case None:
			continue
		case Create:
			_, err = s.client.CreateJob(ctx, &schedulerpb.CreateJobRequest{Parent: s.place.parent(), Job: r.wanted})
		case Change:
			_, err = s.client.UpdateJob(ctx, &schedulerpb.UpdateJobRequest{Job: r.wanted, UpdateMask: &fieldmaskpb.FieldMask{Paths: masked}})
		case Delete:
			err = s.client.DeleteJob(ctx, &schedulerpb.DeleteJobRequest{Name: s.place.name(r.Name)})
		default:
			return done, fmt.Errorf("job %s: %q is no action", r.Name, r.Action)
		}
		if err != nil {
			return done, fmt.Errorf("%s job %s: %w", r.Action, r.Name, err)
		}
		done = append(done, r.Name)
	}
	return done, nil
}

// Run fires a job of the list now. What it does is seen in its next survey, and in the function's log.
func (s *Schedule) Run(ctx context.Context, job string) (Row, error) {
	return s.tell(job, func(name string) (*schedulerpb.Job, error) {
		return s.client.RunJob(ctx, &schedulerpb.RunJobRequest{Name: name})
	})
}

// Pause keeps a job of the list from being fired until it is resumed. One that is paused stays so.
func (s *Schedule) Pause(ctx context.Context, job string) (Row, error) {
	return s.tell(job, func(name string) (*schedulerpb.Job, error) {
		return s.client.PauseJob(ctx, &schedulerpb.PauseJobRequest{Name: name})
	})
}

// Resume lets a job of the list be fired again. One that is not paused goes on.
func (s *Schedule) Resume(ctx context.Context, job string) (Row, error) {
	return s.tell(job, func(name string) (*schedulerpb.Job, error) {
		return s.client.ResumeJob(ctx, &schedulerpb.ResumeJobRequest{Name: name})
	})
}

// tell sends a request about one job of the list and compares the answer with what is wanted.
func (s *Schedule) tell(job string, send func(name string) (*schedulerpb.Job, error)) (Row, error) {
	var names []string
	for _, w := range s.wanted {
		if w.Name != job {
			names = append(names, w.Name)
			continue
		}
		j, err := send(s.place.name(job))
		if err != nil {
			return Row{}, fmt.Errorf("job %s: %w", job, err)
		}
		return compare(s.place.want(w), j), nil
	}
	return Row{}, fmt.Errorf("%w: %q; there are: %s", ErrNoJob, job, strings.Join(names, ", "))
}

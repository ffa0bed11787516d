package schedule_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fluxori/ai-credits/shared/schedule"
	"github.com/fluxori/ai-credits/shared/schedule/scheduletest"
	"github.com/fluxori/ai-credits/shared/wiring"
)

const jobs = "projects/fluxori-test/locations/europe-west4/jobs/"

var place = schedule.Place{
	Project: "fluxori-test", Region: "europe-west4", BaseURL: "https://europe-west4-fluxori-test.cloudfunctions.net",
	Account: "scheduler@fluxori-test.iam.gserviceaccount.com",
}

func wanted(t *testing.T) []wiring.Job {
	t.Helper()
	l, err := wiring.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l.Jobs
}

func open(t *testing.T) (*schedule.Schedule, *scheduletest.Server) {
	t.Helper()
	server := scheduletest.New(t)
	s, err := schedule.New(server.Client(t), place, wanted(t))
	if err != nil {
		t.Fatal(err)
	}
	return s, server
}

func survey(t *testing.T, s *schedule.Schedule) []schedule.Row {
	t.Helper()
	rows, err := s.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func apply(t *testing.T, s *schedule.Schedule) []string {
	t.Helper()
	done, err := s.Apply(t.Context(), survey(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestApplyMakesTheListsJobsAndAgainNothing(t *testing.T) {
	t.Parallel()
	s, server := open(t)
	for i, r := range survey(t, s) {
		if r.Action != schedule.Create || r.State != "absent" || r.Name != wanted(t)[i].Name {
			t.Errorf("before: %+v", r)
		}
	}
	if done := apply(t, s); len(done) != len(wanted(t)) {
		t.Errorf("applied %q", done)
	}
	j := server.Job(jobs + "expiry-warnings")
	target := j.GetHttpTarget()
	if target.GetUri() != place.BaseURL+"/expiry/warnings" || target.GetHttpMethod() != schedulerpb.HttpMethod_POST || len(target.GetBody()) > 0 {
		t.Errorf("calls %v", target)
	}
	if o := target.GetOidcToken(); o.GetAudience() != place.BaseURL+"/expiry" || o.GetServiceAccountEmail() != place.Account {
		t.Errorf("as %v", o)
	}
	if j.GetTimeZone() != "Africa/Johannesburg" || j.GetSchedule() != "0 8 * * *" || j.GetAttemptDeadline().AsDuration() != 2*time.Minute || j.GetRetryConfig().GetRetryCount() != 3 {
		t.Errorf("at %v", j)
	}
	server.Calls()
	for _, r := range survey(t, s) {
		if r.Action != schedule.None || r.State != "enabled" {
			t.Errorf("after: %+v", r)
		}
	}
	if done, calls := apply(t, s), server.Calls(); len(done)+len(calls) > 0 {
		t.Errorf("again: %q by %q", done, calls)
	}
}

func TestEachDriftIsToldAndUndone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field string
		edit  func(*schedulerpb.Job)
	}{
		{"schedule", func(j *schedulerpb.Job) { j.Schedule = "0 * * * *" }},
		{"time zone", func(j *schedulerpb.Job) { j.TimeZone = "Europe/Amsterdam" }},
		{"URL", func(j *schedulerpb.Job) { j.GetHttpTarget().Uri = "https://elsewhere.test/" }},
		{"method", func(j *schedulerpb.Job) { j.GetHttpTarget().HttpMethod = schedulerpb.HttpMethod_GET }},
		{"body", func(j *schedulerpb.Job) { j.GetHttpTarget().Body = []byte("{}") }},
		{"account", func(j *schedulerpb.Job) { j.GetHttpTarget().GetOidcToken().ServiceAccountEmail = "else@test" }},
		{"audience", func(j *schedulerpb.Job) { j.GetHttpTarget().GetOidcToken().Audience = "" }},
		{"attempt deadline", func(j *schedulerpb.Job) { j.AttemptDeadline = durationpb.New(time.Minute * 3) }},
		{"retries", func(j *schedulerpb.Job) { j.GetRetryConfig().RetryCount = 5 }},
		{"back-off", func(j *schedulerpb.Job) { j.GetRetryConfig().MaxBackoffDuration = durationpb.New(time.Hour) }},
		{"description", func(j *schedulerpb.Job) { j.Description = "" }},
		{"last change", func(j *schedulerpb.Job) { j.State = schedulerpb.Job_UPDATE_FAILED }},
	}
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			t.Parallel()
			s, server := open(t)
			apply(t, s)
			server.Edit(t, jobs+"expiry-sweep", tt.edit)
			server.Calls()
			for _, r := range survey(t, s) {
				want := schedule.None
				if r.Name == "expiry-sweep" {
					want = schedule.Change
					if len(r.Differences) != 1 || r.Differences[0].Field != tt.field || r.Differences[0].Is == r.Differences[0].Wanted {
						t.Errorf("differs by %+v", r.Differences)
					}
				}
				if r.Action != want {
					t.Errorf("%s: %s, want %s", r.Name, r.Action, want)
				}
			}
			if done := apply(t, s); !slices.Equal(done, []string{"expiry-sweep"}) {
				t.Errorf("applied %q", done)
			}
			if calls := server.Calls(); !slices.Equal(calls, []string{"change expiry-sweep"}) {
				t.Errorf("by %q", calls)
			}
			if r := survey(t, s)[0]; r.Action != schedule.None {
				t.Errorf("still %+v", r)
			}
		})
	}
}

func TestOnlyTheSystemsOwnJobsAreDeleted(t *testing.T) {
	t.Parallel()
	s, server := open(t)
	apply(t, s)
	server.Calls()
	target := func(url string) *schedulerpb.Job_HttpTarget {
		return &schedulerpb.Job_HttpTarget{HttpTarget: &schedulerpb.HttpTarget{Uri: url}}
	}
	server.Put(&schedulerpb.Job{Name: jobs + "retired", Target: target(place.BaseURL + "/retired")})
	server.Put(&schedulerpb.Job{Name: jobs + "another-systems", Target: target("https://elsewhere.test/expiry")})
	server.Put(&schedulerpb.Job{Name: jobs + "another-topics", Target: &schedulerpb.Job_PubsubTarget{PubsubTarget: &schedulerpb.PubsubTarget{TopicName: "x"}}})
	server.Put(&schedulerpb.Job{Name: "projects/fluxori-test/locations/us-central1/jobs/elsewhere", Target: target(place.BaseURL + "/expiry")})
	apply(t, s)
	if calls := server.Calls(); !slices.Equal(calls, []string{"delete retired"}) {
		t.Errorf("%q", calls)
	}
}

func TestAPausedJobStaysPaused(t *testing.T) {
	t.Parallel()
	s, server := open(t)
	apply(t, s)
	if r, err := s.Pause(t.Context(), "outbox"); err != nil || r.State != "paused" || r.Action != schedule.None {
		t.Fatalf("%+v %v", r, err)
	}
	server.Edit(t, jobs+"outbox", func(j *schedulerpb.Job) { j.Schedule = "0 0 * * *" })
	apply(t, s)
	if j := server.Job(jobs + "outbox"); j.GetState() != schedulerpb.Job_PAUSED || j.GetSchedule() != "* * * * *" {
		t.Errorf("%v", j)
	}
	if r, err := s.Resume(t.Context(), "outbox"); err != nil || r.State != "enabled" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestWhatFailedHalfwayIsFinishedTheNextTime(t *testing.T) {
	t.Parallel()
	s, server := open(t)
	server.Fail(func(call string) error {
		if call == "create expiry-warnings" {
			return status.Error(codes.PermissionDenied, "no")
		}
		return nil
	})
	first, err := s.Apply(t.Context(), survey(t, s))
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "create job expiry-warnings") || !slices.Contains(first, "expiry-sweep") {
		t.Errorf("applied %q, then %v", first, err)
	}
	server.Fail(nil)
	if then := apply(t, s); slices.Contains(then, "expiry-sweep") || len(first)+len(then) != len(wanted(t)) {
		t.Errorf("then %q", then)
	}
}

func TestOnlyJobsOfTheListAreFired(t *testing.T) {
	t.Parallel()
	s, server := open(t)
	apply(t, s)
	server.Calls()
	if r, err := s.Run(t.Context(), "outbox"); err != nil || r.Last.IsZero() {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := s.Run(t.Context(), "inbox"); !errors.Is(err, schedule.ErrNoJob) || !strings.Contains(err.Error(), "expiry-sweep") {
		t.Errorf("%v", err)
	}
	if calls := server.Calls(); !slices.Equal(calls, []string{"run outbox"}) {
		t.Errorf("%q", calls)
	}
}

func TestAPlaceThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*schedule.Place)
		want string
	}{
		{"no project", func(p *schedule.Place) { p.Project = "" }, "no project"},
		{"a path for a project", func(p *schedule.Place) { p.Project = "a/b" }, "no project"},
		{"no region", func(p *schedule.Place) { p.Region = "europe" }, "no region"},
		{"plain HTTP", func(p *schedule.Place) { p.BaseURL = "http://x.test" }, "no https URL"},
		{"a slash at the end", func(p *schedule.Place) { p.BaseURL += "/" }, "no https URL"},
		{"no account", func(p *schedule.Place) { p.Account = "scheduler" }, "no service account"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := place
			tt.edit(&p)
			if _, err := schedule.New(nil, p, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

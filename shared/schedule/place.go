package schedule

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fluxori/ai-credits/shared/wiring"
)

// What every job retries by. Only how often is the list's to say.
const (
	minBackoff   = 5 * time.Second
	maxBackoff   = time.Minute
	maxDoublings = 5
)

// Place is where the jobs are, and what they call.
type Place struct {
	Project string
	Region  string
	// BaseURL is what a function's name is added to: https://europe-west4-PROJECT.cloudfunctions.net.
	BaseURL string
	// Account is the service account whose ID token each run carries. Its audience is the function's URL without a path.
	Account string
}

var (
	projectPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,62}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]+$`)
)

func (p Place) check() error {
	var wrong []error
	if !projectPattern.MatchString(p.Project) {
		wrong = append(wrong, fmt.Errorf("%q is no project", p.Project))
	}
	if !regionPattern.MatchString(p.Region) {
		wrong = append(wrong, fmt.Errorf("%q is no region", p.Region))
	}
	u, err := url.Parse(p.BaseURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(p.BaseURL, "/") {
		wrong = append(wrong, fmt.Errorf("%q is no https URL without a slash at its end", p.BaseURL))
	}
	if !strings.Contains(p.Account, "@") {
		wrong = append(wrong, fmt.Errorf("%q is no service account", p.Account))
	}
	return errors.Join(wrong...)
}

func (p Place) parent() string { return "projects/" + p.Project + "/locations/" + p.Region }

func (p Place) name(job string) string { return p.parent() + "/jobs/" + job }

// owns reports whether a job calls one of the system's functions.
func (p Place) owns(j *schedulerpb.Job) bool {
	return strings.HasPrefix(j.GetHttpTarget().GetUri(), p.BaseURL+"/")
}

// want is a job of the list as Cloud Scheduler is to have it.
func (p Place) want(j wiring.Job) *schedulerpb.Job {
	function := p.BaseURL + "/" + j.Function
	return &schedulerpb.Job{
		Name: p.name(j.Name), Description: j.Reason, Schedule: j.Cron, TimeZone: j.Zone,
		AttemptDeadline: durationpb.New(time.Duration(j.AttemptDeadlineSeconds) * time.Second),
		RetryConfig: &schedulerpb.RetryConfig{
			RetryCount: int32(j.Retries), MinBackoffDuration: durationpb.New(minBackoff), MaxBackoffDuration: durationpb.New(maxBackoff),
			MaxRetryDuration: durationpb.New(0), MaxDoublings: maxDoublings,
		},
		Target: &schedulerpb.Job_HttpTarget{HttpTarget: &schedulerpb.HttpTarget{
			Uri: function + j.Path, HttpMethod: schedulerpb.HttpMethod_POST,
			AuthorizationHeader: &schedulerpb.HttpTarget_OidcToken{
				OidcToken: &schedulerpb.OidcToken{ServiceAccountEmail: p.Account, Audience: function},
			},
		}},
	}
}

// masked are the fields that [field] knows, as a change names them.
var masked = []string{"description", "schedule", "time_zone", "attempt_deadline", "retry_config", "http_target"}

// field is one property of a job by which it can drift.
type field struct {
	name string
	of   func(*schedulerpb.Job) string
}

// fields are all that a job of the list states, and that it is enabled or paused rather than broken. Headers are left alone: Cloud Scheduler
// adds some of its own.
func fields() []field {
	return []field{
		{"schedule", (*schedulerpb.Job).GetSchedule},
		{"time zone", (*schedulerpb.Job).GetTimeZone},
		{"URL", func(j *schedulerpb.Job) string { return j.GetHttpTarget().GetUri() }},
		{"method", func(j *schedulerpb.Job) string { return j.GetHttpTarget().GetHttpMethod().String() }},
		{"body", func(j *schedulerpb.Job) string { return string(j.GetHttpTarget().GetBody()) }},
		{"account", func(j *schedulerpb.Job) string { return j.GetHttpTarget().GetOidcToken().GetServiceAccountEmail() }},
		{"audience", func(j *schedulerpb.Job) string { return j.GetHttpTarget().GetOidcToken().GetAudience() }},
		{"attempt deadline", func(j *schedulerpb.Job) string { return j.GetAttemptDeadline().AsDuration().String() }},
		{"retries", func(j *schedulerpb.Job) string { return fmt.Sprint(j.GetRetryConfig().GetRetryCount()) }},
		{"back-off", func(j *schedulerpb.Job) string { return backoff(j.GetRetryConfig()) }},
		{"description", (*schedulerpb.Job).GetDescription},
		{"last change", func(j *schedulerpb.Job) string {
			if j.GetState() == schedulerpb.Job_UPDATE_FAILED {
				return "failed"
			}
			return "made"
		}},
	}
}

func backoff(r *schedulerpb.RetryConfig) string {
	return fmt.Sprintf("%v to %v, doubled %d times, for %v", r.GetMinBackoffDuration().AsDuration(), r.GetMaxBackoffDuration().AsDuration(),
		r.GetMaxDoublings(), r.GetMaxRetryDuration().AsDuration())
}

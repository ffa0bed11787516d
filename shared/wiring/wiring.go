// Package wiring is the one list of what sets the functions off, apart from callers: Pub/Sub's topics with the subscriptions that push
// their messages, and Cloud Scheduler's jobs, each with the reason why it is there.
//
// The list is wiring.json. In the cloud Terraform creates its topics and subscriptions, with jsondecode, and creditsctl its jobs (package
// schedule); the local runner and the tests create it on the embedded broker and fire its jobs. So what runs locally is what is deployed.
//
// Invariants: a List has passed every check of [Parse]; names are unique; each subscription's topic and dead-letter topic are in the list;
// each deadline, back-off and retry is within the bounds of Google's services. That each function exists and states the path in its
// contract is a test.
//
// It does not own what the functions do, who may call them (package identity), topics' messages (package events), or how a job is fired.
package wiring

import (
	_ "embed" // for the list
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/table"
)

//go:embed wiring.json
var list []byte

// List is everything that is wired.
type List struct {
	Topics        []Topic        `json:"topics"`
	Subscriptions []Subscription `json:"subscriptions"`
	Jobs          []Job          `json:"jobs"`
}

// Topic is a Pub/Sub topic.
type Topic struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Subscription pushes a topic's messages to a function.
type Subscription struct {
	Name     string `json:"name"`
	Topic    string `json:"topic"`
	Function string `json:"function"`
	// Path is what follows the function's name in the URL: empty, or such as "/settle".
	Path string `json:"path"`
	// AckDeadlineSeconds is how long a push may take.
	AckDeadlineSeconds int `json:"ack_deadline_seconds"`
	// A push that failed is repeated after MinBackoffSeconds, then ever later, up to MaxBackoffSeconds.
	MinBackoffSeconds int `json:"min_backoff_seconds"`
	MaxBackoffSeconds int `json:"max_backoff_seconds"`
	// RetentionSeconds is how long a message is kept that is not acknowledged.
	RetentionSeconds int         `json:"retention_seconds"`
	DeadLetter       *DeadLetter `json:"dead_letter,omitempty"`
	Reason           string      `json:"reason"`
}

// DeadLetter says when Pub/Sub gives up on a message, and where it puts it.
type DeadLetter struct {
	Topic               string `json:"topic"`
	MaxDeliveryAttempts int    `json:"max_delivery_attempts"`
}

// Job is a scheduled request: POST without a body.
type Job struct {
	Name     string `json:"name"`
	Function string `json:"function"`
	Path     string `json:"path"`
	// Cron is minute, hour, day of month, month, day of week (0 is Sunday) in Zone, an IANA name.
	Cron string `json:"cron"`
	Zone string `json:"zone"`
	// AttemptDeadlineSeconds is how long a run may take; Retries is how often a failed one is repeated before the next is due.
	AttemptDeadlineSeconds int    `json:"attempt_deadline_seconds"`
	Retries                int    `json:"retries"`
	Reason                 string `json:"reason"`

	times times
}

// Next is when the job is due next after a moment; zero for never, as with a date that does not exist.
func (j Job) Next(after time.Time) time.Time { return j.times.next(after) }

// Load returns the system's own list.
func Load() (*List, error) {
	l, err := Parse(list)
	if err != nil {
		return nil, fmt.Errorf("wiring.json: %w", err)
	}
	return l, nil
}

// Parse reads and checks a list. Unknown members are errors, and so is whatever Google's services would refuse; the error tells all.
func Parse(data []byte) (*List, error) {
	l, err := table.Read[List](data)
	if err != nil {
		return nil, err
	}
	c := checker{topics: map[string]bool{}, names: map[string]bool{}}
	for _, t := range l.Topics {
		c.topic(t)
	}
	for _, s := range l.Subscriptions {
		c.subscription(s)
	}
	for i := range l.Jobs {
		c.job(&l.Jobs[i])
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return &l, nil
}

var (
	namePattern     = regexp.MustCompile(`^[a-z][a-z0-9-]{2,254}$`)
	functionPattern = regexp.MustCompile(`^[a-z]+$`)
	pathPattern     = regexp.MustCompile(`^(/[a-z]+)*$`)
)

// checker gathers what is wrong with a list.
type checker struct {
	table.Findings
	topics map[string]bool
	names  map[string]bool // of subscriptions and jobs
}

func (c *checker) topic(t Topic) {
	c.Must(namePattern.MatchString(t.Name), "topic %q has no good name", t.Name)
	c.Must(!c.topics[t.Name], "topic %s is listed twice", t.Name)
	c.Must(t.Reason != "", "topic %s does not say why", t.Name)
	c.topics[t.Name] = true
}

// target checks what subscriptions and jobs have in common.
func (c *checker) target(name, function, path, reason string) {
	c.Must(namePattern.MatchString(name), "%q is no good name", name)
	c.Must(!c.names[name], "%s is listed twice", name)
	c.Must(functionPattern.MatchString(function), "%s: %q is no function's name", name, function)
	c.Must(pathPattern.MatchString(path), "%s: %q is no path", name, path)
	c.Must(reason != "", "%s does not say why", name)
	c.names[name] = true
}

func (c *checker) subscription(s Subscription) {
	c.target(s.Name, s.Function, s.Path, s.Reason)
	c.Must(c.topics[s.Topic], "%s: topic %q is not listed", s.Name, s.Topic)
	c.Within(s.Name+": ack_deadline_seconds", s.AckDeadlineSeconds, 10, 600)
	c.Within(s.Name+": max_backoff_seconds", s.MaxBackoffSeconds, 0, 600)
	c.Within(s.Name+": min_backoff_seconds", s.MinBackoffSeconds, 0, s.MaxBackoffSeconds)
	c.Within(s.Name+": retention_seconds", s.RetentionSeconds, 600, 31*24*3600)
	if d := s.DeadLetter; d != nil {
		c.Must(c.topics[d.Topic], "%s: dead-letter topic %q is not listed", s.Name, d.Topic)
		c.Must(d.Topic != s.Topic, "%s: its dead letters come back to it", s.Name)
		c.Within(s.Name+": max_delivery_attempts", d.MaxDeliveryAttempts, 5, 100)
	}
}

func (c *checker) job(j *Job) {
	c.target(j.Name, j.Function, j.Path, j.Reason)
	c.Within(j.Name+": attempt_deadline_seconds", j.AttemptDeadlineSeconds, 15, 1800)
	c.Within(j.Name+": retries", j.Retries, 0, 5)
	var err error
	j.times, err = parseTimes(j.Cron, j.Zone)
	c.Must(err == nil, "%s: %w", j.Name, err)
}

// Subscribed reports whether a topic has a subscription that pushes it: one without loses what is published to it.
func (l *List) Subscribed(topic string) bool {
	return slices.ContainsFunc(l.Subscriptions, func(s Subscription) bool { return s.Topic == topic })
}

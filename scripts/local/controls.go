package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// Bounds of what the controls take.
const (
	controlMaxBytes = 16 << 10
	maxAdvance      = 5 * 366 * 24 * time.Hour
	publishMaxBytes = 1 << 20
	controlDeadline = 5 * time.Minute
)

// invalid is a problem with what a control was asked.
func invalid(text string) error { return problem.New(problem.InvalidRequest, text, nil) }

// controls are the routes beneath /_local that only the local runner has.
func (s *system) controls() http.Handler {
	r := serve.NewRouter()
	r.Handle("POST /_local/token", s.token)
	r.Handle("POST /_local/clock", s.moveClock)
	r.Handle("GET /_local/clock", s.tellClock)
	r.Handle("POST /_local/jobs/{name}/run", s.runJob)
	r.Handle("POST /_local/publish/{topic}", s.publish)
	return r
}

// tokenRequest asks to be somebody.
type tokenRequest struct {
	OrgID  string `json:"org_id,omitempty"`
	UserID string `json:"user_id,omitempty"`
	Role   string `json:"role"`
}

// token mints an ID token for a role, and makes the membership of a member or administrator if the organisation exists.
func (s *system) token(w http.ResponseWriter, r *http.Request) error {
	req, err := strictjson.Decode[tokenRequest](r.Body, controlMaxBytes)
	if err != nil {
		return err
	}
	token, err := s.mint(r.Context(), req)
	if err != nil {
		return err
	}
	serve.OK(w, r, map[string]string{"token": token})
	return nil
}

// clockRequest moves the system's clock: by a duration, or to a moment.
type clockRequest struct {
	Advance string     `json:"advance,omitempty"`
	Now     *time.Time `json:"now,omitempty"`
}

func (s *system) moveClock(w http.ResponseWriter, r *http.Request) error {
	req, err := strictjson.Decode[clockRequest](r.Body, controlMaxBytes)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	var target time.Time
	switch {
	case (req.Advance == "") == (req.Now == nil):
		return invalid(`Say either {"advance": "720h"} or {"now": "2026-12-24T18:00:00Z"}.`)
	case req.Now != nil:
		target = *req.Now
	default:
		d, err := time.ParseDuration(req.Advance)
		if err != nil {
			return invalid(`advance must be a duration, such as "90m" or "720h".`)
		}
		target = now.Add(d)
	}
	if target.Before(now) {
		return invalid("The clock never goes back: it is " + now.Format(time.RFC3339) + ".")
	}
	if target.Sub(now) > maxAdvance {
		return invalid("The clock moves at most five years at a time.")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), controlDeadline)
	defer cancel()
	stops, err := s.scheduler.moveTo(ctx, target)
	out := map[string]any{"now": s.clock.Now(), "stops": stops}
	if err != nil {
		out["failures"] = strings.Split(err.Error(), "\n")
	}
	serve.OK(w, r, out)
	return nil
}

func (s *system) tellClock(w http.ResponseWriter, r *http.Request) error {
	serve.OK(w, r, map[string]any{"now": s.clock.Now()})
	return nil
}

// runJob fires a scheduled job now, and answers when what it set off is done.
func (s *system) runJob(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	err := s.scheduler.run(r.Context(), name)
	if errors.Is(err, errNoJob) {
		return problem.New(problem.NotFound, "There is no such job; there are: "+strings.Join(s.scheduler.names(), ", ")+".", nil)
	}
	if err != nil {
		return problem.New(problem.Unavailable, "The job failed: "+err.Error(), nil)
	}
	if err := s.settle(r.Context()); err != nil {
		return err
	}
	serve.OK(w, r, map[string]any{"job": name, "now": s.clock.Now()})
	return nil
}

// publish puts the body on a topic as a message's data, as a Pub/Sub client would, and answers when what it set off is done.
func (s *system) publish(w http.ResponseWriter, r *http.Request) error {
	topic := r.PathValue("topic")
	if !slices.ContainsFunc(s.list.Topics, func(t wiring.Topic) bool { return t.Name == topic }) {
		return problem.New(problem.NotFound, "There is no such topic.", nil)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, publishMaxBytes))
	if err != nil {
		return err
	}
	publisher := s.clients.Messages.Publisher(topic)
	defer publisher.Stop()
	id, err := publisher.Publish(r.Context(), &pubsub.Message{Data: data}).Get(r.Context())
	if err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	if err := s.settle(r.Context()); err != nil {
		return err
	}
	serve.OK(w, r, map[string]string{"message_id": id})
	return nil
}

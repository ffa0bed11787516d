// Package trigger handles the requests that set a function off without a caller who waits for an answer: Pub/Sub's direct pushes and Cloud
// Scheduler's jobs. package wiring lists them.
//
// Invariants: nothing is handled before the sender's token has been verified: issuer, audience, and the one service account that may send;
// a push is acknowledged (204) exactly when its receiver returned nil, and otherwise delivered again (a passing fault is 503), so a
// receiver puts aside, and returns nil for, what can never succeed; a message is handled in the trace of whoever published it; a job's answer
// tells what it did.
//
// It stands apart from package serve so that functions which people and services call do not hold it, and so that serve knows neither
// identities nor Pub/Sub. It does not own the messages (package events), nor telling repeated deliveries apart: receivers are idempotent.
package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// Config says who may set a function off.
type Config struct {
	// Issuer signs the tokens; Audience is what they must be for: this function's URL, without a path.
	Issuer   string `env:"SERVICE_ISSUER, default=https://accounts.google.com"`
	Audience string `env:"SERVICE_AUDIENCE, required"`
	// Pusher is the service account of push subscriptions, Scheduler that of scheduled jobs. A function has those that it is wired to.
	Pusher    string `env:"PUSH_ACCOUNT"`
	Scheduler string `env:"SCHEDULER_ACCOUNT"`
}

// Pushes lets in the service account of push subscriptions.
func (c Config) Pushes(env serve.Env) (*identity.Account, error) {
	return c.account(env, "PUSH_ACCOUNT", c.Pusher)
}

// Jobs lets in the service account of scheduled jobs.
func (c Config) Jobs(env serve.Env) (*identity.Account, error) {
	return c.account(env, "SCHEDULER_ACCOUNT", c.Scheduler)
}

// Senders lets in both, each where it belongs, for a function that is pushed to and fired.
func (c Config) Senders(env serve.Env) (pusher, scheduler *identity.Account, err error) {
	if pusher, err = c.Pushes(env); err != nil {
		return nil, nil, err
	}
	scheduler, err = c.Jobs(env)
	return pusher, scheduler, err
}

func (c Config) account(env serve.Env, setting, email string) (*identity.Account, error) {
	a, err := identity.NewAccount(identity.Source{Issuer: c.Issuer, Audience: c.Audience, Client: env.Client()}, email)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return a, nil
}

// Push handles the pushes of a subscription that sender sends. A request that is no push is refused, which leaves the message with Pub/Sub:
// a subscription that is set up wrongly loses nothing.
func Push(sender *identity.Account, receive func(context.Context, events.Push) error) serve.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := sender.Authenticate(r); err != nil {
			return err
		}
		p, err := events.DecodePush(r.Body)
		switch {
		case errors.Is(err, events.ErrBadPush):
			return problem.New(problem.InvalidRequest, "The body is not a Pub/Sub push.", nil)
		case errors.Is(err, events.ErrPushTooLarge):
			return problem.New(problem.TooLarge, "The push is larger than any that Pub/Sub sends.", nil)
		case err != nil:
			return err
		}
		if err := handle(r.Context(), p, receive); err != nil {
			return fmt.Errorf("message %s of %s, attempt %d: %w", p.MessageID, p.Subscription, p.DeliveryAttempt, err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// handle hands a message to its receiver, in the trace of whoever published it.
func handle(ctx context.Context, p events.Push, receive func(context.Context, events.Push) error) error {
	recorder := telemetry.FromContext(ctx)
	ctx, span := recorder.Caused(ctx, "receive", p.Attributes)
	defer span.End()
	if cause := trace.SpanContextFromContext(ctx); cause.IsValid() && cause.TraceID().String() != request.FromContext(ctx).Trace {
		request.Note(ctx, slog.String("caused_by", cause.TraceID().String()))
		ctx = request.InTrace(ctx, cause.TraceID().String(), cause.SpanID().String(), cause.IsSampled())
	}
	return receive(ctx, p)
}

// Job handles the runs of a job that sender fires. What run returns is the answer.
func Job[T any](sender *identity.Account, run func(context.Context) (T, error)) serve.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := sender.Authenticate(r); err != nil {
			return err
		}
		did, err := run(r.Context())
		telemetry.FromContext(r.Context()).SendNow(r.Context())
		if err != nil {
			return err
		}
		serve.OK(w, r, did)
		return nil
	}
}

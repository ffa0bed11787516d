package ledger

import (
	"context"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// tracedMax bounds how many of a batch's commands are asked for their traces.
const tracedMax = 16

// traced begins the commit's span in the trace of one of its commands, a kept one if there is any; others that are kept are linked. What the
// commit publishes carries that trace.
func (r *round) traced(ctx context.Context) (context.Context, trace.Span) {
	var cause trace.SpanContext
	var links []trace.Link
	for _, it := range r.items[:min(len(r.items), tracedMax)] {
		c := trace.SpanContextFromContext(it.ctx)
		switch {
		case !c.IsValid():
		case !cause.IsValid(), c.IsSampled() && !cause.IsSampled():
			cause = c
		case c.IsSampled():
			links = append(links, trace.Link{SpanContext: c})
		}
	}
	if !cause.IsValid() {
		return ctx, trace.SpanFromContext(ctx)
	}
	return r.ledger.opts.Telemetry.Start(trace.ContextWithSpanContext(ctx, cause), "commit", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("commands", len(r.accepted)), attribute.Int("entries", len(r.entries))))
}

// reportAttempt records one attempt to commit.
func (r *round) reportAttempt(ctx context.Context, v verdict, took time.Duration) {
	outcome := telemetry.Unclear
	switch v {
	case applied:
		outcome = telemetry.Landed
	case lostRace, harmed:
		outcome = telemetry.Conflict
	case hopeless:
		outcome = telemetry.Refused
	case open:
	}
	r.ledger.opts.Telemetry.Committed(ctx, outcome, took)
}

// reportLanded records what a commit that landed holds.
func (r *round) reportLanded(ctx context.Context) {
	t := r.ledger.opts.Telemetry
	if t == nil {
		return
	}
	t.Batched(ctx, len(r.accepted))
	kinds := map[credit.Kind]int{}
	for _, e := range r.entries {
		kinds[e.Kind]++
	}
	for kind, n := range kinds {
		t.Entered(ctx, string(kind), n)
	}
}

// reportOutbox records the age of the oldest document that a sweep found, which comes first.
func (l *Ledger) reportOutbox(ctx context.Context, docs []*pb.Document) {
	var age time.Duration
	if len(docs) > 0 {
		age = l.opts.Now().Sub(docs[0].GetFields()["at"].GetTimestampValue().AsTime())
	}
	l.opts.Telemetry.OutboxAge(ctx, age)
}

package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceParent is the name under which a trace travels, in HTTP's headers as in the attributes of messages (W3C Trace Context).
const TraceParent = "traceparent"

// Start begins a span where the trace that ctx belongs to is kept. Elsewhere it returns ctx, and a span that records nothing.
func (r *Recorder) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if r == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return r.tracer.Start(ctx, name, options...)
}

// Join returns ctx as part of the trace that a message or request names: trace and span in hexadecimal digits. One that names none leaves ctx
// as it is.
func Join(ctx context.Context, traceID, spanID string, sampled bool) context.Context {
	t, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		return ctx
	}
	s, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		return ctx
	}
	var flags trace.TraceFlags
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: t, SpanID: s, TraceFlags: flags.WithSampled(sampled), Remote: true,
	}))
}

// Carried returns the trace that ctx belongs to as a message carries it, or nothing.
func Carried(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[TraceParent]
}

// Continue returns ctx as part of the trace that Carried told of. Nothing leaves ctx as it is.
func Continue(ctx context.Context, carried string) context.Context {
	if carried == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{TraceParent: carried})
}

// Caused begins the work that a message asks for, in the trace that its attributes name; the trace that its delivery belongs to is linked. The
// work for a message that names none is part of its delivery.
func (r *Recorder) Caused(ctx context.Context, name string, attributes map[string]string) (context.Context, trace.Span) {
	consumer := trace.WithSpanKind(trace.SpanKindConsumer)
	cause := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(attributes)))
	if !cause.IsValid() {
		return r.Start(ctx, name, consumer)
	}
	return r.Start(trace.ContextWithRemoteSpanContext(ctx, cause), name, consumer, trace.WithLinks(trace.LinkFromContext(ctx)))
}

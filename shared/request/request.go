// Package request carries, in a context, what identifies one request wherever its work goes: its id, the trace it
// belongs to, the logger to report on, and what is learned of it on the way, for its line in the log.
//
// Invariants: a scope is set once, at the edge, and nothing of it is changed but its trace; the id is safe to print in a header, a log line and
// an answer.
//
// It does not own the choice of the id or the shape of the log lines (package serve), nor who the caller is
// (package identity).
package request

import (
	"context"
	"log/slog"
)

// Scope identifies one request. The zero Scope is that of work which no request asked for.
type Scope struct {
	// ID names the request in answers and logs.
	ID string
	// Trace and Span are those of the trace the request belongs to, as 32 and 16 hexadecimal digits, or empty.
	Trace, Span string
	// Sampled says whether the trace's other spans are kept.
	Sampled bool
	// Log is the logger to report on. Nil discards.
	Log *slog.Logger
}

// scopeKey is the context key of a Scope.
type scopeKey struct{}

// NewContext returns a context that carries s, and what is noted of the request.
func NewContext(ctx context.Context, s Scope) context.Context {
	return context.WithValue(context.WithValue(ctx, scopeKey{}, s), notesKey{}, &notes{})
}

// InTrace returns a context whose lines belong to another trace: that of whoever asked for the work, where a message brings it. The request
// remains the same.
func InTrace(ctx context.Context, trace, span string, sampled bool) context.Context {
	s := FromContext(ctx)
	s.Trace, s.Span, s.Sampled = trace, span, sampled
	return context.WithValue(ctx, scopeKey{}, s)
}

// FromContext returns the scope that ctx carries, or the zero Scope.
func FromContext(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}

// Logger returns the logger that ctx carries. It is never nil: without one, what is logged is discarded.
func Logger(ctx context.Context) *slog.Logger {
	if log := FromContext(ctx).Log; log != nil {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

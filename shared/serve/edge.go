package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// loggedTextMax bounds each piece of a request that is logged, in bytes.
const loggedTextMax = 512

// errNotBuilt is what a caller learns of a function that could not be built.
var errNotBuilt = problem.New(problem.Unavailable, "The service could not start. Repeat the request with the same id.", nil)

// errFrozen is what a caller learns while the system is frozen.
var errFrozen = problem.New(problem.Unavailable, "The service is stopped for now. Repeat the request later with the same id.", nil)

// frozenSetting is the setting that freezes a function when it is true: whatever would change something is refused as unavailable, which makes
// callers keep their ids, Stripe repeat its events and Pub/Sub keep its messages. What only reads is answered.
const frozenSetting = "FROZEN"

// edge serves a function's requests: everything that is the same for all functions happens here, once.
type edge struct {
	function Function
	env      Env
	handler  func(ctx context.Context) (http.Handler, error)
	frozen   bool
}

func (f Function) edge(env Env, handler func(ctx context.Context) (http.Handler, error)) http.Handler {
	return &edge{function: f, env: env, handler: handler, frozen: env.Frozen()}
}

// Frozen reports whether the system is frozen. Requests that only read are answered then: a handler of one that changes something besides asks.
func (e Env) Frozen() bool {
	if e.Lookup == nil {
		return false
	}
	v, _ := e.Lookup.Lookup(frozenSetting)
	return v == "true"
}

// ServeHTTP implements http.Handler.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	ctx, scope, span := e.enter(r.Context(), r.Header)
	ctx, cancel := context.WithTimeout(ctx, e.function.deadline)
	defer cancel()
	// The context does not end a read of the body, so the connection gets the same deadline. A writer that has none,
	// as in tests without a connection, needs none.
	if err := http.NewResponseController(w).SetReadDeadline(begin.Add(e.function.deadline)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		e.env.Log.WarnContext(ctx, "the connection takes no read deadline", slog.Any("error", err))
	}
	r = r.WithContext(ctx)
	if r.URL.Path == "" {
		// What is left of /NAME once the name is stripped.
		root := *r.URL
		root.Path, root.RawPath = "/", ""
		r.URL = &root
	}
	r.Body = http.MaxBytesReader(w, r.Body, e.function.bodyLimitBytes)

	rec := &recorder{ResponseWriter: w}
	setHeaders(rec.Header(), scope.ID)
	defer func() {
		aborted := e.recovered(rec, r, recover())
		took := time.Since(begin)
		e.logRequest(rec, r, took)
		e.leave(rec, r, span, took)
		if aborted {
			// The answer has begun and cannot be taken back; a closed connection tells the client that it is not whole.
			panic(http.ErrAbortHandler)
		}
	}()
	e.serve(rec, r)
}

// enter identifies a request, and begins its span in the trace that its headers name.
func (e *edge) enter(ctx context.Context, h http.Header) (context.Context, request.Scope, trace.Span) {
	scope := newScope(h, e.env.Log)
	ctx = telemetry.Join(telemetry.NewContext(ctx, e.env.Telemetry), scope.Trace, scope.Span, scope.Sampled)
	ctx, span := e.env.Telemetry.Start(ctx, e.function.name, trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		scope.Span = span.SpanContext().SpanID().String()
	}
	return request.NewContext(ctx, scope), scope, span
}

// leave records what the answer was, and ends the span. It may hold the answer up for a moment, to send what was recorded while the processor is there.
func (e *edge) leave(rec *recorder, r *http.Request, span trace.Span, took time.Duration) {
	if span.IsRecording() {
		span.SetName(e.function.name + " " + r.Pattern)
		span.SetAttributes(attribute.Int("http.response.status_code", rec.sent()), attribute.String("code", rec.code))
	}
	span.End()
	e.env.Telemetry.Answered(r.Context(), e.function.name, rec.code, took)
	e.env.Telemetry.Send(r.Context())
}

// serve answers a health check or passes r to the function's handler.
func (e *edge) serve(w http.ResponseWriter, r *http.Request) {
	handler, err := e.handler(r.Context())
	if err != nil {
		request.Logger(r.Context()).ErrorContext(r.Context(), "the function cannot be built",
			slog.String("function", e.function.name), slog.Any("error", err))
		problem.Write(w, r, errNotBuilt)
		return
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if r.URL.Path != "/health" {
		if e.frozen && !reads {
			problem.Write(w, r, errFrozen)
			return
		}
		handler.ServeHTTP(w, r)
		return
	}
	if !reads {
		methodNotAllowed(w, r, "GET, HEAD")
		return
	}
	OK(w, r, struct {
		Status string `json:"status"`
	}{"ok"})
}

// recovered deals with what a handler's panic left: it is logged, and answered if nothing was. It reports whether an
// answer had begun.
func (e *edge) recovered(rec *recorder, r *http.Request, v any) (aborted bool) {
	if v == nil {
		return false
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	log := request.Logger(r.Context())
	// Error Reporting groups by the field stack_trace.
	log.ErrorContext(r.Context(), "a handler panicked", slog.String("stack_trace", fmt.Sprintf("panic: %v\n\n%s", v, debug.Stack())))
	if rec.status != 0 {
		return true
	}
	problem.Write(rec, r, fmt.Errorf("a handler panicked: %v", v))
	return false
}

// logRequest writes the request's line, in the form that Cloud Logging shows as an HTTP request, with what was noted of it. The query and the
// headers stay out of it.
func (e *edge) logRequest(rec *recorder, r *http.Request, took time.Duration) {
	httpStatus := rec.sent()
	level := slog.LevelInfo
	switch {
	case httpStatus == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case httpStatus >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	request.Logger(r.Context()).LogAttrs(r.Context(), level, "request", append(request.Notes(r.Context()),
		slog.String("function", e.function.name),
		slog.String("route", r.Pattern),
		slog.String("code", rec.code),
		slog.Group("httpRequest",
			slog.String("requestMethod", cut(r.Method)),
			slog.String("requestUrl", cut(r.URL.Path)),
			slog.String("protocol", r.Proto),
			slog.String("userAgent", cut(r.UserAgent())),
			slog.Int("status", httpStatus),
			slog.Int64("responseSize", rec.bytes),
			slog.String("latency", fmt.Sprintf("%d.%09ds", took/time.Second, took%time.Second)),
		))...)
}

// cut returns s, or its first loggedTextMax bytes.
func cut(s string) string {
	if len(s) <= loggedTextMax {
		return s
	}
	return strings.ToValidUTF8(s[:loggedTextMax], "") + "…"
}

// setHeaders sets what every answer carries. A handler may set its own instead: pages need a policy of their own, and
// what may be cached says so.
func setHeaders(h http.Header, requestID string) {
	h.Set("X-Request-Id", requestID)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// recorder notes what an answer was.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	code   string // of the problem that was answered, if one was
}

// NoteProblem implements problem.Noter.
func (rec *recorder) NoteProblem(code string) { rec.code = code }

var _ problem.Noter = (*recorder)(nil)

// sent is the answer's status; a handler that set none answered 200.
func (rec *recorder) sent() int {
	if rec.status == 0 {
		return http.StatusOK
	}
	return rec.status
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(httpStatus int) {
	// 1xx answers come before the answer.
	if rec.status == 0 && httpStatus >= http.StatusOK {
		rec.status = httpStatus
	}
	rec.ResponseWriter.WriteHeader(httpStatus)
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += int64(n)
	return n, err
}

// Unwrap lets an http.ResponseController reach the connection, to flush.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

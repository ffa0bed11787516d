package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/fluxori/ai-credits/shared/request"
)

// redacted stands in place of a value whose name says that it is secret, and of people's addresses.
const redacted = "[redacted]"

// addressPattern finds e-mail addresses in text. Mail servers, for one, repeat them in their errors.
var addressPattern = regexp.MustCompile(`[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}.-]+`)

// serviceAccounts end the addresses of accounts that are nobody's: lines may name them.
const serviceAccounts = ".gserviceaccount.com"

// NewLogHandler returns a handler that writes one JSON object a line, as Cloud Logging reads it: severity, message,
// time, and for lines that belong to a request its id and trace. The project names the trace; without it only the
// request id is written. Values named like a secret (token, authorization, cookie, password, secret) are replaced, and so is every e-mail
// address of a person, in the message, in texts and in errors.
func NewLogHandler(w io.Writer, project string, level slog.Leveler) slog.Handler {
	json := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: cloudAttr})
	return &logHandler{project: project, root: json, current: json}
}

// cloudAttr renames slog's own attributes to Cloud Logging's, and hides secrets.
func cloudAttr(groups []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "token", "id_token", "authorization", "cookie", "password", "secret", "signature":
		return slog.String(a.Key, redacted)
	}
	a.Value = withoutAddresses(a.Value)
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("severity", severityOf(level))
		}
	case slog.MessageKey:
		a.Key = "message"
	}
	return a
}

// withoutAddresses replaces people's e-mail addresses in a text or an error.
func withoutAddresses(v slog.Value) slog.Value {
	var text string
	switch v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindAny:
		err, ok := v.Any().(error)
		if !ok {
			return v
		}
		text = err.Error()
	default:
		return v
	}
	if !strings.Contains(text, "@") {
		return v
	}
	return slog.StringValue(addressPattern.ReplaceAllStringFunc(text, func(address string) string {
		if strings.HasSuffix(strings.TrimRight(address, "."), serviceAccounts) {
			return address
		}
		return redacted
	}))
}

// severityOf names a level as Cloud Logging does. One step of slog's four above error is critical.
func severityOf(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "DEBUG"
	case level < slog.LevelWarn:
		return "INFO"
	case level < slog.LevelError:
		return "WARNING"
	case level < slog.LevelError+4:
		return "ERROR"
	default:
		return "CRITICAL"
	}
}

// logHandler adds the request's id and trace to each line, at its top even if the logger has groups open: Cloud
// Logging looks for them there.
type logHandler struct {
	project string
	// root is the handler without the logger's own attributes and groups; current has them.
	root, current slog.Handler
	// steps lead from root to current.
	steps []func(slog.Handler) slog.Handler
	// grouped says that a group is open.
	grouped bool
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.root.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) }, h.grouped)
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return h.with(func(next slog.Handler) slog.Handler { return next.WithGroup(name) }, h.grouped || name != "")
}

// with returns a handler one step further.
func (h *logHandler) with(step func(slog.Handler) slog.Handler, grouped bool) slog.Handler {
	next := *h
	next.current = step(h.current)
	next.grouped = grouped
	next.steps = append(h.steps[:len(h.steps):len(h.steps)], step)
	return &next
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	attrs := h.scopeAttrs(request.FromContext(ctx))
	handler := h.current
	switch {
	case len(attrs) == 0:
	case !h.grouped:
		record = record.Clone()
		record.AddAttrs(attrs...)
	default:
		handler = h.root.WithAttrs(attrs)
		for _, step := range h.steps {
			handler = step(handler)
		}
	}
	if err := handler.Handle(ctx, record); err != nil {
		return fmt.Errorf("write a log line: %w", err)
	}
	return nil
}

// scopeAttrs returns what names a request in a log line.
func (h *logHandler) scopeAttrs(s request.Scope) []slog.Attr {
	var attrs []slog.Attr
	if s.ID != "" {
		attrs = append(attrs, slog.String("request_id", s.ID))
	}
	if s.Trace != "" && h.project != "" {
		attrs = append(attrs,
			slog.String("logging.googleapis.com/trace", "projects/"+h.project+"/traces/"+s.Trace),
			slog.Bool("logging.googleapis.com/trace_sampled", s.Sampled))
		if s.Span != "" {
			attrs = append(attrs, slog.String("logging.googleapis.com/spanId", s.Span))
		}
	}
	return attrs
}

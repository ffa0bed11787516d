package serve

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/fluxori/ai-credits/shared/request"
)

// requestIDMax bounds a request id that a caller chose, in bytes.
const requestIDMax = 64

// newScope identifies a request: by the id its caller chose if that is fit to be repeated, else by its trace, else by a
// new random id.
func newScope(h http.Header, log *slog.Logger) request.Scope {
	s := request.Scope{Log: log}
	s.Trace, s.Span, s.Sampled = traceOf(h)
	switch id := h.Get("X-Request-Id"); {
	case validRequestID(id):
		s.ID = id
	case s.Trace != "":
		s.ID = s.Trace
	default:
		s.ID = rand.Text()
	}
	return s
}

// validRequestID reports whether id can stand in a header, a log line and an answer: letters, digits and ._:-
func validRequestID(id string) bool {
	if id == "" || len(id) > requestIDMax {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// traceOf reads the trace a request belongs to from the W3C header, or from Google's own: trace and span as
// hexadecimal digits, empty if there is none that is well formed.
func traceOf(h http.Header) (trace, span string, sampled bool) {
	// 00-TRACE-SPAN-FLAGS
	if parts := strings.Split(h.Get("Traceparent"), "-"); len(parts) == 4 && validTrace(parts[1]) && isHex(parts[2], 16) {
		if flags, err := strconv.ParseUint(parts[3], 16, 8); err == nil {
			return parts[1], parts[2], flags&1 == 1
		}
	}
	// TRACE/SPAN;o=1, where SPAN is decimal.
	value, options, _ := strings.Cut(h.Get("X-Cloud-Trace-Context"), ";")
	trace, decimal, _ := strings.Cut(value, "/")
	if !validTrace(trace) {
		return "", "", false
	}
	if n, err := strconv.ParseUint(decimal, 10, 64); err == nil && n != 0 {
		span = fmt.Sprintf("%016x", n)
	}
	return trace, span, options == "o=1"
}

// validTrace reports whether s is a trace id: 32 lower-case hexadecimal digits, not all zero.
func validTrace(s string) bool { return isHex(s, 32) && strings.Trim(s, "0") != "" }

// isHex reports whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

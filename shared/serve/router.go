package serve

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
)

// HandlerFunc answers a request, or returns the error that is to be answered as a problem.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (h HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	if err == nil {
		return
	}
	if rec, ok := w.(*recorder); ok && rec.status != 0 {
		// Part of an answer is out, of an export perhaps: break it off rather than end it as if it were whole.
		request.Logger(r.Context()).ErrorContext(r.Context(), "an answer broke off", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	problem.Write(w, r, err)
}

// Router passes requests on by method and path, with the patterns of http.ServeMux. What it does not have it answers
// as a problem: `not_found`, or `method_not_allowed` with the Allow header. It never redirects: a path that would have
// to be cleaned or completed is not found.
type Router struct {
	mux      http.ServeMux
	patterns []string
}

// NewRouter returns a Router without routes.
func NewRouter() *Router { return &Router{} }

// Handle adds a route, such as "POST /holds/{hold_id}/capture". Like http.ServeMux it panics if the pattern is
// malformed or conflicts with another.
func (rt *Router) Handle(pattern string, h HandlerFunc) {
	rt.mux.Handle(pattern, h)
	rt.patterns = append(rt.patterns, pattern)
}

// Patterns are the routes there are, in the order in which they were added.
func (rt *Router) Patterns() []string { return slices.Clone(rt.patterns) }

// ServeHTTP implements http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, _ := rt.mux.Handler(r)
	if _, ok := found.(HandlerFunc); ok {
		rt.mux.ServeHTTP(w, r)
		return
	}
	// The mux's own handler knows the methods that the path does have, and says so in a header.
	asked := &discard{header: http.Header{}}
	found.ServeHTTP(asked, r)
	if allow := asked.header.Get("Allow"); allow != "" {
		methodNotAllowed(w, r, allow)
		return
	}
	problem.Write(w, r, problem.New(problem.NotFound, "There is nothing at this path.", nil))
}

// methodNotAllowed answers that the path has other methods.
func methodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	problem.Write(w, r, problem.New(problem.MethodNotAllowed, "This path takes "+allow+".", nil))
}

// discard keeps an answer's header only.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

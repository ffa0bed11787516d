package request

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// notesMax bounds what is noted of one request: a job that sees to thousands of wallets is known by its first.
const notesMax = 8

// notes are what is learned of a request while it is served.
type notes struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

// notesKey is the context key of notes.
type notesKey struct{}

// Note adds attributes to the line that is logged of the request once it is answered, such as the id of the event it was about. Names are
// noted once: what comes later under the same name is left out, as is what no request asked for.
func Note(ctx context.Context, attrs ...slog.Attr) {
	n, ok := ctx.Value(notesKey{}).(*notes)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range attrs {
		if len(n.attrs) < notesMax && !slices.ContainsFunc(n.attrs, func(b slog.Attr) bool { return a.Key == b.Key }) {
			n.attrs = append(n.attrs, a)
		}
	}
}

// Notes returns what was noted of the request.
func Notes(ctx context.Context) []slog.Attr {
	n, ok := ctx.Value(notesKey{}).(*notes)
	if !ok {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.attrs)
}

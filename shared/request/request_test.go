package request_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/request"
)

func TestScopeTravelsWithTheContext(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	want := request.Scope{ID: "r-1", Trace: "t", Span: "s", Sampled: true, Log: slog.New(slog.NewTextHandler(&out, nil))}
	ctx, cancel := context.WithCancel(request.NewContext(t.Context(), want))
	defer cancel()
	if got := request.FromContext(ctx); got != want {
		t.Errorf("FromContext = %+v, want %+v", got, want)
	}
	request.Logger(ctx).InfoContext(ctx, "told")
	if !strings.Contains(out.String(), "told") {
		t.Errorf("the scope's logger wrote %q, want the line", out.String())
	}
}

func TestContextWithoutScopeHasAnIDLessScopeAndALogger(t *testing.T) {
	t.Parallel()
	if got := request.FromContext(t.Context()); got != (request.Scope{}) {
		t.Errorf("FromContext = %+v, want the zero Scope", got)
	}
	if request.Logger(t.Context()).Enabled(t.Context(), slog.LevelError) {
		t.Error("the logger of no request is enabled, want it to discard")
	}
}

func TestNotesAreKeptOncePerNameAndBounded(t *testing.T) {
	t.Parallel()
	ctx := request.NewContext(t.Context(), request.Scope{ID: "r-1"})
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	request.Note(inner, slog.String("event_id", "first"), slog.String("org", "acme"))
	request.Note(ctx, slog.String("event_id", "second"))
	if got := request.Notes(ctx); len(got) != 2 || got[0].String() != "event_id=first" || got[1].String() != "org=acme" {
		t.Errorf("noted %v", got)
	}
	for i := range 100 {
		request.Note(ctx, slog.Int(strconv.Itoa(i), i))
	}
	if got := request.Notes(ctx); len(got) != 8 {
		t.Errorf("noted %d attributes", len(got))
	}
	request.Note(t.Context(), slog.String("event_id", "of no request"))
	if got := request.Notes(t.Context()); got != nil {
		t.Errorf("noted %v of no request", got)
	}
}

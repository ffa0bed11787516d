package request_test

import (
	"bytes"
	"context"
	"log/slog"
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

package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/fanout"
)

// topic counts what is published to it, until it breaks.
type topic struct{ published, pages, breaksAt int }

// Publish implements fanout.Publisher.
func (p *topic) Publish(_ context.Context, messages []events.Message) error {
	if p.pages++; p.pages == p.breaksAt {
		return errors.New("down")
	}
	p.published += len(messages)
	return nil
}

// pages finds n messages, a page at a time.
func pages(n int) func(context.Context) ([]events.Message, error) {
	return func(context.Context) ([]events.Message, error) {
		found := min(n, fanout.Page)
		n -= found
		return make([]events.Message, found), nil
	}
}

func TestEachIsAskedForUpToTheBound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		due, want, pages int
		more             bool
	}{
		{"none", 0, 0, 1, false},
		{"one", 1, 1, 1, false},
		{"a page, after which there may be more", fanout.Page, fanout.Page, 2, false},
		{"some pages", 3*fanout.Page + 20, 3*fanout.Page + 20, 4, false},
		{"more than a run asks for", 60_000, 50_000, 100, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var to topic
			var logged bytes.Buffer
			asked, more, err := fanout.Ask(t.Context(), &to, slog.New(slog.NewTextHandler(&logged, nil)), pages(tt.due))
			if asked != tt.want || more != tt.more || err != nil || to.published != tt.want || to.pages != tt.pages {
				t.Errorf("asked for %d (more: %t), %v; published %d in %d pages", asked, more, err, to.published, to.pages)
			}
			if told := strings.Contains(logged.String(), "asked=50000"); told != tt.more {
				t.Errorf("logged %q", logged.String())
			}
		})
	}
}

func TestARunThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	to := topic{breaksAt: 2}
	if _, _, err := fanout.Ask(t.Context(), &to, slog.New(slog.DiscardHandler), pages(3*fanout.Page)); err == nil || to.published != fanout.Page {
		t.Errorf("a topic that breaks: %v, %d published", err, to.published)
	}
	to = topic{}
	lost := errors.New("no store")
	find := func(context.Context) ([]events.Message, error) { return nil, lost }
	if _, _, err := fanout.Ask(t.Context(), &to, slog.New(slog.DiscardHandler), find); !errors.Is(err, lost) || to.pages != 0 {
		t.Errorf("a store that breaks: %v, %d pages", err, to.pages)
	}
}

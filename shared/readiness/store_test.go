package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/readiness"
)

type features struct{ *catalogue.Catalogue }

func (f features) Current(context.Context) (*catalogue.Catalogue, error) { return f.Catalogue, nil }

// clocks are the system's clock and the machine's, in seconds past a moment.
type clocks struct{ system, machine atomic.Int64 }

func at(n *atomic.Int64) func() time.Time {
	return func() time.Time { return time.Date(2026, 3, 1, 8, 0, int(n.Load()), 0, time.UTC) }
}

func open(t *testing.T, e *engine.Engine, c *clocks) *readiness.Store {
	t.Helper()
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readiness.NewStore(readiness.Options{
		Documents: e.Client, Features: features{seed}, Log: slog.New(slog.DiscardHandler), Now: at(&c.system), MachineNow: at(&c.machine),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// against is the codes that stand against a feature, with their details.
func against(t *testing.T, s *readiness.Store, org, feature string) string {
	t.Helper()
	found, err := s.Against(t.Context(), org, feature)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range found {
		out = append(out, fmt.Sprint(e.Code(), e.Details()))
	}
	return strings.Join(out, " ")
}

func TestWhatIsSaidOfAFeatureStandsUntilItIsTakenBackOrPasses(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		c := &clocks{}
		s := open(t, e, c)
		const feature = "bulk-pricing"
		if got := against(t, s, "acme", feature); got != "" {
			t.Fatalf("before anything is said: %s", got)
		}
		until := at(&c.system)().Add(10 * time.Second)
		if err := s.SetAvailability(t.Context(), feature, readiness.Availability{Reason: "model down", Until: until}, "ops"); err != nil {
			t.Fatal(err)
		}
		if err := s.SetReadiness(t.Context(), "acme", feature, readiness.Readiness{Missing: []string{"90 days of sales"}}, "ops"); err != nil {
			t.Fatal(err)
		}
		both := "feature_unavailable" + fmt.Sprint(map[string]any{"feature": feature, "reason": "model down", "until": until}) +
			" data_required" + fmt.Sprint(map[string]any{"feature": feature, "missing": []string{"90 days of sales"}})
		one := "data_required" + fmt.Sprint(map[string]any{"feature": feature, "missing": []string{"90 days of sales"}})
		if got := against(t, s, "acme", feature); got != both {
			t.Errorf("got %s, want %s", got, both)
		}
		if got := against(t, s, "acme", "custom-query"); got != "" {
			t.Errorf("another feature: %s", got)
		}
		if got := against(t, s, "globex", feature); strings.Contains(got, "data_required") || got == "" {
			t.Errorf("another organisation: %s", got)
		}
		c.system.Store(9)
		if got := against(t, s, "acme", feature); got != both {
			t.Errorf("a second before the end: %s", got)
		}
		c.system.Store(10)
		if got := against(t, s, "acme", feature); got != one {
			t.Errorf("at the end: %s, want %s", got, one)
		}
		if err := s.SetReadiness(t.Context(), "acme", feature, readiness.Readiness{Ready: true}, "ops"); err != nil {
			t.Fatal(err)
		}
		if got := against(t, s, "acme", feature); got != "" {
			t.Errorf("when all is well again: %s", got)
		}
	})
}

func TestAnotherProcessKnowsFiveSecondsLaterAtMost(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	c := &clocks{}
	mine, others := open(t, e, c), open(t, e, c)
	const feature = "custom-query"
	if got := against(t, others, "acme", feature); got != "" {
		t.Fatal(got)
	}
	if err := mine.SetAvailability(t.Context(), feature, readiness.Availability{}, "ops"); err != nil {
		t.Fatal(err)
	}
	if got := against(t, mine, "acme", feature); !strings.HasPrefix(got, "feature_unavailable") {
		t.Errorf("who said it: %q", got)
	}
	e.Hooks.Reset()
	c.machine.Store(4)
	if got := against(t, others, "acme", feature); got != "" {
		t.Errorf("after four seconds: %q, though nothing was read", got)
	}
	if n := e.Hooks.Counts(); n.Reads != 0 {
		t.Errorf("%d reads of what is fresh", n.Reads)
	}
	c.machine.Store(5)
	for range 3 {
		if got := against(t, others, "acme", feature); !strings.HasPrefix(got, "feature_unavailable") {
			t.Errorf("after five seconds: %q", got)
		}
	}
	if n := e.Hooks.Counts(); n.Reads != 2 || n.Writes != 0 {
		t.Errorf("%d reads, %d writes, want 2 and 0", n.Reads, n.Writes)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	s := open(t, e, &clocks{})
	now := at(&atomic.Int64{})()
	set := func(feature string, a readiness.Availability) error {
		return s.SetAvailability(t.Context(), feature, a, "ops")
	}
	missing := func(missing ...string) error {
		return s.SetReadiness(t.Context(), "acme", "custom-query", readiness.Readiness{Missing: missing}, "ops")
	}
	for name, tc := range map[string]struct {
		err  error
		code string
	}{
		"an unknown feature":             {set("alchemy", readiness.Availability{}), "unknown_feature"},
		"an end that has passed":         {set("custom-query", readiness.Availability{Until: now}), "invalid_request"},
		"a reason for being available":   {set("custom-query", readiness.Availability{Available: true, Reason: "x"}), "invalid_request"},
		"an end of being available":      {set("custom-query", readiness.Availability{Available: true, Until: now.Add(1)}), "invalid_request"},
		"a reason too long":              {set("custom-query", readiness.Availability{Reason: strings.Repeat("x", 501)}), "invalid_request"},
		"a reason on two lines":          {set("custom-query", readiness.Availability{Reason: "a\nb"}), "invalid_request"},
		"too much missing":               {missing(strings.Split("a b c d e f g h i j k", " ")...), "invalid_request"},
		"an empty one":                   {missing("a", " "), "invalid_request"},
		"a long one":                     {missing(strings.Repeat("x", 81)), "invalid_request"},
		"missing though ready":           {s.SetReadiness(t.Context(), "acme", "custom-query", readiness.Readiness{Ready: true, Missing: []string{"x"}}, "ops"), "invalid_request"},
		"an organisation that cannot be": {s.SetReadiness(t.Context(), "../x", "custom-query", readiness.Readiness{Ready: true}, "ops"), "invalid_request"},
	} {
		var coded interface{ Code() string }
		if !errors.As(tc.err, &coded) || coded.Code() != tc.code {
			t.Errorf("%s: %v, want %s", name, tc.err, tc.code)
		}
	}
	if n := e.Hooks.Counts(); n.Writes != 0 {
		t.Errorf("%d writes", n.Writes)
	}
}

func TestWhatANewerReleaseSaidIsNeitherReadNorOverwritten(t *testing.T) {
	t.Parallel()
	e := engine.New(t)
	s := open(t, e, &clocks{})
	newer := map[string]any{"v": 2, "features": "in another form"}
	if _, err := e.Client.Doc("availability/features").Set(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	_, readErr := s.Against(t.Context(), "acme", "custom-query")
	writeErr := s.SetAvailability(t.Context(), "custom-query", readiness.Availability{}, "ops")
	for _, err := range []error{readErr, writeErr} {
		if e, ok := errors.AsType[*readiness.Error](err); !ok || e.Code() != "unavailable" {
			t.Errorf("%v, want unavailable", err)
		}
	}
	snapshot, err := e.Client.Doc("availability/features").Get(t.Context())
	if err != nil || snapshot.Data()["features"] != "in another form" {
		t.Errorf("%v %v", snapshot.Data(), err)
	}
}

func TestAnOutageIsNoLeave(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	s := open(t, e, &clocks{})
	e.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}})
	if _, err := s.Against(t.Context(), "acme", "custom-query"); err == nil {
		t.Error("an outage counts as leave")
	} else if e, ok := errors.AsType[*readiness.Error](err); !ok || e.Code() != "unavailable" {
		t.Errorf("%v, want unavailable", err)
	}
}

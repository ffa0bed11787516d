package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/request"
	"github.com/fluxori/ai-credits/shared/serve"
)

func TestLevelsAreSeverities(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(serve.NewLogHandler(&out, "", slog.LevelDebug))
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, slog.LevelError + 4} {
		log.Log(t.Context(), level, "m")
	}
	var got []string
	for _, line := range lines(t, &out) {
		got = append(got, line["severity"].(string))
	}
	if want := "DEBUG INFO WARNING ERROR CRITICAL"; strings.Join(got, " ") != want {
		t.Errorf("severities %v, want %s", got, want)
	}
}

func TestLinesBelowTheLevelAreNotWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(serve.NewLogHandler(&out, "", slog.LevelWarn)).With("a", 1).WithGroup("g").Info("m")
	if out.Len() != 0 {
		t.Errorf("wrote %s", &out)
	}
}

func TestSecretsAreReplacedAtAnyDepth(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(serve.NewLogHandler(&out, "", slog.LevelInfo))
	log.With("Token", "hush").WithGroup("header").Info("m", "Authorization", "hush", slog.Group("inner", "password", "hush"), "item", "seen")
	if s := out.String(); strings.Contains(s, "hush") || strings.Count(s, "[redacted]") != 3 || !strings.Contains(s, "seen") {
		t.Errorf("wrote %s", s)
	}
}

func TestTheRequestStandsAtTheTopOfALineWhateverGroupIsOpen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx := request.NewContext(t.Context(), request.Scope{ID: "r-1", Trace: "abc"})
	log := slog.New(serve.NewLogHandler(&out, "p", slog.LevelInfo)).With("before", 1).WithGroup("g").With("in", 2)
	log.InfoContext(ctx, "m", "deep", 3)
	log.Info("m", "deep", 3)
	all := lines(t, &out)
	if all[0]["request_id"] != "r-1" || all[0]["logging.googleapis.com/trace"] != "projects/p/traces/abc" {
		t.Errorf("line %v, want the request at its top", all[0])
	}
	for _, line := range all {
		group, _ := line["g"].(map[string]any)
		if line["before"] != 1.0 || group["in"] != 2.0 || group["deep"] != 3.0 || len(group) != 2 {
			t.Errorf("line %v, want the logger's own attributes in their places", line)
		}
	}
	if _, ok := all[1]["request_id"]; ok {
		t.Errorf("line %v names a request, want none", all[1])
	}
}

func TestNobodysAddressIsWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(serve.NewLogHandler(&out, "", slog.LevelInfo)).With(slog.String("owner", "thandi@people.example"))
	log.WithGroup("mail").Info("to thandi@people.example.", slog.String("to", "Thandi <thandi+x@people.example>"),
		slog.Any("error", fmt.Errorf("send: %w", errors.New("550 5.1.1 <thandi@people.example>: no such user"))),
		slog.String("actor", "ai@project-1.iam.gserviceaccount.com"), slog.Int("attempt", 3))
	if strings.Contains(out.String(), "people.example") {
		t.Errorf("the line holds an address: %s", &out)
	}
	for _, kept := range []string{"550 5.1.1", "no such user", "ai@project-1.iam.gserviceaccount.com", `"attempt":3`} {
		if !strings.Contains(out.String(), kept) {
			t.Errorf("the line lacks %q: %s", kept, &out)
		}
	}
}

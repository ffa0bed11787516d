package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/secret"
)

// settings are read from the environment, as functions read theirs.
type settings struct {
	Key  secret.Text   `env:"KEY, required"`
	Keys []secret.Text `env:"KEYS"`
}

func read(t *testing.T) settings {
	t.Helper()
	var s settings
	lookup := envconfig.MapLookuper(map[string]string{"KEY": "hunter2", "KEYS": "hunter3,hunter4"})
	if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &s, Lookuper: lookup}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASecretComesFromTheEnvironmentAndIsRevealed(t *testing.T) {
	t.Parallel()
	s := read(t)
	if got := s.Key.Reveal(); got != "hunter2" {
		t.Errorf("revealed %q", got)
	}
	if len(s.Keys) != 2 || s.Keys[1].Reveal() != "hunter4" {
		t.Errorf("%d keys", len(s.Keys))
	}
}

func TestASecretIsSeenNowhere(t *testing.T) {
	t.Parallel()
	s := read(t)
	var asJSON, asText bytes.Buffer
	slog.New(slog.NewJSONHandler(&asJSON, nil)).Info("starts", "key", s.Key, "settings", s)
	slog.New(slog.NewTextHandler(&asText, nil)).Info("starts", "key", s.Key, "settings", s)
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"a JSON log": asJSON.String(), "a text log": asText.String(), "JSON": string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown[verb] = fmt.Sprintf(verb+" "+verb, s.Key, s)
	}
	for where, text := range shown {
		if strings.Contains(text, "hunter") || strings.Contains(text, fmt.Sprintf("%x", "hunter")) || !strings.Contains(text, "[redacted]") {
			t.Errorf("%s: %s", where, text)
		}
	}
}

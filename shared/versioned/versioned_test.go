package versioned_test

import (
	"errors"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/versioned"
)

func TestADocumentIsReadIfItsFormIsKnown(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	const known = 2
	tests := []struct {
		name   string
		fields map[string]any
		reads  bool
		newer  bool
	}{
		{"of this release", map[string]any{"v": 2, "name": "Acme"}, true, false},
		{"of an older one", map[string]any{"v": 1, "name": "Acme"}, true, false},
		{"of a newer one", map[string]any{"v": 3, "name": "Acme"}, false, true},
		{"of a newer one, whose field has another type", map[string]any{"v": 3, "name": 7}, false, true},
		{"with a field of another type", map[string]any{"v": 2, "name": 7}, false, false},
		{"without a version", map[string]any{"name": "Acme"}, false, false},
		{"with a version before the first", map[string]any{"v": 0, "name": "Acme"}, false, false},
		{"with a version that is no number", map[string]any{"v": "2", "name": "Acme"}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ref := e.Client.Collection("things").NewDoc()
			if _, err := ref.Set(t.Context(), tt.fields); err != nil {
				t.Fatal(err)
			}
			snapshot, err := ref.Get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := struct {
				Name string `firestore:"name"`
				Kept string `firestore:"kept"`
			}{Kept: "kept"}
			err = versioned.Read(snapshot, known, &got)
			if (err == nil) != tt.reads || errors.Is(err, versioned.ErrNewer) != tt.newer {
				t.Errorf("%v", err)
			}
			if (got.Name == "Acme") != tt.reads || got.Kept != "kept" {
				t.Errorf("read as %+v", got)
			}
		})
	}
}

package orgs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestOrganisationsAreFoundByTheBeginningOfTheirNames(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		for i, name := range []string{"Kalahari Crafts", "kalahari crafts", "KALAHARI Beads", "Karoo", "Émile"} {
			p := acme()
			p.Name = name
			h.put(t, fmt.Sprintf("org-%d", i), p)
		}
		for prefix, want := range map[string][]string{
			"kalahari":   {"org-2", "org-0", "org-1"},
			"Kalahari C": {"org-0", "org-1"},
			"":           {"org-2", "org-0", "org-1", "org-3", "org-4"},
			"é":          {"org-4"},
			"z":          nil,
		} {
			var got []string
			page := orgs.NamePage{Prefix: prefix, Limit: 2}
			for range 4 {
				some, err := h.store.FindByName(t.Context(), page)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range some {
					got = append(got, o.ID)
					page.After = o.ID
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q: %q, want %q", prefix, got, want)
			}
		}
	})
	if _, err := open(t).store.FindByName(t.Context(), orgs.NamePage{Prefix: strings.Repeat("x", 201), Limit: 1}); code(err) != "invalid_request" {
		t.Errorf("a name too long: %v", err)
	}
}

package account

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/apidoc/apidoctest"
)

// documented is shared by all tests of this binary: each exchange counts towards what has been tried.
var documented = apidoctest.Must(contract)

func TestMain(m *testing.M) { documented.Main(m) }

func TestTheAPIDocumentHasEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	patterns := slices.DeleteFunc((&handler{}).router().Patterns(), func(p string) bool {
		return strings.HasSuffix(p, " /unsubscribe") // a page for whoever has a mail
	})
	documented.SameRoutes(t, patterns)
}

// TestTheAPIDocumentSaysWhoMay holds the table that the router is built from against the document: roles, parameters and the key.
func TestTheAPIDocumentSaysWhoMay(t *testing.T) {
	t.Parallel()
	for _, rt := range routes() {
		pattern := rt.Method + " " + rt.Path
		said, ok := documented.Document.Routes.Find(pattern)
		if !ok {
			continue // named by the comparison of routes
		}
		var may, query []string
		for _, r := range rt.May {
			may = append(may, string(r))
		}
		for _, q := range said.Query {
			query = append(query, q.Name)
		}
		if !slices.Equal(may, said.Roles) {
			t.Errorf("%s: %v may, the API document says %v", pattern, may, said.Roles)
		}
		if !slices.Equal(slices.Sorted(slices.Values(rt.Query)), slices.Sorted(slices.Values(query))) {
			t.Errorf("%s takes the parameters %v, the API document says %v", pattern, rt.Query, query)
		}
		if rt.Moves != said.Keyed {
			t.Errorf("%s: a key is needed: %t, the API document says %t", pattern, rt.Moves, said.Keyed)
		}
	}
}

func TestTheAPIDocumentIsServedToAnybody(t *testing.T) {
	t.Parallel()
	s := start(t)
	if got := s.must(t, "", http.MethodGet, "/openapi.json", ""); got.body["openapi"] != "3.0.3" {
		t.Errorf("%v", got.body["openapi"])
	}
}

package account

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/apidoc"
	"github.com/fluxori/ai-credits/shared/apidoc/apidoctest"
)

// document and documented are shared by all tests of this binary: each exchange counts towards what has been tried.
var document, documented = func() (*apidoc.Document, *apidoctest.Checker) {
	d, err := apidoc.Parse(contract)
	if err != nil {
		panic(err)
	}
	c, err := apidoctest.New(d)
	if err != nil {
		panic(err)
	}
	return d, c
}()

// TestMain fails a whole run in which a route of the API document never succeeded: what no test has seen is not known to be true.
func TestMain(m *testing.M) {
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""
	if unseen := documented.Unseen(document); code == 0 && whole && len(unseen) > 0 {
		fmt.Println("no test has had a success from:", strings.Join(unseen, ", "))
		code = 1
	}
	os.Exit(code)
}

func TestTheAPIDocumentHasEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	apidoctest.SameRoutes(t, document, (&handler{}).router().Patterns())
}

// TestTheAPIDocumentSaysWhoMay holds the table that the router is built from against the document: roles, parameters and the key.
func TestTheAPIDocumentSaysWhoMay(t *testing.T) {
	t.Parallel()
	for _, rt := range routes() {
		pattern := rt.Method + " " + rt.Path
		said, ok := document.Routes.Find(pattern)
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

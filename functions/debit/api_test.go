package debit

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/apidoc"
	"github.com/fluxori/ai-credits/shared/apidoc/apidoctest"
)

// documented is shared by all tests of this binary: each exchange counts towards what has been tried.
var documented = apidoctest.Must(contract)

func TestMain(m *testing.M) { documented.Main(m) }

func TestTheAPIDocumentHasEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	documented.SameRoutes(t, (&handler{}).router().Patterns())
}

func TestTheAPIDocumentIsServedToAnybody(t *testing.T) {
	t.Parallel()
	s := start(t)
	if status, got := s.send(t, http.MethodGet, "/openapi.json", "", nil); status != 200 || got["openapi"] != "3.0.3" {
		t.Errorf("%d %v", status, got["openapi"])
	}
	if status, got := s.send(t, http.MethodGet, "/messages.json", "", nil); status != 200 || got["ai-usage"] == nil {
		t.Errorf("%d %v", status, got)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/docs", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
}

// TestUsageIsWrittenAsADebitIs compares the two documents that have it.
func TestUsageIsWrittenAsADebitIs(t *testing.T) {
	t.Parallel()
	messages, err := apidoc.ParseMessages()
	if err != nil {
		t.Fatal(err)
	}
	published, _ := messages.Schemas.Find("DebitRequest")
	sent, ok := documented.Document.Schemas.Find("DebitRequest")
	if diff := cmp.Diff(sent, published); !ok || diff != "" {
		t.Errorf("a message has another body than POST /debit: %s", diff)
	}
}

// TestEveryRouteAdmitsExactlyItsRoles tries every route of the document as everybody. A good body is not needed: whoever is let in is told
// what is wrong with it, whoever is not is told only that.
func TestEveryRouteAdmitsExactlyItsRoles(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	hold := s.place(t, "h", 20, 600)
	good := s.issuer.Service(t, spender, audience)
	last := strings.LastIndex(good, ".")
	callers := []struct{ who, role, token string }{
		{"nobody", "", ""},
		{"a forger", "", good[:last] + "x" + good[last:]},
		{"an unsigned token", "", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."},
		{"a token for elsewhere", "", s.issuer.Service(t, spender, "https://elsewhere.example")},
		{"a person", "person", s.people.Token(t, map[string]any{"sub": "thandi", "aud": "account"})},
		{"an unlisted account", "person", s.issuer.Service(t, "else@test.iam.gserviceaccount.com", audience)},
		{"an account bound elsewhere", "elsewhere", s.issuer.Service(t, bound, audience)},
		{"a spender", "spend", good},
		{"an operator", "operate", s.issuer.Service(t, operator, audience)},
	}
	for _, rt := range documented.Document.Routes {
		method, path, _ := strings.Cut(strings.NewReplacer("{$}", "", "{hold_id}", hold, "{feature}", "bulk-pricing", "{org}", "acme").Replace(rt.Name), " ")
		body, err := json.Marshal(map[string]any{"org_id": "acme"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range callers {
			authorization := ""
			if c.token != "" {
				authorization = "Bearer " + c.token
			}
			sent := string(body)
			if strings.Contains(path, "/holds/") || method == http.MethodPut {
				sent = `{"nonsense":1}`
			}
			status, got := s.send(t, method, strings.TrimSuffix(path, "/"), authorization, strings.NewReader(sent))
			want, code := 0, ""
			switch {
			case c.role == "":
				want, code = 401, "unauthenticated"
			case !strings.Contains(strings.Join(rt.Value.Roles, " "), c.role):
				want, code = 403, "forbidden"
			}
			if want == 0 && (status == 401 || status == 403) || want != 0 && (status != want || got["code"] != code) {
				t.Errorf("%s as %s: %d %v, want %d %s", rt.Name, c.who, status, got, want, code)
			}
		}
	}
}

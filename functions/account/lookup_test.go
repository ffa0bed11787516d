package account

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestSupportFindsOrganisationsByAddressAndName(t *testing.T) {
	t.Parallel()
	s := start(t)
	support := s.token(t, "agent", "support")
	for i, name := range []string{"Kalahari Crafts", "kalahari beads", "Karoo Wool"} {
		profile := fmt.Sprintf(`{"name":%q,"country":"ZA","owner_email":"thandi@crafts.example"}`, name)
		s.must(t, s.platform(t), http.MethodPut, fmt.Sprintf("/orgs/org-%d", i), profile)
	}
	for _, sub := range []string{"one", "two"} {
		if err := s.store.PutMember(t.Context(), "org-1", orgs.Member{Sub: sub, Role: orgs.RoleMember, Email: "Thandi@Crafts.example"}); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"email=THANDI@crafts.example":           "org-0 owner, org-1 member one, org-1 member two, org-1 owner, org-2 owner",
		"email=nobody@crafts.example":           "",
		"name=KALAHARI":                         "org-1, org-0",
		"name=" + url.QueryEscape("kalahari c"): "org-0",
		"":                                      "org-1, org-0, org-2",
		"name=z":                                "",
	} {
		var got []string
		token := ""
		for range 6 { // pages of one
			path := "/lookup?" + query + "&page_size=1"
			if token != "" {
				path += "&page_token=" + token
			}
			page := s.must(t, support, http.MethodGet, path, "")
			for _, i := range page.body["items"].([]any) {
				m := i.(map[string]any)
				var parts []string
				for _, member := range []string{"org_id", "as", "user_id"} {
					if text, ok := m[member].(string); ok {
						parts = append(parts, text)
					}
				}
				got = append(got, strings.Join(parts, " "))
			}
			if token = page.body["next_page_token"].(string); token == "" {
				break
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %q", query, strings.Join(got, ", "), want)
		}
	}
	for _, query := range []string{"email=nonsense", "email=", "email=a@b.example&name=a", "name=" + strings.Repeat("x", 201), "page_size=201", "page_token=x"} {
		if got := s.call(t, support, http.MethodGet, "/lookup?"+query, ""); got.code() != "invalid_request" {
			t.Errorf("%s: %d %s", query, got.status, got.raw)
		}
	}
	if got := s.call(t, s.token(t, "one"), http.MethodGet, "/lookup?email=thandi@crafts.example", ""); got.code() != "forbidden" {
		t.Errorf("a member: %d %s", got.status, got.raw)
	}
}

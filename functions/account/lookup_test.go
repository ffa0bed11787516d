package account

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestSupportFindsOrganisationsByName(t *testing.T) {
	t.Parallel()
	s := start(t)
	support := s.token(t, "agent", "support")
	for i, name := range []string{"Kalahari Crafts", "kalahari beads", "Karoo Wool"} {
		profile := fmt.Sprintf(`{"name":%q,"country":"ZA","owner_email":"thandi@crafts.example"}`, name)
		s.must(t, s.platform(t), http.MethodPut, fmt.Sprintf("/orgs/org-%d", i), profile)
	}
	for query, want := range map[string]string{
		"name=KALAHARI":                         "org-1 org-0",
		"name=" + url.QueryEscape("kalahari c"): "org-0",
		"":                                      "org-1 org-0 org-2",
		"name=z":                                "",
	} {
		var got []string
		token := ""
		for range 6 { // pages of one
			path := "/organisations?page_size=1&" + query
			if token != "" {
				path += "&page_token=" + token
			}
			page := s.must(t, support, http.MethodGet, path, "")
			for _, i := range page.body["items"].([]any) {
				got = append(got, i.(map[string]any)["org_id"].(string))
			}
			if strings.Contains(page.raw, "thandi") {
				t.Errorf("an address is told: %s", page.raw)
			}
			if token = page.body["next_page_token"].(string); token == "" {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", query, strings.Join(got, " "), want)
		}
	}
	for _, query := range []string{"name=" + strings.Repeat("x", 201), "page_size=201", "page_token=x", "email=a@b.example"} {
		if got := s.call(t, support, http.MethodGet, "/organisations?"+query, ""); got.code() != "invalid_request" {
			t.Errorf("%s: %d %s", query, got.status, got.raw)
		}
	}
}

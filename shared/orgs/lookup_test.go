package orgs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// found says who was found as what, in one line each.
func found(t *testing.T, s *orgs.Store, email string) []string {
	t.Helper()
	all, err := s.FindByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range all {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.ID, f.As, f.Member.Sub)))
	}
	return out
}

func TestAnAddressIsFoundInAllThatItStandsFor(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		for _, org := range []string{"acme", "globex", "initech"} {
			p := acme()
			if org != "acme" {
				p.OwnerEmail = "somebody@else.example"
			}
			if org == "initech" {
				p.BillingContact = strings.ToUpper(owner().VerifiedEmail[:1]) + owner().VerifiedEmail[1:]
			}
			h.put(t, org, p)
		}
		for _, sub := range []string{"one", "two"} {
			m := orgs.Member{Sub: sub, Role: orgs.RoleMember, Email: strings.ToUpper(owner().VerifiedEmail)}
			if err := h.store.PutMember(t.Context(), "globex", m); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"acme owner", "globex member one", "globex member two", "initech billing_contact"}
		if got := found(t, h.store, owner().VerifiedEmail); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
		role(t, h.store, "acme", owner()) // comes, and is an administrator from then on
		if got := found(t, h.store, owner().VerifiedEmail); !slices.Contains(got, "acme member "+owner().Sub) || len(got) != 5 {
			t.Errorf("found %q with the owner as a member", got)
		}
		role(t, h.store, "globex", orgs.Visitor{Sub: "two", VerifiedEmail: "New@two.example"}) // the issuer knows another address
		if got := found(t, h.store, "new@TWO.example"); !slices.Equal(got, []string{"globex member two"}) {
			t.Errorf("found %q by the new address", got)
		}
		if got := found(t, h.store, "nobody@else.example"); len(got) != 0 {
			t.Errorf("found %q for nobody", got)
		}
	})
	if _, err := open(t).store.FindByEmail(t.Context(), "no address"); code(err) != "invalid_request" {
		t.Errorf("no address: %v", err)
	}
}

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

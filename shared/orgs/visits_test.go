package orgs_test

import (
	"slices"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestAPersonIsToldOfTheirOrganisationsAndOfThoseThatAwaitThem(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		for _, org := range []string{"acme", "globex", "initech"} {
			p := acme()
			if org == "initech" {
				p.OwnerEmail = "somebody@else.example"
			}
			h.put(t, org, p)
		}
		for _, org := range []string{"initech", "globex"} {
			if err := h.store.PutMember(t.Context(), org, orgs.Member{Sub: "bo", Role: orgs.RoleMember}); err != nil {
				t.Fatal(err)
			}
		}
		role(t, h.store, "globex", owner()) // comes, and is its administrator from then on
		for name, c := range map[string]struct {
			visitor orgs.Visitor
			want    []string
		}{
			"a member of two":            {orgs.Visitor{Sub: "bo"}, []string{"globex", "initech"}},
			"the owner":                  {owner(), []string{"acme", "globex"}},
			"an address not verified":    {orgs.Visitor{Sub: owner().Sub}, []string{"globex"}},
			"a second with that address": {orgs.Visitor{Sub: "second", VerifiedEmail: owner().VerifiedEmail}, []string{"acme"}},
			"a stranger":                 {orgs.Visitor{Sub: "s", VerifiedEmail: "s@acme.example"}, nil},
			"nobody":                     {orgs.Visitor{}, nil},
		} {
			found, err := h.store.OrganisationsOf(t.Context(), c.visitor)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range found {
				got = append(got, o.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	})
}

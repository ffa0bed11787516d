package orgs

import (
	"context"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Place is where somebody is: a member of an organisation, or its owner who has not come yet, of whom Member is zero.
type Place struct {
	Org    Org
	Member Member
}

// FindByEmail returns where people with an address are, by organisation: the first 50 places. The case of letters does not matter. Three calls; a
// read for each membership and each organisation. Errors are an *Error, `invalid_request` for what is no address, or `unavailable`.
func (s *Store) FindByEmail(ctx context.Context, email string) ([]Place, error) {
	if !validEmail(email) {
		return nil, &Error{coded.Reason{Is: "invalid_request", Says: "email must be an e-mail address.", With: map[string]any{"field": "email"}}}
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	key := strings.ToLower(email)
	memberships, err := s.client.CollectionGroup("members").Where("email_key", "==", key).Limit(OrganisationsMax).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find people by their address: %w", err)
	}
	refs := make([]*firestore.DocumentRef, len(memberships))
	for i, m := range memberships {
		refs[i] = m.Ref.Parent.Parent
	}
	snapshots, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, unavailable("read the organisations of people with an address: %w", err)
	}
	owned, err := s.client.Collection("orgs").Where("owner_key", "==", key).Limit(OrganisationsMax).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find the organisations of an owner: %w", err)
	}
	return places(memberships, snapshots, owned)
}

// places are those of memberships, each with its organisation, and of organisations whose owner has not come.
func places(memberships, snapshots, owned []*firestore.DocumentSnapshot) ([]Place, error) {
	var out []Place
	for i, snapshot := range snapshots {
		if !snapshot.Exists() {
			continue
		}
		o, err := decodeOrg(snapshot)
		if err != nil {
			return nil, err
		}
		m, err := decodeMember(memberships[i])
		if err != nil {
			return nil, err
		}
		out = append(out, Place{o, m})
	}
	for _, snapshot := range owned {
		o, err := decodeOrg(snapshot)
		if err != nil {
			return nil, err
		}
		if o.ownerSub == "" {
			out = append(out, Place{Org: o})
		}
	}
	slices.SortStableFunc(out, func(a, b Place) int { return strings.Compare(a.Org.ID, b.Org.ID) })
	return out[:min(len(out), OrganisationsMax)], nil
}

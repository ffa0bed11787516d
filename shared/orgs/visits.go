package orgs

import (
	"context"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"
)

// OrganisationsMax bounds how many organisations a visitor is told of at once.
const OrganisationsMax = 50

// OrganisationsOf returns the organisations that a visitor is a member of, or may come to as the owner, by id: the first 50. Three calls, a read
// for each membership and each organisation. The error is an *Error, `unavailable`.
func (s *Store) OrganisationsOf(ctx context.Context, v Visitor) ([]Org, error) {
	if !validSub(v.Sub) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	memberships, err := s.client.CollectionGroup("members").Where("sub", "==", v.Sub).Limit(OrganisationsMax).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find the memberships of a person: %w", err)
	}
	refs := make([]*firestore.DocumentRef, 0, len(memberships))
	for _, m := range memberships {
		refs = append(refs, m.Ref.Parent.Parent)
	}
	snapshots, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, unavailable("read the organisations of a person: %w", err)
	}
	if validEmail(v.VerifiedEmail) {
		owned, err := s.client.Collection("orgs").Where("owner_key", "==", strings.ToLower(v.VerifiedEmail)).Limit(OrganisationsMax).Documents(ctx).GetAll()
		if err != nil {
			return nil, unavailable("find the organisations of an owner: %w", err)
		}
		snapshots = append(snapshots, owned...)
	}
	return visited(snapshots, len(refs), v)
}

// visited are the organisations of snapshots, of which the first are those of memberships, and the others those that the visitor may own.
func visited(snapshots []*firestore.DocumentSnapshot, memberships int, v Visitor) ([]Org, error) {
	out := make([]Org, 0, len(snapshots))
	for i, snapshot := range snapshots {
		if !snapshot.Exists() {
			continue
		}
		o, err := decodeOrg(snapshot)
		if err != nil {
			return nil, err
		}
		if i < memberships || o.claimable(v) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b Org) int { return strings.Compare(a.ID, b.ID) })
	out = slices.CompactFunc(out, func(a, b Org) bool { return a.ID == b.ID })
	return out[:min(len(out), OrganisationsMax)], nil
}

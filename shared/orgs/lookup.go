package orgs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"
)

// Connection is what an e-mail address is to an organisation.
type Connection string

// The connections, in the order of a list.
const (
	AsBillingContact Connection = "billing_contact"
	AsMember         Connection = "member"
	AsOwner          Connection = "owner"
)

// connectionsMax bounds how many connections of each kind an address is told to have.
const connectionsMax = 200

// longestKey sorts after all that a text can go on with.
const longestKey = "\uf8ff"

// Found is an organisation that an address has to do with.
type Found struct {
	Org
	As Connection
	// Member is whose address it is, if it is a member's.
	Member Member
}

// compare orders what was found: by organisation, connection, and member.
func (f Found) compare(o Found) int {
	return cmp.Or(strings.Compare(f.ID, o.ID), strings.Compare(string(f.As), string(o.As)), strings.Compare(f.Member.Sub, o.Member.Sub))
}

// FindByEmail returns every organisation that an address has to do with, as its owner's, its billing contact's or a member's, without regard to
// case: at most 200 of each kind, by organisation. An address may stand for several members. Three queries, and a read for each organisation of
// a member. Errors are an *Error, `invalid_request` if it is no address, or `unavailable`.
func (s *Store) FindByEmail(ctx context.Context, email string) ([]Found, error) {
	if !validEmail(email) {
		return nil, refused("email", "no_address", "email must be an e-mail address.")
	}
	key := strings.ToLower(email)
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	var out []Found
	for field, as := range map[string]Connection{"owner_key": AsOwner, "billing_key": AsBillingContact} {
		snapshots, err := s.client.Collection("orgs").Where(field, "==", key).Limit(connectionsMax).Documents(ctx).GetAll()
		if err != nil {
			return nil, unavailable("find the organisations of an address: %w", err)
		}
		for _, snapshot := range snapshots {
			o, err := decodeOrg(snapshot)
			if err != nil {
				return nil, err
			}
			out = append(out, Found{Org: o, As: as})
		}
	}
	members, err := s.membersAt(ctx, key)
	if err != nil {
		return nil, err
	}
	out = append(out, members...)
	slices.SortFunc(out, Found.compare)
	return out, nil
}

// membersAt are the members with an address, each with the organisation.
func (s *Store) membersAt(ctx context.Context, key string) ([]Found, error) {
	members, err := s.client.CollectionGroup("members").Where("email_key", "==", key).Limit(connectionsMax).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find the members with an address: %w", err)
	}
	refs := make([]*firestore.DocumentRef, 0, len(members))
	for _, m := range members {
		refs = append(refs, m.Ref.Parent.Parent)
	}
	organisations, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, unavailable("read the organisations of members: %w", err)
	}
	out := make([]Found, 0, len(members))
	for i, snapshot := range organisations {
		if !snapshot.Exists() {
			continue
		}
		f := Found{As: AsMember}
		if f.Org, err = decodeOrg(snapshot); err != nil {
			return nil, err
		}
		if f.Member, err = decodeMember(members[i]); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// NamePage asks for organisations by the beginning of their names.
type NamePage struct {
	// Prefix is what the name begins with, without regard to case; empty for all.
	Prefix string
	// After is the last organisation of the page before; empty for the first page.
	After string
	Limit int
}

// FindByName returns organisations whose names begin with a text, by name. One query, and a read
// to go on after a page. Errors are an *Error, `invalid_request` or `unavailable`, and `unknown_org` for a page after none.
func (s *Store) FindByName(ctx context.Context, p NamePage) ([]Org, error) {
	if !plain(p.Prefix, maxName) {
		return nil, refused("name", "no_name", "name must be at most %d bytes of text without control characters.", maxName)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	key := strings.ToLower(p.Prefix)
	q := s.client.Collection("orgs").Where("name_key", ">=", key).Where("name_key", "<", key+longestKey).OrderBy("name_key", firestore.Asc)
	q = q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(p.Limit)
	if p.After != "" {
		last, err := s.Get(ctx, p.After)
		if err != nil {
			return nil, err
		}
		q = q.StartAfter(strings.ToLower(last.Name), last.ID)
	}
	snapshots, err := q.Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find organisations by name: %w", err)
	}
	out := make([]Org, 0, len(snapshots))
	for _, snapshot := range snapshots {
		o, err := decodeOrg(snapshot)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

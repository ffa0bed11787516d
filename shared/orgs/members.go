package orgs

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Visitor is a person who comes to an organisation, as the issuer knows the person.
type Visitor struct {
	Sub string
	// VerifiedEmail is the address that the issuer has verified, or empty.
	VerifiedEmail string
	Name          string
}

// Role returns what a visitor is in an organisation: a member's role, or "" for one who is none. Who comes with the owner's address for the
// first time becomes an administrator by it. Two reads, in one call. Errors are an *Error, `unknown_org` or `unavailable`.
func (s *Store) Role(ctx context.Context, org string, v Visitor) (Role, error) {
	_, role, err := s.Visit(ctx, org, v)
	return role, err
}

// Visit is Role with the organisation itself, for the same two reads.
func (s *Store) Visit(ctx context.Context, org string, v Visitor) (Org, Role, error) {
	if credit.CheckOrg(org) != nil {
		return Org{}, "", UnknownOrg()
	}
	at := s.opts.MachineNow()
	o, role, err := s.visit(ctx, org, v)
	if err == nil && role != "" {
		s.roles.Put(roleKey{org, v.Sub}, knownRole{role, at})
	}
	return o, role, err
}

// RecentRole is Role as it was no longer than the staleness ago, without a read. Who is not a member is not remembered as such, so that a new
// member is let in at once.
func (s *Store) RecentRole(ctx context.Context, org string, v Visitor) (Role, error) {
	if role := s.known(org, v); role != "" {
		return role, nil
	}
	return s.Role(ctx, org, v)
}

// RecentVisit is RecentRole with the organisation itself as it is now, for one read where the role is remembered.
func (s *Store) RecentVisit(ctx context.Context, org string, v Visitor) (Org, Role, error) {
	if role := s.known(org, v); role != "" {
		o, err := s.Get(ctx, org)
		return o, role, err
	}
	return s.Visit(ctx, org, v)
}

// known is a role that was read no longer than the staleness ago, or empty.
func (s *Store) known(org string, v Visitor) Role {
	known, ok := s.roles.Get(roleKey{org, v.Sub})
	if age := s.opts.MachineNow().Sub(known.at); ok && age >= 0 && age < s.opts.Staleness {
		return known.role
	}
	return ""
}

func (s *Store) visit(ctx context.Context, org string, v Visitor) (Org, Role, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	got, err := s.client.GetAll(ctx, []*firestore.DocumentRef{s.org(org), s.member(org, v.Sub)})
	if err != nil {
		return Org{}, "", unavailable("read organisation %s and a member: %w", org, err)
	}
	if !got[0].Exists() {
		return Org{}, "", UnknownOrg()
	}
	o, err := decodeOrg(got[0])
	if err != nil {
		return Org{}, "", err
	}
	if o.claimable(v) {
		role, err := s.claim(ctx, org, v)
		return o, role, err
	}
	if !got[1].Exists() {
		return o, "", nil
	}
	m, err := decodeMember(got[1])
	if err != nil {
		return Org{}, "", err
	}
	s.refresh(ctx, got[1], m, v)
	return o, m.Role, nil
}

// claimable reports whether a visitor is the owner who has not come yet.
func (o Org) claimable(v Visitor) bool {
	return o.ownerSub == "" && sameEmail(o.OwnerEmail, v.VerifiedEmail)
}

// claim makes a visitor the administrator that the owner is, unless somebody was quicker.
func (s *Store) claim(ctx context.Context, org string, v Visitor) (role Role, err error) {
	err = s.change(ctx, "make the owner of "+org+" an administrator", func(_ context.Context, tx *firestore.Transaction) error {
		role = ""
		got, err := tx.GetAll([]*firestore.DocumentRef{s.org(org), s.member(org, v.Sub)})
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		if !got[0].Exists() {
			return UnknownOrg()
		}
		o, err := decodeOrg(got[0])
		if err != nil {
			return err
		}
		m := Member{Sub: v.Sub, JoinedAt: s.now()}
		if got[1].Exists() {
			if m, err = decodeMember(got[1]); err != nil {
				return err
			}
		}
		if !o.claimable(v) {
			role = m.Role
			return nil
		}
		role, m.Role, m.Email = RoleAdmin, RoleAdmin, v.VerifiedEmail
		if m.Name == "" {
			m.Name = fit(v.Name)
		}
		if err := tx.Set(got[1].Ref, encodeMember(m)); err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		return tx.Update(got[0].Ref, []firestore.Update{{Path: "owner_sub", Value: v.Sub}})
	})
	return role, err
}

// refresh keeps a member's address what the issuer has verified, so that alerts go there. It is no reason to turn a visitor away.
func (s *Store) refresh(ctx context.Context, snapshot *firestore.DocumentSnapshot, m Member, v Visitor) {
	if v.VerifiedEmail == m.Email || !validEmail(v.VerifiedEmail) {
		return
	}
	_, err := snapshot.Ref.Update(ctx, []firestore.Update{
		{Path: "email", Value: v.VerifiedEmail}, {Path: "email_key", Value: strings.ToLower(v.VerifiedEmail)},
	}, firestore.LastUpdateTime(snapshot.UpdateTime))
	if err != nil {
		s.log.WarnContext(ctx, "a member's address could not be brought up to date", slog.Any("error", err))
	}
}

// Administrators returns the addresses of an organisation's administrators, at most 100, in order and without repeats; the owner's as long
// as there are none. One query and one read. Errors are an *Error, `unknown_org` or `unavailable`.
func (s *Store) Administrators(ctx context.Context, org string) ([]string, error) {
	o, err := s.Get(ctx, org)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshots, err := s.members(org).Where("role", "==", string(RoleAdmin)).Limit(maxAdministrators).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find the administrators of %s: %w", org, err)
	}
	var out []string
	for _, snapshot := range snapshots {
		m, err := decodeMember(snapshot)
		if err != nil {
			return nil, err
		}
		if m.Email != "" {
			out = append(out, m.Email)
		}
	}
	if len(out) == 0 {
		return []string{o.OwnerEmail}, nil
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(out, sameEmail), nil
}

// fit is a name that the issuer gives, if it can be kept as it is.
func fit(name string) string {
	if !plain(name, maxName) {
		return ""
	}
	return name
}

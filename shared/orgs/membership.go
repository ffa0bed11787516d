package orgs

import (
	"context"
	"fmt"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
)

// MemberChange is what is to be changed of a member, or what a new one is to be.
type MemberChange struct {
	Sub  string
	Role Role
	// Email and Name stay as they are if nil.
	Email, Name *string
}

// PutMember makes a person a member, or changes the member; Team and JoinedAt stay what they were. Errors are those of ChangeMember.
func (s *Store) PutMember(ctx context.Context, org string, m Member) error {
	_, _, err := s.ChangeMember(ctx, org, MemberChange{Sub: m.Sub, Role: m.Role, Email: &m.Email, Name: &m.Name})
	return err
}

// ChangeMember makes a person a member, or changes the member, and reports whether the member is new. Errors are an *Error: `unknown_org`,
// `unavailable`, or `invalid_request`, also for the last administrator who would be none, and for more members than there may be.
func (s *Store) ChangeMember(ctx context.Context, org string, c MemberChange) (out Member, created bool, err error) {
	if credit.CheckOrg(org) != nil {
		return Member{}, false, UnknownOrg()
	}
	if err := c.over(Member{}).check(); err != nil {
		return Member{}, false, err
	}
	err = s.changePeople(ctx, org, "write a member of "+org, func(ctx context.Context, tx *firestore.Transaction) (bool, error) {
		before, found, err := s.memberIn(tx, org, c.Sub)
		if err != nil {
			return false, err
		}
		out, created = c.over(before), !found
		if found {
			if before.Role == RoleAdmin && c.Role != RoleAdmin {
				if err := s.notTheLast(tx, org); err != nil {
					return false, err
				}
			}
		} else {
			out.JoinedAt = s.now()
			if err := within(ctx, tx, s.members(org).Query, s.opts.MembersMax, "members"); err != nil {
				return false, err
			}
		}
		shown, err := s.shownIn(tx, org, out)
		if err != nil {
			return false, err
		}
		if err := tx.Set(s.member(org, c.Sub), encodeMember(out)); err != nil {
			return false, err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		out = shown
		return false, nil
	})
	if err != nil {
		return Member{}, false, err
	}
	s.roles.Put(roleKey{org, c.Sub}, knownRole{out.Role, s.opts.MachineNow()})
	return out, created, nil
}

// over is the member that a change makes of one.
func (c MemberChange) over(m Member) Member {
	m.Sub, m.Role = c.Sub, c.Role
	if c.Email != nil {
		m.Email = *c.Email
	}
	if c.Name != nil {
		m.Name = *c.Name
	}
	return m
}

// RemoveMember ends a membership, and with it the member's place in a team. It returns the member as it was. Errors are an *Error:
// `unknown_org`, `not_found`, `unavailable`, or `invalid_request` for the last administrator.
func (s *Store) RemoveMember(ctx context.Context, org, sub string) (out Member, err error) {
	if credit.CheckOrg(org) != nil {
		return Member{}, UnknownOrg()
	}
	if !validSub(sub) {
		return Member{}, notFound("member")
	}
	err = s.changePeople(ctx, org, "remove a member of "+org, func(_ context.Context, tx *firestore.Transaction) (bool, error) {
		before, found, err := s.memberIn(tx, org, sub)
		if err != nil {
			return false, err
		}
		if !found {
			return false, notFound("member")
		}
		if before.Role == RoleAdmin {
			if err := s.notTheLast(tx, org); err != nil {
				return false, err
			}
		}
		if out, err = s.shownIn(tx, org, before); err != nil {
			return false, err
		}
		return before.Team != "", tx.Delete(s.member(org, sub))
	})
	if err != nil {
		return Member{}, err
	}
	s.roles.Put(roleKey{org, sub}, knownRole{}) // too old to be believed
	return out, nil
}

// Member returns a member. Two reads, if the member is in a team. Errors are an *Error, `not_found` or `unavailable`.
func (s *Store) Member(ctx context.Context, org, sub string) (Member, error) {
	if credit.CheckOrg(org) != nil || !validSub(sub) {
		return Member{}, notFound("member")
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshot, err := s.member(org, sub).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return Member{}, notFound("member")
	}
	if err != nil {
		return Member{}, unavailable("read a member of %s: %w", org, err)
	}
	m, err := decodeMember(snapshot)
	if err != nil {
		return Member{}, err
	}
	shown, err := s.shown(ctx, org, []Member{m})
	if err != nil {
		return Member{}, err
	}
	return shown[0], nil
}

// MemberPage says which members are wanted.
type MemberPage struct {
	// Team is the team whose members are wanted; empty for all.
	Team string
	// After is the subject of the last member that was seen; empty for the first page.
	After string
	// Limit is how many are wanted, from 1 to 500.
	Limit int
}

// Members returns members in a constant order. A read for each, and for each team among them. Errors are an *Error, `unknown_org` or
// `unavailable`.
func (s *Store) Members(ctx context.Context, org string, p MemberPage) ([]Member, error) {
	if credit.CheckOrg(org) != nil {
		return nil, UnknownOrg()
	}
	if p.Team != "" && !validTeam(p.Team) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	q := s.members(org).OrderBy(firestore.DocumentID, firestore.Asc)
	if p.Team != "" {
		q = s.members(org).Where("team", "==", p.Team).OrderBy(firestore.DocumentID, firestore.Asc)
	}
	if p.After != "" {
		if !validSub(p.After) {
			return nil, notFound("page")
		}
		q = q.StartAfter(s.member(org, p.After))
	}
	snapshots, err := q.Limit(min(max(p.Limit, 1), maxPage)).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("read the members of %s: %w", org, err)
	}
	out := make([]Member, len(snapshots))
	for i, snapshot := range snapshots {
		if out[i], err = decodeMember(snapshot); err != nil {
			return nil, err
		}
	}
	if out, err = s.shown(ctx, org, out); err != nil || p.Team == "" || len(out) == 0 || out[0].Team != "" {
		return out, err
	}
	return nil, nil // the team is archived
}

// shown is members as they are told: not in teams that are archived. A read for each team.
func (s *Store) shown(ctx context.Context, org string, members []Member) ([]Member, error) {
	var refs []*firestore.DocumentRef
	asked := map[string]bool{}
	for _, m := range members {
		if m.Team != "" && !asked[m.Team] {
			asked[m.Team] = true
			refs = append(refs, s.team(org, m.Team))
		}
	}
	if len(refs) == 0 {
		return members, nil
	}
	got, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, unavailable("read teams of %s: %w", org, err)
	}
	used := map[string]bool{}
	for _, snapshot := range got {
		team, found, err := foundTeam(snapshot)
		if err != nil {
			return nil, err
		}
		used[snapshot.Ref.ID] = found && !team.Archived()
	}
	for i, m := range members {
		if !used[m.Team] {
			members[i].Team = ""
		}
	}
	return members, nil
}

// changePeople runs a transaction that changes members or teams of an organisation that exists. The body reports whether somebody's team may
// be another after it; then the roster is counted up, by which every process learns that what it remembers of teams is out of date.
func (s *Store) changePeople(ctx context.Context, org, what string, body func(context.Context, *firestore.Transaction) (moved bool, err error)) error {
	defer s.directory.forget(org)
	return s.change(ctx, what, func(ctx context.Context, tx *firestore.Transaction) error {
		snapshot, err := tx.Get(s.org(org))
		if status.Code(err) == codes.NotFound {
			return UnknownOrg()
		}
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		if _, err := decodeOrg(snapshot); err != nil {
			return err
		}
		moved, err := body(ctx, tx)
		if err != nil || !moved {
			return err
		}
		return tx.Update(s.org(org), []firestore.Update{{Path: "roster", Value: firestore.Increment(1)}})
	})
}

// memberIn reads a member in a transaction.
func (s *Store) memberIn(tx *firestore.Transaction, org, sub string) (m Member, found bool, err error) {
	snapshot, err := tx.Get(s.member(org, sub))
	if status.Code(err) == codes.NotFound {
		return Member{}, false, nil
	}
	if err != nil {
		return Member{}, false, err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	m, err = decodeMember(snapshot)
	return m, err == nil, err
}

// shownIn is a member as it is told, read in a transaction.
func (s *Store) shownIn(tx *firestore.Transaction, org string, m Member) (Member, error) {
	if m.Team == "" {
		return m, nil
	}
	team, found, err := s.teamIn(tx, org, m.Team)
	if err != nil {
		return Member{}, err
	}
	if !found || team.Archived() {
		m.Team = ""
	}
	return m, nil
}

// notTheLast refuses to take away the only administrator. It is asked about a member who is one.
func (s *Store) notTheLast(tx *firestore.Transaction, org string) error {
	got, err := tx.Documents(s.members(org).Where("role", "==", string(RoleAdmin)).Limit(2)).GetAll()
	if err != nil {
		return err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	if len(got) < 2 {
		return refused("role", "last_administrator", "The last administrator of an organisation can be neither removed nor made a plain member; make another administrator first.")
	}
	return nil
}

// within refuses one more of what there is the most of already.
func within(ctx context.Context, tx *firestore.Transaction, q firestore.Query, limit int, what string) error {
	q = q.Limit(limit)
	got, err := q.NewAggregationQuery().WithCount("n").Transaction(tx).Get(ctx)
	if err != nil {
		return err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	n, ok := got["n"].(interface{ GetIntegerValue() int64 })
	if !ok {
		return fmt.Errorf("counting %s answered %T", what, got["n"])
	}
	if n.GetIntegerValue() >= int64(limit) {
		return refused(what, "too_many", "An organisation has at most %d %s.", limit, what)
	}
	return nil
}

// validOrg reports whether a string can be the id of an organisation, validTeam that of a team: they are formed alike.
func validOrg(org string) bool { return credit.CheckOrg(org) == nil }

func validTeam(team string) bool { return validOrg(team) }

// validSub reports whether a string can be the subject of a member.
func validSub(sub string) bool { return sub != "" && plain(sub, maxSub) }

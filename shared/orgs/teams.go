package orgs

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
)

func (s *Store) teams(org string) *firestore.CollectionRef { return s.org(org).Collection("teams") }

func (s *Store) team(org, team string) *firestore.DocumentRef { return s.teams(org).Doc(team) }

// TeamChange is what is to be changed of a team, or what a new one is to be.
type TeamChange struct {
	ID, Name string
	// Archived says whether the team is to be in use; nil leaves it as it is, and a new one in use.
	Archived *bool
}

// ChangeTeam makes a team, renames it, archives it or takes it into use again, and reports whether it is new. Members who were in a team when
// it was archived, and have not been moved since, are in it again when it is taken into use. Errors are an *Error: `unknown_org`,
// `unavailable`, or `invalid_request`, also for more teams in use than there may be.
func (s *Store) ChangeTeam(ctx context.Context, org string, c TeamChange) (out Team, created bool, err error) {
	if credit.CheckOrg(org) != nil {
		return Team{}, false, UnknownOrg()
	}
	if err := (Team{ID: c.ID, Name: c.Name}).check(); err != nil {
		return Team{}, false, err
	}
	err = s.changePeople(ctx, org, "write a team of "+org, func(ctx context.Context, tx *firestore.Transaction) (bool, error) {
		before, found, err := s.teamIn(tx, org, c.ID)
		if err != nil {
			return false, err
		}
		out, created = before, !found
		if !found {
			out = Team{ID: c.ID, CreatedAt: s.now()}
		}
		out.Name = c.Name
		if c.Archived != nil && *c.Archived != out.Archived() {
			out.ArchivedAt = time.Time{}
			if *c.Archived {
				out.ArchivedAt = s.now()
			}
		}
		if found && out == before {
			return false, nil
		}
		used, isUsed := found && !before.Archived(), !out.Archived()
		if isUsed && !used {
			if err := within(ctx, tx, s.teams(org).Where("archived", "==", false), s.opts.TeamsMax, "teams"); err != nil {
				return false, err
			}
		}
		return !found || used != isUsed, tx.Set(s.team(org, c.ID), encodeTeam(out))
	})
	if err != nil {
		return Team{}, false, err
	}
	return out, created, nil
}

// ArchiveTeam ends the use of a team. One that is archived already stays as it is. Errors are an *Error: `unknown_org`, `not_found` or
// `unavailable`.
func (s *Store) ArchiveTeam(ctx context.Context, org, team string) (out Team, err error) {
	if credit.CheckOrg(org) != nil {
		return Team{}, UnknownOrg()
	}
	if !validTeam(team) {
		return Team{}, notFound("team")
	}
	err = s.changePeople(ctx, org, "archive a team of "+org, func(_ context.Context, tx *firestore.Transaction) (bool, error) {
		var found bool
		var err error
		if out, found, err = s.teamIn(tx, org, team); err != nil {
			return false, err
		}
		if !found {
			return false, notFound("team")
		}
		if out.Archived() {
			return false, nil
		}
		out.ArchivedAt = s.now()
		return true, tx.Set(s.team(org, team), encodeTeam(out))
	})
	if err != nil {
		return Team{}, err
	}
	return out, nil
}

// Team returns a team. One read. Errors are an *Error, `not_found` or `unavailable`.
func (s *Store) Team(ctx context.Context, org, team string) (Team, error) {
	if credit.CheckOrg(org) != nil || !validTeam(team) {
		return Team{}, notFound("team")
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshot, err := s.team(org, team).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return Team{}, notFound("team")
	}
	if err != nil {
		return Team{}, unavailable("read a team of %s: %w", org, err)
	}
	return decodeTeam(snapshot)
}

// TeamPage says which teams are wanted.
type TeamPage struct {
	// Archived asks for the teams that are archived instead of those in use.
	Archived bool
	// After is the id of the last team that was seen; empty for the first page.
	After string
	// Limit is how many are wanted, from 1 to 500.
	Limit int
}

// Teams returns teams by id. A read for each. Errors are an *Error, `unknown_org` or `unavailable`.
func (s *Store) Teams(ctx context.Context, org string, p TeamPage) ([]Team, error) {
	if credit.CheckOrg(org) != nil {
		return nil, UnknownOrg()
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	q := s.teams(org).Where("archived", "==", p.Archived).OrderBy(firestore.DocumentID, firestore.Asc)
	if p.After != "" {
		if !validTeam(p.After) {
			return nil, notFound("page")
		}
		q = q.StartAfter(s.team(org, p.After))
	}
	snapshots, err := q.Limit(min(max(p.Limit, 1), maxPage)).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("read the teams of %s: %w", org, err)
	}
	out := make([]Team, len(snapshots))
	for i, snapshot := range snapshots {
		if out[i], err = decodeTeam(snapshot); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// JoinTeam puts a member in a team, out of the one that the member was in. What was used before stays counted for that one. Errors are an
// *Error: `unknown_org`, `not_found` for member and team, `unavailable`, or `invalid_request` for a team that is archived.
func (s *Store) JoinTeam(ctx context.Context, org, team, sub string) (Member, error) {
	return s.move(ctx, org, sub, "put a member into a team of "+org, func(tx *firestore.Transaction, _ Member) (string, error) {
		to, found, err := s.teamIn(tx, org, team)
		switch {
		case err != nil:
			return "", err
		case !found:
			return "", notFound("team")
		case to.Archived():
			return "", refused("team_id", "archived", "The team is archived.")
		}
		return team, nil
	}, team)
}

// LeaveTeam takes a member out of a team. Errors are an *Error: `unknown_org`, `not_found`, also for a member who is not in that team, or
// `unavailable`.
func (s *Store) LeaveTeam(ctx context.Context, org, team, sub string) (Member, error) {
	return s.move(ctx, org, sub, "take a member out of a team of "+org, func(_ *firestore.Transaction, m Member) (string, error) {
		if m.Team != team {
			return "", notFound("member of that team")
		}
		return "", nil
	}, team)
}

// move changes the team that a member is in to what a function says, which may read and not write.
func (s *Store) move(ctx context.Context, org, sub, what string, to func(*firestore.Transaction, Member) (string, error), team string) (out Member, err error) {
	switch {
	case credit.CheckOrg(org) != nil:
		return Member{}, UnknownOrg()
	case !validTeam(team):
		return Member{}, notFound("team")
	case !validSub(sub):
		return Member{}, notFound("member")
	}
	err = s.changePeople(ctx, org, what, func(_ context.Context, tx *firestore.Transaction) (bool, error) {
		m, found, err := s.memberIn(tx, org, sub)
		if err != nil {
			return false, err
		}
		if !found {
			return false, notFound("member")
		}
		out = m
		if out.Team, err = to(tx, m); err != nil || out.Team == m.Team {
			return false, err
		}
		return true, tx.Set(s.member(org, sub), encodeMember(out))
	})
	if err != nil {
		return Member{}, err
	}
	return out, nil
}

// teamIn reads a team in a transaction.
func (s *Store) teamIn(tx *firestore.Transaction, org, team string) (Team, bool, error) {
	snapshot, err := tx.Get(s.team(org, team))
	if err != nil && status.Code(err) != codes.NotFound {
		return Team{}, false, err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	return foundTeam(snapshot)
}

// foundTeam is a team as it was found, or was not.
func foundTeam(snapshot *firestore.DocumentSnapshot) (Team, bool, error) {
	if !snapshot.Exists() {
		return Team{}, false, nil
	}
	t, err := decodeTeam(snapshot)
	return t, err == nil, err
}

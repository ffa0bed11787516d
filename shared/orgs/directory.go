package orgs

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/lru"
)

// directory is what a process remembers of who is in which team.
//
// An organisation's roster is a number that rises with every change of that. What was read while the roster was known to be n is good for as
// long as it is n; and what it is, is read again when it was read longer ago than the staleness. So a debit costs no read, an organisation
// costs one each five seconds however many members spend, and after a change each member's team is read once.
type directory struct {
	rosters *lru.Cache[string, knownRoster]
	members *lru.Cache[roleKey, knownTeam]
	teams   *lru.Cache[teamKey, knownUse]
	flight  *singleflight.Group
}

type teamKey struct{ org, team string }

// knownRoster is an organisation's roster as it was at a time; zero for an organisation that nobody was ever in a team of.
type knownRoster struct {
	roster int64
	at     time.Time
}

// knownTeam is the team that a member's document names, read while the roster was that or a later one.
type knownTeam struct {
	roster int64
	team   string
}

// knownUse says whether a team exists and is in use.
type knownUse struct {
	roster int64
	used   bool
}

// organisationsRemembered bounds how many organisations' rosters are kept.
const organisationsRemembered = 10_000

func newDirectory(members int) directory {
	return directory{
		rosters: lru.New[string, knownRoster](organisationsRemembered), members: lru.New[roleKey, knownTeam](members),
		teams: lru.New[teamKey, knownUse](members), flight: &singleflight.Group{},
	}
}

// forget makes the process look again, so that it sees its own change; only a read that was already under way may hide it, for the staleness.
func (d *directory) forget(org string) {
	d.flight.Forget(org)
	d.rosters.Put(org, knownRoster{}) // too old to be believed
}

// TeamOf returns the team that a user is in, or "" for who is in none: users who are no members, members of a team that is archived,
// everybody in an organisation that does not exist. It may be what was true up to five seconds ago. Mostly no read; at most three. The error
// is an *Error, `unavailable`.
func (s *Store) TeamOf(ctx context.Context, org, user string) (string, error) {
	if !validOrg(org) || !validSub(user) {
		return "", nil
	}
	roster, err := s.roster(ctx, org)
	if err != nil || roster == 0 {
		return "", err
	}
	key := roleKey{org, user}
	known, ok := s.directory.members.Get(key)
	if !ok || known.roster != roster {
		known = knownTeam{roster: roster}
		if known.team, err = s.teamNamed(ctx, org, user); err != nil {
			return "", err
		}
		s.directory.members.Put(key, known)
	}
	if known.team == "" {
		return "", nil
	}
	used, err := s.inUse(ctx, org, known.team, roster)
	if err != nil || !used {
		return "", err
	}
	return known.team, nil
}

// CheckTeam tells whether something can be spent for a team: one that does not exist or is archived is refused. The answer may be what was
// true up to five seconds ago. Mostly no read; at most two. The error is an *Error, `invalid_request` or `unavailable`.
func (s *Store) CheckTeam(ctx context.Context, org, team string) error {
	used := false
	if validOrg(org) && validTeam(team) {
		roster, err := s.roster(ctx, org)
		if err != nil {
			return err
		}
		if roster != 0 {
			if used, err = s.inUse(ctx, org, team, roster); err != nil {
				return err
			}
		}
	}
	if !used {
		return &Error{coded.Reason{
			Is: "invalid_request", Says: "team_id names no team of the organisation that is in use.", With: map[string]any{"field": "team_id", "reason": "unknown_team"},
		}}
	}
	return nil
}

// roster is an organisation's roster, as it was at most the staleness ago. Those who ask at once share one read.
func (s *Store) roster(ctx context.Context, org string) (int64, error) {
	known, ok := s.directory.rosters.Get(org)
	if age := s.opts.MachineNow().Sub(known.at); ok && age >= 0 && age < s.opts.Staleness {
		return known.roster, nil
	}
	read := s.directory.flight.DoChan(org, func() (any, error) {
		// The read is for all who wait, and is not given up with the first of them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
		defer cancel()
		now := knownRoster{at: s.opts.MachineNow()}
		snapshot, err := s.org(org).Get(ctx)
		if err != nil && status.Code(err) != codes.NotFound {
			return nil, unavailable("read organisation %s: %w", org, err)
		}
		if snapshot.Exists() {
			o, err := decodeOrg(snapshot)
			if err != nil {
				return nil, err
			}
			now.roster = o.roster
		}
		s.directory.rosters.Put(org, now)
		return now.roster, nil
	})
	select {
	case <-ctx.Done():
		return 0, unavailable("read organisation %s: %w", org, ctx.Err())
	case got := <-read:
		if got.Err != nil {
			return 0, fmt.Errorf("teams of %s: %w", org, got.Err)
		}
		return got.Val.(int64), nil
	}
}

// teamNamed reads which team a member's document names.
func (s *Store) teamNamed(ctx context.Context, org, user string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshot, err := s.member(org, user).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return "", nil
	}
	if err != nil {
		return "", unavailable("read a member of %s: %w", org, err)
	}
	m, err := decodeMember(snapshot)
	return m.Team, err
}

// inUse reports whether a team is in use, from memory if that is of the present roster.
func (s *Store) inUse(ctx context.Context, org, team string, roster int64) (bool, error) {
	key := teamKey{org, team}
	known, ok := s.directory.teams.Get(key)
	if ok && known.roster == roster {
		return known.used, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshot, err := s.team(org, team).Get(ctx)
	if err != nil && status.Code(err) != codes.NotFound {
		return false, unavailable("read a team of %s: %w", org, err)
	}
	t, found, err := foundTeam(snapshot)
	if err != nil {
		return false, err
	}
	known = knownUse{roster: roster, used: found && !t.Archived()}
	s.directory.teams.Put(key, known)
	return known.used, nil
}

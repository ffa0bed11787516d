package spend

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// Teams knows who is in which team, as an *orgs.Store does. What it says may be a few seconds old.
type Teams interface {
	// TeamOf is the team that a user is in, or "".
	TeamOf(ctx context.Context, org, user string) (string, error)
	// CheckTeam refuses a team that nothing can be spent for.
	CheckTeam(ctx context.Context, org, team string) error
}

// WithTeams has work count for the one team of the user it is for, unless a team is sent. Without it work counts for the team that is sent only.
func WithTeams(t Teams) Option { return func(s *Spender) { s.teams = t } }

// team is the team that work counts for. A team that is sent for work to come must be one that can be spent for. Of work already done it is
// taken as it is: nothing may keep the work from being charged, it was done for whom it was done for though the team was archived since, and a
// name that nobody knows is seen in the reports under that name, where it would be hidden under no team.
func (s *Spender) team(ctx context.Context, r Ask, done bool) (string, error) {
	switch {
	case s.teams == nil:
		return r.TeamID, nil
	case r.TeamID != "" && done:
		return r.TeamID, nil
	case r.TeamID != "":
		if err := s.teams.CheckTeam(ctx, r.OrgID, r.TeamID); err != nil {
			return "", fmt.Errorf("team %s of %s: %w", r.TeamID, r.OrgID, err)
		}
		return r.TeamID, nil
	case r.UserID == "":
		return "", nil
	}
	team, err := s.teams.TeamOf(ctx, r.OrgID, r.UserID)
	if err != nil {
		return "", fmt.Errorf("the team of a user of %s: %w", r.OrgID, err)
	}
	return team, nil
}

// noTeam reports whether an error says that a team cannot be spent for.
func noTeam(err error) bool {
	refused, ok := errors.AsType[*orgs.Error](err)
	return ok && refused.Code() == credit.CodeInvalid
}

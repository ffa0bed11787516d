package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// team is a team as everybody in its organisation is told.
type team struct {
	TeamID     string     `json:"team_id"`
	Name       string     `json:"name"`
	Archived   bool       `json:"archived"`
	CreatedAt  time.Time  `json:"created_at"`
	ArchivedAt *time.Time `json:"archived_at,omitempty"`
}

func showTeam(t orgs.Team) team {
	out := team{TeamID: t.ID, Name: t.Name, Archived: t.Archived(), CreatedAt: t.CreatedAt}
	if t.Archived() {
		out.ArchivedAt = &t.ArchivedAt
	}
	return out
}

// teamChange is the body of PUT …/teams/{team}. Without archived the team is in use if it is new, and otherwise as it is.
type teamChange struct {
	Name     string `json:"name"`
	Archived *bool  `json:"archived,omitempty"`
}

// teamsList and archivedTeamsList name the lists of teams in page tokens.
const (
	teamsList         = "teams"
	archivedTeamsList = "archived-teams"
)

func (h *handler) teams(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	which, archived := teamsList, false
	switch given := c.query.Get("archived"); {
	case given == "true":
		which, archived = archivedTeamsList, true
	case given != "false" && c.query.Has("archived"):
		return invalid("archived", "archived must be true or false.")
	}
	p, _, err := c.position(which)
	if err != nil {
		return err
	}
	found, err := h.store.Teams(r.Context(), c.org, orgs.TeamPage{Archived: archived, After: p.ID, Limit: size + 1})
	if err != nil {
		return err
	}
	out, err := paged(found, size, showTeam, func(t orgs.Team) position { return position{List: which, ID: t.ID} })
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

func (h *handler) team(w http.ResponseWriter, r *http.Request, c call) error {
	t, err := h.store.Team(r.Context(), c.org, r.PathValue("team"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showTeam(t))
	return nil
}

func (h *handler) putTeam(w http.ResponseWriter, r *http.Request, c call) error {
	b, err := strictjson.Decode[teamChange](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	t, created, err := h.store.ChangeTeam(r.Context(), c.org, orgs.TeamChange{ID: r.PathValue("team"), Name: b.Name, Archived: b.Archived})
	if err != nil {
		return err
	}
	if created {
		serve.Created(w, r, showTeam(t))
		return nil
	}
	serve.OK(w, r, showTeam(t))
	return nil
}

// archiveTeam ends the use of a team; repeated, it changes nothing.
func (h *handler) archiveTeam(w http.ResponseWriter, r *http.Request, c call) error {
	t, err := h.store.ArchiveTeam(r.Context(), c.org, r.PathValue("team"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showTeam(t))
	return nil
}

// joinTeam puts a member in a team, out of any other.
func (h *handler) joinTeam(w http.ResponseWriter, r *http.Request, c call) error {
	m, err := h.store.JoinTeam(r.Context(), c.org, r.PathValue("team"), r.PathValue("user"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showMember(m))
	return nil
}

func (h *handler) leaveTeam(w http.ResponseWriter, r *http.Request, c call) error {
	m, err := h.store.LeaveTeam(r.Context(), c.org, r.PathValue("team"), r.PathValue("user"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showMember(m))
	return nil
}

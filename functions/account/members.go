package account

import (
	"net/http"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// membership is a member as administrators, and the member, are told.
type membership struct {
	UserID   string    `json:"user_id"`
	Role     orgs.Role `json:"role"`
	Email    string    `json:"email,omitempty"`
	Name     string    `json:"name,omitempty"`
	TeamID   string    `json:"team_id,omitempty"`
	JoinedAt time.Time `json:"joined_at"`
}

func showMember(m orgs.Member) membership {
	return membership{UserID: m.Sub, Role: m.Role, Email: m.Email, Name: m.Name, TeamID: m.Team, JoinedAt: m.JoinedAt}
}

// memberChange is the body of PUT …/members/{user}. What is left out but the role stays as it is.
type memberChange struct {
	Role  orgs.Role `json:"role"`
	Email *string   `json:"email,omitempty"`
	Name  *string   `json:"name,omitempty"`
}

// onlyOwn reports whether a caller may see nothing but what is the caller's own: a member who is neither administrator nor staff.
func (c call) onlyOwn() bool {
	return !slices.ContainsFunc(c.have, func(r role) bool { return r == admin || r == support || r == platform })
}

// belongs reports whether a caller is a member or an administrator.
func (c call) belongs() bool {
	return slices.Contains(c.have, member) || slices.Contains(c.have, admin)
}

// membersList names the list of members in page tokens.
const membersList = "members"

func (h *handler) members(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	p, _, err := c.position(membersList)
	if err != nil {
		return err
	}
	found, err := h.store.Members(r.Context(), c.org, orgs.MemberPage{Team: c.query.Get("team"), After: p.ID, Limit: size + 1})
	if err != nil {
		return err
	}
	out, err := paged(found, size, showMember, func(m orgs.Member) position { return position{List: membersList, ID: m.Sub} })
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

// member answers administrators and staff about everybody, members about themselves.
func (h *handler) member(w http.ResponseWriter, r *http.Request, c call) error {
	user := r.PathValue("user")
	if c.onlyOwn() && user != c.person.Sub {
		return errForbidden
	}
	m, err := h.store.Member(r.Context(), c.org, user)
	if err != nil {
		return err
	}
	serve.OK(w, r, showMember(m))
	return nil
}

func (h *handler) putMember(w http.ResponseWriter, r *http.Request, c call) error {
	b, err := strictjson.Decode[memberChange](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	m, created, err := h.store.ChangeMember(r.Context(), c.org, orgs.MemberChange{Sub: r.PathValue("user"), Role: b.Role, Email: b.Email, Name: b.Name})
	if err != nil {
		return err
	}
	if created {
		serve.Created(w, r, showMember(m))
		return nil
	}
	serve.OK(w, r, showMember(m))
	return nil
}

// removeMember answers with the member as it was.
func (h *handler) removeMember(w http.ResponseWriter, r *http.Request, c call) error {
	m, err := h.store.RemoveMember(r.Context(), c.org, r.PathValue("user"))
	if err != nil {
		return err
	}
	serve.OK(w, r, showMember(m))
	return nil
}

// erased is the answer to POST …/members/{user}/erasure. Removed says that the membership ended with this call; while NextPageToken is not
// empty, the same call with it goes on.
type erased struct {
	UserID        string `json:"user_id"`
	Entries       int    `json:"entries"`
	LimitRequests int    `json:"limit_requests"`
	DeadLetters   int    `json:"dead_letters"`
	Payments      int    `json:"payments"`
	Teams         int    `json:"teams"`
	Removed       bool   `json:"removed"`
	NextPageToken string `json:"next_page_token"`
}

// erasureList names the entries that an erasure looks through in page tokens.
const erasureList = "erasure"

func (h *handler) erase(w http.ResponseWriter, r *http.Request, c call) error {
	p, _, err := c.position(erasureList)
	if err != nil {
		return err
	}
	user := r.PathValue("user")
	done, err := h.eraser.Erase(r.Context(), c.org, user, p.ID)
	if err != nil {
		return err
	}
	out := erased{UserID: user, Entries: done.Entries, LimitRequests: done.Requests, DeadLetters: done.Letters, Payments: done.Payments, Teams: done.Teams, Removed: done.Removed}
	if done.Next != "" {
		if out.NextPageToken, err = (position{List: erasureList, ID: done.Next}).token(); err != nil {
			return err
		}
	}
	serve.OK(w, r, out)
	return nil
}

package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// monthlyLimit is how many credits may be used in a month. A soft one only gives notice.
type monthlyLimit struct {
	Credits *int64 `json:"credits"`
	Soft    bool   `json:"soft"`
}

func showLimit(l *credit.Limit) *monthlyLimit {
	if l == nil {
		return nil
	}
	return &monthlyLimit{Credits: &l.Credits, Soft: l.Soft}
}

// domain is the limit as the domain has it.
func (l *monthlyLimit) domain(field string) (*credit.Limit, error) {
	if l == nil {
		return nil, nil //nolint:nilnil // no limit is a limit's absence
	}
	if l.Credits == nil {
		return nil, invalid(field, field+" is required.")
	}
	return &credit.Limit{Credits: *l.Credits, Soft: l.Soft}, nil
}

// limitUse is what a team, user or the organisation used in the current month, and the limit that binds it, if there is one.
type limitUse struct {
	Scope   credit.Scope  `json:"scope"`
	Subject string        `json:"subject,omitempty"`
	Limit   *monthlyLimit `json:"limit,omitempty"`
	Used    int64         `json:"used"`
	// Left is there with a limit; what is used above one is not told as less than nothing.
	Left     *int64    `json:"left,omitempty"`
	ResetsAt time.Time `json:"resets_at"`
}

func showUse(u ledger.LimitUse, w credit.Window) limitUse {
	out := limitUse{Scope: u.Scope, Subject: u.ID, Limit: showLimit(u.Limit), Used: u.Used, ResetsAt: w.End}
	if u.Limit != nil {
		left := max(0, u.Limit.Credits-u.Used)
		out.Left = &left
	}
	return out
}

// limitsAnswer is the answer to GET and PUT …/limits: teams and users are those with limits of their own.
type limitsAnswer struct {
	Window       string        `json:"window"`
	StartsAt     time.Time     `json:"starts_at"`
	ResetsAt     time.Time     `json:"resets_at"`
	Thresholds   []int64       `json:"thresholds"`
	Organisation limitUse      `json:"organisation"`
	DefaultUser  *monthlyLimit `json:"default_user,omitempty"`
	Teams        []limitUse    `json:"teams"`
	Users        []limitUse    `json:"users"`
}

// limits tells administrators and staff all limits, members what binds them: the organisation's, their team's and their own.
func (h *handler) limits(w http.ResponseWriter, r *http.Request, c call) error {
	if !c.onlyOwn() {
		return h.answerLimits(w, r, c)
	}
	found, err := h.limitsOf(r, c)
	if err != nil {
		return err
	}
	out := found
	out.Teams, out.Users, out.DefaultUser = []limitUse{}, []limitUse{}, nil
	me, err := h.use(r, c, credit.Subject{Scope: credit.ScopeUser, ID: c.person.Sub})
	if err != nil {
		return err
	}
	out.Users = append(out.Users, me)
	team, err := h.store.TeamOf(r.Context(), c.org, c.person.Sub)
	if err != nil {
		return err
	}
	if team != "" {
		mine, err := h.use(r, c, credit.Subject{Scope: credit.ScopeTeam, ID: team})
		if err != nil {
			return err
		}
		out.Teams = append(out.Teams, mine)
	}
	serve.OK(w, r, out)
	return nil
}

func (h *handler) answerLimits(w http.ResponseWriter, r *http.Request, c call) error {
	out, err := h.limitsOf(r, c)
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

func (h *handler) limitsOf(r *http.Request, c call) (limitsAnswer, error) {
	v, err := h.ledger.Limits(r.Context(), c.org)
	if err != nil {
		return limitsAnswer{}, err
	}
	out := limitsAnswer{
		Window: v.Window.Key, StartsAt: v.Window.Start, ResetsAt: v.Window.End, Thresholds: append([]int64{}, v.Limits.Thresholds...),
		Organisation: showUse(v.Organisation, v.Window), DefaultUser: showLimit(v.Limits.DefaultUser), Teams: []limitUse{}, Users: []limitUse{},
	}
	for _, u := range v.Teams {
		out.Teams = append(out.Teams, showUse(u, v.Window))
	}
	for _, u := range v.Users {
		out.Users = append(out.Users, showUse(u, v.Window))
	}
	return out, nil
}

func (h *handler) use(r *http.Request, c call, s credit.Subject) (limitUse, error) {
	window, u, err := h.ledger.LimitOf(r.Context(), c.org, s)
	if err != nil {
		return limitUse{}, err
	}
	return showUse(u, window), nil
}

// limitsChange is the body of PUT …/limits. A limit that is left out is taken away; those of teams and users stay as they are.
type limitsChange struct {
	Organisation *monthlyLimit `json:"organisation,omitempty"`
	DefaultUser  *monthlyLimit `json:"default_user,omitempty"`
	Thresholds   *[]int64      `json:"thresholds"`
}

func (h *handler) putLimits(w http.ResponseWriter, r *http.Request, c call) error {
	b, err := strictjson.Decode[limitsChange](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if b.Thresholds == nil {
		return invalid("thresholds", "thresholds is required; leave it empty for notices at the limit itself only.")
	}
	whole, err := b.Organisation.domain("organisation.credits")
	if err != nil {
		return err
	}
	each, err := b.DefaultUser.domain("default_user.credits")
	if err != nil {
		return err
	}
	if _, err := h.ledger.Do(r.Context(), c.org, credit.SetLimits{
		Changes:    []credit.LimitChange{{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: whole}, {Default: true, Limit: each}},
		Thresholds: *b.Thresholds, Actor: c.person.Sub,
	}); err != nil {
		return err
	}
	return h.answerLimits(w, r, c)
}

// theTeam is the team that a path names, if the caller may know of its limit.
func (h *handler) theTeam(r *http.Request, c call) (credit.Subject, error) {
	s := credit.Subject{Scope: credit.ScopeTeam, ID: r.PathValue("team")}
	if !c.onlyOwn() {
		_, err := h.store.Team(r.Context(), c.org, s.ID)
		return s, err
	}
	mine, err := h.store.TeamOf(r.Context(), c.org, c.person.Sub)
	if err == nil && mine != s.ID {
		err = errForbidden
	}
	return s, err
}

// theUser is the user that a path names, if the caller may know of the limit. It need not be a member: services may act for others.
func theUser(r *http.Request, c call) (credit.Subject, error) {
	s := credit.Subject{Scope: credit.ScopeUser, ID: r.PathValue("user")}
	if c.onlyOwn() && s.ID != c.person.Sub {
		return s, errForbidden
	}
	return s, credit.CheckID("user_id", s.ID)
}

func (h *handler) teamLimit(w http.ResponseWriter, r *http.Request, c call) error {
	s, err := h.theTeam(r, c)
	if err != nil {
		return err
	}
	return h.answerUse(w, r, c, s)
}

func (h *handler) userLimit(w http.ResponseWriter, r *http.Request, c call) error {
	s, err := theUser(r, c)
	if err != nil {
		return err
	}
	return h.answerUse(w, r, c, s)
}

func (h *handler) answerUse(w http.ResponseWriter, r *http.Request, c call, s credit.Subject) error {
	out, err := h.use(r, c, s)
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

// putTeamLimit sets the limit of a team in use.
func (h *handler) putTeamLimit(w http.ResponseWriter, r *http.Request, c call) error {
	t, err := h.store.Team(r.Context(), c.org, r.PathValue("team"))
	if err != nil {
		return err
	}
	if t.Archived() {
		return problem.New(problem.InvalidRequest, "The team is archived.", map[string]any{"field": "team_id", "reason": "archived"})
	}
	return h.putLimit(w, r, c, credit.Subject{Scope: credit.ScopeTeam, ID: t.ID})
}

func (h *handler) putUserLimit(w http.ResponseWriter, r *http.Request, c call) error {
	s, err := theUser(r, c)
	if err != nil {
		return err
	}
	return h.putLimit(w, r, c, s)
}

func (h *handler) putLimit(w http.ResponseWriter, r *http.Request, c call, s credit.Subject) error {
	b, err := strictjson.Decode[monthlyLimit](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	l, err := b.domain("credits")
	if err != nil {
		return err
	}
	return h.setLimit(w, r, c, s, l)
}

// removeTeamLimit takes a team's limit away, also one of a team that is archived.
func (h *handler) removeTeamLimit(w http.ResponseWriter, r *http.Request, c call) error {
	s, err := h.theTeam(r, c)
	if err != nil {
		return err
	}
	return h.setLimit(w, r, c, s, nil)
}

// removeUserLimit takes a user's own limit away; the default binds the user then.
func (h *handler) removeUserLimit(w http.ResponseWriter, r *http.Request, c call) error {
	s, err := theUser(r, c)
	if err != nil {
		return err
	}
	return h.setLimit(w, r, c, s, nil)
}

func (h *handler) setLimit(w http.ResponseWriter, r *http.Request, c call, s credit.Subject, l *credit.Limit) error {
	_, err := h.ledger.Do(r.Context(), c.org, credit.SetLimits{Changes: []credit.LimitChange{{Subject: s, Limit: l}}, Actor: c.person.Sub})
	if err != nil {
		return err
	}
	return h.answerUse(w, r, c, s)
}

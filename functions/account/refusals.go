package account

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/refusals"
	"github.com/fluxori/ai-credits/shared/serve"
)

// refusal is requests to spend that were refused for one reason within a minute.
type refusal struct {
	ID      string `json:"id"`
	UserID  string `json:"user_id,omitempty"`
	TeamID  string `json:"team_id,omitempty"`
	Feature string `json:"feature,omitempty"`
	// Request is debit or hold; EventID and Credits are those of the last.
	Request refusals.Kind `json:"request,omitempty"`
	EventID string        `json:"event_id,omitempty"`
	Credits int64         `json:"credits,omitempty"`
	Actor   string        `json:"actor,omitempty"`
	Code    string        `json:"code"`
	// Blocker is the limit in the way, as scope:subject. Detail and Details are what the last of them was told.
	Blocker string          `json:"blocker,omitempty"`
	Detail  string          `json:"detail,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
	Count   int64           `json:"count"`
	// Sampled says that there were too many to tell users apart.
	Sampled bool      `json:"sampled"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

func showRefusal(r refusals.Refusal) refusal {
	return refusal{
		ID: r.ID, UserID: r.User, TeamID: r.Team, Feature: r.Feature, Request: r.Kind, EventID: r.EventID, Credits: r.Credits, Actor: r.Actor,
		Code: r.Code, Blocker: r.Blocker, Detail: r.Detail, Details: r.Details, Count: r.Count, Sampled: r.Sampled, FirstAt: r.First, LastAt: r.Last,
	}
}

// refusalsList names the list of refusals in page tokens.
const refusalsList = "refusals"

// refused lists what was refused, newest first. Members are told of their own requests only.
func (h *handler) refused(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	p, _, err := c.position(refusalsList)
	if err != nil {
		return err
	}
	q := refusals.Query{User: c.query.Get("user"), AnyUser: !c.query.Has("user"), AfterAt: p.at(), AfterID: p.ID, Limit: size + 1}
	if !q.AnyUser {
		if err := credit.CheckID("user", q.User); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(c.have, func(have role) bool { return have == admin || have == support || have == platform }) {
		if !q.AnyUser && q.User != c.person.Sub {
			return errForbidden
		}
		q.User, q.AnyUser = c.person.Sub, false
	}
	found, err := h.refusals.List(r.Context(), c.org, q)
	if err != nil {
		return err
	}
	out, err := paged(found, size, showRefusal, func(f refusals.Refusal) position {
		return position{List: refusalsList, At: f.First.UnixMicro(), ID: f.ID}
	})
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/limitrequests"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// limitRequest is a member's request for a higher limit.
type limitRequest struct {
	RequestID   string       `json:"request_id"`
	UserID      string       `json:"user_id"`
	Scope       credit.Scope `json:"scope"`
	Subject     string       `json:"subject,omitempty"`
	SubjectName string       `json:"subject_name,omitempty"`
	// Credits is how many more are asked for, in a month; Limit what the limit was then.
	Credits   int64               `json:"credits,omitempty"`
	Limit     int64               `json:"limit"`
	Reason    string              `json:"reason"`
	State     limitrequests.State `json:"state"`
	CreatedAt time.Time           `json:"created_at"`
	DecidedAt *time.Time          `json:"decided_at,omitempty"`
	DecidedBy string              `json:"decided_by,omitempty"`
	// GrantedLimit is what the limit was raised to; Answer why it was not.
	GrantedLimit *int64 `json:"granted_limit,omitempty"`
	Answer       string `json:"answer,omitempty"`
}

func showRequest(r limitrequests.Request) limitRequest {
	out := limitRequest{
		RequestID: r.ID, UserID: r.By, Scope: r.Subject.Scope, Subject: r.Subject.ID, SubjectName: r.SubjectName, Credits: r.Credits, Limit: r.Limit,
		Reason: r.Reason, State: r.State, CreatedAt: r.CreatedAt, DecidedBy: r.DecidedBy, GrantedLimit: r.Target, Answer: r.Answer,
	}
	if !r.DecidedAt.IsZero() {
		out.DecidedAt = &r.DecidedAt
	}
	return out
}

// wish is the body of POST …/limit-requests. The subject is the caller's own, and may be left out.
type wish struct {
	Scope   credit.Scope `json:"scope"`
	Subject string       `json:"subject,omitempty"`
	Credits *int64       `json:"credits,omitempty"`
	Reason  string       `json:"reason"`
}

// askForMore makes a request. 200 instead of 201 says that the caller has this one open already.
func (h *handler) askForMore(w http.ResponseWriter, r *http.Request, c call) error {
	b, err := strictjson.Decode[wish](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	a := limitrequests.Ask{By: c.person.Sub, Scope: b.Scope, Subject: b.Subject, Reason: b.Reason}
	if b.Credits != nil {
		if a.Credits = *b.Credits; a.Credits < 1 {
			return invalid("credits", "credits must be 1 or more, or be left out.")
		}
	}
	made, created, err := h.requests.Ask(r.Context(), c.org, a)
	if err != nil {
		return err
	}
	if created {
		serve.Created(w, r, showRequest(made))
		return nil
	}
	serve.OK(w, r, showRequest(made))
	return nil
}

// limitRequestsList and decidedRequestsList name the lists of requests in page tokens.
const (
	limitRequestsList   = "limit-requests"
	decidedRequestsList = "decided-limit-requests"
)

func (h *handler) limitRequests(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	which, page := limitRequestsList, limitrequests.Page{Limit: size + 1}
	switch state := c.query.Get("state"); {
	case state == "decided":
		which, page.Decided = decidedRequestsList, true
	case state != "open" && c.query.Has("state"):
		return invalid("state", "state must be open or decided.")
	}
	if c.onlyOwn() {
		page.By = c.person.Sub
	}
	p, _, err := c.position(which)
	if err != nil {
		return err
	}
	page.AfterAt, page.AfterID = p.at(), p.ID
	found, err := h.requests.Requests(r.Context(), c.org, page)
	if err != nil {
		return err
	}
	out, err := paged(found, size, showRequest, func(r limitrequests.Request) position {
		return position{List: which, At: r.CreatedAt.UnixMicro(), ID: r.ID}
	})
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

// limitRequest tells one request; to members those of others are not there.
func (h *handler) limitRequest(w http.ResponseWriter, r *http.Request, c call) error {
	found, err := h.requests.Request(r.Context(), c.org, r.PathValue("request"))
	if err != nil {
		return err
	}
	if c.onlyOwn() && found.By != c.person.Sub {
		return problem.New(problem.NotFound, "There is no such limit request.", nil)
	}
	serve.OK(w, r, showRequest(found))
	return nil
}

// grantingBody is the body of POST …/grant: the limit is raised to Limit or, without one, by what was asked for.
type grantingBody struct {
	Limit *int64 `json:"limit,omitempty"`
}

func (h *handler) grantRequest(w http.ResponseWriter, r *http.Request, c call) error {
	b, err := strictjson.Decode[grantingBody](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	got, err := h.requests.Grant(r.Context(), c.org, r.PathValue("request"), b.Limit, c.person.Sub)
	if err != nil {
		return err
	}
	serve.OK(w, r, showRequest(got))
	return nil
}

// decliningBody is the body of POST …/decline.
type decliningBody struct {
	Reason string `json:"reason,omitempty"`
}

func (h *handler) declineRequest(w http.ResponseWriter, r *http.Request, c call) error {
	b, err := strictjson.Decode[decliningBody](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	got, err := h.requests.Decline(r.Context(), c.org, r.PathValue("request"), b.Reason, c.person.Sub)
	if err != nil {
		return err
	}
	serve.OK(w, r, showRequest(got))
	return nil
}

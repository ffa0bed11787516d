package debit

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/spend"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// placed is the answer to the placing of a hold.
type placed struct {
	HoldID       string       `json:"hold_id"`
	EventID      string       `json:"event_id"`
	Credits      int64        `json:"credits"`
	PriceVersion int64        `json:"price_version"`
	ExpiresAt    time.Time    `json:"expires_at"`
	Allocations  []allocation `json:"allocations"`
	Balance      balance      `json:"balance"`
	Replayed     bool         `json:"replayed"`
}

func (h *handler) hold(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.admit(r)
	if err != nil {
		return err
	}
	req, err := strictjson.Decode[spend.HoldRequest](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if err := caller.Authorise(identity.Spend, req.OrgID); err != nil {
		return err
	}
	result, err := h.spender.Hold(r.Context(), req, caller.Actor)
	if err != nil {
		return err
	}
	e := result.Entry
	serve.Created(w, r, placed{
		HoldID: e.Subject, EventID: e.Key.ID, Credits: e.Credits, PriceVersion: e.Work.PriceVersion, ExpiresAt: e.Until,
		Allocations: allocations(e, setAside), Balance: balance(e.After), Replayed: result.Replayed,
	})
	return nil
}

// setAside are the credits that a change moved to a hold.
func setAside(c credit.Change) int64 { return c.Held }

// holder is who asks for something about the hold that the path names, if that is theirs to ask for.
func (h *handler) holder(r *http.Request) (actor, hold string, err error) {
	caller, err := h.admit(r)
	if err != nil {
		return "", "", err
	}
	hold = r.PathValue("hold_id")
	org, _, err := credit.ParseHoldID(hold)
	if err != nil {
		return "", "", err
	}
	return caller.Actor, hold, caller.Authorise(identity.Spend, org)
}

// holdShown is a hold as it is now.
type holdShown struct {
	HoldID       string           `json:"hold_id"`
	EventID      string           `json:"event_id"`
	State        credit.HoldState `json:"state"`
	Feature      string           `json:"feature"`
	UserID       string           `json:"user_id,omitempty"`
	TeamID       string           `json:"team_id,omitempty"`
	Credits      int64            `json:"credits"`
	PriceVersion int64            `json:"price_version"`
	// Captured is what the work cost in the end; it may be there beside timed_out, for work that was done after all.
	Captured    int64        `json:"captured_credits,omitempty"`
	PlacedAt    time.Time    `json:"placed_at"`
	ExpiresAt   time.Time    `json:"expires_at"`
	Allocations []allocation `json:"allocations"`
}

func show(h *credit.Hold) holdShown {
	out := holdShown{
		HoldID: h.ID, EventID: h.EventID, State: h.State, Feature: h.Work.Feature, UserID: h.Work.User, TeamID: h.Work.Team, Credits: h.Credits,
		PriceVersion: h.Work.PriceVersion, Captured: h.Captured, PlacedAt: h.PlacedAt, ExpiresAt: h.ExpiresAt,
		Allocations: make([]allocation, len(h.Allocations)),
	}
	for i, a := range h.Allocations {
		out.Allocations[i] = allocation{GrantID: a.Grant, Source: a.Source, Credits: a.Credits}
	}
	return out
}

func (h *handler) findHold(w http.ResponseWriter, r *http.Request) error {
	_, id, err := h.holder(r)
	if err != nil {
		return err
	}
	found, err := h.spender.FindHold(r.Context(), id)
	if err != nil {
		return err
	}
	serve.OK(w, r, show(found))
	return nil
}

// captured is the answer to a capture.
type captured struct {
	HoldID       string `json:"hold_id"`
	Credits      int64  `json:"credits"`
	PriceVersion int64  `json:"price_version"`
	// Released is what went back of the credits held, Debt what nothing could cover of those beyond them.
	Released    int64        `json:"released"`
	Debt        int64        `json:"debt"`
	Allocations []allocation `json:"allocations"`
	Balance     balance      `json:"balance"`
	Replayed    bool         `json:"replayed"`
}

func (h *handler) capture(w http.ResponseWriter, r *http.Request) error {
	actor, id, err := h.holder(r)
	if err != nil {
		return err
	}
	body, err := strictjson.Decode[struct {
		Credits int64 `json:"credits"`
	}](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	result, err := h.spender.Capture(r.Context(), spend.Capture{HoldID: id, Credits: body.Credits}, actor, false)
	if err != nil {
		return err
	}
	e := result.Entry
	serve.OK(w, r, captured{
		HoldID: id, Credits: e.Credits, PriceVersion: e.Work.PriceVersion, Released: released(e), Debt: e.Debt,
		Allocations: allocations(e, credit.Change.Drawn), Balance: balance(e.After), Replayed: result.Replayed,
	})
	return nil
}

// released is how many held credits an entry made free.
func released(e *credit.Entry) (n int64) {
	for _, c := range e.Changes {
		n += max(0, c.Free)
	}
	return n
}

// releasedAll is the answer to a release.
type releasedAll struct {
	HoldID   string  `json:"hold_id"`
	Credits  int64   `json:"credits"`
	Balance  balance `json:"balance"`
	Replayed bool    `json:"replayed"`
}

type releaseRequest struct {
	Reason string `json:"reason,omitempty"`
}

// release takes no body, or one with a reason.
func (h *handler) release(w http.ResponseWriter, r *http.Request) error {
	actor, id, err := h.holder(r)
	if err != nil {
		return err
	}
	var body releaseRequest
	if r.ContentLength != 0 {
		if body, err = strictjson.Decode[releaseRequest](r.Body, bodyMaxBytes); err != nil {
			return err
		}
	}
	result, err := h.spender.Release(r.Context(), id, body.Reason, actor)
	if err != nil {
		return err
	}
	e := result.Entry
	serve.OK(w, r, releasedAll{HoldID: id, Credits: e.Credits, Balance: balance(e.After), Replayed: result.Replayed})
	return nil
}

func (h *handler) extend(w http.ResponseWriter, r *http.Request) error {
	actor, id, err := h.holder(r)
	if err != nil {
		return err
	}
	body, err := strictjson.Decode[struct {
		TTLSeconds int64 `json:"ttl_seconds"`
	}](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	found, err := h.spender.Extend(r.Context(), id, body.TTLSeconds, actor)
	if err != nil {
		return err
	}
	serve.OK(w, r, show(found))
	return nil
}

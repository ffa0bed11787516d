package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// quarantineList names the list of what was put aside in page tokens.
const quarantineList = "quarantine"

// aside is an event of Stripe's that was put aside, as operators see it.
type aside struct {
	EventID string `json:"event_id"`
	Type    string `json:"type"`
	// Reason is stable; Detail is for people.
	Reason payments.Reason `json:"reason"`
	Detail string          `json:"detail"`
	// OrgID and Reference are those that the event names, whether they are ours or not.
	OrgID     string `json:"org_id,omitempty"`
	Reference string `json:"reference,omitempty"`
	// Object and Payment are Stripe's ids.
	Object     string              `json:"object,omitempty"`
	Payment    string              `json:"payment,omitempty"`
	At         time.Time           `json:"at"`
	State      payments.AsideState `json:"state"`
	ResolvedAt *time.Time          `json:"resolved_at,omitempty"`
	ResolvedBy string              `json:"resolved_by,omitempty"`
	Resolution string              `json:"resolution,omitempty"`
}

func showAside(a payments.Aside) aside {
	out := aside{
		EventID: a.Event, Type: a.Type, Reason: a.Reason, Detail: a.Detail, OrgID: a.Org, Reference: a.Reference, Object: a.Object,
		Payment: a.Payment, At: a.At, State: a.State, ResolvedBy: a.ResolvedBy, Resolution: a.Resolution,
	}
	if !a.ResolvedAt.IsZero() {
		out.ResolvedAt = &a.ResolvedAt
	}
	return out
}

// quarantine lists what was put aside, the newest first.
func (h *handler) quarantine(w http.ResponseWriter, r *http.Request, c call) error {
	state := payments.AsideState(c.query.Get("state"))
	if c.query.Has("state") && state != payments.AsideWaiting && state != payments.AsideResolved {
		return invalid("state", "state must be waiting or resolved, or be left out for all.")
	}
	return paymentsPage(w, r, c, quarantineList, func(after payments.Place, n int) ([]payments.Aside, error) {
		return h.receiver.Asides(r.Context(), state, after, n)
	}, showAside, func(a payments.Aside) payments.Place { return payments.Place{At: a.At, ID: a.Event} })
}

// replayAside has an event received again. It needs no key: what an event brings has keys of its own, and repeating it is harmless.
func (h *handler) replayAside(w http.ResponseWriter, r *http.Request, c call) error {
	a, err := h.receiver.Replay(r.Context(), r.PathValue("event"), c.person.Sub)
	if err != nil {
		return err
	}
	serve.OK(w, r, showAside(a))
	return nil
}

// resolution is the body of POST …/resolve: what was done about it.
type resolution struct {
	Resolution string `json:"resolution"`
}

// resolveAside notes what a person did about an event. No credits move.
func (h *handler) resolveAside(w http.ResponseWriter, r *http.Request, c call) error {
	told, err := strictjson.Decode[resolution](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	a, err := h.receiver.Resolve(r.Context(), r.PathValue("event"), c.person.Sub, told.Resolution)
	if err != nil {
		return err
	}
	serve.OK(w, r, showAside(a))
	return nil
}

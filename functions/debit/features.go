package debit

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/readiness"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// availability is the body of PUT /features/{feature}/availability, and the answer.
type availability struct {
	Feature   string     `json:"feature"`
	Available bool       `json:"available"`
	Reason    string     `json:"reason,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
}

func (h *handler) setAvailability(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.admit(r)
	if err != nil {
		return err
	}
	if err := caller.Authorise(identity.Operate, ""); err != nil {
		return err
	}
	body, err := strictjson.Decode[struct {
		Available *bool      `json:"available"`
		Reason    string     `json:"reason,omitempty"`
		Until     *time.Time `json:"until,omitempty"`
	}](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if body.Available == nil {
		return required("available")
	}
	a := readiness.Availability{Available: *body.Available, Reason: body.Reason}
	if body.Until != nil {
		a.Until = *body.Until
	}
	feature := r.PathValue("feature")
	if err := h.features.SetAvailability(r.Context(), feature, a, caller.Actor); err != nil {
		return err
	}
	serve.OK(w, r, availability{Feature: feature, Available: a.Available, Reason: a.Reason, Until: body.Until})
	return nil
}

// ready is the answer to PUT /orgs/{org}/features/{feature}/readiness.
type ready struct {
	OrgID   string   `json:"org_id"`
	Feature string   `json:"feature"`
	Ready   bool     `json:"ready"`
	Missing []string `json:"missing"`
}

func (h *handler) setReadiness(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.admit(r)
	if err != nil {
		return err
	}
	org, feature := r.PathValue("org"), r.PathValue("feature")
	if err := caller.Authorise(identity.Operate, org); err != nil {
		return err
	}
	body, err := strictjson.Decode[struct {
		Ready   *bool    `json:"ready"`
		Missing []string `json:"missing,omitempty"`
	}](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if body.Ready == nil {
		return required("ready")
	}
	if _, err := h.ledger.View(r.Context(), org); err != nil { // there is such an organisation
		return err
	}
	if err := h.features.SetReadiness(r.Context(), org, feature, readiness.Readiness{Ready: *body.Ready, Missing: body.Missing}, caller.Actor); err != nil {
		return err
	}
	serve.OK(w, r, ready{OrgID: org, Feature: feature, Ready: *body.Ready, Missing: append([]string{}, body.Missing...)})
	return nil
}

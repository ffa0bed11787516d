package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
	"github.com/fluxori/ai-credits/shared/topups"
)

// autoTopUp is the body of PUT /orgs/{org}/auto-top-up. Everything in it is required, so that nothing is switched off by being forgotten.
type autoTopUp struct {
	Enabled   *bool   `json:"enabled"`
	Threshold *int64  `json:"threshold"`
	Package   *string `json:"package"`
	// MonthlyCap is in minor units of the organisation's currency.
	MonthlyCap *int64 `json:"monthly_cap"`
}

func (a autoTopUp) missing() string {
	switch {
	case a.Enabled == nil:
		return "enabled"
	case a.Threshold == nil:
		return "threshold"
	case a.Package == nil:
		return "package"
	case a.MonthlyCap == nil:
		return "monthly_cap"
	}
	return ""
}

// autoTopUpState is what both answer.
type autoTopUpState struct {
	Enabled    bool               `json:"enabled"`
	Threshold  int64              `json:"threshold"`
	Package    string             `json:"package"`
	MonthlyCap int64              `json:"monthly_cap"`
	Currency   catalogue.Currency `json:"currency"`
	// Spent is what was charged in the calendar month Month of the organisation's zone.
	Spent int64  `json:"spent"`
	Month string `json:"month"`
	// Stopped is there while nothing is charged since a charge failed.
	Stopped *stopped `json:"stopped,omitempty"`
}

type stopped struct {
	Code string    `json:"code"`
	At   time.Time `json:"at"`
}

func showTopUp(s topups.Settings, window string) autoTopUpState {
	out := autoTopUpState{
		Enabled: s.Enabled, Threshold: s.Threshold, Package: s.Package, MonthlyCap: s.MonthlyCap, Currency: s.Currency,
		Spent: s.SpentIn(window), Month: window,
	}
	if b := s.Breaker; b != nil {
		out.Stopped = &stopped{Code: b.Code, At: b.At}
	}
	return out
}

func (h *handler) autoTopUp(w http.ResponseWriter, r *http.Request, c call) error {
	s, window, err := h.topups.Get(r.Context(), c.org)
	if err != nil {
		return err
	}
	serve.OK(w, r, showTopUp(s, window))
	return nil
}

func (h *handler) putAutoTopUp(w http.ResponseWriter, r *http.Request, c call) error {
	a, err := strictjson.Decode[autoTopUp](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if field := a.missing(); field != "" {
		return invalid(field, field+" is required.")
	}
	s, window, err := h.topups.Wish(r.Context(), c.org, topups.Wish{Enabled: *a.Enabled, Threshold: *a.Threshold, Package: *a.Package, MonthlyCap: *a.MonthlyCap})
	if err != nil {
		return err
	}
	serve.OK(w, r, showTopUp(s, window))
	return nil
}

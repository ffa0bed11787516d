package account

import (
	"fmt"
	"net/http"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// alerts is the body of PUT /orgs/{org}/alerts, and the answer of both. What is of a low balance and of expiry is required, so that nothing is
// switched off by being forgotten; for the same reason kinds that are not sent, and a billing contact that is not, stay as they are.
type alerts struct {
	LowBalance *lowBalance `json:"low_balance"`
	Expiry     *expiry     `json:"expiry"`
	// Kinds are the channels of the other kinds. No channel is off.
	Kinds []kindChoice `json:"kinds,omitempty"`
	// BillingContact are the kinds whose mails the billing contact gets beside the administrators.
	BillingContact *[]orgs.Kind `json:"billing_contact,omitempty"`
}

type lowBalance struct {
	Enabled   *bool           `json:"enabled"`
	Threshold *int64          `json:"threshold"`
	Channels  *[]orgs.Channel `json:"channels"`
}

type expiry struct {
	Enabled  *bool           `json:"enabled"`
	Channels *[]orgs.Channel `json:"channels"`
}

type kindChoice struct {
	Kind orgs.Kind `json:"kind"`
	// Name is what people call the kind. It is told, and makes no difference when it is sent.
	Name     string          `json:"name,omitempty"`
	Channels *[]orgs.Channel `json:"channels"`
}

// missing names the first member that is not there.
func (a alerts) missing() string {
	switch {
	case a.LowBalance == nil:
		return "low_balance"
	case a.LowBalance.Enabled == nil:
		return "low_balance.enabled"
	case a.LowBalance.Threshold == nil:
		return "low_balance.threshold"
	case a.LowBalance.Channels == nil:
		return "low_balance.channels"
	case a.Expiry == nil:
		return "expiry"
	case a.Expiry.Enabled == nil:
		return "expiry.enabled"
	case a.Expiry.Channels == nil:
		return "expiry.channels"
	}
	for i, k := range a.Kinds {
		if k.Channels == nil {
			return fmt.Sprintf("kinds[%d].channels", i)
		}
	}
	return ""
}

// settings are what a body asks for.
func (a alerts) settings() (orgs.Alerts, error) {
	if field := a.missing(); field != "" {
		return orgs.Alerts{}, invalid(field, field+" is required.")
	}
	out := orgs.Alerts{
		LowBalance: orgs.LowBalance{Enabled: *a.LowBalance.Enabled, Threshold: *a.LowBalance.Threshold, Channels: *a.LowBalance.Channels},
		Expiry:     orgs.Expiry{Enabled: *a.Expiry.Enabled, Channels: *a.Expiry.Channels},
		Chosen:     make(map[orgs.Kind][]orgs.Channel, len(a.Kinds)),
	}
	for _, k := range a.Kinds {
		if _, twice := out.Chosen[k.Kind]; twice {
			return orgs.Alerts{}, invalid("kinds", "kinds must not hold a kind twice.")
		}
		out.Chosen[k.Kind] = *k.Channels
	}
	if a.BillingContact != nil {
		out.Contact = append([]orgs.Kind{}, *a.BillingContact...)
	}
	return out, nil
}

// showAlerts tells the settings, with what is in force for kinds that nobody has chosen anything for.
func showAlerts(a orgs.Alerts) alerts {
	low, exp, contact := a.LowBalance, a.Expiry, []orgs.Kind{}
	low.Channels, exp.Channels = inJSON(low.Channels), inJSON(exp.Channels)
	out := alerts{
		LowBalance: &lowBalance{Enabled: &low.Enabled, Threshold: &low.Threshold, Channels: &low.Channels},
		Expiry:     &expiry{Enabled: &exp.Enabled, Channels: &exp.Channels},
	}
	for _, row := range orgs.Kinds() {
		if a.TellsContact(row) {
			contact = append(contact, row.Kind)
		}
		if !row.Kind.HasOwnSetting() {
			channels := inJSON(a.Channels(row))
			out.Kinds = append(out.Kinds, kindChoice{Kind: row.Kind, Name: row.Name, Channels: &channels})
		}
	}
	out.BillingContact = &contact
	return out
}

// inJSON is a list that JSON shows as one though it is empty.
func inJSON(channels []orgs.Channel) []orgs.Channel { return append([]orgs.Channel{}, channels...) }

func (h *handler) getAlerts(w http.ResponseWriter, r *http.Request, c call) error {
	o, err := h.store.Get(r.Context(), c.org)
	if err != nil {
		return err
	}
	serve.OK(w, r, showAlerts(o.Alerts))
	return nil
}

func (h *handler) putAlerts(w http.ResponseWriter, r *http.Request, c call) error {
	a, err := strictjson.Decode[alerts](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	wanted, err := a.settings()
	if err != nil {
		return err
	}
	o, err := h.registrar.SetAlerts(r.Context(), c.org, wanted)
	if err != nil {
		return err
	}
	serve.OK(w, r, showAlerts(o.Alerts))
	return nil
}

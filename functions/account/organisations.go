package account

import (
	"net/http"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// profile is the body of PUT /orgs/{org}.
type profile struct {
	Name           string `json:"name"`
	Country        string `json:"country"`
	TimeZone       string `json:"time_zone,omitempty"`
	OwnerEmail     string `json:"owner_email"`
	BillingContact string `json:"billing_contact,omitempty"`
}

// organisation is an organisation as it is told. Members are not told addresses.
type organisation struct {
	OrgID          string `json:"org_id"`
	Name           string `json:"name"`
	Country        string `json:"country"`
	TimeZone       string `json:"time_zone"`
	Currency       string `json:"currency"`
	OwnerEmail     string `json:"owner_email,omitempty"`
	BillingContact string `json:"billing_contact,omitempty"`
	// YourRoles are what the caller may be there, in answers to GET.
	YourRoles []role    `json:"your_roles,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func showOrg(o orgs.Org, have []role) organisation {
	out := organisation{
		OrgID: o.ID, Name: o.Name, Country: o.Country, TimeZone: o.Zone, Currency: o.Currency, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
	if slices.ContainsFunc(have, func(r role) bool { return r == admin || r == support || r == platform }) {
		out.OwnerEmail, out.BillingContact = o.OwnerEmail, o.BillingContact
	}
	return out
}

func (h *handler) putOrg(w http.ResponseWriter, r *http.Request, c call) error {
	p, err := strictjson.Decode[profile](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	o, created, err := h.registrar.Put(r.Context(), c.org, orgs.Profile{
		Name: p.Name, Country: p.Country, Zone: p.TimeZone, OwnerEmail: p.OwnerEmail, BillingContact: p.BillingContact,
	})
	if err != nil {
		return err
	}
	if created {
		serve.Created(w, r, showOrg(o, c.have))
		return nil
	}
	serve.OK(w, r, showOrg(o, c.have))
	return nil
}

func (h *handler) getOrg(w http.ResponseWriter, r *http.Request, c call) error {
	out := showOrg(c.profile, c.have)
	for _, have := range c.have {
		if have != person {
			out.YourRoles = append(out.YourRoles, have)
		}
	}
	serve.OK(w, r, out)
	return nil
}

// myOrgs lists the organisations that the caller belongs to. It has one page.
func (h *handler) myOrgs(w http.ResponseWriter, r *http.Request, c call) error {
	found, err := h.store.OrganisationsOf(r.Context(), visitor(c.person))
	if err != nil {
		return err
	}
	out := list[organisation]{Items: make([]organisation, 0, len(found))}
	for _, o := range found {
		out.Items = append(out.Items, showOrg(o, nil))
	}
	serve.OK(w, r, out)
	return nil
}

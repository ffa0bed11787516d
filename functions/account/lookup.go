package account

import (
	"net/http"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
)

// foundOrg is an organisation that was looked for. It has no addresses.
type foundOrg struct {
	OrgID    string `json:"org_id"`
	Name     string `json:"name"`
	Country  string `json:"country"`
	TimeZone string `json:"time_zone"`
	Currency string `json:"currency"`
}

func showFoundOrg(o orgs.Org) foundOrg {
	return foundOrg{OrgID: o.ID, Name: o.Name, Country: o.Country, TimeZone: o.Zone, Currency: o.Currency}
}

// namesList names the list of organisations by name in page tokens.
const namesList = "names"

// findOrgs finds organisations by the beginning of their names, and lists all of them without one.
func (h *handler) findOrgs(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	p, _, err := c.position(namesList)
	if err != nil {
		return err
	}
	found, err := h.store.FindByName(r.Context(), orgs.NamePage{Prefix: c.query.Get("name"), After: p.ID, Limit: size + 1})
	if err != nil {
		return err
	}
	out, err := paged(found, size, showFoundOrg, func(o orgs.Org) position { return position{List: namesList, ID: o.ID} })
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

package account

import (
	"net/http"
	"slices"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
)

// match is an organisation that was looked up.
type match struct {
	OrgID    string `json:"org_id"`
	Name     string `json:"name"`
	Country  string `json:"country"`
	TimeZone string `json:"time_zone"`
	Currency string `json:"currency"`
	// As says what the address is there, when an address was looked up; UserID and Role whose it is, if it is a member's.
	As     orgs.Connection `json:"as,omitempty"`
	UserID string          `json:"user_id,omitempty"`
	Role   orgs.Role       `json:"role,omitempty"`
}

func showMatch(f orgs.Found) match {
	return match{
		OrgID: f.ID, Name: f.Name, Country: f.Country, TimeZone: f.Zone, Currency: f.Currency, As: f.As, UserID: f.Member.Sub, Role: f.Member.Role,
	}
}

// The lists of what was looked up, in page tokens.
const (
	namesList     = "names"
	addressesList = "addresses"
)

// lookup finds organisations by an address, or by the beginning of their names.
func (h *handler) lookup(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	if c.query.Has("email") && c.query.Has("name") {
		return invalid("email", "Look up by email or by name, not by both.")
	}
	var out list[match]
	if c.query.Has("email") {
		out, err = h.byAddress(r, c, size)
	} else {
		out, err = h.byName(r, c, size)
	}
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

// byAddress cuts a page out of all that an address stands for, of which there is a bounded number.
func (h *handler) byAddress(r *http.Request, c call, size int) (list[match], error) {
	p, paging, err := c.position(addressesList)
	if err != nil {
		return list[match]{}, err
	}
	found, err := h.store.FindByEmail(r.Context(), c.query.Get("email"))
	if err != nil {
		return list[match]{}, err
	}
	if paging {
		found = slices.DeleteFunc(found, func(f orgs.Found) bool { return placeOf(f) <= p.ID })
	}
	return paged(found, size, showMatch, func(f orgs.Found) position { return position{List: addressesList, ID: placeOf(f)} })
}

// placeOf is where in the order of its list something stands. A space comes before all that the parts may hold.
func placeOf(f orgs.Found) string { return f.ID + " " + string(f.As) + " " + f.Member.Sub }

func (h *handler) byName(r *http.Request, c call, size int) (list[match], error) {
	p, _, err := c.position(namesList)
	if err != nil {
		return list[match]{}, err
	}
	found, err := h.store.FindByName(r.Context(), orgs.NamePage{Prefix: c.query.Get("name"), After: p.ID, Limit: size + 1})
	if err != nil {
		return list[match]{}, err
	}
	return paged(found, size, func(o orgs.Org) match { return showMatch(orgs.Found{Org: o}) }, func(o orgs.Org) position {
		return position{List: namesList, ID: o.ID}
	})
}

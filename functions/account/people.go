package account

import (
	"net/http"

	"github.com/fluxori/ai-credits/shared/serve"
)

// place is where somebody with an address is.
type place struct {
	OrgID string `json:"org_id"`
	// Name is the organisation's.
	Name string `json:"name"`
	// UserID is missing for an owner who has not signed in yet.
	UserID string `json:"user_id,omitempty"`
	Role   string `json:"role"`
}

// findPeople finds a customer's organisations for support. It has one page.
func (h *handler) findPeople(w http.ResponseWriter, r *http.Request, c call) error {
	found, err := h.store.FindByEmail(r.Context(), c.query.Get("email"))
	if err != nil {
		return err
	}
	out := list[place]{Items: make([]place, 0, len(found))}
	for _, p := range found {
		role := string(p.Member.Role)
		if p.Member.Sub == "" {
			role = "owner"
		}
		out.Items = append(out.Items, place{OrgID: p.Org.ID, Name: p.Org.Name, UserID: p.Member.Sub, Role: role})
	}
	serve.OK(w, r, out)
	return nil
}

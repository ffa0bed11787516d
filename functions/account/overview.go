package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/serve"
)

// overview is the answer to GET …/overview.
type overview struct {
	Balance balance `json:"balance"`
	// StartsAt and ResetsAt are the current month's, for which limits are.
	StartsAt     time.Time `json:"starts_at"`
	ResetsAt     time.Time `json:"resets_at"`
	Organisation limitUse  `json:"organisation"`
	// Yours is there for members whom a limit binds.
	Yours *limitUse `json:"yours,omitempty"`
	// Used is what was used on each of the last 14 days, today the last; Entries are the newest 5, newest first.
	Used    []dayUse `json:"used"`
	Entries []entry  `json:"entries"`
}

type dayUse struct {
	Day     string `json:"day"`
	Credits int64  `json:"credits"`
}

func (h *handler) overview(w http.ResponseWriter, r *http.Request, c call) error {
	o, err := h.ledger.Overview(r.Context(), c.org, c.person.Sub)
	if err != nil {
		return err
	}
	out := overview{
		Balance: showBalance(o.Balance), StartsAt: o.Window.Start, ResetsAt: o.Window.End, Organisation: showUse(o.Organisation, o.Window),
		Used: make([]dayUse, len(o.Days)), Entries: make([]entry, len(o.Recent)),
	}
	if o.User != nil && c.belongs() {
		use := showUse(*o.User, o.Window)
		out.Yours = &use
	}
	for i, d := range o.Days {
		out.Used[i] = dayUse(d)
	}
	for i, e := range o.Recent {
		out.Entries[i] = c.showEntry(e)
	}
	serve.OK(w, r, out)
	return nil
}

package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/serve"
)

// notification is one item of the dashboard's feed.
type notification struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	At        time.Time  `json:"at"`
	Title     string     `json:"title"`
	Text      string     `json:"text"`
	Credits   int64      `json:"credits"`
	Threshold int64      `json:"threshold"`
	Read      bool       `json:"read"`
	ReadAt    *time.Time `json:"read_at,omitempty"`
	ReadBy    string     `json:"read_by,omitempty"`
}

func showNotification(n orgs.Notification) notification {
	out := notification{ID: n.ID, Kind: n.Kind, At: n.At, Title: n.Title, Text: n.Text, Credits: n.Credits, Threshold: n.Threshold, ReadBy: n.ReadBy}
	if !n.ReadAt.IsZero() {
		out.Read, out.ReadAt = true, &n.ReadAt
	}
	return out
}

// audiences are those that the caller is of.
func (c call) audiences() []orgs.Audience {
	out := []orgs.Audience{orgs.Everybody, orgs.Only(c.person.Sub)}
	if !c.onlyOwn() {
		out = append(out, orgs.Administrators)
	}
	return out
}

// notificationsList names the feed in page tokens.
const notificationsList = "notifications"

func (h *handler) notifications(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	p, _, err := c.position(notificationsList)
	if err != nil {
		return err
	}
	found, err := h.store.Notifications(r.Context(), c.org, orgs.Page{AfterAt: p.at(), AfterID: p.ID, For: c.audiences(), Limit: size + 1})
	if err != nil {
		return err
	}
	out, err := paged(found, size, showNotification, func(n orgs.Notification) position {
		return position{List: notificationsList, At: n.At.UnixMicro(), ID: n.ID}
	})
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

func (h *handler) markRead(w http.ResponseWriter, r *http.Request, c call) error {
	n, err := h.store.MarkRead(r.Context(), c.org, r.PathValue("id"), c.person.Sub, c.audiences()...)
	if err != nil {
		return err
	}
	serve.OK(w, r, showNotification(n))
	return nil
}

package account

import (
	"net/http"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/serve"
)

// letterDataMax is how much of a letter's data a list tells, in bytes.
const letterDataMax = 4 << 10

// letter is a message that could not be handled, as operators see it.
type letter struct {
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	MessageID string `json:"message_id"`
	// Code is stable; Reason is for people.
	Code   string `json:"code"`
	Reason string `json:"reason"`
	// Data is as it was sent, its first 4 KiB at most, with what is not text replaced; Size is the whole, in bytes.
	Data       string            `json:"data"`
	Size       int64             `json:"size"`
	Attributes map[string]string `json:"attributes"`
	// Replayable is false for a message too large to have been kept whole.
	Replayable  bool              `json:"replayable"`
	State       deadletters.State `json:"state"`
	FirstSeenAt time.Time         `json:"first_seen_at"`
	LastSeenAt  time.Time         `json:"last_seen_at"`
	Failures    int64             `json:"failures"`
	Attempts    int64             `json:"attempts"`
	Replays     int64             `json:"replays"`
	ReplayedAt  *time.Time        `json:"replayed_at,omitempty"`
	ReplayedBy  string            `json:"replayed_by,omitempty"`
}

func showLetter(l deadletters.Letter) letter {
	out := letter{
		ID: l.ID, Topic: l.Topic, MessageID: l.MessageID, Code: l.Code, Reason: l.Reason,
		Data: strings.ToValidUTF8(string(l.Data[:min(len(l.Data), letterDataMax)]), "\uFFFD"), Size: l.Size, Attributes: l.Attributes,
		Replayable: !l.Cut, State: l.State, FirstSeenAt: l.FirstSeen, LastSeenAt: l.LastSeen, Failures: l.Failures, Attempts: l.Attempts,
		Replays: l.Replays, ReplayedBy: l.ReplayedBy,
	}
	if out.Attributes == nil {
		out.Attributes = map[string]string{}
	}
	if !l.ReplayedAt.IsZero() {
		out.ReplayedAt = &l.ReplayedAt
	}
	return out
}

func (h *handler) deadLetters(w http.ResponseWriter, r *http.Request, c call) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	state := deadletters.State(c.query.Get("state"))
	if c.query.Has("state") && state != deadletters.Waiting && state != deadletters.Replayed {
		return invalid("state", "state must be waiting or replayed, or be left out for all.")
	}
	page, err := h.letters.List(r.Context(), deadletters.Query{State: state, Size: size, Token: c.query.Get("page_token")})
	if err != nil {
		return err
	}
	out := list[letter]{Items: make([]letter, 0, len(page.Letters)), NextPageToken: page.Next}
	for _, l := range page.Letters {
		out.Items = append(out.Items, showLetter(l))
	}
	serve.OK(w, r, out)
	return nil
}

// replay sends a letter's message again. Repeating it is harmless: the message's own event id has one effect.
func (h *handler) replay(w http.ResponseWriter, r *http.Request, c call) error {
	l, err := h.letters.Replay(r.Context(), r.PathValue("letter"), c.person.Sub)
	if err != nil {
		return err
	}
	serve.OK(w, r, showLetter(l))
	return nil
}

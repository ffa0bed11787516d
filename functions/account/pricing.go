package account

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/request"
	"github.com/fluxori/ai-credits/shared/serve"
)

// publication is a version of the catalogue as operators see it: whole, with Stripe's prices.
type publication struct {
	Version     int64     `json:"version"`
	InForce     bool      `json:"in_force"`
	PublishedAt time.Time `json:"published_at"`
	// PublishedBy is left out of what was seeded.
	PublishedBy string             `json:"published_by,omitempty"`
	Document    catalogue.Document `json:"document"`
}

// getCatalogue tells the version in force, or another, as it is in the store now: what is taken from here is changed and sent back.
func (h *handler) getCatalogue(w http.ResponseWriter, r *http.Request, c call) error {
	var version int64
	if c.query.Has("version") {
		var err error
		if version, err = strconv.ParseInt(c.query.Get("version"), 10, 64); err != nil || version < 1 {
			return invalid("version", "version must be a whole number, 1 or more.")
		}
	}
	p, err := h.prices.Published(r.Context(), version)
	if err != nil {
		return err
	}
	serve.OK(w, r, publication{Version: p.Version(), InForce: p.InForce, PublishedAt: p.At, PublishedBy: p.By, Document: p.Document()})
	return nil
}

// proposal is what a document would change, or has changed.
type proposal struct {
	// From is the version that it was made from, Version its own number.
	From    int64         `json:"from"`
	Version int64         `json:"version"`
	Changes []priceChange `json:"changes"`
	// Broken is what would break for those who rely on the version in force; with any, it is not published.
	Broken []string `json:"broken"`
	// Published says that this very document is published.
	Published bool `json:"published"`
}

// priceChange is one difference; the values are JSON, and left out where there is none.
type priceChange struct {
	Place  string `json:"place"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

func showProposal(p catalogue.Proposal) proposal {
	out := proposal{From: p.From, Version: p.To.Version(), Changes: make([]priceChange, 0, len(p.Changes)), Broken: append([]string{}, p.Broken...), Published: p.Published}
	for _, c := range p.Changes {
		out.Changes = append(out.Changes, priceChange(c))
	}
	return out
}

// propose reads the document in a request's body and compares it with the version it was made from.
func (h *handler) propose(r *http.Request) (catalogue.Proposal, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, catalogue.DocumentMax+1)) // what is longer is refused as too large
	if err != nil {
		return catalogue.Proposal{}, fmt.Errorf("read the catalogue: %w", err)
	}
	return h.prices.Propose(r.Context(), data)
}

// proposeCatalogue changes nothing.
func (h *handler) proposeCatalogue(w http.ResponseWriter, r *http.Request, _ call) error {
	p, err := h.propose(r)
	if err != nil {
		return err
	}
	serve.OK(w, r, showProposal(p))
	return nil
}

// publishCatalogue puts a document in force. It needs no key: the version that it was made from, which it must state, allows one successor.
func (h *handler) publishCatalogue(w http.ResponseWriter, r *http.Request, c call) error {
	p, err := h.propose(r)
	if err != nil {
		return err
	}
	if p.Published {
		serve.OK(w, r, showProposal(p))
		return nil
	}
	if err := h.prices.Publish(r.Context(), p.To, c.person.Sub); err != nil {
		return err
	}
	p.Published = true
	request.Logger(r.Context()).InfoContext(r.Context(), "a catalogue was published",
		slog.Int64("version", p.To.Version()), slog.String("by", c.person.Sub), slog.Int("changes", len(p.Changes)))
	serve.Created(w, r, showProposal(p))
	return nil
}

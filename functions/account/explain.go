package account

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/serve"
)

// explained is one entry with what led to it and what followed.
type explained struct {
	entry
	// Quote is how the price came about, of an entry that charges for work or sets credits aside for it.
	Quote *quote `json:"quote,omitempty"`
	// Grants are those that the entry drew on or gave to, the first 100, with where their credits came from.
	Grants []grantTerms `json:"grants"`
	// Limits are those that the entry counted against, with what was used after it.
	Limits []limitPassed `json:"limits"`
	// Hold is the entry that placed the hold which this one extends or settles.
	Hold string `json:"hold_entry_id,omitempty"`
	// Reverses is the entry of the charge that this one gives back; ReversedBy are those that give this one back, the first 100.
	Reverses        string     `json:"reverses_entry_id,omitempty"`
	ReversedBy      []reversal `json:"reversed_by"`
	ReversedCredits int64      `json:"reversed_credits"`
}

// quote is a price as it was when the entry was made.
type quote struct {
	Feature      string `json:"feature"`
	Name         string `json:"name,omitempty"`
	Credits      int64  `json:"credits"`
	PriceVersion int64  `json:"price_version"`
	Units        *int64 `json:"units,omitempty"`
	// Price is the range of that version; a fixed price has both ends alike. Rate turns units into credits.
	Price *catalogue.Range `json:"price,omitempty"`
	Rate  *catalogue.Rate  `json:"rate,omitempty"`
}

type grantTerms struct {
	GrantID     string        `json:"grant_id"`
	Source      credit.Source `json:"source"`
	Granted     int64         `json:"granted"`
	EffectiveAt time.Time     `json:"effective_at"`
	ExpiresAt   *time.Time    `json:"expires_at,omitempty"`
	Payment     string        `json:"payment,omitempty"`
	Campaign    string        `json:"campaign,omitempty"`
	LinkedTo    string        `json:"linked_to,omitempty"`
}

// limitPassed is what an entry counted against one subject.
type limitPassed struct {
	Scope   credit.Scope `json:"scope"`
	Subject string       `json:"subject"`
	Window  string       `json:"window"`
	Credits int64        `json:"credits"`
	Used    int64        `json:"used"`
	// Limit is the one in force then; left out where there was none.
	Limit *int64 `json:"limit,omitempty"`
}

func showCounts(org string, counts []credit.Count) []limitPassed {
	out := make([]limitPassed, 0, len(counts))
	for _, c := range counts {
		shown := limitPassed{Scope: c.Scope, Subject: c.ID, Window: c.Window, Credits: c.Credits, Used: c.Used}
		if c.Scope == credit.ScopeOrganisation {
			shown.Subject = org
		}
		if c.Limit != credit.NoLimit {
			shown.Limit = &c.Limit
		}
		out = append(out, shown)
	}
	return out
}

type reversal struct {
	EntryID string    `json:"entry_id"`
	EventID string    `json:"event_id"`
	Credits int64     `json:"credits"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason,omitempty"`
}

// entry finds an entry by its own id or by the caller's event id, its own first, and explains it: at most a read for each of 100 grants and
// of 100 reversals beside it.
func (h *handler) entry(w http.ResponseWriter, r *http.Request, c call) error {
	id := r.PathValue("id")
	e, err := h.ledger.EntryByDoc(r.Context(), c.org, id)
	if no, ok := errors.AsType[*credit.Refusal](err); ok && no.Code() == credit.CodeNotFound {
		e, err = h.ledger.Entry(r.Context(), c.org, credit.CallerKey(id))
	}
	if err != nil {
		return err
	}
	out, err := h.explain(r.Context(), c.org, e)
	if err != nil {
		return err
	}
	if out.Limits, err = h.limitsFor(r.Context(), c, out); err != nil {
		return err
	}
	c.withhold(&out.entry)
	serve.OKUnlessSame(w, r, out, nil) // the entry stays; what reversed it may be added
	return nil
}

// limitsFor are the limits of an entry that the caller may know of: to members, of work that is not their own, the organisation's and their own team's.
func (h *handler) limitsFor(ctx context.Context, c call, e explained) ([]limitPassed, error) {
	if !c.onlyOwn() || e.UserID == c.person.Sub {
		return e.Limits, nil
	}
	mine, err := h.store.TeamOf(ctx, c.org, c.person.Sub)
	return slices.DeleteFunc(e.Limits, func(l limitPassed) bool {
		return l.Scope == credit.ScopeUser || l.Scope == credit.ScopeTeam && l.Subject != mine
	}), err
}

func (h *handler) explain(ctx context.Context, org string, e *credit.Entry) (explained, error) {
	out := explained{entry: showChanges(e), Grants: []grantTerms{}, Limits: showCounts(org, e.Counts), ReversedBy: []reversal{}}
	var err error
	if out.Quote, err = h.quoteOf(ctx, e); err != nil {
		return out, err
	}
	terms, err := h.ledger.GrantTerms(ctx, org, e)
	if err != nil {
		return out, err
	}
	for _, change := range e.Changes {
		if t, ok := terms[change.Grant]; ok {
			out.Grants = append(out.Grants, showTerms(t))
			delete(terms, change.Grant) // an entry may change a grant twice
		}
	}
	switch e.Kind {
	case credit.KindReversal:
		out.Reverses, err = h.reversed(ctx, org, e.Subject)
		if err != nil {
			return out, err
		}
	case credit.KindCapture, credit.KindRelease, credit.KindExtend:
		if _, hash, err := credit.ParseHoldID(e.Subject); err == nil {
			out.Hold = credit.CallerDoc(hash)
		}
	default:
	}
	reversals, err := h.ledger.Reversals(ctx, org, e)
	if err != nil {
		return out, err
	}
	slices.SortFunc(reversals, func(a, b *credit.Entry) int { return a.At.Compare(b.At) })
	for _, r := range reversals {
		out.ReversedBy = append(out.ReversedBy, reversal{EntryID: r.Key.Doc(), EventID: r.Key.ID, Credits: r.Credits, At: r.At, Reason: r.Reason})
		out.ReversedCredits += r.Credits
	}
	return out, nil
}

// reversed is the entry of the charge with an event id: the debit, or the capture of the hold of that name.
func (h *handler) reversed(ctx context.Context, org, eventID string) (string, error) {
	e, err := h.ledger.Entry(ctx, org, credit.CallerKey(eventID))
	if err != nil {
		return "", err
	}
	if e.Kind == credit.KindHold {
		return credit.CaptureKey(e.Subject).Doc(), nil
	}
	return e.Key.Doc(), nil
}

// quoteOf is how an entry's price came about. A feature or version that the catalogue does not tell leaves what the entry says.
func (h *handler) quoteOf(ctx context.Context, e *credit.Entry) (*quote, error) {
	switch e.Kind {
	case credit.KindDebit, credit.KindHold, credit.KindCapture:
	default:
		return nil, nil //nolint:nilnil // an entry without a price has no quote
	}
	out := &quote{Feature: e.Work.Feature, Credits: e.Credits, PriceVersion: e.Work.PriceVersion, Units: e.Work.Units}
	prices, err := h.prices.Version(ctx, e.Work.PriceVersion)
	if no, ok := errors.AsType[*catalogue.Error](err); ok && no.Code() != "unavailable" {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := prices.FeatureByID(e.Work.Feature)
	if err != nil {
		return out, nil //nolint:nilerr // a feature that the version does not have was charged for before it was checked
	}
	out.Name, out.Price, out.Rate = f.Name, &f.Price, f.Rate
	return out, nil
}

func showTerms(t credit.Terms) grantTerms {
	out := grantTerms{
		GrantID: t.ID, Source: t.Source, Granted: t.Granted, EffectiveAt: t.EffectiveAt, Payment: t.Payment, Campaign: t.Campaign, LinkedTo: t.LinkedTo,
	}
	if !t.ExpiresAt.IsZero() {
		out.ExpiresAt = &t.ExpiresAt
	}
	return out
}

// showChanges is an entry with what it did to each grant.
func showChanges(e *credit.Entry) entry {
	out := showEntry(e)
	changes := make([]change, 0, len(e.Changes))
	for _, ch := range e.Changes {
		changes = append(changes, change{GrantID: ch.Grant, Source: ch.Source, Free: ch.Free, Held: ch.Held})
	}
	out.Changes = &changes
	return out
}

package account

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/serve"
)

// figures are running figures, in credits.
type figures struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt"`
}

// balance is the answer to GET …/balance. Of a past moment only the figures are told.
type balance struct {
	figures
	// Frozen is what stands in frozen grants, in credits.
	Frozen *int64 `json:"frozen,omitempty"`
	// WalletFrozen says that debits and holds are refused.
	WalletFrozen *bool `json:"wallet_frozen,omitempty"`
	// BySource has every source; their sum is available.
	BySource map[credit.Source]int64 `json:"by_source,omitempty"`
	// Expiring is there with BySource: what ends when, soonest first.
	Expiring *[]expiring `json:"expiring,omitempty"`
	AsOf     time.Time   `json:"as_of"`
}

type expiring struct {
	At      time.Time `json:"at"`
	Credits int64     `json:"credits"`
}

func (h *handler) balance(w http.ResponseWriter, r *http.Request, c call) error {
	if c.query.Has("at") {
		at, err := time.Parse(time.RFC3339Nano, c.query.Get("at"))
		if err != nil {
			return invalid("at", "at must be a time as RFC 3339 has it, such as 2026-11-30T08:15:00Z; write a plus as %2B.")
		}
		b, err := h.ledger.BalanceAt(r.Context(), c.org, at)
		if err != nil && !walletMissing(err) {
			return err
		}
		serve.OKUnlessSame(w, r, balance{figures: figures(b.Figures), AsOf: at.UTC().Truncate(time.Microsecond)}, nil)
		return nil
	}
	b, err := h.ledger.Balance(r.Context(), c.org)
	if walletMissing(err) {
		b, err = ledger.Balance{AsOf: h.now().UTC().Truncate(time.Microsecond), Itemised: true}, nil
	}
	if err != nil {
		return err
	}
	out := showBalance(b)
	same := out
	same.AsOf = time.Time{} // it is another each time
	serve.OKUnlessSame(w, r, out, same)
	return nil
}

func showBalance(b ledger.Balance) balance {
	out := balance{figures: figures(b.Figures), Frozen: &b.Frozen, WalletFrozen: &b.WalletFrozen, AsOf: b.AsOf}
	if !b.Itemised {
		return out
	}
	out.BySource = map[credit.Source]int64{}
	for _, s := range credit.Sources {
		out.BySource[s] = b.BySource[s]
	}
	ends := make([]expiring, 0, len(b.Expiring))
	for _, e := range b.Expiring {
		ends = append(ends, expiring(e))
	}
	out.Expiring = &ends
	return out
}

// walletMissing reports whether an organisation that exists has no wallet yet, because its registration was interrupted: it has no credits.
func walletMissing(err error) bool {
	no, ok := errors.AsType[*credit.Refusal](err)
	return ok && no.Code() == credit.CodeUnknownOrg
}

// entry is one record of the ledger. In lists it has no changes, of which there may be thousands.
type entry struct {
	ID string `json:"id"`
	// EventID is the caller's; an entry of the system's own has a Key instead.
	EventID string      `json:"event_id,omitempty"`
	Key     string      `json:"key,omitempty"`
	Kind    credit.Kind `json:"kind"`
	Seq     int64       `json:"seq"`
	At      time.Time   `json:"at"`
	// Credits is what the entry is about; Subject what it concerns: a grant, or the event id of the debit that a reversal undoes.
	Credits      int64           `json:"credits"`
	Subject      string          `json:"subject,omitempty"`
	Feature      string          `json:"feature,omitempty"`
	UserID       string          `json:"user_id,omitempty"`
	TeamID       string          `json:"team_id,omitempty"`
	Units        *int64          `json:"units,omitempty"`
	PriceVersion int64           `json:"price_version,omitempty"`
	OccurredAt   *time.Time      `json:"occurred_at,omitempty"`
	DebtChange   int64           `json:"debt_change"`
	After        figures         `json:"after"`
	Actor        string          `json:"actor,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
	Changes      *[]change       `json:"changes,omitempty"`
}

// change is what an entry did to one grant, in credits.
type change struct {
	GrantID string        `json:"grant_id"`
	Source  credit.Source `json:"source"`
	Free    int64         `json:"free"`
	Held    int64         `json:"held"`
}

func showEntry(e *credit.Entry) entry {
	out := entry{
		ID: e.Key.Doc(), Kind: e.Kind, Seq: e.Seq, At: e.At, Credits: e.Credits, Subject: e.Subject,
		Feature: e.Work.Feature, UserID: e.Work.User, TeamID: e.Work.Team, Units: e.Work.Units, PriceVersion: e.Work.PriceVersion,
		DebtChange: e.Debt, After: figures(e.After), Actor: e.Actor, Reason: e.Reason, Metadata: json.RawMessage(e.Metadata),
	}
	if e.Key.System {
		out.Key = e.Key.ID
	} else {
		out.EventID = e.Key.ID
	}
	if !e.Work.OccurredAt.IsZero() {
		out.OccurredAt = &e.Work.OccurredAt
	}
	return out
}

// showEntry is an entry as the caller may see it.
func (c call) showEntry(e *credit.Entry) entry {
	out := showEntry(e)
	c.withhold(&out)
	return out
}

// withhold takes from an entry what the caller may not know: to members, the work of others has no name to it. It reports whether there was.
func (c call) withhold(e *entry) bool {
	if !c.onlyOwn() || e.UserID == "" || e.UserID == c.person.Sub {
		return false
	}
	e.UserID, e.Metadata = "", nil
	return true
}

// entriesList names the list of entries in page tokens.
const entriesList = "entries"

func (h *handler) entries(w http.ResponseWriter, r *http.Request, c call) error {
	table, err := c.wantsTable()
	if err != nil {
		return err
	}
	wanted, err := h.span(r.Context(), c)
	if err != nil {
		return err
	}
	if table {
		return h.exportEntries(w, r, c, wanted)
	}
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	found, err := h.ledger.EntriesBetween(r.Context(), c.org, wanted.from, wanted.before, size+1)
	if err != nil {
		return err
	}
	out, err := paged(found, size, c.showEntry, func(e *credit.Entry) position { return position{List: entriesList, At: e.At.UnixMicro()} })
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}

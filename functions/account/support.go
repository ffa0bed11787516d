package account

import (
	"net/http"
	"strings"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// carriedOut is the answer to what support does to a wallet: its entry.
type carriedOut struct {
	entry
	Replayed bool `json:"replayed"`
}

// adjust adds credits by hand, or takes them where they are there to be taken. The caller's Idempotency-Key is the entry's event id.
func (h *handler) adjust(w http.ResponseWriter, r *http.Request, c call) error {
	body, err := strictjson.Decode[struct {
		Credits int64  `json:"credits"`
		Reason  string `json:"reason"`
	}](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if body.Credits == 0 {
		return invalid("credits", "credits must not be 0: above it adds, below it takes.")
	}
	if err := checkReason(body.Reason); err != nil {
		return err
	}
	return h.carryOut(w, r, c, credit.Adjust{
		EventID: c.key, Credits: body.Credits, Actor: c.person.Sub, Reason: body.Reason,
		Content: credit.Content{Kind: credit.KindAdjustment, Org: c.org, Credits: &body.Credits},
	})
}

func (h *handler) freeze(w http.ResponseWriter, r *http.Request, c call) error {
	return h.setFrozen(w, r, c, credit.KindFreeze)
}

func (h *handler) thaw(w http.ResponseWriter, r *http.Request, c call) error {
	return h.setFrozen(w, r, c, credit.KindThaw)
}

// setFrozen has the wallet refuse debits and holds, or no longer.
func (h *handler) setFrozen(w http.ResponseWriter, r *http.Request, c call, kind credit.Kind) error {
	body, err := strictjson.Decode[struct {
		Reason string `json:"reason"`
	}](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if err := checkReason(body.Reason); err != nil {
		return err
	}
	return h.carryOut(w, r, c, credit.FreezeWallet{
		EventID: c.key, Frozen: kind == credit.KindFreeze, Actor: c.person.Sub, Reason: body.Reason,
		Content: credit.Content{Kind: kind, Org: c.org},
	})
}

// carryOut does a command and answers with its entry.
func (h *handler) carryOut(w http.ResponseWriter, r *http.Request, c call, cmd credit.Command) error {
	result, err := h.ledger.Do(r.Context(), c.org, cmd)
	if err != nil {
		return err
	}
	serve.OK(w, r, carriedOut{entry: showChanges(result.Entry), Replayed: result.Replayed})
	return nil
}

// checkReason demands a reason; its length is the domain's to check.
func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return invalid("reason", "reason is required.")
	}
	return nil
}

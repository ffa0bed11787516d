package debit

import (
	_ "embed"
	"net/http"

	"github.com/fluxori/ai-credits/shared/apidoc"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/readiness"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/spend"
	"github.com/fluxori/ai-credits/shared/strictjson"
	"github.com/fluxori/ai-credits/shared/throttle"
)

// bodyMaxBytes is ample for every body: the largest part is metadata of 2 KiB.
const bodyMaxBytes = 16 << 10

// contract is the API document. Tests hold each exchange against it.
//
//go:embed api.yaml
var contract []byte

type handler struct {
	spender  *spend.Spender
	callers  *identity.Services
	features *readiness.Store
	ledger   *ledger.Ledger
	gate     *throttle.Gate
}

// admit lets a service in that is listed, and does not ask too often.
func (h *handler) admit(r *http.Request) (identity.Service, error) {
	caller, err := h.callers.Authenticate(r)
	if err != nil {
		return identity.Service{}, err
	}
	return caller, h.gate.Pass(caller.Actor)
}

func (h *handler) router() *serve.Router {
	r := serve.NewRouter()
	apidoc.Register(r, contract)
	apidoc.RegisterMessages(r)
	r.Handle("POST /{$}", h.debit)
	r.Handle("POST /check", h.check)
	r.Handle("POST /reverse", h.reverse)
	r.Handle("POST /holds", h.hold)
	r.Handle("GET /holds/{hold_id}", h.findHold)
	r.Handle("POST /holds/{hold_id}/capture", h.capture)
	r.Handle("POST /holds/{hold_id}/release", h.release)
	r.Handle("POST /holds/{hold_id}/extend", h.extend)
	r.Handle("PUT /features/{feature}/availability", h.setAvailability)
	r.Handle("PUT /orgs/{org}/features/{feature}/readiness", h.setReadiness)
	return r
}

func required(field string) error {
	return problem.New(problem.InvalidRequest, field+" is required.", map[string]any{"field": field})
}

// debited is the answer to a debit.
type debited struct {
	EventID      string       `json:"event_id"`
	Credits      int64        `json:"credits"`
	PriceVersion int64        `json:"price_version"`
	Allocations  []allocation `json:"allocations"`
	Balance      balance      `json:"balance"`
	Replayed     bool         `json:"replayed"`
}

type allocation struct {
	GrantID string        `json:"grant_id"`
	Source  credit.Source `json:"source"`
	Credits int64         `json:"credits"`
}

type balance struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt"`
}

func (h *handler) debit(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.admit(r)
	if err != nil {
		return err
	}
	req, err := strictjson.Decode[spend.Request](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if err := caller.Authorise(identity.Spend, req.OrgID); err != nil {
		return err
	}
	result, err := h.spender.Debit(r.Context(), req, caller.Actor)
	if err != nil {
		return err
	}
	e := result.Entry
	serve.OK(w, r, debited{
		EventID: e.Key.ID, Credits: e.Credits, PriceVersion: e.Work.PriceVersion, Allocations: allocations(e, credit.Change.Drawn),
		Balance: balance(e.After), Replayed: result.Replayed,
	})
	return nil
}

// allocations are what an entry did to each grant, by a measure of its changes, where that is not nothing. An entry may change a grant twice:
// a capture, when it takes from it what was held and more.
func allocations(e *credit.Entry, measure func(credit.Change) int64) []allocation {
	out := make([]allocation, 0, len(e.Changes))
	place := make(map[string]int, len(e.Changes))
	for _, c := range e.Changes {
		n := measure(c)
		i, known := place[c.Grant]
		switch {
		case n == 0:
		case known:
			out[i].Credits += n
		default:
			place[c.Grant] = len(out)
			out = append(out, allocation{GrantID: c.Grant, Source: c.Source, Credits: n})
		}
	}
	return out
}

// returned are the credits that a change made free.
func returned(c credit.Change) int64 { return c.Free }

// checked is the answer to a check.
type checked struct {
	Allowed      bool             `json:"allowed"`
	Credits      int64            `json:"credits"`
	PriceVersion int64            `json:"price_version"`
	Reasons      []map[string]any `json:"reasons"`
}

func (h *handler) check(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.admit(r)
	if err != nil {
		return err
	}
	req, err := strictjson.Decode[spend.Ask](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if err := caller.Authorise(identity.Spend, req.OrgID); err != nil {
		return err
	}
	quote, reasons, err := h.spender.Check(r.Context(), req)
	if err != nil {
		return err
	}
	out := checked{Allowed: len(reasons) == 0, Credits: quote.Credits, PriceVersion: quote.PriceVersion, Reasons: make([]map[string]any, 0, len(reasons))}
	for _, reason := range reasons {
		out.Reasons = append(out.Reasons, explain(reason))
	}
	serve.OK(w, r, out)
	return nil
}

// explain is a reason as one object: its code, its text, and the members that go with the code.
func explain(r spend.Reason) map[string]any {
	out := map[string]any{"code": r.Code(), "detail": r.Public()}
	for name, value := range r.Details() {
		out[name] = value
	}
	return out
}

// reversed is the answer to a reversal.
type reversed struct {
	EventID      string `json:"event_id"`
	DebitEventID string `json:"debit_event_id"`
	Credits      int64  `json:"credits"`
	// Allocations are where the credits went; DebtCancelled is what they paid of standing debt instead.
	Allocations   []allocation `json:"allocations"`
	DebtCancelled int64        `json:"debt_cancelled"`
	Balance       balance      `json:"balance"`
	Replayed      bool         `json:"replayed"`
}

func (h *handler) reverse(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.admit(r)
	if err != nil {
		return err
	}
	req, err := strictjson.Decode[spend.Reversal](r.Body, bodyMaxBytes)
	if err != nil {
		return err
	}
	if err := caller.Authorise(identity.Spend, req.OrgID); err != nil {
		return err
	}
	result, err := h.spender.Reverse(r.Context(), req, caller.Actor)
	if err != nil {
		return err
	}
	e := result.Entry
	serve.OK(w, r, reversed{
		EventID: e.Key.ID, DebitEventID: e.Subject, Credits: e.Credits, Allocations: allocations(e, returned), DebtCancelled: -e.Debt,
		Balance: balance(e.After), Replayed: result.Replayed,
	})
	return nil
}

package account

import (
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/payments"
)

// cyclesList names the list of cycles in page tokens.
const cyclesList = "cycles"

// cycle is one that was paid for, with what became of its credits once it is closed.
type cycle struct {
	CycleID        string              `json:"cycle_id"`
	SubscriptionID string              `json:"subscription_id"`
	Plan           string              `json:"plan"`
	Name           string              `json:"name"`
	Period         period              `json:"period"`
	ClosedAt       time.Time           `json:"closed_at,omitzero"`
	Statement      *payments.Statement `json:"statement,omitempty"`
}

func showCycle(c payments.Cycle) cycle {
	out := cycle{CycleID: c.ID(), SubscriptionID: c.Subscription, Plan: c.Plan, Name: c.PlanName, Period: period(c.Period)}
	if !c.ClosedAt.IsZero() { // one that is being closed may be told again, with the same numbers
		out.ClosedAt, out.Statement = c.ClosedAt, c.Statement
	}
	return out
}

// cycles lists an organisation's cycles that have begun, the newest first.
func (h *handler) cycles(w http.ResponseWriter, r *http.Request, c call) error {
	return paymentsPage(w, r, c, cyclesList, func(after payments.Place, n int) ([]payments.Cycle, error) {
		return h.plans.Cycles(r.Context(), c.org, h.now(), after, n)
	}, showCycle, func(c payments.Cycle) payments.Place { return payments.Place{At: c.Period.Start, ID: c.ID()} })
}

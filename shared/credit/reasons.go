package credit

import "time"

// Refusals lists all that stands against spending credits for work at t, in the order of refusals: frozen, debt, each limit, credits. The
// first is what a debit would be refused with. A *Missing says what to load before asking again, as [Decide] does.
func Refusals(s *State, work Work, credits int64, t time.Time) ([]*Refusal, error) {
	w := begin(s, t)
	if w.dueAt(w.t) {
		return nil, &Missing{Due: w.t}
	}
	cs, err := w.counted(work)
	if err != nil {
		return nil, err
	}
	return w.reasons(cs, credits), nil
}

// reasons are all that stands against spending credits.
func (w *work) reasons(cs []counted, credits int64) []*Refusal {
	var out []*Refusal
	if w.Frozen {
		out = append(out, Refuse(CodeFrozen, "the organisation's credits are frozen; its administrator or support can tell why", nil))
	}
	if w.Debt > 0 {
		out = append(out, Refuse(CodeInDebt, "earlier usage is not paid for yet; credits must be bought first", map[string]any{"debt": w.Debt}))
	}
	out = append(out, w.refusals(cs, credits)...)
	if credits > w.Available {
		out = append(out, Refuse(CodeInsufficient, "there are not enough credits",
			map[string]any{"credits": credits, "available": w.Available, "held": w.Held}))
	}
	return out
}

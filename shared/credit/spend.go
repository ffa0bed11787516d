package credit

// debit takes credits for work, in burn-down order. A debit is all or nothing and refused while the wallet is frozen or owes; usage
// reports work already done, so it takes what there is and books the rest as debt.
func (w *work) debit(c Debit) error {
	if !c.Usage {
		if err := w.maySpend(c.Credits); err != nil {
			return err
		}
	}
	covered := min(c.Credits, w.Available)
	changes, err := w.draw(covered, "")
	if err != nil {
		return err
	}
	short := c.Credits - covered
	w.Debt += short
	w.own(&Entry{
		Key: c.key(), Kind: KindDebit, Hash: c.hash(), Credits: c.Credits, Changes: changes, Debt: short,
		Work: c.Work, Actor: c.Actor, Metadata: c.Metadata,
	})
	return nil
}

// maySpend refuses what cannot be spent now, in the order of refusals: frozen, debt, credits.
func (w *work) maySpend(credits int64) error {
	if reasons := Reasons(&w.Wallet, credits); len(reasons) > 0 {
		return reasons[0]
	}
	return nil
}

// Reasons lists all that stands against spending credits from a wallet whose due items are journaled, in the order of refusals.
func Reasons(w *Wallet, credits int64) []*Refusal {
	var out []*Refusal
	if w.Frozen {
		out = append(out, Refuse(CodeFrozen, "the organisation's credits are frozen; its administrator or support can tell why", nil))
	}
	if w.Debt > 0 {
		out = append(out, Refuse(CodeInDebt, "earlier usage is not paid for yet; credits must be bought first", map[string]any{"debt": w.Debt}))
	}
	if credits > w.Available {
		out = append(out, Refuse(CodeInsufficient, "there are not enough credits",
			map[string]any{"credits": credits, "available": w.Available, "held": w.Held}))
	}
	return out
}

// adjust adds or takes credits by hand.
func (w *work) adjust(c Adjust) error {
	if c.Credits > 0 {
		terms := Terms{ID: GrantID(c.key()), Source: Adjustment, Granted: c.Credits, EffectiveAt: w.t, ExpiresAt: c.ExpiresAt, UsableUntil: c.ExpiresAt}
		if !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(w.t) {
			return invalid("expires_at has passed")
		}
		g := w.bear(terms)
		w.own(&Entry{Key: c.key(), Kind: KindAdjustment, Hash: c.hash(), Credits: c.Credits, Changes: born(g), Actor: c.Actor, Reason: c.Reason, Born: &g.Terms})
		w.tell(Event{Kind: EventGranted, Grant: g.ID, Source: g.Source, Credits: c.Credits, Reason: c.Reason})
		return nil
	}
	if -c.Credits > w.Available {
		return Refuse(CodeInsufficient, "there are not enough credits", map[string]any{"credits": -c.Credits, "available": w.Available, "held": w.Held})
	}
	changes, err := w.draw(-c.Credits, "")
	if err != nil {
		return err
	}
	w.own(&Entry{Key: c.key(), Kind: KindAdjustment, Hash: c.hash(), Credits: c.Credits, Changes: changes, Actor: c.Actor, Reason: c.Reason})
	return nil
}

package credit

// debit takes credits for work, in burn-down order. A debit is all or nothing and refused while the wallet is frozen or owes, or beyond a
// hard limit; usage reports work already done, so it takes what there is, books the rest as debt, and counts.
func (w *work) debit(c Debit) error {
	against, err := w.counted(c.Work)
	if err != nil {
		return err
	}
	if reasons := w.reasons(against, c.Credits); !c.Usage && len(reasons) > 0 {
		return reasons[0]
	}
	changes, drawn, err := w.draw(min(c.Credits, w.Available))
	switch {
	case err != nil:
		return err
	case !c.Usage && drawn < c.Credits:
		return tooScattered(MaxDrawn)
	}
	debt := c.Credits - drawn // what lies in too many grants for this entry is repaid at once by the next
	w.Debt += debt
	w.own(&Entry{
		Key: c.key(), Kind: KindDebit, Hash: c.hash(), Credits: c.Credits, Changes: changes, Debt: debt,
		Counts: w.charge(against, c.Credits), Work: c.Work, Actor: c.Actor, Metadata: c.Metadata,
	})
	return nil
}

// tooScattered refuses what would make an entry too large.
func tooScattered(most int) *Refusal {
	return invalid("this would draw on more than %d grants: ask for fewer credits at once", most)
}

// adjust adds or takes credits by hand.
func (w *work) adjust(c Adjust) error {
	if c.Credits > 0 {
		ends := exact(c.ExpiresAt)
		if !ends.IsZero() && !ends.After(w.t) {
			return invalid("expires_at has passed")
		}
		g := w.bear(Terms{ID: GrantID(c.key()), Source: Adjustment, Granted: c.Credits, ExpiresAt: ends, UsableUntil: ends})
		w.own(&Entry{
			Key: c.key(), Kind: KindAdjustment, Hash: c.hash(), Credits: c.Credits, Changes: born(g), Actor: c.Actor, Reason: c.Reason, Born: termsOf(g),
		})
		w.tell(Event{Kind: EventGranted, Grant: g.ID, Source: g.Source, Credits: c.Credits, Reason: c.Reason})
		return nil
	}
	if -c.Credits > w.Available {
		return Refuse(CodeInsufficient, "there are not enough credits", map[string]any{"credits": -c.Credits, "available": w.Available, "held": w.Held})
	}
	changes, drawn, err := w.draw(-c.Credits)
	switch {
	case err != nil:
		return err
	case drawn < -c.Credits:
		return tooScattered(MaxDrawn)
	}
	w.own(&Entry{Key: c.key(), Kind: KindAdjustment, Hash: c.hash(), Credits: c.Credits, Changes: changes, Actor: c.Actor, Reason: c.Reason})
	return nil
}

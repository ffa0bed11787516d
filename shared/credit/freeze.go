package credit

// freezeGrant moves a grant to frozen or not. A frozen grant is not drawn on; its holds may still be captured.
func (w *work) freezeGrant(c FreezeGrant) error {
	g, err := w.find(c.Grant)
	if err != nil {
		return err
	}
	if g.Frozen == c.Frozen {
		return nil
	}
	g = w.change(g, 0, 0, func(n *Grant) {
		n.Frozen = c.Frozen
		n.Started = n.Started || !w.t.Before(n.EffectiveAt)
		n.Moves++
	})
	kind, event := KindFreeze, EventFrozen
	if !c.Frozen {
		kind, event = KindThaw, EventThawed
	}
	w.own(&Entry{Key: numbered(kind, g.ID, g.Moves), Kind: kind, Subject: g.ID, Credits: g.Free, Actor: c.Actor, Reason: c.Reason})
	w.tell(Event{Kind: event, Grant: g.ID, Source: g.Source, Credits: g.Free, Reason: c.Reason})
	if c.Frozen {
		w.tellPeople(EventDisputed, g, g.Free, c.Reason)
	} else {
		w.tellPeople(EventGivenBack, g, g.Free, c.Reason)
	}
	return nil
}

// freezeWallet moves the whole wallet to frozen or not: a frozen wallet refuses debits and holds, nothing else. A command with an event id
// leaves its entry also where the wallet stands so already, as the proof that it was done; what it says of the reason then holds.
func (w *work) freezeWallet(c FreezeWallet) error {
	moved := w.Frozen != c.Frozen
	if !moved && c.EventID == "" {
		return nil
	}
	w.Frozen, w.FrozenReason = c.Frozen, c.Reason
	kind, event := KindFreeze, EventFrozen
	if !c.Frozen {
		kind, event, w.FrozenReason = KindThaw, EventThawed, ""
	}
	w.Moves++
	key := c.key()
	if c.EventID == "" {
		key = numbered(kind, "wallet", w.Moves)
	}
	w.own(&Entry{Key: key, Kind: kind, Hash: c.hash(), Subject: walletSubject, Actor: c.Actor, Reason: c.Reason})
	if moved {
		w.tell(Event{Kind: event, Reason: c.Reason})
	}
	return nil
}

// walletSubject is the subject of an entry that concerns the wallet as a whole.
const walletSubject = "wallet"

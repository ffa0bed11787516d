package credit

import (
	"fmt"
	"slices"
)

// reverse gives back what a debit, or the capture of a hold, took, from its end: first the debt it ran into, then its grants in reverse. Debt already repaid, and
// what a grant has no room for, returns as an adjustment grant; what goes to a grant whose time has passed is journaled as expired.
func (w *work) reverse(c Reverse) error {
	d, known := w.debits[c.Debit]
	switch {
	case !known:
		return &Missing{Debit: c.Debit}
	case d.Entry == nil || d.Entry.Kind != KindDebit && d.Entry.Kind != KindCapture:
		return Refuse(CodeNotFound, "there is no such debit", map[string]any{"debit_event_id": c.Debit})
	}
	left := d.Entry.Credits - d.Reversed
	n := c.Credits
	if n == 0 {
		n = left
	}
	if n > left || left == 0 {
		return Refuse(CodeInvalid, fmt.Sprintf("%d of the debit's %d credits are already reversed", d.Reversed, d.Entry.Credits),
			map[string]any{"debit_event_id": c.Debit, "credits": d.Entry.Credits, "reversed": d.Reversed})
	}
	counts, err := w.uncount(w.undone(d.Entry, d.Reversed, n))
	if err != nil {
		return err
	}
	parts, debtPart := reversedParts(d.Entry, d.Reversed, n)
	if err := w.loaded(parts); err != nil {
		return err
	}
	e := &Entry{
		Key: c.key(), Kind: KindReversal, Hash: c.hash(), Credits: n, Subject: c.Debit, Counts: counts, Work: d.Entry.Work, Actor: c.Actor, Reason: c.Reason,
	}
	e.Debt = -min(debtPart, w.Debt)
	w.Debt += e.Debt
	extra := debtPart + e.Debt // already repaid
	for _, p := range parts {
		g, err := w.find(p.Grant)
		if err != nil {
			return err
		}
		back := min(-p.Free, g.room())
		extra += -p.Free - back
		if back > 0 {
			w.change(g, back, 0, nil)
			e.Changes = append(e.Changes, Change{Grant: g.ID, Source: g.Source, Free: back})
		}
	}
	touched := e.Changes
	if extra > 0 {
		g := w.bear(Terms{ID: GrantID(c.key()), Source: Adjustment, Granted: extra})
		e.Changes = append(slices.Clone(e.Changes), born(g)...)
		e.Born = termsOf(g)
	}
	w.own(e)
	for _, ch := range touched {
		w.lapse(ch.Grant)
	}
	w.debits = withValue(w.debits, c.Debit, Debited{Entry: d.Entry, Reversed: d.Reversed + n})
	return nil
}

// loaded asks for the records of those changed grants that are not known.
func (w *work) loaded(parts []Change) error {
	var unknown []string
	for _, p := range parts {
		if _, known := w.grant(p.Grant); !known {
			unknown = append(unknown, p.Grant)
		}
	}
	if unknown != nil {
		return &Missing{Grants: unknown}
	}
	return nil
}

// reversedParts finds which changes, and how much of the debt, the next n credits of a reversal undo, when skip are undone already: a
// debit is undone from its end, its debt first.
func reversedParts(debit *Entry, skip, n int64) (parts []Change, debt int64) {
	take := func(size int64) int64 {
		skipped := min(skip, size)
		skip -= skipped
		taken := min(n, size-skipped)
		n -= taken
		return taken
	}
	debt = take(debit.Debt)
	for i := len(debit.Changes) - 1; i >= 0 && n > 0; i-- {
		c := debit.Changes[i]
		if taken := take(c.Drawn()); taken > 0 {
			parts = append(parts, Change{Grant: c.Grant, Source: c.Source, Free: -taken})
		}
	}
	return parts, debt
}

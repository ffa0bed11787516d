package credit

import (
	"errors"
	"fmt"
	"slices"
)

// hold applies what an entry does to a hold, beyond its changes of grants. Held credits move by its own hold's entries only.
func (b *Book) hold(e *Entry) error {
	switch e.Kind {
	case KindHold:
		return b.placed(e)
	case KindExtend, KindCapture, KindRelease:
	default:
		if slices.ContainsFunc(e.Changes, func(c Change) bool { return c.Held != 0 }) {
			return errors.New("moves held credits, and concerns no hold")
		}
		return nil
	}
	h := b.Holds[e.Subject]
	switch {
	case h == nil:
		return fmt.Errorf("concerns hold %s, which is not known", e.Subject)
	case e.Kind == KindExtend:
		return h.extended(e)
	}
	return h.settled(e)
}

// placed adds the hold that an entry placed.
func (b *Book) placed(e *Entry) error {
	h := &Hold{
		ID: e.Subject, EventID: e.Key.ID, Work: e.Work, Credits: e.Credits, Allocations: allocated(e.Changes),
		PlacedAt: e.At, ExpiresAt: e.Until, State: HoldOpen, Counts: e.Counts,
	}
	var held int64
	for _, c := range e.Changes {
		if c.Held <= 0 || c.Free != -c.Held {
			return fmt.Errorf("sets %d aside in grant %s of %d taken", c.Held, c.Grant, -c.Free)
		}
		held += c.Held
	}
	switch {
	case h.ID != HoldID(b.Org, h.EventID) || e.Key.System || b.Holds[h.ID] != nil:
		return fmt.Errorf("places hold %s, which it cannot", h.ID)
	case held != h.Credits || len(h.Allocations) > MaxHoldGrants:
		return fmt.Errorf("holds %d credits in %d grants; it states %d", held, len(h.Allocations), h.Credits)
	case !h.ExpiresAt.After(h.PlacedAt) || h.ExpiresAt.After(h.PlacedAt.Add(MaxHoldLife)):
		return fmt.Errorf("holds until %v", h.ExpiresAt)
	}
	b.Holds[h.ID] = h
	return nil
}

// extended moves a hold's end.
func (h *Hold) extended(e *Entry) error {
	h.Extensions++
	switch {
	case h.State != HoldOpen || !e.At.Before(h.ExpiresAt):
		return fmt.Errorf("extends hold %s, which is not open", h.ID)
	case len(e.Changes) > 0 || e.Key != numbered(KindExtend, h.ID, h.Extensions):
		return fmt.Errorf("is no extension %d of hold %s", h.Extensions, h.ID)
	case !e.Until.After(h.ExpiresAt) || e.Until.After(h.PlacedAt.Add(MaxHoldLife)):
		return fmt.Errorf("extends hold %s from %v to %v", h.ID, h.ExpiresAt, e.Until)
	}
	h.ExpiresAt = e.Until
	return nil
}

// settled captures or releases a hold, which says what must become of its credits.
func (h *Hold) settled(e *Entry) error {
	timedOut := !e.At.Before(h.ExpiresAt)
	late := e.Kind == KindCapture && h.State == HoldTimedOut && h.Captured == 0
	key, used := ReleaseKey(h.ID), int64(0)
	if e.Kind == KindCapture {
		key, used = CaptureKey(h.ID), min(e.Credits, h.Credits)
	}
	own := 0 // how many of the changes are of what was set aside
	if h.State == HoldOpen {
		own = len(h.Allocations)
	}
	switch {
	case h.State != HoldOpen && !late:
		return fmt.Errorf("settles hold %s, which is %s", h.ID, h.State)
	case e.Kind == KindCapture && h.State == HoldOpen && timedOut:
		return fmt.Errorf("captures hold %s, whose time has passed", h.ID)
	case e.Key != key:
		return fmt.Errorf("settles hold %s under another's key", h.ID)
	case len(e.Changes) < own || own > 0 && !h.settles(e.Changes[:own], used):
		return fmt.Errorf("changes %+v, but hold %s stands in %+v", e.Changes, h.ID, h.Allocations)
	}
	drawn := e.Debt
	for i, c := range e.Changes {
		if i >= own && (c.Held != 0 || c.Free > 0 || e.Kind == KindRelease) {
			return fmt.Errorf("changes grant %s, in which hold %s does not stand", c.Grant, h.ID)
		}
		drawn += c.Drawn()
	}
	if e.Kind == KindCapture && drawn != e.Credits {
		return fmt.Errorf("charges %d for a capture of %d", drawn, e.Credits)
	}
	switch {
	case e.Kind == KindCapture:
		h.Captured = e.Credits
		if !late {
			h.State = HoldCaptured
		}
	case timedOut:
		h.State = HoldTimedOut
	default:
		h.State = HoldReleased
	}
	return nil
}

// settles tells whether changes take so many credits from where the hold stands, in its order, and give the rest back from its end: after the
// first grant that keeps some, no other loses any.
func (h *Hold) settles(changes []Change, used int64) bool {
	kept := false
	for i, a := range h.Allocations {
		c := changes[i]
		taken := a.Credits - c.Free
		if c.Grant != a.Grant || c.Source != a.Source || c.Held != -a.Credits || taken < 0 || c.Free < 0 || kept && taken > 0 {
			return false
		}
		kept = kept || c.Free > 0
		used -= taken
	}
	return used == 0
}

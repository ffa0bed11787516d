package credit

import (
	"fmt"
	"strings"
	"time"
)

// HoldState is how far a hold has come. It leaves open once, and never changes again.
type HoldState string

// The states of a hold.
const (
	HoldOpen     HoldState = "open"
	HoldCaptured HoldState = "captured"
	HoldReleased HoldState = "released"
	HoldTimedOut HoldState = "timed_out"
)

// Bounds of a hold.
const (
	// DefaultHoldTTL is how long a hold lasts unless it says otherwise.
	DefaultHoldTTL = 15 * time.Minute
	// MaxHoldLife is how long it may last, extended or not, from when it was placed.
	MaxHoldLife = 24 * time.Hour
	// MaxHoldGrants is how many grants it may stand in: all of them are touched by one commit when it settles, and each of those whose time
	// has passed makes an entry and an event more.
	MaxHoldGrants = 256
)

// Hold is credits set aside for work in progress. Its record is kept outside the wallet, which counts the open ones. Values are immutable
// once they are part of a State.
type Hold struct {
	ID      string // {org}.{hash of the event id}
	EventID string // of who placed it
	Work    Work   // with the price version of the quote
	Credits int64  // set aside
	// Allocations say in which grants, in burn-down order as it was when the hold was placed.
	Allocations []Allocation
	PlacedAt    time.Time
	// ExpiresAt is when it times out unless it is settled before.
	ExpiresAt time.Time
	State     HoldState
	// Captured is what the work cost in the end, in credits: more than Credits if it took more, and not 0 beside HoldTimedOut if the work
	// was done after all.
	Captured int64
	// Extensions is the n of the keys of its extensions.
	Extensions int64
	// Counts are where its placing was counted.
	Counts []Count
}

// Allocation is the part of a hold that stands in one grant, in credits.
type Allocation struct {
	Grant   string
	Source  Source
	Credits int64
}

// HoldID is the id of the hold that an event id of an organisation places.
func HoldID(org, event string) string {
	_, hash, _ := strings.Cut(CallerKey(event).Doc(), "_")
	return org + "." + hash
}

// ParseHoldID splits a hold's id into its organisation and the rest, which names its record. What cannot be an id is refused as not found.
func ParseHoldID(id string) (org, doc string, err error) {
	org, doc, _ = strings.Cut(id, ".")
	if CheckOrg(org) != nil || len(doc) != 40 || strings.Trim(doc, "0123456789abcdef") != "" {
		return "", "", noSuchHold(id)
	}
	return org, doc, nil
}

// CaptureKey is the key of the capture of a hold.
func CaptureKey(hold string) Key { return SystemKey(string(KindCapture), hold) }

// ReleaseKey is the key of the release of a hold, whether asked for or by time-out.
func ReleaseKey(hold string) Key { return SystemKey(string(KindRelease), hold) }

// HoldOf is the hold that a command is about, if it is about one that was placed before: who gathers commands can load them all at once.
func HoldOf(c Command) (id string, ok bool) {
	switch c := c.(type) {
	case Extend:
		return c.Hold, true
	case Capture:
		return c.Hold, true
	case Release:
		return c.Hold, true
	}
	return "", false
}

// PlaceHold sets credits aside for work to come: all or nothing.
type PlaceHold struct {
	EventID string
	Content Content // as sent
	Credits int64   // the price
	Work    Work
	TTL     time.Duration // 0 for DefaultHoldTTL
	Actor   string
	// Metadata is the caller's JSON object, at most 2 KiB.
	Metadata string
}

// Extend lets a hold last until TTL from now, if that is later, but no longer than MaxHoldLife in all.
type Extend struct {
	Hold  string
	TTL   time.Duration
	Actor string
}

// Capture charges for the work that a hold was placed for, and settles the hold.
type Capture struct {
	Hold    string
	Credits int64
	Actor   string
}

// Release gives a hold's credits back, because its work was not done.
type Release struct {
	Hold   string
	Actor  string
	Reason string
}

func (c PlaceHold) key() Key { return CallerKey(c.EventID) }
func (c Extend) key() Key    { return Key{} }
func (c Capture) key() Key   { return CaptureKey(c.Hold) }
func (c Release) key() Key   { return ReleaseKey(c.Hold) }

func (c PlaceHold) hash() string { return c.Content.Hash() }
func (c Extend) hash() string    { return "" }
func (c Release) hash() string   { return "" }

func (c Capture) hash() string {
	return Content{Kind: KindCapture, Credits: &c.Credits, Subject: c.Hold}.Hash()
}

func (c PlaceHold) check() error {
	return first(Debit{EventID: c.EventID, Credits: c.Credits, Work: c.Work, Metadata: c.Metadata}.check(), checkTTL(c.TTL, 0))
}

func (c Extend) check() error { return first(checkHoldID(c.Hold), checkTTL(c.TTL, 1)) }

func (c Capture) check() error { return first(checkHoldID(c.Hold), checkCredits(c.Credits)) }

func (c Release) check() error { return first(checkHoldID(c.Hold), checkText(c.Reason)) }

func checkHoldID(id string) error {
	_, _, err := ParseHoldID(id)
	return err
}

func checkTTL(ttl, least time.Duration) error {
	if ttl < least || ttl > MaxHoldLife {
		return invalid("ttl_seconds must be from 1 to %d", int(MaxHoldLife.Seconds()))
	}
	return nil
}

func noSuchHold(id string) *Refusal {
	return Refuse(CodeNotFound, "there is no such hold", map[string]any{"hold_id": id})
}

// Settled refuses what a hold that is settled already can no longer do.
func Settled(id string) *Refusal {
	return Refuse(CodeHoldSettled, "this hold is settled already", map[string]any{"hold_id": id})
}

// placeHold sets credits aside, grant by grant in burn-down order. It is refused for the reasons that a debit is.
func (w *work) placeHold(c PlaceHold) error {
	against, err := w.counted(c.Work)
	if err != nil {
		return err
	}
	if reasons := w.reasons(against, c.Credits); len(reasons) > 0 {
		return reasons[0]
	}
	changes, drawn, err := w.drawInto(c.Credits, MaxHoldGrants, true)
	switch {
	case err != nil:
		return err
	case drawn < c.Credits:
		return tooScattered(MaxHoldGrants)
	}
	ttl := c.TTL
	if ttl == 0 {
		ttl = DefaultHoldTTL
	}
	h := &Hold{
		ID: HoldID(w.Org, c.EventID), EventID: c.EventID, Work: c.Work, Credits: c.Credits, Allocations: allocated(changes),
		PlacedAt: w.t, ExpiresAt: exact(w.t.Add(ttl)), State: HoldOpen, Counts: w.charge(against, c.Credits),
	}
	w.OpenHolds++
	w.putHold(h)
	if w.NextDueAt.IsZero() || h.ExpiresAt.Before(w.NextDueAt) {
		w.NextDueAt = h.ExpiresAt
	}
	w.own(&Entry{
		Key: c.key(), Kind: KindHold, Hash: c.hash(), Subject: h.ID, Credits: c.Credits, Changes: changes, Until: h.ExpiresAt,
		Counts: h.Counts, Work: c.Work, Actor: c.Actor, Metadata: c.Metadata,
	})
	return nil
}

// allocated is what changes set aside.
func allocated(changes []Change) []Allocation {
	out := make([]Allocation, len(changes))
	for i, c := range changes {
		out[i] = Allocation{Grant: c.Grant, Source: c.Source, Credits: c.Held}
	}
	return out
}

// extend moves a hold's end, never to an earlier moment. One that has it already changes nothing.
func (w *work) extend(c Extend) error {
	h, err := w.findHold(c.Hold)
	switch {
	case err != nil:
		return err
	case h.State != HoldOpen:
		return Settled(h.ID)
	}
	until := exact(w.t.Add(c.TTL))
	if last := h.PlacedAt.Add(MaxHoldLife); until.After(last) {
		until = last
	}
	w.out.Hold = h
	if !until.After(h.ExpiresAt) {
		return nil
	}
	n := *h
	n.ExpiresAt = until
	n.Extensions++
	w.putHold(&n)
	w.own(&Entry{
		Key: numbered(KindExtend, h.ID, n.Extensions), Kind: KindExtend, Subject: h.ID, Credits: h.Credits, Until: until, Actor: c.Actor,
	})
	return nil
}

// capture charges for a hold's work: from what is held in the hold's own order; what goes beyond that is usage, what is left is released
// from the order's end. When the hold has timed out, all of it is usage.
func (w *work) capture(c Capture) error {
	h, err := w.findHold(c.Hold)
	switch {
	case err != nil:
		return err
	case h.State == HoldCaptured || h.State == HoldReleased || h.Captured > 0:
		return Settled(h.ID)
	}
	n := *h
	n.Captured = c.Credits
	var changes []Change
	var used int64
	if h.State == HoldOpen {
		if err := w.loaded(h.changes(0)); err != nil {
			return err
		}
		n.State = HoldCaptured
		used = min(c.Credits, h.Credits)
		changes = h.changes(used)
		if err := w.unhold(h, changes); err != nil {
			return err
		}
	}
	counts, err := w.countCapture(h, c.Credits, used)
	if err != nil {
		return err
	}
	over := c.Credits - used // when there is any, nothing was released: what is available is so by right
	drawn, covered, err := w.drawInto(min(over, w.Available), MaxDrawn-len(changes), false)
	if err != nil {
		return err
	}
	debt := over - covered // what lies in too many grants for this entry is repaid at once by the next
	w.Debt += debt
	w.putHold(&n)
	e := w.own(&Entry{
		Key: c.key(), Kind: KindCapture, Hash: c.hash(), Subject: h.ID, Credits: c.Credits, Changes: append(changes, drawn...), Debt: debt,
		Counts: counts, Work: h.Work, Actor: c.Actor,
	})
	if _, known := w.debits[h.EventID]; known { // as a hold that is not captured
		w.debits = withValue(w.debits, h.EventID, Debited{Entry: e})
	}
	w.lapseAll(changes)
	return nil
}

// release gives a hold's credits back. One that was released already stays so.
func (w *work) release(c Release) error {
	h, err := w.findHold(c.Hold)
	switch {
	case err != nil:
		return err
	case h.State != HoldOpen:
		return Settled(h.ID)
	}
	return w.giveBack(h, HoldReleased, &Entry{Actor: c.Actor, Reason: c.Reason})
}

// timeOut releases a hold whose time has passed, at the moment it did.
func (w *work) timeOut(h *Hold) error {
	return w.giveBack(h, HoldTimedOut, &Entry{Reason: "timed out"})
}

// giveBack releases all of a hold. What returns to a grant whose time has passed is journaled as expired.
func (w *work) giveBack(h *Hold, to HoldState, e *Entry) error {
	changes := h.changes(0)
	if err := w.loaded(changes); err != nil {
		return err
	}
	counts, err := w.uncount(h.parts(h.Credits))
	if err != nil {
		return err
	}
	n := *h
	n.State = to
	if err := w.unhold(h, changes); err != nil {
		return err
	}
	w.putHold(&n)
	e.Key, e.Kind, e.Subject, e.Credits, e.Changes, e.Counts, e.Work = ReleaseKey(h.ID), KindRelease, h.ID, h.Credits, changes, counts, h.Work
	w.own(e)
	w.lapseAll(changes)
	return nil
}

// changes settle a hold of which so many credits were used: in its own order, the rest released.
func (h *Hold) changes(used int64) []Change {
	out := make([]Change, len(h.Allocations))
	for i, a := range h.Allocations {
		taken := min(used, a.Credits)
		used -= taken
		out[i] = Change{Grant: a.Grant, Source: a.Source, Free: a.Credits - taken, Held: -a.Credits}
	}
	return out
}

// unhold makes the changes that settle an open hold, whose grants are loaded.
func (w *work) unhold(h *Hold, changes []Change) error {
	w.OpenHolds--
	for _, c := range changes {
		g, err := w.find(c.Grant)
		if err != nil {
			return fmt.Errorf("hold %s stands in a grant that cannot be had: %w", h.ID, err)
		}
		w.change(g, c.Free, c.Held, nil)
	}
	return nil
}

func (w *work) lapseAll(changes []Change) {
	for _, c := range changes {
		w.lapse(c.Grant)
	}
}

// findHold gets a hold, or asks for its record.
func (w *work) findHold(id string) (*Hold, error) {
	h, known := w.holds[id]
	switch {
	case !known:
		return nil, &Missing{Hold: id}
	case h == nil:
		return nil, noSuchHold(id)
	}
	return h, nil
}

// putHold stores the new value of a hold, to be written with the wallet.
func (w *work) putHold(h *Hold) {
	if !w.ownsHolds {
		w.holds, w.dirtyHolds, w.ownsHolds = cloned(w.holds), cloned(w.dirtyHolds), true
	}
	w.holds[h.ID], w.dirtyHolds[h.ID] = h, true
	w.out.Hold = h
}

package credit

import (
	"fmt"
	"slices"
	"time"
)

// AwaitRenewal moves the grace of the grants of a subscription whose period ends at End: until when they can be used while it is, or is no
// longer, awaited that the next period is paid for. Nothing is awaited at an end that lies within the period: what ends there was of an earlier
// one that this one cut short.
type AwaitRenewal struct {
	// Items are the subscription's items.
	Items []string
	// Start is the period's start; zero when no earlier period was cut short. End is its end, which people are shown; Until is End without a
	// grace, and later with one.
	Start, End, Until time.Time
	Actor, Reason     string
}

// maxItems bounds the subscription items that one command names.
const maxItems = 100

func (c AwaitRenewal) key() Key     { return Key{} }
func (c AwaitRenewal) hash() string { return "" }

func (c AwaitRenewal) check() error {
	switch {
	case c.End.IsZero() || c.Until.Before(c.End):
		return fmt.Errorf("awaiting a renewal until %v does not follow the period's end %v", c.Until, c.End)
	case !c.Start.Before(c.End):
		return fmt.Errorf("awaiting the renewal of a period from %v to %v", c.Start, c.End)
	case len(c.Items) == 0 || len(c.Items) > maxItems || slices.Contains(c.Items, ""):
		return fmt.Errorf("awaiting the renewal of %d items: %q", len(c.Items), c.Items)
	}
	return first(checkText(c.Reason), checkTime("start", c.Start), checkTime("end", c.End), checkTime("until", c.Until))
}

// awaitRenewal moves the grace of grants that have not ended. A grant that was followed by the next period's has no grace any more, whatever
// is awaited.
func (w *work) awaitRenewal(c AwaitRenewal) error {
	start, end, until := exact(c.Start), exact(c.End), exact(c.Until)
	for _, item := range c.Items {
		if !w.items[item] {
			return &Missing{Item: item}
		}
	}
	of := w.known(func(g *Grant) bool { return slices.Contains(c.Items, g.Item) })
	if slices.ContainsFunc(of, func(g *Grant) bool { return !g.EffectiveAt.Before(end) }) {
		until = end
	}
	for _, g := range of {
		until := until
		if cut := !start.IsZero() && g.ExpiresAt.After(start) && g.ExpiresAt.Before(end); cut {
			until = g.ExpiresAt
		} else if !g.ExpiresAt.Equal(end) {
			continue
		}
		if !g.ends() || g.UsableUntil.Equal(until) || g.ended(w.t) {
			continue
		}
		g = w.change(g, 0, 0, func(n *Grant) { n.UsableUntil = until; n.Moves++ })
		e := &Entry{
			Key: numbered(KindGrace, g.ID, g.Moves), Kind: KindGrace, Subject: g.ID, Credits: g.Free, Actor: c.Actor, Reason: c.Reason, Until: until,
		}
		if w.out.Own < 0 {
			w.own(e)
		} else {
			w.record(e)
		}
		w.lapse(g.ID)
	}
	return nil
}

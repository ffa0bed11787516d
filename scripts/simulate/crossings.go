package main

import (
	"slices"
	"time"
)

// crossings counts how often a balance fell to its threshold, item by item: the entries of one item follow each other by a microsecond.
type crossings struct {
	on        bool
	threshold int64
	n         int64

	before, after int64 // of the item under way
	bought        bool
}

// entry takes the next entry in.
func (c *crossings) entry(e, last *entryDoc, lots map[string]*lot) {
	have := int64(0)
	if last != nil {
		have = last.After.Available + last.After.Held
	}
	if last == nil || !continues(e, last) {
		c.close()
		c.before, c.bought = have, false
	}
	c.after = e.After.Available + e.After.Held
	if e.Kind == "grant" && e.Born != nil {
		g := lots[e.Born.ID]
		c.bought = g.started && (g.Source == "purchase" || g.Source == "subscription")
	}
}

// close ends the item under way.
func (c *crossings) close() {
	if c.on && c.after <= c.threshold && (c.before > c.threshold || c.bought) {
		c.n++
	}
	c.before, c.bought = c.after, false
}

// continues tells whether an entry is of the same item as the one before it.
func continues(e, last *entryDoc) bool {
	if e.At.Sub(last.At) != time.Microsecond {
		return false
	}
	switch e.Kind {
	case "repayment":
		return true
	case "expiry":
		return slices.Contains([]string{"release", "capture", "reversal", "restore"}, last.Kind)
	case "clawback", "restore", "freeze", "thaw":
		return e.Kind == last.Kind
	}
	return false
}

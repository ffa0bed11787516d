package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (j *judge) legalHold(e *entryDoc) string {
	from, missing := j.draw(e.Credits)
	for i := range from {
		from[i].Held = -from[i].Free
	}
	switch {
	case j.frozen:
		return "a hold of a frozen wallet"
	case j.debt > 0:
		return "a hold while there is debt"
	case missing > 0:
		return fmt.Sprintf("a hold of %d, of which %d were missing", e.Credits, missing)
	case j.holds[e.Subject] != nil:
		return "a hold that was placed before"
	}
	j.events[e.Subject] = e.Key
	j.holds[e.Subject] = &reserve{credits: e.Credits, parts: from, until: e.Until}
	return same(from, e.Changes)
}

// legalSettlement judges what becomes of a hold: it settles once, but that work may be charged for after a time-out.
func (j *judge) legalSettlement(e *entryDoc) string {
	h := j.holds[e.Subject]
	switch {
	case h == nil:
		return "there is no such hold"
	case e.Kind == "extend":
		if h.settled || !e.At.Before(h.until) || !e.Until.After(h.until) {
			return fmt.Sprintf("it extends a hold until %s that ends at %s", e.Until, h.until)
		}
		h.until = e.Until
		return same(nil, e.Changes)
	case e.Kind == "release" && h.settled:
		return "the hold was settled before"
	case e.Kind == "release":
		h.settled = true
		return same(h.back(0), e.Changes)
	case h.settled: // after a time-out: usage
		from, missing := j.draw(e.Credits)
		if e.Debt != missing {
			return fmt.Sprintf("it becomes a debt of %d; %d were missing", e.Debt, missing)
		}
		return same(from, e.Changes)
	case !e.At.Before(h.until):
		return "it captures a hold whose time has passed, and is not released"
	}
	h.settled = true
	used := min(e.Credits, h.credits)
	want := h.back(used)
	for _, c := range want { // what is released can be drawn on by what the work took beyond the hold
		j.lots[c.Grant].Free += c.Free
	}
	from, missing := j.draw(e.Credits - used)
	for _, c := range want {
		j.lots[c.Grant].Free -= c.Free
	}
	if e.Debt != missing {
		return fmt.Sprintf("it becomes a debt of %d; %d were missing", e.Debt, missing)
	}
	return same(append(want, from...), e.Changes)
}

// back is what a settlement changes: the first used credits are drawn, the others return.
func (h *reserve) back(used int64) []changeDoc {
	var out []changeDoc
	for _, p := range h.parts {
		drawn := min(used, p.Held)
		used -= drawn
		out = append(out, changeDoc{Grant: p.Grant, Free: p.Held - drawn, Held: -p.Held})
	}
	return out
}

func (j *judge) legalExpiry(e *entryDoc) string {
	g := j.lots[e.Subject]
	switch {
	case g == nil:
		return "there is no such grant"
	case g.Source == "purchase":
		return "purchased credits expire"
	case g.closing.IsZero() || e.At.Before(g.closing):
		return fmt.Sprintf("it expires what can be used until %s", g.closing)
	case e.Credits != g.Free:
		return fmt.Sprintf("it expires %d of %d", e.Credits, g.Free)
	}
	g.gone += e.Credits
	return same([]changeDoc{{Grant: g.ID, Free: -g.Free}}, e.Changes)
}

// legalReversal judges what is given back: never more than was taken, to whom it was taken from, in all what is stated.
func (j *judge) legalReversal(e *entryDoc) string {
	left := j.debits[e.Subject]
	back := -e.Debt
	for _, c := range e.Changes {
		back += c.Free
	}
	switch {
	case e.Credits > left:
		return fmt.Sprintf("it gives %d back of %d", e.Credits, left)
	case e.Debt > 0 || -e.Debt > j.debt:
		return fmt.Sprintf("it cancels %d of a debt of %d", -e.Debt, j.debt)
	case back != e.Credits:
		return fmt.Sprintf("it states %d and gives %d back", e.Credits, back)
	}
	j.debits[e.Subject] -= e.Credits
	return ""
}

// legalMove judges clawbacks and restores: own credits first, then others in burn-down order, then debt; within what was granted.
func (j *judge) legalMove(e *entryDoc) string {
	g := j.lots[e.Subject]
	if g == nil {
		return "there is no such grant"
	}
	if e.Kind == "restore" {
		g.moved -= e.Credits
	} else {
		g.moved += e.Credits
		own, others := int64(0), e.Debt
		for _, c := range e.Changes {
			if c.Grant == g.ID {
				own -= c.Free
			} else {
				others -= c.Free
			}
		}
		if others > 0 && own < g.Free {
			return fmt.Sprintf("it takes %d elsewhere and leaves %d of its own", others, g.Free-own)
		}
		if own+others > e.Credits {
			return fmt.Sprintf("it states %d and takes %d", e.Credits, own+others)
		}
	}
	if g.moved < 0 || g.moved > g.Granted {
		return fmt.Sprintf("it leaves %d of %d clawed back", g.moved, g.Granted)
	}
	return ""
}

// apply changes what the judge has as the entry says.
func (j *judge) apply(e *entryDoc) string {
	for _, c := range e.Changes {
		g := j.lots[c.Grant]
		if g == nil {
			return "it changes grant " + c.Grant + ", which there is not"
		}
		g.Free += c.Free
		g.Held += c.Held
		if g.Free < 0 || g.Held < 0 || g.Free+g.Held > g.Granted {
			return fmt.Sprintf("it leaves %d free and %d held of %d in %s", g.Free, g.Held, g.Granted, g.ID)
		}
	}
	if j.debt += e.Debt; j.debt < 0 {
		return "debt becomes negative"
	}
	for _, id := range e.Closed {
		j.lots[id].closing = j.lots[id].ExpiresAt
	}
	switch e.Kind {
	case "debit":
		j.debits[e.Key] = e.Credits
	case "capture":
		j.debits[j.placedAs(e)] = e.Credits
	case "freeze", "thaw":
		if g := j.lots[e.Subject]; g != nil {
			g.Frozen = e.Kind == "freeze"
			g.started = g.started || !e.At.Before(g.EffectiveAt)
		} else {
			j.frozen = e.Kind == "freeze"
		}
	case "restore":
		j.lots[e.Subject].started = j.lots[e.Subject].started || !e.At.Before(j.lots[e.Subject].EffectiveAt)
	case "start":
		j.lots[e.Subject].started = true
	case "grace":
		j.lots[e.Subject].closing = e.Until
	}
	return ""
}

// figures compares what the entry states after it with what the changes come to.
func (j *judge) figures(e *entryDoc) string {
	want := figures{Available: j.available(), Debt: j.debt}
	for _, g := range j.lots {
		want.Held += g.Held
	}
	if want != e.After {
		return fmt.Sprintf("it states %+v; the entries come to %+v", e.After, want)
	}
	return ""
}

// placedAs is the event id under which the hold of a capture was placed.
func (j *judge) placedAs(e *entryDoc) string { return j.events[e.Subject] }

// counted follows the counters of limits, and refuses what goes beyond a hard one.
func (j *judge) counted(e *entryDoc) string {
	for _, text := range e.Counts {
		parts := strings.SplitN(text, " ", 6)
		if len(parts) != 6 {
			return "a count that cannot be read: " + text
		}
		var n [3]int64
		for i := range n {
			var err error
			if n[i], err = strconv.ParseInt(parts[2+i], 10, 64); err != nil {
				return "a count that cannot be read: " + text
			}
		}
		credits, used, limit := n[0], n[1], n[2]
		key := parts[0] + " " + parts[5] + " " + parts[1]
		if j.counts[key] += credits; j.counts[key] != used {
			return fmt.Sprintf("it states that %s used %d; the entries come to %d", key, used, j.counts[key])
		}
		if asked := slices.Contains([]string{"debit", "hold"}, e.Kind) && !reported(e); asked && limit >= 0 && used > limit {
			return fmt.Sprintf("it goes beyond the limit of %s: %d of %d", key, used, limit)
		}
	}
	return ""
}

// stored compares what is stored with what the entries come to.
func (j *judge) stored(l *ledger) string {
	last := figures{}
	if j.last != nil {
		last = j.last.After
	}
	switch {
	case l.wallet.figures != last:
		return fmt.Sprintf("the wallet has %+v; its last entry %+v", l.wallet.figures, last)
	case l.wallet.Frozen != j.frozen:
		return "the wallet's freeze is not that of its entries"
	case int(l.wallet.Seq) != len(l.entries):
		return fmt.Sprintf("the wallet has seq %d and %d entries", l.wallet.Seq, len(l.entries))
	}
	open := 0
	for _, h := range j.holds {
		if !h.settled {
			open++
		}
	}
	if int(l.wallet.OpenHolds) != open {
		return fmt.Sprintf("the wallet has %d open holds; its entries %d", l.wallet.OpenHolds, open)
	}
	for id, g := range j.lots {
		if got, ok := l.grants[id]; !ok || got.Free != g.Free || got.Held != g.Held {
			return fmt.Sprintf("grant %s has %d free and %d held; its entries come to %d and %d", id, got.Free, got.Held, g.Free, g.Held)
		}
	}
	if len(l.grants) != len(j.lots) {
		return fmt.Sprintf("%d grants are stored; entries made %d", len(l.grants), len(j.lots))
	}
	return ""
}

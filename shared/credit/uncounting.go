package credit

import "slices"

// part is a part of what was counted: so many credits, where they stand.
type part struct {
	Subject
	window  string
	credits int64
}

// uncount takes parts back where they were counted, as far as those windows are kept true. A counter does not go below zero: one that began
// within its window does not know of what was given back before it.
func (w *work) uncount(parts []part) ([]Count, error) {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return w.pages(p.window) == 0 })
	if err := w.askFor(parts); err != nil {
		return nil, err
	}
	var out []Count
	for _, p := range parts {
		page := CounterPage{p.window, pageOf(p.Subject, w.pages(p.window))}
		c, begun := w.tally.find(page, p.Subject)
		if !begun {
			continue
		}
		back := min(p.credits, c.Used)
		c.Used -= back
		w.setCounter(page, p.Subject, c, true)
		limit, ok := w.Limits.Of(p.Subject)
		if !ok {
			limit.Credits = NoLimit
		}
		out = append(out, Count{Subject: p.Subject, Window: p.window, Credits: -back, Used: c.Used, Limit: limit.Credits})
	}
	return out, nil
}

// askFor asks for the pages of parts that are not loaded.
func (w *work) askFor(parts []part) error {
	pages := make([]CounterPage, 0, len(parts))
	for _, p := range parts {
		if n := w.pages(p.window); n > 0 {
			pages = append(pages, CounterPage{p.window, pageOf(p.Subject, n)})
		}
	}
	return w.ask(pages...)
}

// parts are so many credits of each of a hold's counts.
func (h *Hold) parts(credits int64) []part {
	out := make([]part, len(h.Counts))
	for i, c := range h.Counts {
		out[i] = part{c.Subject, c.Window, credits}
	}
	return out
}

// askForHolds asks for the pages of counters where holds were counted.
func (w *work) askForHolds(ids []string) error {
	var parts []part
	for _, id := range ids {
		parts = append(parts, w.holds[id].parts(0)...)
	}
	return w.askFor(parts)
}

// countCapture counts what a capture charges: of what its hold's placing counted, what was not used is taken back in that window; what goes
// beyond, and what nobody counted when it was placed, is counted now. Nothing that a hold's time-out took back counts as placed.
func (w *work) countCapture(h *Hold, credits, used int64) ([]Count, error) {
	against, err := w.counted(h.Work)
	if err != nil {
		return nil, err
	}
	var out []Count
	placed := map[Subject]bool{}
	if h.State == HoldOpen {
		if out, err = w.uncount(h.parts(h.Credits - used)); err != nil {
			return nil, err
		}
		for _, c := range h.Counts {
			placed[c.Subject] = true
		}
	}
	for _, c := range against {
		c.counter, c.begun = w.tally.find(CounterPage{c.page.Window, pageOf(c.Subject, w.pages(c.page.Window))}, c.Subject) // may have been taken back
		over := credits
		if placed[c.Subject] {
			over -= used
		}
		out = append(out, w.charge([]counted{c}, over)...)
	}
	return out, nil
}

// stretch is where a stretch of a charge's credits was counted, [from, to) of them.
type stretch struct {
	Subject
	window   string
	from, to int64
}

// stretches tell where a debit, or a capture, was counted. A capture's counts are of two kinds: one that is not above zero states what its
// placing counted and became too much; one above zero, what was counted by the capture itself, the last of its credits.
func (e *Entry) stretches() []stretch {
	held := int64(0)
	for _, c := range e.Changes {
		held -= c.Held
	}
	out := make([]stretch, len(e.Counts))
	for i, c := range e.Counts {
		out[i] = stretch{c.Subject, c.Window, e.Credits - c.Credits, e.Credits}
		if c.Credits <= 0 {
			out[i].from, out[i].to = 0, min(e.Credits, held)
		}
	}
	return out
}

// undone are the parts of a charge's counts that the next n credits of a reversal take back, when skip are taken back already: from its
// end. What was not counted, because its limit began later in this window, was counted by that.
func (w *work) undone(charge *Entry, skip, n int64) []part {
	to := charge.Credits - skip
	from := to - n
	var out []part
	known := map[Subject]bool{}
	for _, s := range charge.stretches() {
		known[s.Subject] = true
		if credits := min(to, s.to) - max(from, s.from); credits > 0 {
			out = append(out, part{s.Subject, s.window, credits})
		}
	}
	if w.Limits == nil {
		return out
	}
	if now := w.window(); !charge.At.Before(now.Start) {
		for _, s := range charge.Work.subjects() {
			if _, limited := w.Limits.Of(s); limited && !known[s] {
				out = append(out, part{s, now.Key, n})
			}
		}
	}
	return out
}

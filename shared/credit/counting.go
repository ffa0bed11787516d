package credit

import (
	"cmp"
	"slices"
	"time"
)

// Count is what an entry did to one counter, in credits.
type Count struct {
	Subject
	Window  string
	Credits int64 // the change
	Used    int64 // after it
	// Limit is the limit in force, NoLimit for none.
	Limit int64
}

// NoLimit is the limit of what is counted without one.
const NoLimit = -1

// counted is a subject that work counts against.
type counted struct {
	Subject
	page    CounterPage
	limit   Limit
	limited bool
	counter Counter
	begun   bool
}

// subjects are whom work may count against, in the order in which limits are asked. No user means the service itself.
func (k Work) subjects() []Subject {
	out := make([]Subject, 1, 3)
	out[0] = Subject{Scope: ScopeOrganisation}
	if k.Team != "" {
		out = append(out, Subject{ScopeTeam, k.Team})
	}
	if k.User != "" {
		out = append(out, Subject{ScopeUser, k.User})
	}
	return out
}

// window is the one of the moment of decision.
func (w *work) window() Window {
	if w.zone == nil || w.zoneName != w.Zone {
		w.zone, w.zoneName, w.current = zoneOf(w.Zone), w.Zone, Window{}
	}
	if w.t.Before(w.current.Start) || !w.t.Before(w.current.End) {
		w.current = WindowAt(w.t, w.zone)
	}
	return w.current
}

// counted lists what work counts against now: those that are limited, and those that were in this window, so that a counter that has begun
// is right to the window's end. A *Missing asks for their pages.
func (w *work) counted(work Work) ([]counted, error) {
	if w.Limits == nil {
		return nil, nil
	}
	window := w.window().Key
	var out []counted
	for _, s := range work.subjects() {
		limit, limited := w.Limits.Of(s)
		if !limited && w.pages(window) == 0 {
			continue
		}
		w.openWindow(window)
		out = append(out, counted{Subject: s, page: CounterPage{window, pageOf(s, w.pages(window))}, limit: limit, limited: limited})
	}
	if err := w.ask(pagesOf(out)...); err != nil {
		return nil, err
	}
	for i := range out {
		c := &out[i]
		c.page.Index = pageOf(c.Subject, w.pages(window)) // the one before may have doubled them
		c.counter, c.begun = w.tally.find(c.page, c.Subject)
		if c.begun || !c.limited {
			continue
		}
		ok, err := w.room(c.page, c.Subject)
		if err != nil {
			return nil, err
		}
		c.page.Index = pageOf(c.Subject, w.pages(window))
		c.begun, c.limited = false, ok
	}
	return slices.DeleteFunc(out, func(c counted) bool { return !c.begun && !c.limited }), nil
}

func pagesOf(cs []counted) []CounterPage {
	out := make([]CounterPage, len(cs))
	for i, c := range cs {
		out[i] = c.page
	}
	return out
}

// charge counts credits against each subject, and notes the thresholds that this reaches for the first time in the window.
func (w *work) charge(cs []counted, credits int64) []Count {
	if len(cs) == 0 || credits == 0 {
		return nil
	}
	out := make([]Count, len(cs))
	for i, c := range cs {
		c.page.Index = pageOf(c.Subject, w.pages(c.page.Window))
		peak := c.counter.Peak
		c.counter.Used += credits
		c.counter.Peak = max(peak, c.counter.Used)
		w.setCounter(c.page, c.Subject, c.counter, c.begun)
		out[i] = Count{Subject: c.Subject, Window: c.page.Window, Credits: credits, Used: c.counter.Used, Limit: NoLimit}
		if c.limited {
			out[i].Limit = c.limit.Credits
			w.cross(c, peak)
		}
	}
	return out
}

// cross notes which thresholds a new peak has reached.
func (w *work) cross(c counted, peak int64) {
	for _, percent := range w.Limits.thresholds() {
		if at := c.limit.at(percent); peak < at && at <= c.counter.Used {
			w.crossed = append(w.crossed, LimitNotice{
				Subject: c.Subject, Limit: c.limit, Used: c.counter.Used, Percent: percent, Window: c.page.Window, ResetsAt: w.window().End,
			})
		}
	}
}

// at is what must be used to reach a threshold, at least one credit.
func (l Limit) at(percent int64) int64 {
	return max(1, (l.Credits*percent+percentReached-1)/percentReached)
}

// refusals are of the hard limits that credits would go beyond.
func (w *work) refusals(cs []counted, credits int64) []*Refusal {
	var out []*Refusal
	for _, c := range cs {
		if !c.limited || c.limit.Soft || c.counter.Used+credits <= c.limit.Credits {
			continue
		}
		subject, whose := c.ID, "the "+string(c.Scope)+"'s"
		if c.Scope == ScopeOrganisation {
			subject = w.Org
		}
		out = append(out, Refuse(CodeLimit, "this would go beyond "+whose+" limit for the month", map[string]any{
			"scope": c.Scope, "subject": subject, "limit": c.limit.Credits, "used": c.counter.Used, "resets_at": w.window().End,
		}))
	}
	return out
}

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

// seeds are the counters that limits begin within a window, with what was used before. They are part of the state afterwards.
func (w *work) seeds(next *Limits) ([]Count, error) {
	fresh := func(s Subject) bool {
		_, was := w.Limits.Of(s)
		_, is := next.Of(s)
		return is && !was
	}
	if !w.anyFresh(next, fresh) {
		return nil, nil
	}
	window := w.window().Key
	w.openWindow(window)
	if err := w.ask(w.allPages(window)...); err != nil {
		return nil, err
	}
	if w.usageOf != window {
		return nil, &Missing{Usage: window}
	}
	var out []Count
	begin := map[Subject]Counter{}
	pages := w.pages(window)
	for s, used := range w.usage {
		if used <= 0 || !fresh(s) {
			continue
		}
		if _, begun := w.tally.find(CounterPage{window, pageOf(s, pages)}, s); begun {
			continue
		}
		begin[s] = Counter{Used: used, Peak: used}
		limit, _ := next.Of(s)
		out = append(out, Count{Subject: s, Window: window, Credits: used, Used: used, Limit: limit.Credits})
	}
	w.usage, w.usageOf = nil, ""
	if len(out) == 0 {
		return nil, nil
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.ID, b.ID)) })
	for total := len(begin) + w.CountersKept(); pages < MaxPages && int64(total) > pages*MaxPageSubjects*3/4; {
		pages *= 2
	}
	w.spread(window, pages, begin)
	return out, nil
}

// anyFresh tells whether limits bind anybody who was not bound before.
func (w *work) anyFresh(next *Limits, fresh func(Subject) bool) bool {
	if fresh(Subject{Scope: ScopeOrganisation}) || next.DefaultUser != nil && (w.Limits == nil || w.Limits.DefaultUser == nil) {
		return true
	}
	for id := range next.Teams {
		if fresh(Subject{ScopeTeam, id}) {
			return true
		}
	}
	for id := range next.Users {
		if fresh(Subject{ScopeUser, id}) {
			return true
		}
	}
	return false
}

// LimitUse is a limit and what is used of it in the current window.
type LimitUse struct {
	Subject
	Limit   Limit
	Limited bool
	Counter
	// Counted says that the counter has begun in this window. One that has not stands at zero when it is limited, and is unknown when not.
	Counted bool
}

// LimitUses are how much of their limits subjects have used at t. A *Missing says what to load before asking again.
func LimitUses(s *State, t time.Time, subjects ...Subject) (Window, []LimitUse, error) {
	w := begin(s, t)
	window := w.window()
	pages := w.pages(window.Key)
	out := make([]LimitUse, len(subjects))
	for i, subject := range subjects {
		out[i].Subject = subject
		out[i].Limit, out[i].Limited = w.Limits.Of(subject)
		if pages == 0 {
			continue
		}
		if err := w.ask(CounterPage{window.Key, pageOf(subject, pages)}); err != nil {
			return Window{}, nil, err
		}
		out[i].Counter, out[i].Counted = w.tally.find(CounterPage{window.Key, pageOf(subject, pages)}, subject)
	}
	return window, out, nil
}

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

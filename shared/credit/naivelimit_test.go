package credit_test

import (
	"maps"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// quotas are the limits of the naive model: it notes of each single credit in which window it stands counted.
type quotas struct {
	bound      map[credit.Subject]credit.Limit // of their own
	everyone   *credit.Limit                   // the default of users
	thresholds []int64
	used, peak map[string]map[credit.Subject]int64 // by window
	charged    []charged
	told       int
}

// charged is what a roll-up would say.
type charged struct {
	window  string
	who     []credit.Subject
	credits int64
}

// marks are, for each subject that a charge was counted for, the windows in which its credits stand, one by one; "" for nowhere.
type marks map[credit.Subject][]string

func newQuotas() quotas {
	return quotas{
		bound: map[credit.Subject]credit.Limit{}, thresholds: []int64{50, 75, 90},
		used: map[string]map[credit.Subject]int64{}, peak: map[string]map[credit.Subject]int64{},
	}
}

func month(t time.Time) string { return t.In(johannesburg).Format("2006-01") }

func who(w credit.Work) []credit.Subject {
	out := []credit.Subject{{Scope: credit.ScopeOrganisation}}
	if w.Team != "" {
		out = append(out, credit.Subject{Scope: credit.ScopeTeam, ID: w.Team})
	}
	if w.User != "" {
		out = append(out, credit.Subject{Scope: credit.ScopeUser, ID: w.User})
	}
	return out
}

func (q *quotas) of(s credit.Subject) *credit.Limit {
	if l, ok := q.bound[s]; ok {
		return &l
	}
	if s.Scope == credit.ScopeUser {
		return q.everyone
	}
	return nil
}

// blocks tells whether a hard limit stands against more credits.
func (q *quotas) blocks(now time.Time, w credit.Work, credits int64) bool {
	for _, s := range who(w) {
		if l := q.of(s); l != nil && !l.Soft && q.used[month(now)][s]+credits > l.Credits {
			return true
		}
	}
	return false
}

// counts tells whether a subject is counted now: it is bound, or has been in this window.
func (q *quotas) counts(now time.Time, s credit.Subject) bool {
	_, begun := q.used[month(now)][s]
	return begun || q.of(s) != nil
}

func (q *quotas) begin(window string, s credit.Subject, used int64) {
	if q.used[window] == nil {
		q.used[window], q.peak[window] = map[credit.Subject]int64{}, map[credit.Subject]int64{}
	}
	q.used[window][s] = used
	q.peak[window][s] = max(q.peak[window][s], used)
}

// add counts credits now, and tells of thresholds.
func (q *quotas) add(now time.Time, s credit.Subject, credits int64) {
	window := month(now)
	before, after := q.peak[window][s], q.used[window][s]+credits
	q.begin(window, s, after)
	l := q.of(s)
	if l == nil {
		return
	}
	for _, percent := range append([]int64{100}, q.thresholds...) {
		switch need := l.Credits * percent; {
		case l.Credits == 0 && before == 0:
			q.told++
		case l.Credits > 0 && before*100 < need && need <= after*100:
			q.told++
		}
	}
}

// charge counts a whole charge.
func (q *quotas) charge(now time.Time, w credit.Work, credits int64) marks {
	m := marks{}
	for _, s := range who(w) {
		if q.counts(now, s) {
			q.add(now, s, credits)
			for range credits {
				m[s] = append(m[s], month(now))
			}
		}
	}
	return m
}

// capture settles what the placing of a hold counted, and counts the rest.
func (q *quotas) capture(now time.Time, w credit.Work, placed marks, credits int64) marks {
	m := marks{}
	for s, windows := range placed {
		kept := min(credits, int64(len(windows)))
		m[s] = append([]string{}, windows[:kept]...)
		q.takeBack(s, windows[kept:])
	}
	for _, s := range who(w) {
		over := credits - int64(len(m[s]))
		if over == 0 {
			continue
		}
		window := ""
		if q.counts(now, s) {
			q.add(now, s, over)
			window = month(now)
		} else if placed[s] == nil {
			continue
		}
		for range over {
			m[s] = append(m[s], window)
		}
	}
	return m
}

func (q *quotas) takeBack(s credit.Subject, windows []string) {
	for _, window := range windows {
		if q.used[window][s] > 0 {
			q.used[window][s]--
		}
	}
}

// undo takes back the last n credits of a charge.
func (q *quotas) undo(now, at time.Time, w credit.Work, m marks, n int64) {
	for s, windows := range m {
		left := int64(len(windows)) - n
		q.takeBack(s, windows[left:])
		m[s] = windows[:left]
	}
	for _, s := range who(w) {
		if m[s] == nil && q.of(s) != nil && month(at) == month(now) { // its limit began since, with this in it
			for range n {
				q.takeBack(s, []string{month(now)})
			}
		}
	}
}

func (q *quotas) roll(now time.Time, w credit.Work, credits int64) {
	q.charged = append(q.charged, charged{month(now), who(w), credits})
}

func (q *quotas) set(now time.Time, c credit.SetLimits) {
	before := *q
	before.bound = maps.Clone(q.bound)
	for _, change := range c.Changes {
		if change.Raise {
			now := q.everyone
			if !change.Default {
				now = q.of(change.Subject)
			}
			if now == nil || now.Credits >= change.Limit.Credits {
				continue
			}
			change.Limit = &credit.Limit{Credits: change.Limit.Credits, Soft: now.Soft}
		}
		switch {
		case change.Default:
			q.everyone = change.Limit
		case change.Limit == nil:
			delete(q.bound, change.Subject)
		default:
			q.bound[change.Subject] = *change.Limit
		}
	}
	if c.Thresholds != nil {
		q.thresholds = nil
		q.thresholds = append(q.thresholds, c.Thresholds...)
	}
	sums := map[credit.Subject]int64{}
	for _, ch := range q.charged {
		for _, s := range ch.who {
			if ch.window == month(now) {
				sums[s] += ch.credits
			}
		}
	}
	for s, used := range sums {
		if _, begun := q.used[month(now)][s]; !begun && used > 0 && before.of(s) == nil && q.of(s) != nil {
			q.begin(month(now), s, used)
		}
	}
}

// setLimit sets or removes a limit, or chooses other thresholds.
func (h *history) setLimit() {
	subject := pick(h, []credit.Subject{
		company, company, sales, {Scope: credit.ScopeTeam, ID: "support"}, thandi, {Scope: credit.ScopeUser, ID: "sipho"}, {},
	}, "subject")
	change := credit.LimitChange{Subject: subject, Default: subject == credit.Subject{}}
	if h.chance(75) {
		change.Limit = &credit.Limit{Credits: h.between(0, 600, "limit"), Soft: h.chance(25)}
		change.Raise = h.chance(20)
	}
	c := credit.SetLimits{Changes: []credit.LimitChange{change}}
	if h.chance(20) {
		c.Thresholds = pick(h, [][]int64{{}, {80}, {10, 50, 95}}, "thresholds")
	}
	h.both(c)
}

// work is for somebody, often without a team or a user.
func (h *history) work() credit.Work {
	return credit.Work{
		Feature: "custom-query", Team: pick(h, []string{"", "sales", "sales", "support"}, "team"),
		User: pick(h, []string{"", "thandi", "thandi", "sipho", "lerato"}, "user"),
	}
}

// compareCounters holds the stored counters of the windows that are kept true against the model's.
func (h *history) compareCounters() {
	h.Helper()
	for _, w := range h.wallet.Windows {
		got, peaks := map[credit.Subject]int64{}, map[credit.Subject]int64{}
		for p, by := range h.counters {
			for s, c := range by {
				if p.Window == w.Key {
					got[s], peaks[s] = c.Used, c.Peak
				}
			}
		}
		if !maps.Equal(got, h.model.used[w.Key]) || !maps.Equal(peaks, h.model.peak[w.Key]) {
			h.Fatalf("in %s are used %v, at most %v; should be %v, %v", w.Key, got, peaks, h.model.used[w.Key], h.model.peak[w.Key])
		}
	}
}

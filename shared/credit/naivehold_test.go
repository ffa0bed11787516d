package credit_test

import (
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// reserved is a hold of the naive model.
type reserved struct {
	event         string
	steps         []step // as drawn
	credits       int64
	placed, until time.Time
	state         credit.HoldState
	captured      int64
	work          credit.Work
	marks         marks
}

func (m *naive) place(c credit.PlaceHold) string {
	switch {
	case m.frozen:
		return credit.CodeFrozen
	case m.debt > 0:
		return credit.CodeInDebt
	case m.blocks(m.now, c.Work, c.Credits):
		return credit.CodeLimit
	case m.available() < c.Credits:
		return credit.CodeInsufficient
	}
	if m.grantsFor(c.Credits) > 256 {
		return credit.CodeInvalid
	}
	ttl := c.TTL
	if ttl == 0 {
		ttl = 15 * time.Minute
	}
	m.item(false, func() {
		steps := m.draw(c.Credits)
		for _, s := range steps {
			s.from.held += s.n
		}
		m.holds = append(m.holds, &reserved{
			event: c.EventID, steps: steps, credits: c.Credits, placed: m.now, until: micros(m.now.Add(ttl)), state: credit.HoldOpen,
			work: c.Work, marks: m.charge(m.now, c.Work, c.Credits),
		})
	})
	return ""
}

// grantsFor is in how many grants so many credits lie.
func (m *naive) grantsFor(n int64) int {
	steps := m.draw(n)
	for _, s := range steps {
		s.from.free += s.n
	}
	return len(steps)
}

func (m *naive) hold(id string) *reserved {
	for _, h := range m.holds {
		if credit.HoldID(org, h.event) == id {
			return h
		}
	}
	return nil
}

// settle uses so many of a hold's credits in its order and releases the others.
func (m *naive) settle(h *reserved, use int64, to credit.HoldState) (used []step) {
	h.state = to
	if to != credit.HoldCaptured { // a capture sees to what was counted itself
		for s, windows := range h.marks {
			m.takeBack(s, windows)
		}
		h.marks = nil
	}
	for _, s := range h.steps {
		n := min(use, s.n)
		use -= n
		s.from.held -= s.n
		s.from.free += s.n - n
		if r := s.from; !r.until.IsZero() && !r.until.After(m.now) {
			m.lapse(r)
		}
		if n > 0 {
			used = append(used, step{s.from, n})
		}
	}
	return used
}

func (m *naive) extend(c credit.Extend) string {
	h := m.hold(c.Hold)
	switch {
	case h == nil:
		return credit.CodeNotFound
	case h.state != credit.HoldOpen:
		return credit.CodeHoldSettled
	}
	until := micros(m.now.Add(c.TTL))
	if last := h.placed.Add(24 * time.Hour); until.After(last) {
		until = last
	}
	h.until = later(h.until, until)
	return ""
}

func (m *naive) capture(c credit.Capture) string {
	h := m.hold(c.Hold)
	switch {
	case h == nil:
		return credit.CodeNotFound
	case h.captured > 0 || h.state == credit.HoldReleased:
		return credit.CodeHoldSettled
	}
	m.item(false, func() {
		h.captured = c.Credits
		over := c.Credits
		placed := h.marks
		var steps []step
		if h.state == credit.HoldOpen {
			steps = m.settle(h, c.Credits, credit.HoldCaptured)
			over -= min(over, h.credits)
		}
		covered := min(over, m.available())
		if covered > 0 {
			steps = append(steps, m.draw(covered)...)
		}
		if owed := over - covered; owed > 0 {
			steps = append(steps, step{nil, owed})
			m.debt += owed
		}
		m.trails[h.event] = &trail{steps: steps, total: c.Credits, at: m.now, work: h.work, marks: m.quotas.capture(m.now, h.work, placed, c.Credits)}
		m.roll(m.now, h.work, c.Credits)
	})
	return ""
}

func (m *naive) release(c credit.Release) string {
	h := m.hold(c.Hold)
	switch {
	case h == nil:
		return credit.CodeNotFound
	case h.state != credit.HoldOpen:
		return credit.CodeHoldSettled
	}
	m.item(false, func() { m.settle(h, 0, credit.HoldReleased) })
	return ""
}

func (h *history) placeHold() {
	c := credit.PlaceHold{
		EventID: h.id("h"), Credits: h.between(1, 150, "credits"), Work: h.work(),
		TTL: time.Duration(h.between(0, 24*60, "ttl")) * time.Minute,
	}
	if have := h.model.available(); have > 0 && h.chance(30) {
		c.Credits = have + h.between(0, 1, "all or one more")
	}
	if h.both(c) {
		h.holds = append(h.holds, credit.HoldID(org, c.EventID))
		h.debits = append(h.debits, c.EventID)
	}
}

// onHold does something to a hold, most often to one of the latest.
func (h *history) onHold() {
	from := append([]string{credit.HoldID(org, "unknown")}, h.holds...)
	if n := len(from); n > 4 && h.chance(80) {
		from = from[n-3:]
	}
	id := pick(h, from, "hold")
	switch h.between(0, 5, "with it") {
	case 0:
		h.both(credit.Extend{Hold: id, TTL: time.Duration(h.between(1, 24*60, "ttl")) * time.Minute})
	case 1:
		h.both(credit.Release{Hold: id})
	default:
		c := credit.Capture{Hold: id, Credits: h.between(1, 170, "credits")}
		if m := h.model.hold(id); m != nil && h.chance(40) {
			c.Credits = max(1, m.credits+h.between(-1, 1, "around what is held"))
		}
		h.both(c)
	}
}

package credit_test

import (
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// naive is the rules written down a second time, as plainly as they can be: rows in one slice, sorted whenever a draw needs them, and a
// clock that acts at once. It shares no code with the package and knows no windows, records, places or latches.
type naive struct {
	now       time.Time
	rows      []*row
	debt      int64
	frozen    bool
	trails    map[string]*trail
	holds     []*reserved // in the order of placing
	low       *int64      // threshold
	ceiling   int64
	lowAlerts int
	top       *int64 // the threshold of auto top-up; nil for none
	topAt     int64  // the revision of its settings
	topDue    int
	topArmed  bool // it was not due since the balance was above
	back      bool // the item that comes follows money that goes back
	debtTold  int
	history   []snapshot
	quotas
}

// row is a grant.
type row struct {
	id, source, item, linked string
	granted, free, held      int64
	priority                 int32
	start, end, until        time.Time
	nth                      int // creation
	started, ended, frozen   bool
	lapsed                   int64
	target, own, elsewhere   int64 // of clawbacks
}

// trail is what a debit took, the last at the end.
type trail struct {
	steps         []step
	total, undone int64
	at            time.Time
	work          credit.Work
	marks         marks
}

type step struct {
	from *row // nil for debt
	n    int64
}

type snapshot struct {
	at   time.Time
	have credit.Figures
}

func newNaive() *naive { return &naive{trails: map[string]*trail{}, quotas: newQuotas()} }

func (r *row) drawable() bool { return r.started && !r.ended && !r.frozen }

func (m *naive) available() int64 {
	var n int64
	for _, r := range m.rows {
		if r.drawable() {
			n += r.free
		}
	}
	return n
}

// less is the burn-down order.
func less(a, b *row) bool {
	switch {
	case a.priority != b.priority:
		return a.priority < b.priority
	case !a.end.Equal(b.end):
		return b.end.IsZero() || !a.end.IsZero() && a.end.Before(b.end)
	case (a.source == "purchase") != (b.source == "purchase"):
		return b.source == "purchase"
	case !a.start.Equal(b.start):
		return a.start.Before(b.start)
	}
	return a.nth < b.nth
}

// held is what is set aside.
func (m *naive) held() int64 {
	var n int64
	for _, r := range m.rows {
		n += r.held
	}
	return n
}

func (m *naive) draw(n int64) []step {
	rows := slices.Clone(m.rows)
	slices.SortFunc(rows, func(a, b *row) int {
		if less(a, b) {
			return -1
		}
		return 1
	})
	var steps []step
	for _, r := range rows {
		if take := min(n, r.free); r.drawable() && take > 0 {
			r.free -= take
			n -= take
			steps = append(steps, step{r, take})
		}
	}
	if n > 0 {
		panic("the naive model drew more than there is")
	}
	return steps
}

// item does one thing, repays debt, and counts the alerts that it should raise.
func (m *naive) item(topUp bool, do func()) {
	before, owed := m.available()+m.held(), m.debt
	back := m.back
	m.back = false
	do()
	repaid := min(m.debt, m.available())
	m.draw(repaid)
	m.debt -= repaid
	after := m.available() + m.held()
	if m.low != nil && after <= *m.low && (before > *m.low || topUp) {
		m.lowAlerts++
	}
	if m.top != nil && after > *m.top {
		m.topArmed = true
	} else if m.top != nil && (m.topArmed && !back && after-m.debt < before-owed || topUp) {
		m.topDue++
		m.topArmed = false
	}
	if m.debt > 0 && owed == 0 {
		m.debtTold++
	}
	if m.ceiling > 0 && m.debt >= m.ceiling && owed < m.ceiling {
		m.debtTold++
	}
	m.note()
}

func (m *naive) note() {
	s := snapshot{m.now, credit.Figures{Available: m.available(), Held: m.held(), Debt: m.debt}}
	if n := len(m.history); n > 0 && m.history[n-1].at.Equal(m.now) {
		m.history[n-1] = s
		return
	}
	m.history = append(m.history, s)
}

// advance lets the clock start and end grants, and time holds out, until t, moment by moment.
func (m *naive) advance(t time.Time) {
	for {
		at := t
		for _, r := range m.rows {
			if !r.started && r.start.Before(at) {
				at = r.start
			}
			if !r.ended && !r.until.IsZero() && r.until.Before(at) {
				at = r.until
			}
		}
		for _, h := range m.holds {
			if h.state == credit.HoldOpen && h.until.Before(at) {
				at = h.until
			}
		}
		m.now = later(m.now, at)
		m.turn(at)
		if at.Equal(t) {
			return
		}
	}
}

// turn starts, times out and ends what does so at a moment, or should have before.
func (m *naive) turn(at time.Time) {
	m.item(false, func() {
		for _, r := range m.rows {
			r.started = r.started || !r.start.After(at)
		}
	})
	for _, h := range m.holds {
		if h.state == credit.HoldOpen && !h.until.After(at) {
			m.item(false, func() { m.settle(h, 0, credit.HoldTimedOut) })
		}
	}
	m.item(false, func() {
		for _, r := range m.rows {
			if !r.until.IsZero() && !r.until.After(at) {
				m.lapse(r)
			}
		}
	})
}

// micros is a time as a wallet keeps it.
func micros(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (m *naive) lapse(r *row) {
	r.ended = true
	r.lapsed += r.free
	r.free = 0
}

func (m *naive) bear(r *row) *row {
	r.nth = len(m.rows)
	r.free = r.granted
	r.started = !r.start.After(m.now)
	m.rows = append(m.rows, r)
	return r
}

func (m *naive) row(id string) *row {
	for _, r := range m.rows {
		if r.id == id {
			return r
		}
	}
	return nil
}

// apply does what a command should do at t, and returns the code of the refusal that it should meet.
func (m *naive) apply(c credit.Command, t time.Time) string {
	m.advance(t)
	switch c := c.(type) {
	case credit.Debit:
		return m.debit(c)
	case credit.PlaceHold:
		return m.place(c)
	case credit.Extend:
		return m.extend(c)
	case credit.Capture:
		return m.capture(c)
	case credit.Release:
		return m.release(c)
	case credit.NewGrant:
		m.grant(c)
	case credit.Adjust:
		return m.adjust(c)
	case credit.Reverse:
		return m.reverse(c)
	case credit.ClawBack:
		return m.clawBack(c)
	case credit.SetAside:
		return m.setAside(c)
	case credit.FreezeGrant:
		r := m.row(c.Grant)
		if r == nil {
			return credit.CodeNotFound
		}
		m.back = true
		m.item(false, func() { r.frozen = c.Frozen })
	case credit.FreezeWallet:
		m.frozen = c.Frozen
	case credit.AwaitRenewal:
		m.await(c)
	case credit.SetLimits:
		m.set(m.now, c)
	case credit.Configure:
		if c.LowBalance != nil {
			m.low = nil
			if c.LowBalance.On {
				m.low = &c.LowBalance.Credits
			}
		}
		if c.TopUp != nil && c.TopUp.Revision > m.topAt {
			m.top, m.topAt, m.topArmed = nil, c.TopUp.Revision, true
			if c.TopUp.On {
				m.top = &c.TopUp.Credits
				if m.available()+m.held() <= *m.top {
					m.topDue++
					m.topArmed = false
				}
			}
		}
		if c.DebtCeiling != nil {
			m.ceiling = *c.DebtCeiling
		}
	}
	return ""
}

func (m *naive) debit(c credit.Debit) string {
	switch have := m.available(); {
	case c.Usage:
	case m.frozen:
		return credit.CodeFrozen
	case m.debt > 0:
		return credit.CodeInDebt
	case m.blocks(m.now, c.Work, c.Credits):
		return credit.CodeLimit
	case have < c.Credits:
		return credit.CodeInsufficient
	}
	m.item(false, func() {
		covered := min(c.Credits, m.available())
		steps := m.draw(covered)
		if owed := c.Credits - covered; owed > 0 {
			steps = append(steps, step{nil, owed})
			m.debt += owed
		}
		m.trails[c.EventID] = &trail{steps: steps, total: c.Credits, at: m.now, work: c.Work, marks: m.charge(m.now, c.Work, c.Credits)}
		m.roll(m.now, c.Work, c.Credits)
	})
	return ""
}

func (m *naive) grant(c credit.NewGrant) {
	t := c.Terms
	r := &row{
		id: credit.GrantID(c.Key), source: string(t.Source), item: t.Item, linked: t.LinkedTo, granted: t.Granted, priority: t.Priority,
		start: micros(t.EffectiveAt), end: micros(t.ExpiresAt), until: micros(t.UsableUntil),
	}
	if r.start.IsZero() {
		r.start = m.now
	}
	bought := r.source == "purchase" || r.source == "subscription"
	m.item(bought && !r.start.After(m.now) && (r.until.IsZero() || m.now.Before(m.closing(r, c.Follows))), func() {
		m.bear(r)
		r.until = m.closing(r, c.Follows)
		for _, o := range m.rows {
			if !c.Prorated && follows(o, r, c.Follows) && !o.end.After(r.start) && !o.ended {
				o.until = o.end
			}
			if !o.until.IsZero() && !o.until.After(m.now) {
				m.lapse(o)
			}
		}
	})
}

// closing is when a new row really ends: without grace if the item's next period is there already.
func (m *naive) closing(r *row, items []string) time.Time {
	for _, o := range m.rows {
		if follows(o, r, items) && o != r && !o.start.Before(r.end) {
			return r.end
		}
	}
	return r.until
}

// follows reports whether a row is of the item of another, or of one of those that it follows besides.
func follows(o, r *row, items []string) bool {
	return r.item != "" && o.item != "" && (o.item == r.item || slices.Contains(items, o.item))
}

// await moves the grace of rows that have not ended.
func (m *naive) await(c credit.AwaitRenewal) {
	start, end, until := micros(c.Start), micros(c.End), micros(c.Until)
	for _, r := range m.rows {
		if slices.Contains(c.Items, r.item) && !r.start.Before(end) {
			until = end
		}
	}
	m.item(false, func() {
		for _, r := range m.rows {
			until := until
			if !c.Start.IsZero() && r.end.After(start) && r.end.Before(end) {
				until = r.end
			} else if !r.end.Equal(end) {
				continue
			}
			if !slices.Contains(c.Items, r.item) || r.end.IsZero() || !m.now.Before(r.until) {
				continue
			}
			if r.until = until; !until.After(m.now) {
				m.lapse(r)
			}
		}
	})
}

// put gives credits back to a row, and returns how many it has no room for.
func (m *naive) put(r *row, n int64) int64 {
	back := min(n, r.granted-r.free-r.held-r.lapsed-r.own)
	r.free += back
	if r.ended {
		m.lapse(r)
	}
	return n - back
}

package credit_test

import (
	"math/big"
	"slices"

	"github.com/fluxori/ai-credits/shared/credit"
)

func (m *naive) adjust(c credit.Adjust) string {
	if c.Credits < 0 && -c.Credits > m.available() {
		return credit.CodeInsufficient
	}
	if c.Credits > 0 && !c.ExpiresAt.IsZero() && !micros(c.ExpiresAt).After(m.now) {
		return credit.CodeInvalid
	}
	m.item(false, func() {
		if c.Credits < 0 {
			m.draw(-c.Credits)
			return
		}
		id := credit.GrantID(credit.CallerKey(c.EventID))
		m.bear(&row{id: id, source: "adjustment", granted: c.Credits, start: m.now, end: micros(c.ExpiresAt), until: micros(c.ExpiresAt)})
	})
	return ""
}

func (m *naive) reverse(c credit.Reverse) string {
	d := m.trails[c.Debit]
	if d == nil {
		return credit.CodeNotFound
	}
	left := d.total - d.undone
	n := c.Credits
	if n == 0 {
		n = left
	}
	if left == 0 || n > left {
		return credit.CodeInvalid
	}
	m.item(false, func() {
		d.undone += n
		m.undo(m.now, d.at, d.work, d.marks, n)
		m.roll(m.now, d.work, -n)
		var extra int64
		for n > 0 {
			last := &d.steps[len(d.steps)-1]
			take := min(n, last.n)
			n -= take
			if last.n -= take; last.n == 0 {
				d.steps = d.steps[:len(d.steps)-1]
			}
			if last.from == nil {
				cancelled := min(take, m.debt)
				m.debt -= cancelled
				extra += take - cancelled
			} else {
				extra += m.put(last.from, take)
			}
		}
		if extra > 0 {
			m.bear(&row{id: credit.GrantID(credit.CallerKey(c.EventID)), source: "adjustment", granted: extra, start: m.now})
		}
	})
	return ""
}

func (m *naive) clawBack(c credit.ClawBack) string {
	r := m.row(c.Grant)
	if r == nil {
		return credit.CodeNotFound
	}
	m.back = true
	m.item(false, func() {
		m.claw(r, c)
		for _, b := range slices.SortedFunc(slices.Values(m.rows), func(a, b *row) int { return slices.Compare([]byte(a.id), []byte(b.id)) }) {
			if b.linked == r.id {
				m.claw(b, c)
			}
		}
	})
	return ""
}

func (m *naive) claw(r *row, c credit.ClawBack) {
	var target int64
	if c.Paid > 0 {
		share := new(big.Int).Mul(big.NewInt(c.Returned), big.NewInt(r.granted))
		target = min(r.granted, share.Quo(share, big.NewInt(c.Paid)).Int64())
	}
	rise := target - r.target
	r.target = target
	if rise > 0 {
		own := min(rise, r.free)
		spent := r.granted - r.free - r.lapsed - r.own
		r.free -= own
		r.own += own
		if rest := min(rise-own, max(0, spent-r.elsewhere)); rest > 0 && r.source != "referral" {
			r.elsewhere += rest
			covered := min(rest, m.available())
			m.draw(covered)
			m.debt += rest - covered
		}
		return
	}
	own, elsewhere := min(r.own, target), min(r.elsewhere, target-min(r.own, target))
	back, extra := r.own-own, r.elsewhere-elsewhere
	r.own, r.elsewhere = own, elsewhere
	if over := m.put(r, back); over > 0 {
		panic("the naive model has no room for a grant's own credits")
	}
	if !r.ended {
		extra = m.put(r, extra)
	}
	if extra > 0 {
		m.bear(&row{id: "restored", source: "adjustment", granted: extra, start: m.now})
	}
}

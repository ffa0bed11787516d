package credit_test

import (
	"math/big"
	"slices"
	"strings"

	"github.com/fluxori/ai-credits/shared/credit"
)

// setAside claws back from a payment's own free credits, or refuses.
func (m *naive) setAside(c credit.SetAside) string {
	r := m.row(c.Grant)
	if r == nil {
		return credit.CodeNotFound
	}
	rows := []*row{r}
	for _, b := range slices.SortedFunc(slices.Values(m.rows), func(a, b *row) int { return strings.Compare(a.id, b.id) }) {
		if b.linked == r.id {
			rows = append(rows, b)
		}
	}
	type part struct{ target, own, elsewhere int64 }
	parts := make([]part, len(rows))
	left, drawable := r.free, true
	for i, g := range rows {
		p := part{target: g.target}
		if c.Paid > 0 {
			share := new(big.Int).Mul(big.NewInt(c.Returned), big.NewInt(g.granted))
			p.target = max(p.target, min(g.granted, share.Quo(share, big.NewInt(c.Paid)).Int64()))
		}
		rise := p.target - g.target
		p.own = min(rise, g.free)
		if g.source != "referral" {
			p.elsewhere = min(rise-p.own, max(0, g.granted-g.free-g.lapsed-g.own-g.elsewhere))
		}
		if left -= p.elsewhere; i == 0 {
			left -= p.own
		}
		drawable = drawable && (r.started || p.elsewhere == 0)
		parts[i] = p
	}
	if r.frozen || left < 0 || !drawable {
		return credit.CodeInsufficient
	}
	m.back = true
	m.item(false, func() {
		for i, g := range rows {
			p := parts[i]
			g.target, g.free, g.own, g.elsewhere = p.target, g.free-p.own, g.own+p.own, g.elsewhere+p.elsewhere
			r.free -= p.elsewhere
		}
	})
	return ""
}

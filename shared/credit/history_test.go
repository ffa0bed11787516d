package credit_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/needs"
)

// TestMain sets how many random histories a property is tried on; -rapid.checks still overrides it.
func TestMain(m *testing.M) {
	checks := "120"
	if needs.Thorough() {
		checks = "200"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// history is a random past: the domain and the naive model side by side.
type history struct {
	*bank
	rt     *rapid.T
	model  *naive
	now    time.Time
	n      int      // of ids
	debits []string // event ids, of holds too
	holds  []string
	paid   []string // grants that money was paid for
	grants []string
}

func newHistory(rt *rapid.T) *history {
	h := &history{bank: newBank(rt), rt: rt, model: newNaive(), now: day}
	h.duePage = rapid.SampledFrom([]int{1, 7, credit.MaxJournaled}).Draw(rt, "due page")
	h.waitPage = rapid.SampledFrom([]int{40, credit.MaxLive}).Draw(rt, "waiting page")
	return h
}

func (h *history) id(kind string) string {
	h.n++
	return fmt.Sprintf("%s-%d", kind, h.n)
}

func (h *history) between(low, high int64, label string) int64 {
	return rapid.Int64Range(low, high).Draw(h.rt, label)
}

func (h *history) chance(percent int64) bool { return h.between(1, 100, "chance") <= percent }

func pick[T any](h *history, from []T, label string) T {
	return rapid.SampledFrom(from).Draw(h.rt, label)
}

// tick moves the time, often not at all, sometimes to the very moment at which a grant starts or ends, sometimes back.
func (h *history) tick() {
	switch h.between(0, 10, "tick") {
	case 0, 1, 2:
	case 3:
		h.now = h.now.Add(time.Duration(h.between(1, 3000, "ns")))
	case 4, 5:
		h.now = h.now.Add(time.Duration(h.between(1, 100_000, "ms")) * time.Millisecond)
	case 6:
		h.now = h.now.Add(-time.Duration(h.between(1, 2000, "skew")) * time.Millisecond)
		if h.model.now.After(h.state.LastAt) { // the last command was refused: nothing in the wallet knows its time
			h.now = later(h.now, h.model.now)
		}
	case 7, 8:
		h.now = h.now.Add(time.Duration(h.between(1, 120, "hours")) * time.Hour)
	case 9:
		if due := h.state.NextDueAt; due.After(h.now) {
			h.now = due.Add(time.Duration(h.between(-1, 1, "around")) * time.Microsecond)
		}
	case 10:
		if h.chance(50) {
			h.now = credit.WindowAt(later(h.now, h.state.LastAt), johannesburg).End.Add(time.Duration(h.between(-1, 1, "around")) * time.Microsecond)
		}
	}
}

// both does a command in the domain and in the model, and compares what became of it.
func (h *history) both(c credit.Command) bool {
	h.Helper()
	out, err := h.do(c, h.now)
	decided := h.state.LastAt
	if err == nil && len(out.Entries) > 0 {
		decided = out.Entries[0].At
	} else if now := micros(h.now); now.After(decided) {
		decided = now
	} else {
		decided = decided.Add(time.Microsecond)
	}
	rows := len(h.model.rows)
	want, got := h.model.apply(c, decided), ""
	if err != nil {
		var refusal *credit.Refusal
		if !errors.As(err, &refusal) {
			h.Fatalf("%+v: %v", c, err)
		}
		got = refusal.Code()
	}
	if got != want {
		h.Fatalf("%+v at %v: refused as %q, should be %q", c, decided, got, want)
	}
	if err == nil {
		h.name(h.model.rows[rows:], out)
	}
	h.compare()
	return err == nil
}

// name gives the model's rows for restored credits the ids of the grants.
func (h *history) name(fresh []*row, out *credit.Outcome) {
	for _, e := range out.Entries {
		if e.Kind == credit.KindRestore && e.Born != nil {
			for _, r := range fresh {
				if r.id == "restored" {
					r.id = e.Born.ID
					break
				}
			}
		}
	}
}

// compare holds the running figures and the alerts told so far against the model's.
func (h *history) compare() {
	h.Helper()
	want := credit.Figures{Available: h.model.available(), Held: h.model.held(), Debt: h.model.debt}
	if h.state.Figures != want {
		h.Fatalf("the wallet stands at %+v, should at %+v", h.state.Figures, want)
	}
	if h.state.Debt > 0 && h.state.Available > 0 {
		h.Fatalf("debt stands beside available credits: %+v", h.state.Figures)
	}
	if got := h.count(credit.EventLowBalance); got != h.model.lowAlerts {
		h.Fatalf("%d low-balance alerts at %v, should be %d", got, h.state.LastAt, h.model.lowAlerts)
	}
	if got := h.count(credit.EventTopUpDue); got != h.model.topDue {
		h.Fatalf("%d top-ups due at %v, should be %d", got, h.state.LastAt, h.model.topDue)
	}
	if got := h.count(credit.EventLimit) + h.count(credit.EventLimitFull); got != h.model.told {
		h.Fatalf("%d notices of limits at %v, should be %d", got, h.state.LastAt, h.model.told)
	}
	if got := h.count(credit.EventDebt) + h.count(credit.EventDebtCeiling); got != h.model.debtTold {
		h.Fatalf("%d debt alerts at %v, should be %d", got, h.state.LastAt, h.model.debtTold)
	}
}

// settle commits, and compares every grant with the model.
func (h *history) settle() {
	h.Helper()
	h.again()
	h.commit(h.chance(50))
	free := h.free()
	held := h.held()
	for _, r := range h.model.rows {
		if free[r.id] != r.free || held[r.id] != r.held {
			h.Fatalf("grant %s has %d free credits and %d held, should have %d and %d: %+v", r.id, free[r.id], held[r.id], r.free, r.held, *r)
		}
	}
	h.compareCounters()
	for _, m := range h.model.holds {
		got := h.store.holds[credit.HoldID(org, m.event)]
		if got.State != m.state || got.Captured != m.captured || !got.ExpiresAt.Equal(m.until) || got.Credits != m.credits {
			h.Fatalf("hold %s is %+v, should be %+v", m.event, got, *m)
		}
	}
	for _, e := range h.entries {
		if r := h.model.row(e.Subject); e.Kind == credit.KindExpiry && (r.source == "purchase" || e.At.Before(r.until)) {
			h.Fatalf("entry %d at %v expires a grant of source %s that ends at %v", e.Seq, e.At, r.source, r.until)
		}
	}
}

// finish holds the whole history against the model: the balance at every moment between any two.
func (h *history) finish() {
	h.Helper()
	h.settle()
	if _, err := credit.Replay(org, h.entries); err != nil {
		h.Fatalf("replay: %v", err)
	}
	const drift = 10 * time.Millisecond // entries of one moment follow each other by microseconds
	for i, s := range h.model.history {
		if i+1 < len(h.model.history) && h.model.history[i+1].at.Sub(s.at) < drift {
			continue
		}
		if got := h.at(s.at.Add(drift - time.Microsecond)); got != s.have {
			h.Fatalf("the balance just after %v is %+v, should be %+v", s.at, got, s.have)
		}
	}
}

func (h *history) terms() credit.Terms {
	t := credit.Terms{
		Source:   pick(h, credit.Sources, "source"),
		Granted:  h.between(1, 300, "granted"),
		Priority: int32(h.between(0, 2, "priority")),
	}
	if h.chance(40) {
		t.EffectiveAt = h.now.Add(time.Duration(h.between(-60, 60, "start")) * time.Hour)
	}
	if t.Source != credit.Purchase && h.chance(75) {
		start := t.EffectiveAt
		if start.IsZero() {
			start = later(h.now, h.state.LastAt).Add(time.Second)
		}
		t.ExpiresAt = start.Add(time.Duration(h.between(1, 200, "life")) * time.Hour)
		t.UsableUntil = t.ExpiresAt
	}
	return t
}

func (h *history) grant(t credit.Terms) { h.granted(credit.NewGrant{Terms: t}) }

func (h *history) granted(c credit.NewGrant) {
	key, t := credit.SystemKey("grant", h.id("pi")), c.Terms
	c.Key = key
	h.both(c)
	h.grants = append(h.grants, credit.GrantID(key))
	h.paid = append(h.paid, credit.GrantID(key))
	if t.Source == credit.Purchase && h.chance(60) {
		bonus := credit.Terms{Source: pick(h, []credit.Source{credit.Promotion, credit.Referral}, "bonus"), Granted: h.between(1, 50, "bonus"), LinkedTo: credit.GrantID(key)}
		if h.chance(50) {
			bonus.ExpiresAt = later(h.now, h.state.LastAt).Add(time.Duration(h.between(1, 100, "bonus life")) * time.Hour)
			bonus.UsableUntil = bonus.ExpiresAt
		}
		key := credit.SystemKey("bonus", h.id("ref"))
		h.both(credit.NewGrant{Key: key, Terms: bonus})
		h.grants = append(h.grants, credit.GrantID(key))
	}
}

// line is a paid line of one of two subscription items, for one of a row of periods, with a grace; lines come in any order.
func (h *history) line() {
	period := h.between(0, 6, "period")
	start := day.Add(time.Duration(period*100) * time.Hour)
	end := start.Add(100 * time.Hour)
	t := credit.Terms{
		Source: credit.Subscription, Granted: h.between(1, 200, "granted"), EffectiveAt: start, ExpiresAt: end, UsableUntil: end.Add(2 * time.Hour),
		Item: pick(h, []string{"si_a", "si_b"}, "item"),
	}
	c := credit.NewGrant{Terms: t}
	if h.chance(20) { // an upgrade within the period
		c.Terms.EffectiveAt, c.Prorated = start.Add(50*time.Hour), true
	} else if h.chance(20) { // a line of another item in the place of one that is gone
		c.Follows = []string{"si_a", "si_b"}
	}
	h.granted(c)
}

// await says that a period will be followed by another, or will not.
func (h *history) await() {
	c := credit.AwaitRenewal{Items: []string{"si_a"}, End: day.Add(time.Duration(h.between(1, 7, "period")*100) * time.Hour)}
	if h.chance(30) {
		c.Items = append(c.Items, "si_b")
	}
	c.Until = c.End
	if h.chance(50) {
		c.Until = c.End.Add(2 * time.Hour)
	}
	if h.chance(50) { // earlier periods that end within this one were cut short
		c.Start = c.End.Add(-150 * time.Hour)
	}
	h.both(c)
}

func (h *history) spend() {
	usage := h.chance(40)
	c := credit.Debit{
		EventID: h.id("e"), Credits: h.between(1, 150, "credits"), Usage: usage, Work: h.work(),
	}
	if have := h.model.available(); have > 0 && h.chance(10) {
		c.Credits = have + h.between(0, 1, "all or one more")
	}
	if h.both(c) {
		h.debits = append(h.debits, c.EventID)
	}
}

func (h *history) step() {
	h.tick()
	switch h.between(0, 32, "what") {
	case 0, 1, 2:
		h.grant(h.terms())
	case 3, 4:
		h.line()
	case 5, 6, 7, 8, 9:
		h.spend()
	case 10:
		c := credit.Adjust{EventID: h.id("a"), Credits: h.between(1, 100, "credits")}
		if h.chance(50) {
			c.Credits = -c.Credits
		} else if h.chance(50) {
			c.ExpiresAt = h.now.Add(time.Duration(h.between(-1, 100, "life")) * time.Hour)
		}
		h.both(c)
	case 11, 12, 13:
		c := credit.Reverse{EventID: h.id("r"), Debit: pick(h, append(h.debits, "unknown"), "debit")}
		if h.chance(60) {
			c.Credits = h.between(1, 120, "credits")
		}
		h.both(c)
	case 14, 15:
		paid := h.between(0, 1000, "paid")
		returned := pick(h, []int64{0, paid, h.between(0, paid+100, "returned")}, "which")
		c := credit.ClawBack{Grant: pick(h, append(h.paid, "unknown"), "grant"), Returned: returned, Paid: paid}
		if h.chance(40) {
			h.both(credit.SetAside{Key: credit.SystemKey("refund", h.id("s"), "1"), ClawBack: c})
			break
		}
		h.both(c)
	case 16:
		h.both(credit.FreezeGrant{Grant: pick(h, append(h.grants, "unknown"), "grant"), Frozen: h.chance(60), Reason: "dispute"})
	case 17:
		c := credit.FreezeWallet{Frozen: h.chance(30), Reason: pick(h, []string{"fraud", "theft"}, "reason")}
		if h.chance(50) { // by a person
			c.EventID = h.id("f")
		}
		h.both(c)
	case 18:
		h.configure()
	case 31, 32:
		h.await()
	case 28, 29, 30:
		h.setLimit()
	case 20, 21, 22:
		h.placeHold()
	case 23, 24, 25, 26, 27:
		h.onHold()
	case 19:
		h.journal(h.now)
		h.model.advance(later(micros(h.now), h.state.LastAt))
		h.compare()
	}
	if h.chance(30) {
		h.settle()
	}
}

func (h *history) configure() {
	var c credit.Configure
	if h.chance(70) {
		c.LowBalance = &credit.Threshold{On: h.chance(80), Credits: h.between(0, 300, "threshold")}
	}
	if h.chance(50) {
		c.TopUp = &credit.TopUpThreshold{
			Threshold: credit.Threshold{On: h.chance(80), Credits: h.between(0, 300, "top-up threshold")}, Revision: h.between(1, 20, "top-up revision"),
		}
	}
	if h.chance(40) {
		ceiling := h.between(0, 200, "ceiling")
		c.DebtCeiling = &ceiling
	}
	h.both(c)
}

func TestRandomHistoriesFollowTheRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(rt)
		for range h.between(1, 80, "steps") {
			h.step()
		}
		h.finish()
	})
}

package payments

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// telling is something that happens to a payment, and that Stripe tells.
type telling byte

const (
	purchased telling = iota
	refund1
	refund2
	refund3
	failed // the second refund comes back
	opened
	closed
	tellings // their number
)

// story is how things really happened to a purchase of 1,000 credits for 91.99, and when: by the index of what is told, in the order of refunds.
type story struct {
	name string
	// failsBefore says that the second refund comes back before the third is made.
	failsBefore bool
	won         bool
	// step is the time between two things that happen.
	step time.Duration
	// ahead is by how much our clock is before Stripe's when the first thing happens.
	ahead time.Duration
}

const (
	storyPaid    int64 = 9199
	storyDispute int64 = 4001
)

var storyRefunds = []Refund{
	{ID: "re_1", Charge: "ch_1", Payment: "pi_1", Currency: "zar", Amount: 1333, Status: "succeeded"},
	{ID: "re_2", Charge: "ch_1", Payment: "pi_1", Currency: "zar", Amount: 777, Status: "succeeded"},
	{ID: "re_3", Charge: "ch_1", Payment: "pi_1", Currency: "zar", Amount: 1501, Status: "succeeded"},
}

// order is when a thing happened among the others.
func (s story) order(x telling) int {
	if s.failsBefore && (x == refund3 || x == failed) { // they change places
		x = refund3 + failed - x
	}
	return int(x)
}

// account is what Stripe would say if what is the latest of the refunds, and of the dispute, were the last to have happened. Nothing is 0.
func (s story) account(refunds, dispute telling) Account {
	a := Account{Charge: s.charge(refunds)}
	for i, r := range storyRefunds {
		if refunds == 0 || s.order(refund1+telling(i)) > s.order(refunds) {
			continue
		}
		if i == 1 && s.order(failed) <= s.order(refunds) {
			r.Status = "failed"
		}
		a.Refunds = append(a.Refunds, r)
	}
	if dispute != 0 {
		a.Disputes = []Dispute{s.dispute(dispute)}
	}
	return a
}

// refunded is how much is refunded in all after a thing of the refunds.
func (s story) refunded(latest telling) (sum int64) {
	for i, r := range storyRefunds {
		came := latest != 0 && s.order(refund1+telling(i)) <= s.order(latest)
		wentBack := i == 1 && latest != 0 && s.order(failed) <= s.order(latest)
		if came && !wentBack {
			sum += r.Amount
		}
	}
	return sum
}

func (s story) charge(latest telling) Charge {
	return Charge{ID: "ch_1", Payment: "pi_1", Reference: reference, Org: "acme", Currency: "zar", Amount: storyPaid, Refunded: s.refunded(latest)}
}

func (s story) dispute(latest telling) Dispute {
	status := "needs_response"
	if latest == closed {
		status = "lost"
		if s.won {
			status = "won"
		}
	}
	return Dispute{ID: "dp_1", Charge: "ch_1", Payment: "pi_1", Currency: "zar", Amount: storyDispute, Status: status}
}

// event is how Stripe tells of a thing.
func (s story) event(x telling) Event {
	e := Event{ID: "evt_" + string('a'+rune(x)), At: noon.Add(time.Duration(s.order(x)) * s.step)}
	switch x {
	case purchased:
		session := paidSession()
		session.Total, session.Tax = storyPaid, 0
		e.Type, e.Session = sessionCompleted, &session
	case failed:
		r := storyRefunds[1]
		r.Status = "failed"
		e.Type, e.Return = chargeRefundUpdated, &Return{Refund: &r}
	case opened, closed:
		d := s.dispute(x)
		e.Type, e.Return = disputeCreated, &Return{Dispute: &d}
		if x == closed {
			e.Type = disputeClosed
		}
	default:
		c := s.charge(x)
		e.Type, e.Return = chargeRefunded, &Return{Charge: &c}
	}
	return e
}

// point is where a path of tellings has come.
type point struct {
	purchase Purchase
	payment  *Payment
	wallet   *credit.State
	told     [tellings]int
	// refunds and dispute are the latest that was told of each.
	refunds, dispute telling
	path             []telling
}

// walk tries every order, depth first: each path is an order of a subset, and what they have in common is done once.
type walk struct {
	story
	t      *testing.T
	events [tellings]Event
	once   int // paths on which nothing is repeated
	twice  int // paths on which one thing is
	asked  int
}

func (w *walk) from(p point, repeated bool) {
	for x := range tellings {
		again := p.told[x] > 0
		if again && (repeated || p.told[x] > 1) {
			continue
		}
		next := w.tell(p, x)
		w.verify(next)
		if repeated || again {
			w.twice++
		} else {
			w.once++
		}
		if w.t.Failed() {
			return
		}
		w.from(next, repeated || again)
	}
}

// tell lets one thing be told, and does what the system does then.
func (w *walk) tell(p point, x telling) point {
	p.told[x]++
	p.path = append(p.path[:len(p.path):len(p.path)], x)
	switch {
	case x >= opened && (p.dispute == 0 || x > p.dispute):
		p.dispute = x
	case x < opened && x != purchased && (p.refunds == 0 || w.order(x) > w.order(p.refunds)):
		p.refunds = x
	}
	e := w.events[x]
	k := Known{Now: noon.Add(w.ahead), Purchase: &p.purchase, Payment: p.payment}
	d := Plan(e, k)
	if d.Ask {
		w.asked++
		a := w.account(p.refunds, p.dispute)
		k.Account = &a
		d = Plan(e, k)
	}
	if d.Doubt != nil || d.Ask {
		w.t.Fatalf("%s %v: %+v %+v", w.name, p.path, d, d.Doubt)
	}
	for _, g := range d.Grants {
		p.wallet = w.do(p, g)
	}
	if d.Fact != nil {
		var before Payment
		if p.payment != nil {
			before = *p.payment
		}
		after := before.with(*d.Fact)
		p.payment, p.purchase = &after, p.purchase.with(*d.Fact)
	}
	if d.Payment != nil {
		p.payment = d.Payment
		p.purchase.Timeline = insert(p.purchase.Timeline, d.Moment)
	}
	for _, c := range p.payment.targets() {
		p.wallet = w.do(p, c.command)
	}
	return p
}

// do carries out a command on the path's wallet; a grant that is there already is not made again.
func (w *walk) do(p point, c credit.Command) *credit.State {
	if _, isGrant := c.(credit.NewGrant); isGrant && p.told[purchased] > 1 {
		return p.wallet
	}
	for {
		next, _, err := credit.Decide(p.wallet, c, noon.Add(w.ahead))
		missing, asks := errors.AsType[*credit.Missing](err)
		switch {
		case asks && missing.Linked != "":
			p.wallet.LoadLinked(missing.Linked)
		case err != nil:
			w.t.Fatalf("%s %v: %+v: %v", w.name, p.path, c, err)
		default:
			return next
		}
	}
}

// verify compares a point with what is right by the rule of the design, worked out anew from what was told.
func (w *walk) verify(p point) {
	var want int64
	if p.told[purchased] > 0 {
		returned := w.refunded(p.refunds)
		if p.told[closed] > 0 && !w.won {
			returned += storyDispute
		}
		want = 1000 - min(1000, returned*1000/storyPaid)
	}
	available, aside := want, int64(0)
	if p.told[opened] > 0 && p.told[closed] == 0 {
		available, aside = 0, want
	}
	if got := p.wallet.Wallet; got.Available != available || got.Aside.Free != aside || got.Debt != 0 || got.Held != 0 {
		w.t.Errorf("%s %v: %+v and %d frozen; want %d and %d", w.name, p.path, got.Figures, got.Aside.Free, available, aside)
	}
	different := 0
	for _, n := range p.told {
		different += min(n, 1)
	}
	if len(p.purchase.Timeline) != different {
		w.t.Errorf("%s %v: the timeline is %v", w.name, p.path, p.purchase.Timeline)
	}
}

// TestEveryOrderOfEverySubsetEndsWithTheRightCredits enumerates, for each way in which things may have happened, every order of every subset of
// what is told, and every such order with any one thing told twice.
func TestEveryOrderOfEverySubsetEndsWithTheRightCredits(t *testing.T) {
	t.Parallel()
	for _, s := range []story{
		{name: "lost", step: time.Second},
		{name: "won", step: time.Second, won: true},
		{name: "lost, our clock being ahead", step: time.Second, ahead: time.Hour},
		{name: "lost, our clock being between", step: time.Second, ahead: 3500 * time.Millisecond},
		{name: "lost within one second"},
		{name: "won within one second", won: true},
		{name: "lost, the refund having failed before the third", step: time.Second, failsBefore: true},
		{name: "won, the refund having failed before the third", step: time.Second, failsBefore: true, won: true},
	} {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := &walk{story: s, t: t}
			for x := range tellings {
				w.events[x] = s.event(x)
			}
			p := offered()
			p.Amount = storyPaid
			w.from(point{purchase: *p, wallet: credit.NewState(credit.NewWallet("acme", "UTC"))}, false)
			t.Logf("%s: %d orders of subsets, %d with one repeated; Stripe was asked %d times", s.name, w.once, w.twice, w.asked)
			if w.once != 13699 || w.twice != 294553 { // the sums over k of 7!/(7−k)! and of 7!/(7−k)!·k·(k+1)/2
				t.Errorf("%d and %d paths were tried", w.once, w.twice)
			}
		})
	}
}

package purchasewebhook

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/needs"
	"github.com/fluxori/ai-credits/shared/payments"
)

// telling is something that happens to a purchase, in the order in which things happen, and that Stripe tells.
type telling int

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

// refundAmounts of a purchase for R799, and what its dispute is about.
var refundAmounts = map[telling]int64{refund1: 13330, refund2: 7770, refund3: 15010}

const disputeAmount = 40010

// orders calls each with every order of every subset, and with every such order in which one is repeated.
func orders(each func([]telling)) {
	var from func(path []telling, told [tellings]int, repeated bool)
	from = func(path []telling, told [tellings]int, repeated bool) {
		for x := range tellings {
			again := told[x] > 0
			if again && (repeated || told[x] > 1) {
				continue
			}
			next, counted := append(path[:len(path):len(path)], x), told
			counted[x]++
			each(next)
			from(next, counted, repeated || again)
		}
	}
	from(nil, [tellings]int{}, false)
}

// tale is one order in which an organisation's purchase is told.
type tale struct {
	org          string
	path         []telling
	won          bool
	want, frozen int64
	bodies       map[telling]string
	refund2ID    string
}

// TestOrdersThroughTheWholeSystem takes a thousand of all orders, spread evenly (a hundred unless tests are to be thorough), lets the things of each happen at Stripe, one or no second apart,
// and sends what Stripe tells of them, signed, in that order.
func TestOrdersThroughTheWholeSystem(t *testing.T) {
	t.Parallel()
	wanted := 100
	if needs.Thorough() {
		wanted = 1000
	}
	w := newWorld(t)
	w.keepOnly.Store(true)
	total := 0
	orders(func([]telling) { total++ })
	var tales []*tale
	for _, won := range []bool{false, true} {
		n, next := 0, 0
		orders(func(path []telling) {
			if n == next {
				tales = append(tales, &tale{org: fmt.Sprint("tale-", len(tales)), path: path, won: won})
				next = len(tales) % (wanted / 2) * total / (wanted / 2)
				if len(tales) == wanted/2 && !won {
					next = total // the others are of disputes that are won
				}
			}
			n++
		})
	}
	for i, s := range tales {
		w.happen(t, s, i%2 == 0)
	}
	var wg sync.WaitGroup
	work := make(chan *tale)
	var sent atomic.Int64
	for range 16 {
		wg.Go(func() {
			for s := range work {
				for _, x := range s.path {
					w.tell(t, s, x)
					sent.Add(1)
				}
				w.verify(t, s)
			}
		})
	}
	for _, s := range tales {
		work <- s
	}
	close(work)
	wg.Wait()
	if len(tales) != wanted || total != 308252 {
		t.Errorf("%d tales of twice %d", len(tales), total)
	}
	t.Logf("%d of %d orders, %d webhooks", len(tales), 2*total, sent.Load())
}

// happen lets the things of a tale, and what they presuppose, happen at Stripe, and keeps what it tells.
func (w *world) happen(t *testing.T, s *tale, apart bool) {
	t.Helper()
	var have [tellings]bool
	for _, x := range s.path {
		have[x] = true
	}
	w.open(t, s.org)
	started, err := w.shop.StartPurchase(t.Context(), payments.Order{Org: s.org, Country: "ZA", Package: "credits-1000", Key: "k"})
	check(t, err)
	s.bodies = map[telling]string{}
	check(t, w.stand.PayCheckout(started.CheckoutURL[strings.LastIndex(started.CheckoutURL, "/")+1:]))
	note := func(x telling, eventType string) {
		w.deliver(t)
		s.bodies[x] = w.event(t, eventType)
		if apart {
			w.seconds.Add(1)
		}
	}
	note(purchased, "checkout.session.completed")
	_, rest, _ := strings.Cut(s.bodies[purchased], `"payment_intent":"`)
	payment, _, _ := strings.Cut(rest, `"`)
	var returned int64
	for x := refund1; x <= refund3; x++ {
		if have[x] || x == refund2 && have[failed] {
			id, err := w.stand.RefundPayment(payment, refundAmounts[x])
			check(t, err)
			note(x, "charge.refunded")
			returned += refundAmounts[x]
			if x == refund2 {
				s.refund2ID = id
			}
		}
	}
	if have[failed] {
		check(t, w.stand.SettleRefund(s.refund2ID, false))
		note(failed, "charge.refund.updated")
		returned -= refundAmounts[refund2]
	}
	if have[opened] || have[closed] {
		_, err := w.stand.OpenDispute(payment, stripestand.Dispute{Amount: disputeAmount})
		check(t, err)
		note(opened, "charge.dispute.created")
	}
	if have[closed] {
		check(t, w.stand.CloseDispute(payment, s.won))
		note(closed, "charge.dispute.closed")
		if !s.won {
			returned += disputeAmount
		}
	}
	if have[purchased] {
		s.want = 1000 - min(1000, returned*1000/79900)
	}
	if have[opened] && !have[closed] {
		s.want, s.frozen = 0, s.want
	}
}

func (w *world) tell(t *testing.T, s *tale, x telling) {
	t.Helper()
	body := s.bodies[x]
	if status, answer := w.post(t.Context(), t, body, sign(body, secretNow, time.Now())); status != http.StatusOK || answer["outcome"] == "quarantined" {
		t.Errorf("%s %v: telling %d: %d %v", s.org, s.path, x, status, answer)
	}
}

func (w *world) verify(t *testing.T, s *tale) {
	t.Helper()
	got, err := w.ledger.Balance(t.Context(), s.org)
	if err != nil {
		t.Error(err)
		return
	}
	if got.Available != s.want || got.Frozen != s.frozen || got.Debt != 0 {
		t.Errorf("%s %v, won %t: %d credits and %d frozen, owing %d; want %d and %d", s.org, s.path, s.won, got.Available, got.Frozen, got.Debt, s.want, s.frozen)
	}
	if err := w.ledger.Audit(t.Context(), s.org); err != nil {
		t.Errorf("%s %v: %v", s.org, s.path, err)
	}
}

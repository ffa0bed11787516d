package billingcycle

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/fanout"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/needs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/payments/paymentstest"
)

const (
	day   = 24 * time.Hour
	grace = 2 * time.Hour
)

// system is the function in its cloud, with a stand-in for Stripe whose events are settled as the webhook's function does.
type system struct {
	*cloudtest.Cloud
	ledger *ledger.Ledger
	stand  *stripestand.Stand
	alerts func() []events.Push
}

func start(t testing.TB) *system {
	t.Helper()
	s := &system{Cloud: cloudtest.New(t)}
	s.ledger = s.Ledger(t, nil)
	var receiver *payments.Receiver
	var url string
	s.stand, url = paymentstest.Stripe(t, s.Now, func() *payments.Receiver { return receiver })
	stripe, err := payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: url})
	check(t, err)
	receiver, err = payments.NewReceiver(payments.ReceiverOptions{
		Documents: s.Client, Ledger: s.ledger, Prices: s.Catalogue(t), Stripe: stripe, Now: s.Now, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	check(t, s.stand.AddProduct(stripestand.Product{ID: "starter", Name: "Starter"}))
	check(t, s.stand.AddPrice(stripestand.Price{ID: "price_starter_month_zar", Product: "starter", Currency: "zar", UnitAmount: 39900, Interval: "month"}))
	s.alerts = s.Record(t, events.CreditAlerts)
	s.Start(t, "billingcycle", map[string]string{"STRIPE_API_KEY": "sk_test_local", "STRIPE_API_URL": url, "CHECKOUT_RETURN_URL": "https://fluxori.example/credits"})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// subscribe subscribes an organisation to Starter.
func (s *system) subscribe(t *testing.T, org string, card stripestand.Card, trialDays int64) {
	t.Helper()
	s.Fund(t, s.ledger, org, 0)
	customer, err := s.stand.CreateCustomer(stripestand.NewCustomer{Name: org, Card: card})
	check(t, err)
	_, err = s.stand.CreateSubscription(stripestand.Subscription{
		Customer: customer, Price: "price_starter_month_zar", Metadata: map[string]string{"org_id": org}, TrialDays: trialDays,
	})
	check(t, err)
	check(t, s.stand.Deliver(t.Context()))
}

// advance moves the clock, and does and delivers what comes due at Stripe.
func (s *system) advance(t *testing.T, d time.Duration) {
	t.Helper()
	s.Advance(d)
	check(t, s.stand.Run(t.Context(), s.Now()))
	check(t, s.stand.Deliver(t.Context()))
}

// fire fires the job, and waits until all that it asked for is done.
func (s *system) fire(t *testing.T, wantCycles float64) {
	t.Helper()
	status, answer := s.Fire(t, "billing-cycles")
	if status != 200 || answer["cycles"] != wantCycles || answer["more"] != false {
		t.Errorf("%d %v, want %v cycles", status, answer, wantCycles)
	}
	s.Quiet(t)
}

// told counts the alerts by kind, each id once.
func (s *system) told(t *testing.T) map[credit.EventKind]int {
	t.Helper()
	out, ids := map[credit.EventKind]int{}, map[string]bool{}
	for _, p := range s.alerts() {
		e, err := events.DecodeCredit(p.Data)
		check(t, err)
		if !ids[e.ID] {
			ids[e.ID] = true
			out[e.Type]++
		}
	}
	return out
}

// open gives an organisation a cycle that ends at a moment, as a paid invoice does.
func (s *system) open(t testing.TB, org string, end time.Time) {
	t.Helper()
	start := end.AddDate(0, -1, 0)
	s.Fund(t, s.ledger, org, 0)
	s.Grant(t, s.ledger, org, "in_"+org, credit.Terms{
		Source: credit.Subscription, Granted: 500, EffectiveAt: start, ExpiresAt: end, UsableUntil: end.Add(grace), Item: "si_" + org,
	})
	_, err := s.Client.Collection("subscriptions").Doc("sub_"+org).Set(t.Context(), map[string]any{
		"v": 1, "id": "sub_" + org, "org": org, "status": "active", "paid_until": end.AddDate(0, 1, 0), "as_of": start,
		"items":  []map[string]any{{"id": "si_" + org, "price": "price_starter_month_zar", "quantity": 1}},
		"period": map[string]any{"start": end, "end": end.AddDate(0, 1, 0)},
	})
	check(t, err)
	_, err = s.Client.Collection("cycles").Doc(cycleOf(org, start)).Set(t.Context(), map[string]any{
		"v": 1, "org": org, "subscription": "sub_" + org, "plan": "starter", "plan_name": "Starter", "invoice": "in_" + org, "items": []string{"si_" + org},
		"period": map[string]any{"start": start, "end": end}, "close_at": end.Add(grace),
	})
	check(t, err)
}

func cycleOf(org string, start time.Time) string { return fmt.Sprintf("sub_%s_%d", org, start.Unix()) }

// openMany opens a cycle for each of many organisations, all due in one minute.
func (s *system) openMany(t testing.TB, n int) {
	t.Helper()
	end := s.Now()
	var all sync.WaitGroup
	places := make(chan struct{}, 32)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			s.open(t, fmt.Sprint("org", i), end.Add(time.Duration(i%60)*time.Second))
		})
	}
	all.Wait()
	s.Advance(grace + time.Minute)
}

// cycles are the stored cycles.
func (s *system) cycles(t testing.TB) (out []payments.Cycle) {
	t.Helper()
	snapshots, err := s.Client.Collection("cycles").Documents(t.Context()).GetAll()
	check(t, err)
	for _, snapshot := range snapshots {
		var c payments.Cycle
		check(t, snapshot.DataTo(&c))
		out = append(out, c)
	}
	return out
}

func TestACycleIsClosedOnceHoweverOftenTheJobRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.subscribe(t, "acme", stripestand.CardVisa, 0)
	if _, err := s.ledger.Do(t.Context(), "acme", credit.Debit{EventID: "work", Credits: 120, Work: credit.Work{Feature: "custom-query"}}); err != nil {
		t.Fatal(err)
	}
	s.advance(t, 31*day)
	s.advance(t, time.Hour) // renewed
	s.fire(t, 0)
	s.advance(t, time.Hour)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if status, answer := s.Fire(t, "billing-cycles"); status != 200 {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	both.Wait()
	s.Quiet(t)
	s.fire(t, 0)
	if got := s.told(t); got[events.CycleClosed] != 1 || len(got) != 1 {
		t.Errorf("%v", got)
	}
	want := payments.Statement{Granted: 500, Used: 120, Expired: 380}
	for _, c := range s.cycles(t) {
		if first := c.Statement != nil; first != c.CloseAt.IsZero() || first && *c.Statement != want || first && !c.ClosedAt.Equal(s.Now()) {
			t.Errorf("%+v, its statement %+v", c, c.Statement)
		}
	}
}

func TestARenewalThatDidNotComeIsToldOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.subscribe(t, "acme", stripestand.CardFailsLater, 14) // its trial is free, and then nothing can be charged
	s.subscribe(t, "globex", stripestand.CardVisa, 0)
	s.advance(t, 14*day)
	s.advance(t, grace)
	s.fire(t, 1)
	if got := s.told(t); got[events.CycleClosed] != 1 || got[events.RenewalMissing] != 1 {
		t.Errorf("%v", got)
	}
	s.fire(t, 0)
	// The other's renewal is paid at Stripe, and its event is lost: that is for reconciliation.
	check(t, s.stand.WebhookMode(stripestand.ModeDrop))
	s.advance(t, 17*day)
	s.advance(t, grace)
	s.fire(t, 1)
	if got := s.told(t); got[events.CycleClosed] != 2 || got[events.RenewalMissing] != 1 {
		t.Errorf("%v", got)
	}
}

func TestMessagesThatCanNeverBeDoneAreDropped(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, data := range []string{`{`, `{}`, `{"v":1,"cycle":""}`, `{"v":1,"cycle":"no/such"}`, `{"v":1,"cycle":"sub_none_1"}`} {
		s.Publish(t, events.BillingCycles, data, nil)
	}
	end := s.Now()
	s.open(t, "acme", end)
	s.Publish(t, events.BillingCycles, `{"v":1,"cycle":"`+cycleOf("acme", end.AddDate(0, -1, 0))+`"}`, nil) // which is not due yet
	s.Quiet(t)
	if got := s.told(t); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestManyCyclesDueAtOnceAreClosedOnceEachThoughTheFunctionIsKilledHalfway lets everything that the function does fail once half of the cycles
// are written, before it takes effect and after, as one that is killed leaves it. The job, fired again, finds the rest.
func TestManyCyclesDueAtOnceAreClosedOnceEachThoughTheFunctionIsKilledHalfway(t *testing.T) {
	t.Parallel()
	s := start(t)
	n := fanout.Page + 100
	if needs.Thorough() {
		n = 10_000
	}
	s.openMany(t, n)
	var mu sync.Mutex
	written, failed := 0, 0
	dead := make(chan struct{})
	s.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.Unavailable, After: true}, When: func(m proto.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if c, commits := m.(*pb.CommitRequest); commits && strings.Contains(c.GetWrites()[0].String(), "/cycles/") {
			written++
		}
		if written < n { // each has two
			return false
		}
		if failed++; failed == 200 {
			close(dead)
		}
		return true
	}})
	began := time.Now()
	if status, answer := s.Fire(t, "billing-cycles"); status != 200 && status != 503 {
		t.Errorf("%d %v", status, answer)
	}
	<-dead
	s.Hooks.Set()
	if status, answer := s.Fire(t, "billing-cycles"); status != 200 {
		t.Errorf("%d %v", status, answer)
	}
	s.waitClosed(t)
	t.Logf("%d cycles were closed in %v, killed once", n, time.Since(began).Round(time.Millisecond))
	s.fire(t, 0)
	if got := s.told(t); got[events.CycleClosed] != n || len(got) != 1 {
		t.Errorf("%v were told, want %d", got, n)
	}
	for _, c := range s.cycles(t) {
		if c.Statement == nil || c.Statement.Expired != 500 || c.ClosedAt.IsZero() || !c.CloseAt.IsZero() {
			t.Errorf("%+v", c)
		}
	}
}

// waitClosed waits until no cycle is due any more.
func (s *system) waitClosed(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		due, err := s.Client.Collection("cycles").Where("close_at", "<=", s.Now()).Limit(1).Documents(t.Context()).GetAll()
		check(t, err)
		if len(due) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("not all cycles were closed")
		}
	}
}

// BenchmarkClose closes cycles that are due in one minute, from the job's fire to the last.
func BenchmarkClose(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		b.StopTimer()
		s := start(b)
		s.openMany(b, n)
		b.StartTimer()
		if status, answer := s.Fire(b, "billing-cycles"); status != 200 || answer["cycles"] != float64(n) {
			b.Fatalf("%d %v", status, answer)
		}
		s.waitClosed(b)
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "cycles/s")
}

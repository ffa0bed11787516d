package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/wiring"
)

const (
	// rounds of trouble, each judged when it is over.
	rounds = 5
	// perOrg is how many callers of an organisation are busy at once.
	perOrg = 3
	// settleTime is how long everything may take to come to rest once the faults are over, in virtual time.
	settleTime = 6 * time.Hour
)

// plan is what a run is made of; the fields that shrinking changes.
type plan struct {
	Seed       uint64
	Operations int
	Rounds     int
	Orgs       int
	Without    []kind // faults left out
}

// simulation is one run.
type simulation struct {
	plan      plan
	w         *world
	rand      *rand.Rand
	history   *history
	orgs      []string
	customers map[string]string // at Stripe, of those that subscribe
}

// Result is what a run came to.
type Result struct {
	Plan       plan
	Operations int
	Faults     map[kind]int
	Simulated  time.Duration
	Entries    int
	Broken     string // the verdict; empty if all rules hold
	history    *history
}

// simulate runs a plan. It must be called in a bubble of testing/synctest, whose time is the virtual one.
func simulate(p plan, log *slog.Logger) Result {
	ctx := context.Background()
	began := time.Now()
	w, err := open(ctx, p.Seed, log)
	must(err)
	s := &simulation{
		plan: p, w: w, rand: rand.New(rand.NewPCG(p.Seed, 5)), history: &history{}, customers: map[string]string{}, //nolint:gosec // a simulation repeats
	}
	for _, k := range p.Without {
		w.faults.out[k] = true
	}
	out := Result{Plan: p, history: s.history}
	if err := s.run(ctx); err != nil {
		out.Broken = err.Error()
	}
	out.Operations, out.Simulated, out.Faults = s.history.size(), time.Since(began), w.faults.sum()
	must(w.close())
	// What the processes left asleep ends, as nobody wakes it.
	time.Sleep(time.Hour)
	return out
}

func (s *simulation) run(ctx context.Context) error {
	if err := s.found(ctx); err != nil {
		return err
	}
	for round := range s.plan.Rounds {
		s.w.faults.begin()
		if round > 0 {
			s.leap(ctx)
			s.w.faults.begin()
		}
		s.trouble(ctx, round)
		s.w.faults.end()
		if err := s.rest(ctx); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := s.settled(ctx); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

// found registers the organisations, before there is any fault.
func (s *simulation) found(ctx context.Context) error {
	c := s.caller(ctx, "founder", "", 0)
	ask := func(method, path, role string, body any) error { //nolint:contextcheck // a caller has a context
		o := c.begin(operation{Kind: "found", Subject: path})
		if a := c.call(o, method, path, c.as(role), body); !c.end(o, a) {
			return fmt.Errorf("%s %s: %d %s", method, path, a.status, o.Detail)
		}
		return nil
	}
	now := s.w.now()
	if err := ask(http.MethodPut, "/account/operations/promotions/"+promotion, "platform", map[string]any{
		"name": "Launch", "on": "redemption", "credits": promoted, "life_days": 20, "starts_at": now.Add(-time.Hour), "ends_at": now.Add(300 * 24 * time.Hour),
		"total_max": totalMax, "per_org_max": 2,
	}); err != nil {
		return err
	}
	zones := []string{"Africa/Johannesburg", "America/New_York", "Pacific/Auckland"}
	for i := range s.plan.Orgs {
		org := fmt.Sprintf("org-%d", i+1)
		s.orgs = append(s.orgs, org)
		c.org = org
		if err := ask(http.MethodPut, "/account/orgs/"+org, "platform", map[string]any{
			"name": org, "country": "ZA", "time_zone": zones[i%len(zones)], "owner_email": "admin@" + org + ".example",
		}); err != nil {
			return err
		}
		if err := ask(http.MethodGet, "/account/orgs/"+org, "admin", nil); err != nil { // the owner's first sign-in
			return err
		}
		if i%2 == 0 {
			if err := s.subscribe(org); err != nil {
				return err
			}
		}
	}
	return nil
}

// subscribe gives an organisation a plan at Stripe.
func (s *simulation) subscribe(org string) error {
	customer, err := s.w.stand.CreateCustomer(stripestand.NewCustomer{Name: org, Email: "admin@" + org + ".example", Metadata: map[string]string{"org_id": org}})
	if err != nil {
		return err
	}
	s.customers[org] = customer
	_, err = s.w.stand.CreateSubscription(stripestand.Subscription{Customer: customer, Price: planPrice, Metadata: map[string]string{"org_id": org}})
	return err
}

func (s *simulation) caller(ctx context.Context, name, org string, round int) *caller {
	return &caller{
		ctx: ctx, w: s.w, rand: rand.New(rand.NewPCG(s.plan.Seed, s.rand.Uint64())), history: s.history, round: round, name: name, org: org, //nolint:gosec // likewise
	}
}

// trouble has everybody busy while faults strike.
func (s *simulation) trouble(ctx context.Context, round int) {
	lasting, cancel := context.WithCancel(ctx)
	var background, busy sync.WaitGroup
	background.Go(func() { s.w.faults.outages(lasting) })
	background.Go(func() { s.schedule(lasting) })
	until := s.history.size() + s.plan.Operations/s.plan.Rounds
	for _, org := range s.orgs {
		for i := range perOrg {
			c := s.caller(ctx, fmt.Sprintf("%s.%d", org, i), org, round)
			busy.Go(func() {
				for s.history.size() < until {
					c.something()
					time.Sleep(time.Duration(c.rand.ExpFloat64() * float64(2*time.Second)))
				}
			})
		}
	}
	busy.Wait()
	cancel()
	background.Wait()
}

// something is one of the things that people and services do.
func (c *caller) something() {
	doings := []struct {
		weight int
		do     func()
	}{
		{40, c.debit}, {16, c.usage}, {12, c.hold}, {5, c.reverse}, {3, c.check}, {6, c.buy}, {2, c.refund}, {3, c.intervene}, {1, c.redeem},
		{3, c.adjust}, {1, c.freeze}, {2, c.limit}, {4, c.look},
	}
	total := 0
	for _, d := range doings {
		total += d.weight
	}
	n := c.rand.IntN(total)
	for _, d := range doings {
		if n -= d.weight; n < 0 {
			d.do()
			return
		}
	}
}

// schedule fires jobs as Cloud Scheduler does, if it does.
func (s *simulation) schedule(ctx context.Context) {
	next := map[string]time.Time{}
	for wait(ctx, 20*time.Second) {
		must(s.w.stand.Run(ctx, s.w.now()))
		for _, j := range s.w.wiring.Jobs {
			if due, known := next[j.Name]; !known || s.w.now().Before(due) {
				if !known {
					next[j.Name] = j.Next(s.w.now())
				}
				continue
			}
			next[j.Name] = j.Next(s.w.now())
			if s.w.faults.strikes(jobNever) {
				continue
			}
			go s.fire(context.WithoutCancel(ctx), j)
			if s.w.faults.strikes(jobTwice) {
				go s.fire(context.WithoutCancel(ctx), j)
			}
		}
	}
}

// fire runs a job.
func (s *simulation) fire(ctx context.Context, j wiring.Job) {
	c := &caller{ctx: ctx, w: s.w}
	c.attempt(http.MethodPost, "/"+j.Function+j.Path, func() (string, error) { //nolint:contextcheck // likewise
		return s.w.serviceToken(ctx, scheduling, base+"/"+j.Function)
	}, "", nil)
}

// leap lets hours or days go by, in which nobody is busy: renewals, expiries and month ends come by themselves.
func (s *simulation) leap(ctx context.Context) {
	const step = 6 * time.Hour
	for range 1 + s.rand.IntN(60) {
		time.Sleep(step)
		must(s.w.stand.Run(ctx, s.w.now()))
		for _, j := range s.w.wiring.Jobs {
			if !s.w.faults.strikes(jobNever) {
				s.fire(ctx, j)
			}
		}
	}
}

// rest waits until all that was begun is done, now that nothing fails any more.
func (s *simulation) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for range 3 {
		time.Sleep(20 * time.Minute)
		must(s.w.stand.Run(ctx, s.w.now()))
		for _, j := range s.w.wiring.Jobs {
			s.fire(ctx, j)
		}
		if err := s.w.stand.Wait(ctx); err != nil {
			return fmt.Errorf("webhooks do not come to rest: %w", err)
		}
		if err := s.w.broker.Wait(ctx); err != nil {
			return fmt.Errorf("messages do not come to rest: %w", err)
		}
	}
	return nil
}

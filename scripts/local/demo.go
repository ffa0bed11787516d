package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// demonstrated is how long the demonstration organisation has been a customer.
const demonstrated = 32 * 24 * time.Hour

// demoOrg is the demonstration organisation.
const demoOrg = "kalahari-crafts"

// demoCode is a promotion that any organisation can redeem once.
const demoCode = "WELCOME50"

// demonstrate gives the demonstration organisation its month: a subscription that renewed, a purchase, work by two people and one service,
// all through the functions as anybody else would. The clock ends at the present.
func (s *system) demonstrate(ctx context.Context) error {
	s.scheduler = &scheduler{clock: s.clock, settle: s.settle, timed: noRenewals{}}
	if s.stripe != nil {
		s.scheduler.timed = s.stripe
	}
	// The jobs that matter to history are the daily ones; the others begin when it ends.
	for _, j := range s.list.Jobs {
		if next := j.Next(s.clock.Now()); j.Next(next).Sub(next) >= 24*time.Hour {
			s.scheduler.add(j, s.fire(j))
		}
	}
	if s.opts.demo && s.stripe != nil {
		if err := s.history(ctx); err != nil {
			return err
		}
	}
	for _, j := range s.list.Jobs {
		if next := j.Next(s.clock.Now()); j.Next(next).Sub(next) < 24*time.Hour {
			s.scheduler.add(j, s.fire(j))
		}
	}
	return nil
}

// noRenewals stands for a real Stripe, which keeps its own time.
type noRenewals struct{}

// Due implements timed.
func (noRenewals) Due() (time.Time, bool) { return time.Time{}, false }

// Run implements timed.
func (noRenewals) Run(context.Context, time.Time) error { return nil }

func (s *system) history(ctx context.Context) error {
	_, err := s.orgs.Get(ctx, demoOrg)
	var none *orgs.Error
	if present := time.Now(); err == nil { // kept from an earlier run, which may have ended before the history did
		if s.clock.Now().Before(present) {
			_, err = s.scheduler.moveTo(ctx, present)
		}
		return err
	}
	if !errors.As(err, &none) || none.Code() != "unknown_org" {
		return err
	}
	d := &demo{system: s, rand: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same history each time is the point
	if err := d.open(ctx); err != nil {
		return err
	}
	for day := range 31 {
		if _, err := s.scheduler.moveTo(ctx, s.clock.Now().Add(24*time.Hour)); err != nil {
			return fmt.Errorf("day %d: %w", day, err)
		}
		if err := d.day(ctx, day); err != nil {
			return fmt.Errorf("day %d: %w", day, err)
		}
	}
	if _, err := s.scheduler.moveTo(ctx, time.Now()); err != nil {
		return err
	}
	s.demonstration = fmt.Sprintf("%d debits over a month", d.debits)
	return nil
}

// demo makes history.
type demo struct {
	*system
	rand    *rand.Rand
	service string
	admin   string
	debits  int
}

// post sends a request that must succeed, or end with one of the statuses allowed.
func (d *demo) post(ctx context.Context, method, path, token, body string, allowed ...int) error {
	status, answer, err := d.call(ctx, method, path, token, body)
	if err != nil {
		return err
	}
	for _, a := range allowed {
		if status == a {
			return nil
		}
	}
	if status >= http.StatusBadRequest {
		return fmt.Errorf("%s %s answered %d: %s", method, path, status, strings.TrimSpace(answer))
	}
	return nil
}

func (d *demo) open(ctx context.Context) error {
	platform, err := d.mint(ctx, tokenRequest{Role: "platform"})
	if err != nil {
		return err
	}
	profile := `{"name":"Kalahari Crafts","country":"ZA","time_zone":"Africa/Johannesburg","owner_email":"thandi@kalahari-crafts.example"}`
	if err := d.post(ctx, http.MethodPut, "/account/orgs/"+demoOrg, platform, profile); err != nil {
		return err
	}
	gift := fmt.Sprintf(`{"name":"Welcome","on":"redemption","credits":50,"life_days":90,"starts_at":%q,"ends_at":%q,"total_max":1000,"per_org_max":1}`,
		d.clock.Now().UTC().Format(time.RFC3339), d.clock.Now().UTC().AddDate(2, 0, 0).Format(time.RFC3339))
	if err := d.post(ctx, http.MethodPut, "/account/operations/promotions/"+demoCode, platform, gift); err != nil {
		return err
	}
	if d.admin, err = d.mint(ctx, tokenRequest{OrgID: demoOrg, UserID: "thandi", Role: "admin"}); err != nil {
		return err
	}
	if _, err := d.mint(ctx, tokenRequest{OrgID: demoOrg, UserID: "pieter", Role: "member"}); err != nil {
		return err
	}
	if d.service, err = d.mint(ctx, tokenRequest{Role: "service"}); err != nil {
		return err
	}
	if err := d.organise(ctx); err != nil {
		return err
	}
	customer, err := d.stripe.CreateCustomer(stripestand.NewCustomer{
		Name: "Kalahari Crafts", Email: "thandi@kalahari-crafts.example", Card: stripestand.CardVisa, Metadata: map[string]string{"org_id": demoOrg},
	})
	if err != nil {
		return err
	}
	if _, err := d.stripe.CreateSubscription(stripestand.Subscription{
		Customer: customer, Price: "price_starter_month_zar", Metadata: map[string]string{"org_id": demoOrg},
	}); err != nil {
		return err
	}
	return d.settle(ctx)
}

// organise puts the people into two teams and sets limits that leave them room for the month's work.
func (d *demo) organise(ctx context.Context) error {
	for _, change := range []struct{ path, body string }{
		{"/teams/marketing", `{"name":"Marketing"}`},
		{"/teams/marketing/members/thandi", ""},
		{"/teams/workshop", `{"name":"Workshop"}`},
		{"/teams/workshop/members/pieter", ""},
		{"/limits", `{"organisation":{"credits":6000},"default_user":{"credits":4000,"soft":true},"thresholds":[50,75,90]}`},
		{"/limits/teams/workshop", `{"credits":3000}`},
	} {
		if err := d.post(ctx, http.MethodPut, "/account/orgs/"+demoOrg+change.path, d.admin, change.body); err != nil {
			return err
		}
	}
	return nil
}

// day is what happens on one day: some work, and once a purchase.
func (d *demo) day(ctx context.Context, day int) error {
	if day == 12 {
		if err := d.buy(ctx, day); err != nil {
			return err
		}
	}
	work := []string{
		`"feature":"market-trend-report"`, `"feature":"pricing-recommendation"`, `"feature":"restock-prediction"`, `"feature":"custom-query","credits":10`,
	}
	for n := range 1 + d.rand.IntN(2) {
		body := fmt.Sprintf(`{"event_id":"demo-%02d-%d","org_id":%q,"user_id":%q,%s}`,
			day, n, demoOrg, []string{"thandi", "pieter"}[d.rand.IntN(2)], work[d.rand.IntN(len(work))])
		// When credits run out work is refused, as anybody's would be.
		if err := d.post(ctx, http.MethodPost, "/debit", d.service, body, http.StatusPaymentRequired); err != nil {
			return err
		}
		d.debits++
	}
	return nil
}

// buy buys a package and pays it on Stripe's page.
func (d *demo) buy(ctx context.Context, day int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/account/orgs/"+demoOrg+"/purchases", strings.NewReader(`{"package":"credits-1000"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.admin)
	req.Header.Set("Idempotency-Key", fmt.Sprintf("demo-purchase-%d", day))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusCreated {
		return fmt.Errorf("the purchase was answered %d: %s", res.StatusCode, data)
	}
	session, err := sessionOf(data)
	if err != nil {
		return err
	}
	if err := d.stripe.PayCheckout(session); err != nil {
		return err
	}
	return d.settle(ctx)
}

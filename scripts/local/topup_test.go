package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

const topUpPath = "/account/orgs/acme/auto-top-up"

// wish sets auto top-up with the smallest package, of 100 credits for R99.
func (c *client) wish(admin string, threshold, cap int64) map[string]any {
	c.t.Helper()
	return c.must("PUT", topUpPath, admin, fmt.Sprintf(`{"enabled":true,"threshold":%d,"package":"credits-100","monthly_cap":%d}`, threshold, cap))
}

// purchases are acme's, by status.
func (c *client) purchases(admin string) map[string]int {
	c.t.Helper()
	out := map[string]int{}
	for _, p := range c.must("GET", "/account/orgs/acme/purchases?page_size=200", admin, "")["items"].([]any) {
		out[p.(map[string]any)["status"].(string)]++
	}
	return out
}

// told are acme's notices of a kind.
func (c *client) told(admin, kind string) int {
	c.t.Helper()
	n := 0
	for _, item := range c.must("GET", "/account/orgs/acme/notifications?page_size=200", admin, "")["items"].([]any) {
		if item.(map[string]any)["kind"] == kind {
			n++
		}
	}
	return n
}

// crossing publishes acme's n-th crossing again, so many times.
func (c *client) crossing(n, times int) {
	c.t.Helper()
	body := fmt.Sprintf(`{"v":1,"id":"topup:acme:%d","type":"top_up_due","org_id":"acme","at":"2026-03-02T06:00:00Z"}`, n)
	for range times {
		c.must("POST", "/_local/publish/credit-topups", "", body)
	}
}

// withCard is an organisation acme whose customer at Stripe has a card.
func withCard(t *testing.T, card stripestand.Card) (c *client, s *system, admin, customer string) {
	t.Helper()
	c, s = startSystem(t)
	admin = c.open("acme")
	var err error
	if customer, err = s.stripe.CreateCustomer(stripestand.NewCustomer{Name: "Acme", Metadata: map[string]string{"org_id": "acme"}}); err != nil {
		t.Fatal(err)
	}
	setCard(t, s, customer, card)
	return c, s, admin, customer
}

func setCard(t *testing.T, s *system, customer string, card stripestand.Card) {
	t.Helper()
	if _, err := s.stripe.SetCard(customer, card); err != nil {
		t.Fatal(err)
	}
}

// quiet waits until nothing is under way.
func quiet(t *testing.T, s *system) {
	t.Helper()
	if err := s.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestACrossingIsOneChargeHoweverOftenItIsDelivered(t *testing.T) {
	t.Parallel()
	c, s, admin, _ := withCard(t, stripestand.CardVisa)
	reference := c.buy("acme", admin, "credits-100", "1")
	c.eventually("the purchase", func() bool { return c.available("acme", admin) == 100 })
	c.wish(admin, 60, 100_000)
	c.debits("acme", "market-trend-report", "work", 1)
	c.eventually("the top-up", func() bool { return c.available("acme", admin) == 150 })
	c.crossing(1, 50)
	quiet(t, s)
	if got := c.purchases(admin); got["paid"] != 2 || len(got) != 1 {
		t.Errorf("purchases %v", got)
	}
	if now := c.must("GET", topUpPath, admin, ""); now["spent"] != 9900.0 || now["stopped"] != nil || now["month"] != "2026-03" {
		t.Errorf("%v", now)
	}
	c.eventually("the notice", func() bool { return c.told(admin, "top_up_made") == 1 })
	if got := c.available("acme", admin); got != 150 {
		t.Errorf("%v credits", got)
	}
	for _, p := range c.must("GET", "/account/orgs/acme/purchases", admin, "")["items"].([]any) {
		if p := p.(map[string]any); p["reference"] != reference && !strings.HasPrefix(p["reference"].(string), "CR-") {
			t.Errorf("the top-up is %v", p)
		} else if p["reference"] != reference {
			support := c.token(`{"role":"support"}`)
			if quote := c.must("GET", "/account/orgs/acme/purchases/"+p["reference"].(string)+"/refund", support, ""); quote["amount"] != 9900.0 {
				t.Errorf("its refund is %v", quote)
			}
		}
	}
}

func TestACardThatFailsIsChargedOnceUntilThereIsAnother(t *testing.T) {
	t.Parallel()
	for card, code := range map[stripestand.Card]string{stripestand.CardFailsLater: "card_declined", stripestand.CardAuthentication: "authentication_required"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			c, s, admin, customer := withCard(t, card)
			c.wish(admin, 60, 100_000) // nothing is there: a top-up is due at once
			c.eventually("the decline", func() bool { return c.told(admin, "top_up_declined") == 1 })
			c.crossing(1, 10)
			c.crossing(99, 10) // another crossing while the breaker is open
			quiet(t, s)
			now := c.must("GET", topUpPath, admin, "")
			if stopped, ok := now["stopped"].(map[string]any); !ok || stopped["code"] != code || now["spent"] != 0.0 {
				t.Errorf("%v", now)
			}
			if got := c.purchases(admin); got["failed"] != 1 || len(got) != 1 {
				t.Errorf("purchases %v", got)
			}
			setCard(t, s, customer, stripestand.CardVisa)
			// 100 credits at a threshold of 60 are enough: one purchase.
			c.eventually("the top-up with another card", func() bool { return c.available("acme", admin) == 100 })
			quiet(t, s)
			if got := c.purchases(admin); got["failed"] != 1 || got["paid"] != 1 {
				t.Errorf("purchases %v", got)
			}
			if now := c.must("GET", topUpPath, admin, ""); now["stopped"] != nil || now["spent"] != 9900.0 || c.told(admin, "top_up_declined") != 1 {
				t.Errorf("%v", now)
			}
		})
	}
}

func TestAThresholdAboveWhatAPackageBringsGoesOnUnderTheCap(t *testing.T) {
	t.Parallel()
	c, s, admin, _ := withCard(t, stripestand.CardVisa)
	c.wish(admin, 1000, 35_000) // R350: three packages of R99
	c.eventually("the cap", func() bool { return c.told(admin, "top_up_capped") == 1 })
	quiet(t, s)
	if got := c.available("acme", admin); got != 300 {
		t.Errorf("%v credits", got)
	}
	if now := c.must("GET", topUpPath, admin, ""); now["spent"] != 29700.0 {
		t.Errorf("%v", now)
	}
	c.wish(admin, 1000, 40_000)
	c.eventually("a higher cap", func() bool { return c.available("acme", admin) == 400 })
	quiet(t, s)
	c.wish(admin, 1000, 40_000) // again: nothing
	quiet(t, s)
	if got := c.purchases(admin); got["paid"] != 4 || len(got) != 1 || c.told(admin, "top_up_capped") != 1 {
		t.Errorf("purchases %v", got)
	}
}

func TestTopUpsGoOnInTheMonthAfterTheCap(t *testing.T) {
	t.Parallel()
	c, s, admin, _ := withCard(t, stripestand.CardVisa)
	c.wish(admin, 1000, 10_000) // R100: one package
	c.eventually("the cap", func() bool { return c.told(admin, "top_up_capped") == 1 })
	c.must("POST", "/_local/clock", "", `{"now":"2026-04-01T05:00:00Z"}`)
	c.eventually("April's cap", func() bool { return c.told(admin, "top_up_capped") == 2 })
	quiet(t, s)
	if got := c.available("acme", admin); got != 200 {
		t.Errorf("%v credits", got)
	}
}

func TestAutoTopUpSettingsAreCheckedAndTheAdministrators(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	admin := c.open("acme")
	member := c.token(`{"role":"member","org_id":"acme","user_id":"someone"}`)
	tests := []struct {
		name, token, body string
		status            int
	}{
		{"a member", member, `{"enabled":true,"threshold":1,"package":"credits-100","monthly_cap":9900}`, 403},
		{"something forgotten", admin, `{"enabled":true,"threshold":1,"package":"credits-100"}`, 400},
		{"a package that is not sold", admin, `{"enabled":true,"threshold":1,"package":"credits-7","monthly_cap":9900}`, 404},
		{"a cap below the package", admin, `{"enabled":true,"threshold":1,"package":"credits-100","monthly_cap":9899}`, 400},
		{"a threshold below nothing", admin, `{"enabled":true,"threshold":-1,"package":"credits-100","monthly_cap":9900}`, 400},
	}
	for _, tt := range tests {
		if status, answer := c.call("PUT", topUpPath, tt.token, tt.body); status != tt.status {
			t.Errorf("%s: %d %v, want %d", tt.name, status, answer, tt.status)
		}
	}
	if now := c.must("GET", topUpPath, admin, ""); now["enabled"] != false || now["currency"] != "ZAR" {
		t.Errorf("%v", now)
	}
	c.wish(admin, 0, 9900)
	c.eventually("nobody to charge", func() bool { return c.told(admin, "top_up_declined") == 1 })
	quiet(t, s)
	if got := c.purchases(admin); got["failed"] != 1 || len(got) != 1 {
		t.Errorf("purchases %v", got)
	}
}

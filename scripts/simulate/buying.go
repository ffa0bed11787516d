package main

import (
	"net/http"
	"strings"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// packages are what is sold, written down a second time.
var packages = map[string]int64{"credits-100": 100, "credits-500": 500, "credits-1000": 1000}

// planPrice is the price of a plan that credits are included in, and planAmount what a month of it costs, in minor units.
const (
	planPrice  = "price_starter_month_zar"
	planAmount = 39900
)

// promotion is the campaign's code, and totalMax how often it can be redeemed in all.
const (
	promotion = "LAUNCH26"
	totalMax  = 3
	promoted  = 120
)

// buy begins a purchase, and mostly pays for it.
func (c *caller) buy() {
	name := []string{"credits-100", "credits-500", "credits-1000"}[c.rand.IntN(3)]
	o := c.begin(operation{Kind: "purchase", ID: c.id("p"), Feature: name, Credits: packages[name]})
	a := c.call(o, http.MethodPost, "/account/orgs/"+c.org+"/purchases", c.as("admin"), map[string]any{"package": name})
	if !c.end(o, a) {
		return
	}
	o.Subject = a.text("reference")
	session := a.text("checkout_url")
	session = session[strings.LastIndex(session, "/")+1:]
	var err error
	switch c.rand.IntN(8) {
	case 0:
		err = c.w.stand.DeclineCheckout(session)
	case 1:
		if err = c.w.stand.PayLater(session); err == nil {
			err = c.w.stand.SettleLater(session, !c.chance(4))
		}
	default:
		err = c.w.stand.PayCheckout(session)
	}
	must(err)
	c.sessions = append(c.sessions, o)
	if c.chance(3) {
		c.recoverPurchase(o)
	}
}

// recoverPurchase has the customer press "check my purchase".
func (c *caller) recoverPurchase(of *operation) {
	o := c.begin(operation{Kind: "recover", Subject: of.Subject})
	c.end(o, c.call(o, http.MethodPost, "/account/orgs/"+c.org+"/purchases/"+of.Subject+"/recover", c.as("admin"), nil))
}

// refund has support give a purchase's unused part back; at times two agents press at once.
func (c *caller) refund() {
	of, ok := pick(c, c.sessions)
	if !ok {
		return
	}
	o := c.begin(operation{Kind: "refund", ID: c.id("f"), Subject: of.Subject})
	path := "/account/orgs/" + c.org + "/purchases/" + of.Subject + "/refund"
	second := make(chan struct{})
	body := map[string]any{"reason": "not needed"}
	twice := c.chance(3)
	if twice {
		go func() {
			defer close(second)
			c.attempt(http.MethodPost, path, c.as("support"), o.ID, []byte(`{"reason":"not needed"}`))
		}()
	}
	c.end(o, c.call(o, http.MethodPost, path, c.as("support"), body))
	if twice {
		<-second
	}
}

// intervene is what happens at Stripe without us: refunds from its dashboard, disputes opened, won and lost, refunds that fail.
func (c *caller) intervene() {
	payments := c.w.payments(c.ctx)
	p, ok := pick(c, payments)
	if !ok {
		return
	}
	o := c.begin(operation{Kind: "at Stripe", Subject: p.intent, Org: p.org, Outcome: done})
	var err error
	switch {
	case p.disputed:
		won := c.chance(2)
		o.Detail = map[bool]string{true: "dispute won", false: "dispute lost"}[won]
		err = c.w.stand.CloseDispute(p.intent, won)
	case c.chance(3):
		o.Detail = "dispute opened"
		_, err = c.w.stand.OpenDispute(p.intent, stripestand.Dispute{})
	case p.paid > p.refunded:
		amount := 1 + c.rand.Int64N(p.paid-p.refunded)
		o.Credits, o.Detail = amount, "refund from the dashboard, in minor units"
		var refund string
		refund, err = c.w.stand.RefundPayment(p.intent, amount)
		if err == nil && c.chance(4) {
			o.Detail += ", which failed"
			err = c.w.stand.SettleRefund(refund, false)
		}
	default:
		o.Detail = "nothing"
	}
	if err != nil {
		o.Outcome, o.Detail = refused, o.Detail+": "+err.Error()
	}
	o.Ended = c.w.now()
}

// redeem enters the promotion's code.
func (c *caller) redeem() {
	o := c.begin(operation{Kind: "redeem", ID: c.id("c"), Credits: promoted})
	c.end(o, c.call(o, http.MethodPost, "/account/orgs/"+c.org+"/promotions/redeem", c.as("admin"), map[string]any{"code": promotion}))
}

// adjust has support add or take credits by hand.
func (c *caller) adjust() {
	n := int64(c.rand.IntN(400) - 100)
	if n == 0 {
		n = 1
	}
	o := c.begin(operation{Kind: "adjust", ID: c.id("a"), Credits: n})
	c.end(o, c.call(o, http.MethodPost, "/account/orgs/"+c.org+"/adjustments", c.as("support"), map[string]any{"credits": n, "reason": "goodwill"}))
}

// freeze stops an organisation's spending for a while.
func (c *caller) freeze() {
	for _, way := range []string{"freeze", "thaw"} {
		o := c.begin(operation{Kind: way, ID: c.id("z"), Outcome: unknown})
		for o.Outcome == unknown && o.Attempts < 10*maxAttempts {
			c.end(o, c.call(o, http.MethodPost, "/account/orgs/"+c.org+"/"+way, c.as("support"), map[string]any{"reason": "a look"}))
		}
	}
}

// limit sets what a user may spend in a month.
func (c *caller) limit() {
	user := []string{"ann", "ben"}[c.rand.IntN(2)]
	o := c.begin(operation{Kind: "limit", User: user, Credits: int64(200 + c.rand.IntN(2000))})
	c.end(o, c.call(o, http.MethodPut, "/account/orgs/"+c.org+"/limits/users/"+user, c.as("admin"), map[string]any{"credits": o.Credits}))
}

// look reads the balance, which is never negative.
func (c *caller) look() {
	o := c.begin(operation{Kind: "balance"})
	a := c.call(o, http.MethodGet, "/account/orgs/"+c.org+"/balance", c.as("admin"), nil)
	if c.end(o, a) && (a.number("available") < 0 || a.number("held") < 0 || a.number("debt") < 0) {
		o.Code, o.Detail = wrong, "a negative figure"
	}
}

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// unusual are organisations that are not like the demonstration: each is of thandi, with pieter as a member of no team.
var unusual = map[string]func(c *client, org, admin string){
	"empty": func(*client, string, string) {},
	"long": func(c *client, org, admin string) {
		c.must("PUT", "/account/orgs/"+org+"/teams/"+strings.Repeat("t", 64), admin, fmt.Sprintf(`{"name":%q}`, strings.Repeat("Verkoopsbevorderings", 5)))
		c.must("PUT", "/account/orgs/"+org+"/limits/teams/"+strings.Repeat("t", 64), admin, `{"credits":1000000000}`)
		c.must("PUT", "/account/orgs/"+org+"/limits", admin, `{"organisation":{"credits":1000000000},"thresholds":[1,33,50,75,90,99]}`)
		c.must("POST", "/account/orgs/"+org+"/adjustments", c.token(`{"role":"support"}`), fmt.Sprintf(`{"credits":1000000000,"reason":%q}`, strings.Repeat("Goodwill", 20)), "Idempotency-Key", "much")
		c.debits(org, "bulk-pricing", strings.Repeat("an-event-with-a-very-long-id", 4), 3)
		member := c.token(`{"role":"member","org_id":"` + org + `","user_id":"pieter"}`)
		c.must("POST", "/account/orgs/"+org+"/limit-requests", member, fmt.Sprintf(`{"scope":"organisation","credits":1000000000,"reason":%q}`, strings.Repeat("Ditisnodig", 20)))
	},
	"indebted": func(c *client, org, admin string) {
		for n := range 2 {
			c.must("POST", "/_local/publish/ai-usage", "", fmt.Sprintf(`{"event_id":"u%d","org_id":%q,"user_id":"pieter","feature":"bulk-pricing"}`, n, org))
		}
		c.eventually("the debt", func() bool { return c.must("GET", "/account/orgs/"+org+"/balance", admin, "")["debt"] == 200.0 })
		c.call("POST", "/debit", c.token(`{"role":"service"}`), `{"event_id":"no","org_id":"`+org+`","user_id":"pieter","feature":"bulk-pricing"}`)
		c.must("POST", "/account/orgs/"+org+"/freeze", c.token(`{"role":"support"}`), `{"reason":"suspected fraud"}`, "Idempotency-Key", "freeze")
		c.must("PUT", "/account/orgs/"+org+"/auto-top-up", admin, `{"enabled":true,"threshold":60,"package":"credits-100","monthly_cap":100000}`)
		c.eventually("the declined top-up", func() bool { return c.must("GET", "/account/orgs/"+org+"/auto-top-up", admin, "")["stopped"] != nil })
	},
}

// narrow is the width at which a page of 1280 is seen at four times its size: what accessible pages bear without scrolling sideways.
const narrow = 320

// TestThePagesBearWhatIsUnusual shows organisations without anything, with very long names and very many credits, and with debt, a frozen wallet and
// a card that fails, to an administrator and to a member of no team.
func TestThePagesBearWhatIsUnusual(t *testing.T) {
	t.Parallel()
	for org, furnish := range unusual {
		t.Run(org, func(t *testing.T) {
			t.Parallel()
			c, _ := startSystem(t)
			name := map[bool]string{true: strings.Repeat("Suiderkruiskunsvlytwinkels", 4), false: "Acme & <Sons>"}[org == "long"]
			c.must("PUT", "/account/orgs/"+org, c.token(`{"role":"platform"}`),
				fmt.Sprintf(`{"name":%q,"country":"ZA","time_zone":"Pacific/Kiritimati","owner_email":"thandi@kalahari-crafts.example"}`, name))
			admin := c.token(`{"role":"admin","org_id":"` + org + `","user_id":"thandi"}`)
			c.token(`{"role":"member","org_id":"` + org + `","user_id":"pieter"}`)
			furnish(c, org, admin)
			pages := []string{
				"", "/purchase?credits=50000", "/purchases", "/auto-top-up", "/plan", "/controls", "/notifications", "/teams", "/usage?from=2026-03-01&until=2026-03-31&by=user",
				"/statement", "/refusals", "/activity", "/prices", "/referral",
			}
			for _, who := range []string{"thandi", "pieter"} {
				b := openBrowser(t, c.base, narrow)
				if org != "indebted" {
					b.axe = "" // the same elements as everywhere; what they hold must not be wider than the window
				}
				b.signIn(who)
				for _, page := range pages {
					if who == "pieter" && (page == "/purchases" || page == "/auto-top-up") {
						continue // administrators'
					}
					b.open("/orgs/"+org+page, "unusual-"+org+"-"+who+strings.NewReplacer("/", "-", "?", "-").Replace(page))
				}
			}
		})
	}
}

// TestThePagesWorkWithoutScriptsAndByTheKeyboard prices and buys an amount with scripts switched off, and then asks for a report with keys alone.
func TestThePagesWorkWithoutScriptsAndByTheKeyboard(t *testing.T) {
	t.Parallel()
	b := openBrowser(t, startDemonstration(t).base, widths[0])
	b.signIn("thandi")
	b.axe = "" // it is a script, and would never end
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.open(kalahari+"/purchase", "")
	b.do(chromedp.SendKeys(`#credits`, "600\r"), chromedp.WaitVisible(`#price button`))
	b.do(chromedp.Click(`#price button`))
	b.pay()
	if got := b.text("main"); !strings.Contains(got, "600 credits") {
		t.Errorf("after the payment: %s", got)
	}
	b.open(kalahari, "")
	// The first key shows the way past the menu, and Enter takes it.
	b.do(chromedp.KeyEvent("\t"))
	if at := b.ask(`document.activeElement.textContent`); at != "Skip to the content" {
		t.Errorf("the first key leads to %q", at)
	}
	b.keyTo("Menu")
	b.do(chromedp.KeyEvent("\r"), chromedp.WaitVisible(`nav a[href$="/usage"]`))
	b.keyTo("Usage Reports")
	b.do(chromedp.KeyEvent("\r"), chromedp.WaitVisible(`#by`))
	b.keyTo("Show")
	b.do(chromedp.KeyEvent("\r"), chromedp.WaitVisible(`main table`))
	b.look("the report by keys", "")
}

// keyTo presses the key that leads on until what has a text is reached.
func (b *browser) keyTo(text string) {
	b.t.Helper()
	for range 60 {
		if b.ask(`document.activeElement.textContent.trim()`) == text {
			return
		}
		b.do(chromedp.KeyEvent("\t"))
	}
	b.t.Fatalf("no key leads to %q", text)
}

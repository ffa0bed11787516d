package main

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const kalahari = "/orgs/" + demoOrg

// widths are those of a phone and of a desk.
var widths = []int64{390, 1280}

// pay pays on the stand-in's page and comes back.
func (b *browser) pay() {
	b.t.Helper()
	b.do(chromedp.WaitVisible(`button[value="pay"]`), chromedp.Click(`button[value="pay"]`), chromedp.WaitVisible(`a.button`))
	b.forget()
	b.look("the way back", "")
}

func TestAnAdministratorWalksThroughTheDashboardInABrowser(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			c := startDemonstration(t)
			b := openBrowser(t, c.base, width)
			b.signIn("thandi")
			for _, dark := range []bool{false, true} {
				b.dark(dark)
				for _, page := range pagesOfKalahari {
					name, _, _ := strings.Cut(strings.Trim(page, "/"), "?")
					b.open(kalahari+page, fmt.Sprintf("%s-%d-%t", "p"+name, width, dark))
				}
			}
			b.dark(false)
			b.checkBalance(c)
			b.limitUsage()
			b.warn()
			b.allocate()
			b.report()
			b.topUp()
			b.changePlan()
			b.redeem()
			b.purchase()
			b.anyAmount()
			b.recoverMissing(c)
		})
	}
}

// follow goes by the menu to a page, as people do.
func (b *browser) follow(text string) {
	b.t.Helper()
	if at := b.ask(`(() => { const a = [...document.querySelectorAll("nav a")].find(a => a.textContent == "` + text + `"); if (a) a.id = "next"; return a ? "" : document.title })()`); at != "" {
		b.t.Fatalf("no entry %q in the menu of %s", text, at)
	}
	if b.ask(`getComputedStyle(document.querySelector("nav summary")).display`) != "none" {
		b.do(chromedp.Click(`nav summary`))
	}
	b.press(`#next`, `main h1`)
}

// checkBalance reads the balance on the first page.
func (b *browser) checkBalance(c *client) {
	b.t.Helper()
	b.open(kalahari, "")
	want := fmt.Sprintf("%.0f credits", c.available(demoOrg, c.token(`{"role":"support"}`)))
	if got := strings.ReplaceAll(b.text("main .card p"), "\u00a0", ""); got != want {
		b.t.Errorf("the balance is shown as %q, want %q", got, want)
	}
}

// limitUsage sets a credit limit with its thresholds.
func (b *browser) limitUsage() {
	b.t.Helper()
	b.follow("Usage Controls")
	b.do(chromedp.Click(`input[name="threshold"][value="50"]`))
	b.press(`button[value="organisation"]`, `.note.good`, `#organisation`, "7500")
	if got := b.text("main"); !strings.Contains(got, "of 7 500 credits used") {
		b.t.Errorf("after the limit: %s", got)
	}
	if on := b.ask(`[...document.querySelectorAll('input[name="threshold"]:checked')].map(e => e.value).join()`); on != "75,90" {
		b.t.Errorf("notice is given at %s", on)
	}
	b.press(`button[value="user"]`, `.note.good`, `#user`, "pieter", `#limit`, "900")
	if got := b.text("main"); !strings.Contains(got, "of 900 credits used") {
		b.t.Errorf("after the member's limit: %s", got)
	}
}

// warn sets low-balance alerts: the threshold, and that they come by e-mail alone.
func (b *browser) warn() {
	b.t.Helper()
	b.follow("Notifications")
	b.do(chromedp.Click(`input[name="low_channel"][value="dashboard"]`))
	b.press(`button[value="alerts"]`, `.note.good`, `#threshold`, "250")
	if got := b.ask(`document.querySelector("#threshold").value + [...document.querySelectorAll('input[name="low_channel"]:checked')].map(e => e.value).join()`); got != "250email" {
		b.t.Errorf("after the alerts: %s", got)
	}
}

// allocate makes a team, puts a member in it, and gives it credits.
func (b *browser) allocate() {
	b.t.Helper()
	b.follow("Team Allocations")
	b.press(`button[value="create"]`, `.note.good`, `#name`, "Web shop")
	b.press(`form:has(#team-pieter) button`, `.note.good`, `#team-pieter`, "web-shop")
	b.press(`form:has(#limit-web-shop) button`, `.note.good`, `#limit-web-shop`, "300")
	if got := b.text("main"); !strings.Contains(got, "of 300 credits used") {
		b.t.Errorf("after the allocation: %s", got)
	}
}

// report asks for a usage report by team, and exports it.
func (b *browser) report() {
	b.t.Helper()
	b.follow("Usage Reports")
	b.press(`main form button`, `main table`, `#by`, "team")
	if got := b.text("main"); !strings.Contains(got, "Workshop") {
		b.t.Errorf("the report: %s", got)
	}
	if table := b.export(); !strings.HasPrefix(table, "team,credits") || !strings.Contains(table, "workshop,") {
		b.t.Errorf("the export: %s", table)
	}
}

// export reads the table that the page's button leads to.
func (b *browser) export() string {
	b.t.Helper()
	return b.ask(`fetch(document.querySelector('main a[href*=".csv"]').href).then(r => r.headers.get("Content-Disposition").startsWith("attachment") ? r.text() : "no attachment")`)
}

// topUp has credits bought by themselves.
func (b *browser) topUp() {
	b.t.Helper()
	b.follow("Auto Top-Up")
	b.do(chromedp.Click(`input[name="enabled"]`))
	b.press(`button[value="save"]`, `.note.good`, `#threshold`, "50", `#package`, "credits-500", `#cap`, "1 299,00")
	if got := b.text("main"); !strings.Contains(got, "of R 1 299,00") || !strings.Contains(got, "On at 50 credits") {
		b.t.Errorf("auto top-up: %s", got)
	}
}

// changePlan asks for a cheaper plan, which begins with the next cycle, and takes that back.
func (b *browser) changePlan() {
	b.t.Helper()
	b.follow("Plan")
	b.press(`a[href$="/plan?to=free"]`, `.ask`)
	b.press(`.ask button[value="change"]`, `.note.good`)
	if got := b.text("main"); !strings.Contains(got, "your plan is Free") || !strings.Contains(got, "Plan Free") {
		b.t.Errorf("after the change: %s", got)
	}
	b.press(`.note.warn button`, `.note.good`)
	if got := b.text("main"); strings.Contains(got, "your plan is Free") {
		b.t.Errorf("after it was taken back: %s", got)
	}
}

// redeem redeems a promotion's code.
func (b *browser) redeem() {
	b.t.Helper()
	b.follow("Purchase Credits")
	b.press(`button[value="redeem"]`, `.note.good`, `#code`, demoCode)
}

// purchase buys a package, pays on Stripe's page, comes back, and finds the purchase in the history and by its reference.
func (b *browser) purchase() {
	b.t.Helper()
	b.follow("Purchase Credits")
	b.do(chromedp.Click(`button[value="credits-500"]`))
	b.pay()
	if got := b.text("main"); !strings.Contains(got, "500 credits") || !strings.Contains(got, "Thank you") {
		b.t.Errorf("after the payment: %s", got)
	}
	reference := b.text("main code")
	b.open(kalahari+"/purchases", "")
	b.press(`main form button`, `ol.timeline`, `#reference`, strings.ToLower(reference))
	if got := b.text("main"); !strings.Contains(got, "R 449,00") || !strings.Contains(got, "The unused part can be refunded") {
		b.t.Errorf("the purchase: %s", got)
	}
	b.ask(`document.body.dataset.left = "yes"`)
	b.do(chromedp.Click(`a[href$="/receipt"]`), chromedp.WaitVisible(`body:not([data-left]) h2`))
	if got := b.text("body"); !strings.Contains(got, "449.00") {
		b.t.Errorf("the receipt: %s", got)
	}
	b.forget()
}

// anyAmount sees the price of an amount while it is typed, and buys it.
func (b *browser) anyAmount() {
	b.t.Helper()
	b.open(kalahari+"/purchase", "")
	b.do(chromedp.SendKeys(`#credits`, "600"), chromedp.WaitVisible(`#price button`))
	if got := b.text("#price"); !strings.Contains(got, "R 590,00 for 600 credits") {
		b.t.Errorf("the price is shown as %q", got)
	}
	b.look("the live price", "")
	b.do(chromedp.Click(`#price button`))
	b.pay()
	if got := b.text("main"); !strings.Contains(got, "600 credits") {
		b.t.Errorf("after the payment: %s", got)
	}
}

// recoverMissing pays while Stripe's messages are lost and does not come back: the purchase is credited when its page is asked to check it.
func (b *browser) recoverMissing(c *client) {
	b.t.Helper()
	c.must("POST", "/_local/stripe/webhooks", "", `{"mode":"drop"}`)
	b.open(kalahari+"/purchase", "")
	b.do(chromedp.Click(`button[value="credits-100"]`), chromedp.WaitVisible(`button[value="pay"]`))
	session := path.Base(b.ask(`location.href`))
	c.must("POST", "/_local/stripe/checkouts/"+session+"/pay", "", "{}")
	b.open(kalahari+"/purchases", "")
	b.do(chromedp.Click(`main table a`), chromedp.WaitVisible(`button[value="check"]`))
	b.press(`button[value="check"]`, `.note.good`)
	if got := b.text("main"); !strings.Contains(got, "Paid") || strings.Contains(got, "the credits are missing") {
		b.t.Errorf("after the check: %s", got)
	}
}

// TestABlockedMemberAsksForMoreAndTheAdministratorGrantsIt walks through what a member may, in two browsers: the member's on a phone and the
// administrator's at a desk, and the other way round.
func TestABlockedMemberAsksForMoreAndTheAdministratorGrantsIt(t *testing.T) {
	t.Parallel()
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			c := startDemonstration(t)
			admin := c.token(`{"role":"admin","org_id":"` + demoOrg + `","user_id":"thandi"}`)
			c.must("PUT", "/account/orgs/"+demoOrg+"/limits/users/pieter", admin, `{"credits":10}`)
			if status, _ := c.call("POST", "/debit", c.token(`{"role":"service"}`), `{"event_id":"blocked-1","org_id":"`+demoOrg+`","user_id":"pieter","feature":"bulk-pricing"}`); status != 403 {
				t.Fatalf("the debit is answered %d", status)
			}
			member, boss := openBrowser(t, c.base, width), openBrowser(t, c.base, widths[1-i])
			member.signIn("pieter")
			member.checkBalance(c)
			for _, page := range []string{"Usage Reports", "Plan", "Usage Controls", "Team Allocations", "Notifications", "Prices", "Referral", "Why was I refused?"} {
				member.follow(page)
			}
			if got := member.text("main"); !strings.Contains(got, "Limit exceeded") {
				t.Errorf("the member is not told why: %s", got)
			}
			member.do(chromedp.Click(`main li a`), chromedp.WaitVisible(`button[value="ask"]`))
			member.press(`button[value="ask"]`, `.note.good`, `#credits`, "5000", `#reason`, "The whole catalogue")
			boss.signIn("thandi")
			boss.open(kalahari+"/controls", "requests")
			boss.press(`button[value="grant"]`, `.note.good`)
			member.open(kalahari+"/controls", "member-controls")
			if got := member.text("main"); !strings.Contains(got, "5 010 credits used") || !strings.Contains(got, "Granted") {
				t.Errorf("after the grant the member sees: %s", got)
			}
			member.follow("Usage Reports")
			if table := member.export(); !strings.HasPrefix(table, "feature,credits") {
				t.Errorf("the member's export: %s", table)
			}
		})
	}
}

// TestSupportRefundsAndTheCustomerSeesIt finds a purchase by its customer's address, refunds it, and sees to what was put aside; the customer, in
// another browser, sees the refund.
func TestSupportRefundsAndTheCustomerSeesIt(t *testing.T) {
	t.Parallel()
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			c := startDemonstration(t)
			customer, agent := openBrowser(t, c.base, width), openBrowser(t, c.base, widths[1-i])
			customer.signIn("thandi")
			customer.open(kalahari+"/purchase", "")
			customer.do(chromedp.Click(`button[value="credits-100"]`))
			customer.pay()
			reference := customer.text("main code")
			agent.signIn("sam")
			agent.open("/support", "")
			agent.press(`form:has(#email) button`, `main li a`, `#email`, "Thandi@Kalahari-Crafts.example")
			agent.look("who was found", fmt.Sprintf("support-%d", widths[1-i]))
			agent.press(`main li a`, `main h1`)
			agent.open("/support", "")
			agent.press(`form:has(#reference) button`, `button[value="refund"]`, `#reference`, reference)
			agent.look("the purchase", "refund")
			agent.press(`button[value="refund"]`, `.note.good`, `#reason`, "Not needed after all")
			agent.open(kalahari+"/adjust", "adjust")
			agent.press(`main button`, `.note.good`, `#credits`, "25", `#reason`, "Goodwill")
			customer.open(kalahari+"/purchases/"+reference, "bought")
			if got := customer.text(".timeline"); !strings.Contains(strings.ToLower(got), "refund") {
				t.Errorf("the customer sees: %s", got)
			}
			c.must("POST", "/_local/publish/ai-usage", "", `{"event_id":"p1","org_id":"`+demoOrg+`","feature":"alchemy"}`)
			c.eventually("the message is put aside", func() bool {
				items, _ := c.must("GET", "/account/operations/dead-letters", c.token(`{"role":"support"}`), "")["items"].([]any)
				return len(items) == 1
			})
			agent.open("/support/dead-letters", fmt.Sprintf("letters-%d", widths[1-i]))
			agent.press(`button[value="replay"]`, `.note.good`)
			agent.open("/support/quarantine", "")
		})
	}
}

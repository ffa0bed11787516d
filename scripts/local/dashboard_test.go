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
			b := openBrowser(t, startDemonstration(t).base, width)
			b.signIn("thandi")
			for _, dark := range []bool{false, true} {
				b.dark(dark)
				for _, page := range pagesOfKalahari {
					name, _, _ := strings.Cut(strings.Trim(page, "/"), "?")
					b.open(kalahari+page, fmt.Sprintf("%s-%d-%t", "p"+name, width, dark))
				}
			}
			b.dark(false)
			b.limits()
			b.purchase()
		})
	}
}

// limits sets a limit with thresholds, alerts, a team's allocation, and exports a report.
func (b *browser) limits() {
	b.t.Helper()
	b.open(kalahari+"/controls", "")
	b.press(`button[value="organisation"]`, `.note.good`, `#organisation`, "7500")
	if got := b.text("main"); !strings.Contains(got, "of 7 500 credits used") {
		b.t.Errorf("after the limit: %s", got)
	}
	b.open(kalahari+"/notifications", "")
	b.press(`button[value="alerts"]`, `.note.good`, `#threshold`, "250")
	b.open(kalahari+"/teams", "")
	b.press(`button[value="create"]`, `.note.good`, `#name`, "Web shop")
	b.press(`form:has(#limit-web-shop) button`, `.note.good`, `#limit-web-shop`, "300")
	if got := b.text("main"); !strings.Contains(got, "of 300 credits used") {
		b.t.Errorf("after the allocation: %s", got)
	}
	b.open(kalahari+"/usage", "")
	if got := b.ask(`document.querySelector("main form a").href`); !strings.Contains(got, "/usage.csv?by=feature&from=") {
		b.t.Errorf("the export is at %s", got)
	}
}

// purchase buys a package, pays on Stripe's page, comes back, and finds the purchase in the history and by its reference.
func (b *browser) purchase() {
	b.t.Helper()
	b.open(kalahari+"/purchase", "")
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
}

func TestALostWebhookIsMadeUpForByTheButton(t *testing.T) {
	t.Parallel()
	c := startDemonstration(t)
	b := openBrowser(t, c.base, widths[0])
	b.signIn("thandi")
	c.must("POST", "/_local/stripe/webhooks", "", `{"mode":"drop"}`)
	b.open(kalahari+"/purchase", "")
	b.do(chromedp.Click(`button[value="credits-100"]`), chromedp.WaitVisible(`button[value="pay"]`))
	session := path.Base(b.ask(`location.href`))
	c.must("POST", "/_local/stripe/checkouts/"+session+"/pay", "", "{}")
	b.open(kalahari+"/purchases", "")
	b.do(chromedp.Click(`main table a`), chromedp.WaitVisible(`button[value="check"]`))
	b.press(`button[value="check"]`, `.note.good`)
	if got := b.text("main"); !strings.Contains(got, "Paid") || strings.Contains(got, "the credits are missing") {
		t.Errorf("after the check: %s", got)
	}
}

func TestABlockedMemberAsksForMoreAndTheAdministratorGrantsIt(t *testing.T) {
	t.Parallel()
	c := startDemonstration(t)
	admin := c.token(`{"role":"admin","org_id":"` + demoOrg + `","user_id":"thandi"}`)
	c.must("PUT", "/account/orgs/"+demoOrg+"/limits/users/pieter", admin, `{"credits":10}`)
	if status, _ := c.call("POST", "/debit", c.token(`{"role":"service"}`), `{"event_id":"blocked-1","org_id":"`+demoOrg+`","user_id":"pieter","feature":"bulk-pricing"}`); status != 403 {
		t.Fatalf("the debit is answered %d", status)
	}
	member, boss := openBrowser(t, c.base, widths[0]), openBrowser(t, c.base, widths[1])
	member.signIn("pieter")
	for _, page := range []string{"", "/controls", "/notifications", "/teams", "/usage", "/refusals", "/activity", "/prices", "/referral"} {
		member.open(kalahari+page, "member-"+strings.Trim(page, "/"))
	}
	member.open(kalahari+"/refusals", "")
	if got := member.text("main"); !strings.Contains(got, "Limit exceeded") {
		t.Errorf("the member is not told why: %s", got)
	}
	member.do(chromedp.Click(`main li a`), chromedp.WaitVisible(`button[value="ask"]`))
	member.press(`button[value="ask"]`, `.note.good`, `#credits`, "5000", `#reason`, "The whole catalogue")
	boss.signIn("thandi")
	boss.open(kalahari+"/controls", "requests")
	boss.press(`button[value="grant"]`, `.note.good`)
	member.open(kalahari+"/controls", "")
	if got := member.text("main"); !strings.Contains(got, "5 010 credits used") || !strings.Contains(got, "Granted") {
		t.Errorf("after the grant the member sees: %s", got)
	}
}

func TestSupportRefundsAndTheCustomerSeesIt(t *testing.T) {
	t.Parallel()
	c := startDemonstration(t)
	customer, agent := openBrowser(t, c.base, widths[0]), openBrowser(t, c.base, widths[1])
	customer.signIn("thandi")
	customer.open(kalahari+"/purchase", "")
	customer.do(chromedp.Click(`button[value="credits-100"]`))
	customer.pay()
	reference := customer.text("main code")
	agent.signIn("sam")
	agent.open("/support", "support")
	agent.press(`form:has(#reference) button`, `button[value="refund"]`, `#reference`, reference)
	agent.look("the purchase", "refund")
	agent.press(`button[value="refund"]`, `.note.good`, `#reason`, "Not needed after all")
	agent.open(kalahari+"/adjust", "adjust")
	agent.press(`main button`, `.note.good`, `#credits`, "25", `#reason`, "Goodwill")
	customer.open(kalahari+"/purchases/"+reference, "bought")
	if got := customer.text(".timeline"); !strings.Contains(strings.ToLower(got), "refund") {
		t.Errorf("the customer sees: %s", got)
	}
}

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// TestWithoutWebhooksTheReturnPageAndRecoveryAndTheJobCredit pays on Stripe's page, as a browser does, while no webhook comes.
func TestWithoutWebhooksTheReturnPageAndRecoveryAndTheJobCredit(t *testing.T) {
	t.Parallel()
	c, _ := startSystem(t)
	admin := c.open("acme")
	c.must("POST", "/_local/stripe/webhooks", "", `{"mode":"drop"}`)
	order := func(key string) (reference, page string) {
		t.Helper()
		started := c.must("POST", "/account/orgs/acme/purchases", admin, `{"package":"credits-500"}`, "Idempotency-Key", key)
		return started["reference"].(string), started["checkout_url"].(string)
	}

	reference, checkout := order("a browser")
	landed, page := c.payOnPage(checkout)
	if landed.Path != "/account/ui/purchases/return" || !strings.Contains(page, "500 credits") || !strings.Contains(page, reference) {
		t.Errorf("came back to %s: %s", landed, page)
	}
	if got := c.available("acme", admin); got != 500 {
		t.Errorf("%v credits after the return", got)
	}

	reference, checkout = order("no return")
	c.must("POST", "/_local/stripe/checkouts/"+path.Base(checkout)+"/pay", "", "{}")
	if got := c.must("POST", "/account/orgs/acme/purchases/"+reference+"/recover", admin, ""); got["status"] != "paid" {
		t.Errorf("recovered: %v", got)
	}
	if got := c.available("acme", admin); got != 1000 {
		t.Errorf("%v credits after the recovery", got)
	}

	_, checkout = order("nobody asks")
	c.must("POST", "/_local/stripe/checkouts/"+path.Base(checkout)+"/pay", "", "{}")
	c.must("POST", "/_local/clock", "", `{"advance":"15m"}`)
	if got := c.available("acme", admin); got != 1500 {
		t.Errorf("%v credits 15 minutes later", got)
	}
	history := c.must("GET", "/account/orgs/acme/purchases", admin, "")["items"].([]any)
	if len(history) != 3 {
		t.Errorf("the history is %v", history)
	}
}

// payOnPage pays on Stripe's page, follows where it leads, and returns that address and page.
func (c *client) payOnPage(checkout string) (landed *url.URL, page string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, checkout, strings.NewReader(url.Values{"card": {"pm_card_visa"}, "action": {"pay"}}.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		c.t.Fatal(fmt.Errorf("%s answered %d: %s", res.Request.URL, res.StatusCode, text))
	}
	return res.Request.URL, string(text)
}

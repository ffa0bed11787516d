package main

import (
	"errors"
	"fmt"
	"path"
	"testing"

	"google.golang.org/api/iterator"
)

// openAs makes an organisation of an owner of its own, and returns its administrator's token.
func (c *client) openAs(org string) string {
	c.t.Helper()
	c.must("PUT", "/account/orgs/"+org, c.token(`{"role":"platform"}`), fmt.Sprintf(`{"name":%q,"country":"ZA","owner_email":"owner@%s.example"}`, org, org))
	return c.token(fmt.Sprintf(`{"role":"admin","org_id":%q,"user_id":"owner-of-%s"}`, org, org))
}

func (c *client) bySource(org, token, source string) float64 {
	c.t.Helper()
	sources, _ := c.must("GET", "/account/orgs/"+org+"/balance", token, "")["by_source"].(map[string]any)
	n, _ := sources[source].(float64)
	return n
}

func TestAFirstPurchaseRewardsBothSidesThroughTheWholeSystem(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	old, young := c.openAs("old"), c.openAs("young")
	c.must("PUT", "/account/operations/promotions/first-one", c.token(`{"role":"platform"}`),
		`{"name":"First","on":"first_purchase","credits":40,"life_days":0,"starts_at":"2026-03-01T00:00:00Z","ends_at":"2026-04-01T00:00:00Z","total_max":5,"per_org_max":1}`)
	code := c.must("GET", "/account/orgs/old/referral", old, "")["code"].(string)
	c.must("POST", "/account/orgs/young/referral/claim", young, fmt.Sprintf(`{"code":%q}`, code), "Idempotency-Key", "claim")
	c.must("POST", "/account/orgs/young/promotions/redeem", young, `{"code":"FIRST-ONE"}`, "Idempotency-Key", "redeem")
	if got := c.available("young", young); got != 0 {
		t.Errorf("%v credits before a purchase", got)
	}
	c.must("POST", "/_local/stripe/webhooks", "", `{"mode":"duplicate"}`)
	for i := range 2 {
		started := c.must("POST", "/account/orgs/young/purchases", young, `{"credits":510}`, "Idempotency-Key", fmt.Sprint(i))
		if started["amount"] != 50900.0 || started["currency"] != "ZAR" {
			t.Errorf("510 credits: %v", started)
		}
		c.must("POST", "/_local/stripe/checkouts/"+path.Base(started["checkout_url"].(string))+"/pay", "", "{}")
		c.eventually("the purchase", func() bool { return c.bySource("young", young, "purchase") == float64(510*(i+1)) })
	}
	c.eventually("both rewards", func() bool {
		return c.bySource("young", young, "referral") == 100 && c.bySource("old", old, "referral") == 100
	})
	if got := c.bySource("young", young, "promotion"); got != 40 {
		t.Errorf("the first purchase's bonus is %v, want 40", got)
	}
	if status, refused := c.call("POST", "/account/orgs/young/referral/claim", young, fmt.Sprintf(`{"code":%q}`, code), "Idempotency-Key", "again"); status != 409 || refused["reason"] != "already_claimed" {
		t.Errorf("a second claim: %d %v", status, refused)
	}
	c.must("POST", "/_local/clock", "", `{"advance":"2160h"}`) // 90 days
	if young, old := c.available("young", young), c.available("old", old); young != 1060 || old != 0 {
		t.Errorf("after the rewards' life: %v and %v", young, old)
	}
	customers := s.clients.Documents.Collection("stripeCustomers").Documents(t.Context())
	defer customers.Stop()
	if _, err := customers.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := customers.Next(); !errors.Is(err, iterator.Done) {
		t.Errorf("a second customer: %v", err)
	}
}

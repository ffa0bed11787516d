package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestABlockedMemberAsksForMoreAndAllAreTold goes through the functions and the mail server: the administrator is asked, the member is told.
func TestABlockedMemberAsksForMoreAndAllAreTold(t *testing.T) {
	t.Parallel()
	c, _ := startSystem(t)
	admin := c.open("acme")
	member := c.token(`{"role":"member","org_id":"acme","user_id":"sipho"}`)
	c.buy("acme", admin, "credits-500", "k")
	c.must("PUT", "/account/orgs/acme/teams/design", admin, `{"name":"Design"}`)
	c.must("PUT", "/account/orgs/acme/teams/design/members/sipho", admin, "")
	c.must("PUT", "/account/orgs/acme/limits/teams/design", admin, `{"credits":40}`)
	service := c.token(`{"role":"service"}`)
	work := `{"event_id":"report","org_id":"acme","user_id":"sipho","feature":"market-trend-report"}`
	if status, got := c.call("POST", "/debit", service, work); status != 403 || got["code"] != "limit_exceeded" || got["scope"] != "team" || got["subject"] != "design" {
		t.Fatalf("%d %v", status, got)
	}
	asked := c.must("POST", "/account/orgs/acme/limit-requests", member, `{"scope":"team","credits":60,"reason":"The daily report"}`)
	path := fmt.Sprint("/account/orgs/acme/limit-requests/", asked["request_id"])
	for range 2 {
		if got := c.must("POST", path+"/grant", admin, `{}`); got["granted_limit"] != 100.0 {
			t.Errorf("%v", got)
		}
	}
	c.must("POST", "/debit", service, work)
	mails := func(to, subject string) (n int) {
		for _, m := range c.emails() {
			m, _ := m.(map[string]any)
			if strings.Contains(fmt.Sprint(m["to"]), to) && m["subject"] == subject {
				n++
			}
		}
		return n
	}
	c.eventually("both are told", func() bool {
		return mails("owner@people.example", "sipho asks for a higher limit") > 0 && mails("sipho@people.example", "Your request for a higher limit is granted") > 0
	})
	if a, b := mails("owner@people.example", "sipho asks for a higher limit"), mails("sipho@people.example", "Your request for a higher limit is granted"); a != 1 || b != 1 {
		t.Errorf("told %d and %d times", a, b)
	}
}

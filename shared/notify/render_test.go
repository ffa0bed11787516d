package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestNumbersReadAsInSouthAfrica(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1 000", 12345: "12 345", 1234567: "1 234 567", 1_000_000_000_000: "1 000 000 000 000", -1234: "-1 234",
	} {
		if got := strings.ReplaceAll(number(n), nbsp, " "); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestAlertsInWords(t *testing.T) {
	t.Parallel()
	templates, err := parseTemplates()
	if err != nil {
		t.Fatal(err)
	}
	threshold := int64(1000)
	end := time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)
	acme := orgs.Org{ID: "acme", Profile: orgs.Profile{Name: "Smith & <Sons>", Zone: "Africa/Johannesburg"}}
	tests := []struct {
		name        string
		event       events.Credit
		title, text string
	}{
		{
			"low balance", events.Credit{Type: credit.EventLowBalance, Credits: 850, Threshold: &threshold},
			"850 AI credits left",
			"Smith & <Sons> has 850 AI credits left, which is at or below its alert threshold of 1 000. Once they are used up, AI features stop until more are bought.",
		},
		{
			"low balance with holds", events.Credit{Type: credit.EventLowBalance, Credits: 1, Threshold: &threshold, Balance: events.Balance{Held: 1}},
			"1 AI credit left",
			"Smith & <Sons> has 1 AI credit left, which is at or below its alert threshold of 1 000. Work in progress has set 1 of them aside. Once they are used up, AI features stop until more are bought.",
		},
		{
			"debt", events.Credit{Type: credit.EventDebt, Credits: 20, Threshold: new(int64)},
			"AI credits are used up, 20 owed",
			"AI work that was already done for Smith & <Sons> cost 20 AI credits more than there were. AI features are refused until credits are bought. What is bought first pays what is owed.",
		},
		{
			"debt at its ceiling", events.Credit{Type: credit.EventDebtCeiling, Credits: 1200, Threshold: &threshold},
			"1 200 AI credits owed, the ceiling is reached",
			"Smith & <Sons> owes 1 200 AI credits for AI work that was already done, which reaches the ceiling of 1 000. AI features are refused until credits are bought. What is bought first pays what is owed.",
		},
		{
			"a threshold of a team's limit", events.Credit{Type: credit.EventLimit, Limit: &events.Limit{
				Scope: credit.ScopeTeam, Subject: "sales", Credits: 1500, Used: 1125, Percent: 75, Blocks: true, ResetsAt: end,
			}},
			"75 % of the monthly limit of team sales is used",
			"Smith & <Sons>: 1 125 AI credits of the 1 500 that team sales may use this month are used. What would go beyond them is refused until 1 April 2026, unless an administrator raises the limit.",
		},
		{
			"a threshold of the organisation's soft limit", events.Credit{Type: credit.EventLimit, Limit: &events.Limit{
				Scope: credit.ScopeOrganisation, Subject: "acme", Credits: 2, Used: 1, Percent: 50, ResetsAt: end,
			}},
			"50 % of the monthly limit of the organisation is used",
			"Smith & <Sons>: 1 AI credit of the 2 that the organisation may use this month is used. This limit refuses nothing; it begins anew on 1 April 2026.",
		},
		{
			"a user's limit reached", events.Credit{Type: credit.EventLimitFull, Limit: &events.Limit{
				Scope: credit.ScopeUser, Subject: "thandi", Credits: 100, Used: 130, Percent: 100, Blocks: true, ResetsAt: end,
			}},
			"The monthly limit of user thandi is reached",
			"Smith & <Sons>: 130 AI credits are used; user thandi may use 100 a month. AI features that this limit binds are refused until 1 April 2026, unless an administrator raises it. Work that was already done is charged for all the same.",
		},
		{
			"the organisation's soft limit reached", events.Credit{Type: credit.EventLimitFull, Limit: &events.Limit{
				Scope: credit.ScopeOrganisation, Subject: "acme", Credits: 100, Used: 100, Percent: 100, ResetsAt: end,
			}},
			"The monthly limit of the organisation is reached",
			"Smith & <Sons>: 100 AI credits are used; the organisation may use 100 a month. This limit refuses nothing; it begins anew on 1 April 2026.",
		},
		{
			"credits that lapse, in the organisation's zone", events.Credit{Type: credit.EventExpiring, Credits: 12345, ExpiresAt: &end},
			"12 345 AI credits lapse on 1 April 2026",
			"12 345 AI credits of Smith & <Sons> lapse on 1 April 2026 (from 00:00, Africa/Johannesburg time) unless used before. Purchased credits never expire and are not counted here.",
		},
		{
			"one credit that lapses", events.Credit{Type: credit.EventExpiring, Credits: 1, ExpiresAt: &end},
			"1 AI credit lapses on 1 April 2026",
			"1 AI credit of Smith & <Sons> lapses on 1 April 2026 (from 00:00, Africa/Johannesburg time) unless used before. Purchased credits never expire and are not counted here.",
		},
		{
			"credits taken back", events.Credit{Type: credit.EventTakenBack, Credits: 300, Reason: "refund of purchase CR-7F3K-9QX2"},
			"300 AI credits taken back",
			"Smith & <Sons> no longer has 300 AI credits: refund of purchase CR-7F3K-9QX2. What was used already is taken from other credits, or owed.",
		},
		{
			"a dispute", events.Credit{Type: credit.EventDisputed, Credits: 1, Reason: "dispute of purchase CR-7F3K-9QX2"},
			"A payment is disputed, 1 AI credit frozen",
			"A bank disputes a payment of Smith & <Sons>: dispute of purchase CR-7F3K-9QX2. What is left of it, 1 AI credit, cannot be used until the dispute is decided. It comes back if the dispute is won.",
		},
		{
			"credits given back", events.Credit{Type: credit.EventGivenBack, Credits: 300, Reason: "dispute of purchase CR-7F3K-9QX2"},
			"300 AI credits given back",
			"Smith & <Sons> has 300 AI credits back which were taken or frozen because of the dispute of purchase CR-7F3K-9QX2.",
		},
	}
	start := time.Date(2026, 2, 28, 22, 0, 0, 0, time.UTC)
	cycle := events.Cycle{Plan: "Starter", Start: start, End: end, Granted: 500, Used: 120, Expired: 380}
	more := cycle
	more.Used, more.Expired, more.Returned, more.Held, more.Bought = 1, 300, 100, 99, 1000
	tests = append(tests, []struct {
		name        string
		event       events.Credit
		title, text string
	}{
		{
			"a cycle's statement", events.Credit{Type: events.CycleClosed, Cycle: &cycle},
			"Starter plan: 120 of 500 AI credits used",
			"Smith & <Sons>: the cycle from 1 March 2026 to 1 April 2026 is closed. Of the 500 AI credits of the Starter plan, 120 were used and 380 expired unused.",
		},
		{
			"a cycle's statement with all that it may tell", events.Credit{Type: events.CycleClosed, Cycle: &more},
			"Starter plan: 1 of 500 AI credits used",
			"Smith & <Sons>: the cycle from 1 March 2026 to 1 April 2026 is closed. Of the 500 AI credits of the Starter plan, 1 was used and 300 expired unused. 100 went back with a refund. Work in progress has 99 set aside. 1 000 AI credits were bought besides; purchased credits never expire.",
		},
		{
			"a renewal that did not come", events.Credit{Type: events.RenewalMissing, Cycle: &cycle},
			"The Starter plan could not be renewed",
			"Smith & <Sons>: the payment of the Starter plan that was due on 1 April 2026 has not come, and the credits of the cycle before it can no longer be used. Purchased credits can. The plan's credits are there as soon as it is paid: please look at the card and the invoices on the billing page.",
		},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, err := templates.write(tt.event, acme)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(w.title, nbsp, " "); got != tt.title {
				t.Errorf("title %q\nwant  %q", got, tt.title)
			}
			if got := strings.ReplaceAll(w.text, nbsp, " "); got != tt.text {
				t.Errorf("text %q\nwant %q", got, tt.text)
			}
			plain, html, err := templates.mail(w, acme, "https://credits.test/?a=1&b=2")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(plain, w.text+"\n") || !strings.Contains(plain, "https://credits.test/?a=1&b=2\n") {
				t.Errorf("plain:\n%s", plain)
			}
			if !strings.Contains(html, "Smith &amp; &lt;Sons&gt;") || strings.Contains(html, "<Sons>") || !strings.Contains(html, `href="https://credits.test/?a=1&amp;b=2"`) {
				t.Errorf("html:\n%s", html)
			}
		})
	}
}

// TestEveryAlertHasWords keeps the templates complete.
func TestEveryAlertHasWords(t *testing.T) {
	t.Parallel()
	templates, err := parseTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []credit.EventKind{credit.EventLowBalance, credit.EventDebt, credit.EventDebtCeiling, credit.EventExpiring, credit.EventTakenBack, credit.EventDisputed, credit.EventGivenBack} {
		if w, err := templates.write(events.Credit{Type: kind}, orgs.Org{}); !kind.Alert() || err != nil || w.title == "" || w.text == "" {
			t.Errorf("%s: %+v, %v", kind, w, err)
		}
	}
}

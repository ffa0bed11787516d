package outbox

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// dead is the publisher of a process that was killed before it could publish.
type dead struct{}

// Publish implements ledger.Publisher.
func (dead) Publish(context.Context, []events.Message) error { return errors.New("killed") }

var _ ledger.Publisher = dead{}

// low drops an organisation's balance below its threshold: one alert follows.
func low(t *testing.T, c *cloudtest.Cloud, l *ledger.Ledger, org string) {
	t.Helper()
	c.Fund(t, l, org, 150)
	for _, command := range []credit.Command{
		credit.Configure{LowBalance: &credit.Threshold{On: true, Credits: 100}},
		credit.Debit{EventID: "job", Credits: 60, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"}},
	} {
		if _, err := l.Do(t.Context(), org, command); err != nil {
			t.Fatal(err)
		}
	}
}

// alerts counts messages by the id of their alert.
func alerts(messages []events.Push) map[string]int {
	out := map[string]int{}
	for _, m := range messages {
		out[m.Attributes["id"]]++
	}
	return out
}

func fire(t *testing.T, c *cloudtest.Cloud, wantStatus int, want string) {
	t.Helper()
	status, answer := c.Fire(t, "outbox")
	got := fmt.Sprintf("sent %v failed %v more %v", answer["sent"], answer["failed"], answer["more"])
	if status != wantStatus || got != want {
		t.Errorf("%d %s, want %d %s", status, got, wantStatus, want)
	}
}

func TestWhatADeadProcessLeftGoesOutOnce(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	published := c.Record(t, events.CreditAlerts)
	low(t, c, c.Ledger(t, dead{}), "acme")
	c.Start(t, "outbox", nil)
	fire(t, c, 200, "sent 0 failed 0 more false") // the process may be alive yet
	if got := alerts(published()); len(got) != 0 {
		t.Errorf("published at once: %v", got)
	}
	c.Advance(31 * time.Second)
	fire(t, c, 200, "sent 2 failed 0 more false") // the purchase, and the alert
	fire(t, c, 200, "sent 0 failed 0 more false")
	if got := alerts(published()); len(got) != 1 || got["low:acme:1"] != 1 {
		t.Errorf("published: %v", got)
	}
}

func TestALiveProcessLeavesNothing(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	published := c.Record(t, events.CreditAlerts)
	low(t, c, c.Ledger(t, c.Publisher(t)), "acme")
	c.Start(t, "outbox", nil)
	c.Advance(time.Hour)
	fire(t, c, 200, "sent 0 failed 0 more false")
	if got := alerts(published()); len(got) != 1 || got["low:acme:1"] != 1 {
		t.Errorf("published: %v", got)
	}
}

func TestARunEmptiesMoreThanAPage(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	published := c.Record(t, events.CreditAlerts)
	l := c.Ledger(t, nil)
	for i := range 130 {
		low(t, c, l, fmt.Sprint("org-", i))
	}
	c.Start(t, "outbox", nil)
	c.Advance(time.Minute)
	fire(t, c, 200, "sent 260 failed 0 more false")
	if got := alerts(published()); len(got) != 130 {
		t.Errorf("%d alerts", len(got))
	}
}

// TestRunsAtOnceLoseNothing: each alert goes out at least once, and consumers know it by its id.
func TestRunsAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	published := c.Record(t, events.CreditAlerts)
	l := c.Ledger(t, nil)
	for i := range 20 {
		low(t, c, l, fmt.Sprint("org-", i))
	}
	c.Start(t, "outbox", nil)
	c.Advance(time.Minute)
	done := make(chan int)
	for range 2 {
		go func() {
			status, _ := c.Fire(t, "outbox")
			done <- status
		}()
	}
	for range 2 {
		if status := <-done; status != 200 {
			t.Errorf("%d", status)
		}
	}
	if got := alerts(published()); len(got) != 20 {
		t.Errorf("%d alerts", len(got))
	}
	fire(t, c, 200, "sent 0 failed 0 more false")
}

func TestDocumentsThatFailDoNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	published := c.Record(t, events.CreditAlerts)
	for i := range 110 { // more than are read at once
		if _, err := c.Client.Doc(fmt.Sprint("outbox/newer-", i)).Set(t.Context(), map[string]any{"v": 2, "at": c.Now().Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	low(t, c, c.Ledger(t, nil), "acme")
	c.Start(t, "outbox", nil)
	c.Advance(time.Minute)
	fire(t, c, 503, "sent 2 failed 110 more false")
	fire(t, c, 503, "sent 0 failed 110 more false")
	if got := alerts(published()); got["low:acme:1"] != 1 {
		t.Errorf("published: %v", got)
	}
}

func TestAnOutboxThatCannotBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	c.Start(t, "outbox", nil)
	c.Hooks.Set(firedb.Rule{Method: "RunQuery", Fault: firedb.Fault{Code: codes.PermissionDenied}})
	if status, answer := c.Fire(t, "outbox"); status != 503 || answer["code"] != "unavailable" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestOnlyTheSchedulerIsLetIn(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	c.Start(t, "outbox", nil)
	for token, want := range map[string]int{
		"": 401, c.Token(t, cloudtest.Pusher, c.Audience("outbox")): 403, c.Token(t, cloudtest.Scheduler, c.Audience("outbox")): 200,
	} {
		if status, answer := c.Post(t, "outbox", "", token, nil); status != want {
			t.Errorf("%d %v, want %d", status, answer, want)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

func TestACyclesCreditsExpireAndPurchasedOnesStay(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	admin := c.open("acme")
	customer := subscribe(t, s, "acme", "price_starter_month_zar")
	for i := range 3 {
		c.buy("acme", admin, "credits-100", fmt.Sprint("key-", i))
	}
	c.eventually("500 + 300 credits", func() bool { return c.available("acme", admin) == 800 })
	c.debits("acme", "market-trend-report", "job", 4)
	if got := c.available("acme", admin); got != 600 {
		t.Fatalf("%v are left, want 600", got)
	}
	// The card fails from now on, so that no renewal is paid.
	failRenewals(t, s, customer)
	c.must("POST", "/_local/clock", "", `{"advance":"768h"}`)
	if got := c.available("acme", admin); got != 300 {
		t.Errorf("%v remain, want 300", got)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { c.must("POST", "/_local/jobs/expiry-sweep/run", "", "") })
	}
	wg.Wait()
	expiries := 0
	for _, e := range c.must("GET", "/account/orgs/acme/entries?page_size=200", admin, "")["items"].([]any) {
		if e.(map[string]any)["kind"] == "expiry" {
			expiries++
		}
	}
	if got := c.available("acme", admin); got != 300 || expiries != 1 {
		t.Errorf("%v remain after %d expiries, want 300 after 1", got, expiries)
	}
	c.debits("acme", "market-trend-report", "later", 1) // debit knew the wallet from before what the job journaled
	if got := c.available("acme", admin); got != 250 {
		t.Errorf("%v remain after one more debit, want 250", got)
	}
}

func TestUsageIsChargedOnceAndWhatCannotBeIsPutAside(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	admin := c.open("acme")
	c.buy("acme", admin, "credits-100", "k")
	c.eventually("the purchase", func() bool { return c.available("acme", admin) == 100 })
	for _, poison := range []string{`not json`, `{"event_id":"p2","org_id":"acme","feature":"alchemy"}`, `{"event_id":"p3","org_id":"nobody","feature":"custom-query","credits":10}`} {
		c.must("POST", "/_local/publish/ai-usage", "", poison)
	}
	good := `{"event_id":"u1","org_id":"acme","feature":"restock-prediction"}`
	for range 2 { // the same event under two message ids
		c.must("POST", "/_local/publish/ai-usage", "", good)
	}
	c.eventually("the usage", func() bool { return c.available("acme", admin) == 75 })
	platform := c.token(`{"role":"platform"}`)
	letters := c.must("GET", "/account/operations/dead-letters", platform, "")["items"].([]any)
	if len(letters) != 3 {
		t.Errorf("%d messages are put aside, want 3: %v", len(letters), letters)
	}
	var unknown string
	for _, l := range letters {
		letter := l.(map[string]any)
		if letter["code"] == "" || letter["reason"] == "" {
			t.Errorf("no reason: %v", l)
		}
		if letter["code"] == "unknown_feature" {
			unknown = letter["id"].(string)
		}
	}
	// The feature is added to the catalogue, and the message replayed.
	prices := catalogue.NewStore(s.clients.Documents, s.log, catalogue.StoreOptions{})
	current, err := prices.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := current.Document()
	next.Version++
	next.Features = append(slices.Clone(next.Features), catalogue.Feature{
		ID: "alchemy", Name: "Alchemy", Description: "Lead into gold", Price: catalogue.Range{Min: 5, Max: 5},
	})
	fixed, err := catalogue.New(next)
	if err != nil {
		t.Fatal(err)
	}
	if err := prices.Publish(t.Context(), fixed, "operator"); err != nil {
		t.Fatal(err)
	}
	c.eventually("the replayed usage", func() bool {
		c.must("POST", "/account/operations/dead-letters/"+unknown+"/replay", platform, "")
		return c.available("acme", admin) == 70
	})
}

func TestRedeliveriesChangeNothing(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	admin := c.open("acme")
	for range 10 { // the same order is the same purchase
		started := c.must("POST", "/account/orgs/acme/purchases", admin, `{"package":"credits-100"}`, "Idempotency-Key", "k")
		if started["credits"] != 100.0 {
			t.Errorf("%v", started)
		}
	}
	c.buy("acme", admin, "credits-100", "k")
	c.eventually("the purchase", func() bool { return c.available("acme", admin) == 100 })
	events := c.must("GET", "/_local/stripe-api/v1/events?limit=100", stripeKey, "")["data"].([]any)
	if len(events) < 4 {
		t.Errorf("Stripe has only %d events", len(events))
	}
	for _, e := range events {
		if err := s.stripe.Redeliver(t.Context(), e.(map[string]any)["id"].(string), 10); err != nil {
			t.Error(err)
		}
	}
	for range 10 {
		c.debits("acme", "market-trend-report", "once", 1)
		c.must("POST", "/_local/publish/ai-usage", "", `{"event_id":"u","org_id":"acme","feature":"restock-prediction"}`)
	}
	if got := c.available("acme", admin); got != 25 {
		t.Errorf("%v are left, want 25", got)
	}
}

func TestExpiredCreditsCannotBeSpentThoughNoJobEverRuns(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	admin := c.open("acme")
	subscribe(t, s, "acme", "price_starter_month_zar")
	c.eventually("500 credits", func() bool { return c.available("acme", admin) == 500 })
	if err := s.stripe.WebhookMode(stripestand.ModeDrop); err != nil {
		t.Fatal(err)
	}
	if err := s.clock.MoveTo(s.clock.Now().Add(32 * 24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	status, got := c.call("POST", "/debit", c.token(`{"role":"service"}`), `{"event_id":"late","org_id":"acme","feature":"market-trend-report"}`)
	if status != http.StatusPaymentRequired || got["code"] != "insufficient_credits" || c.available("acme", admin) != 0 {
		t.Errorf("%d %v", status, got)
	}
}

func TestAlertsFollowTheBalance(t *testing.T) {
	t.Parallel()
	c, _ := startSystem(t)
	admin := c.open("acme")
	c.must("PUT", "/account/orgs/acme/alerts", admin, `{"low_balance":{"enabled":true,"threshold":100,"channels":["email","dashboard"]},"expiry":{"enabled":true,"channels":["email"]}}`)
	c.buy("acme", admin, "credits-500", "k")
	c.eventually("the purchase", func() bool { return c.available("acme", admin) == 500 })
	c.debits("acme", "competitor-analysis", "a", 5)    // 125
	c.debits("acme", "market-trend-report", "b", 1)    // 75: the first alert
	c.debits("acme", "pricing-recommendation", "c", 1) // 60
	c.buy("acme", admin, "credits-100", "k2")          // 160: armed again
	c.eventually("the second purchase", func() bool { return c.available("acme", admin) == 160 })
	c.debits("acme", "competitor-analysis", "d", 1) // 85: the second
	// Two alerts, and two purchases.
	c.eventually("four e-mails", func() bool { return len(c.emails()) == 4 })
	feed := c.must("GET", "/account/orgs/acme/notifications", admin, "")["items"].([]any)
	if len(feed) != 4 || len(c.emails()) != 4 {
		t.Errorf("%d in the feed and %d e-mails, want 4 and 4", len(feed), len(c.emails()))
	}
}

// child is the local runner in a process of its own.
func child(t *testing.T, data, pubsub string) (*client, *exec.Cmd) {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childArgs+"=-demo=false -addr "+addr+" -data "+data)
	if pubsub != "" {
		cmd.Env = append(cmd.Env, "PUBSUB_EMULATOR_HOST="+pubsub)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c := &client{t: t, base: "http://" + addr}
	c.eventually("the system serves", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+"/_local/clock", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return c, cmd
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestAnAlertSurvivesItsProcess kills the process between the commit that crosses the threshold and the publication of the alert: at the
// moment when it reaches for Pub/Sub.
func TestAnAlertSurvivesItsProcess(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c, cmd := child(t, data, "")
	admin := c.open("acme")
	c.buy("acme", admin, "credits-500", "k")
	c.eventually("the purchase", func() bool { return c.available("acme", admin) == 500 })
	c.eventually("the e-mail of the purchase", func() bool { return len(c.emails()) == 1 }) // whatever comes later is of the alert
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()

	trap, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, cmd = child(t, data, trap.Addr().String())
	pubsub := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return cmd.Process.Kill() }))
	t.Cleanup(pubsub.Stop)
	go pubsub.Serve(trap)
	service := c.token(`{"role":"service"}`)
	for i := range 6 { // 500 → 50: the fifth crosses 100
		body := fmt.Sprintf(`{"event_id":"e%d","org_id":"acme","feature":"competitor-analysis"}`, i)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/debit", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+service)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			break // killed
		}
		res.Body.Close()
	}
	cmd.Wait()

	c, _ = child(t, data, "")
	admin = c.token(`{"role":"admin","org_id":"acme","user_id":"owner"}`)
	if got := c.available("acme", admin); got != 50 {
		t.Errorf("%v are left, want 50: the commit before the kill", got)
	}
	if n := len(c.emails()); n != 0 {
		t.Errorf("%d e-mails went out before the outbox was swept", n)
	}
	c.must("POST", "/_local/clock", "", `{"advance":"5m"}`)
	c.must("POST", "/_local/jobs/outbox/run", "", "")
	c.eventually("the alert", func() bool { return len(c.emails()) == 1 })
	c.must("POST", "/_local/jobs/outbox/run", "", "")
	if n := len(c.emails()); n != 1 {
		t.Errorf("%d e-mails, want 1", n)
	}
}

func TestATakenPortIsAClearError(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for addr, want := range map[string]string{l.Addr().String(): "is it running already", "0.0.0.0:0": "loopback", "nonsense": "host:port"} {
		err := run(t.Context(), []string{"-addr", addr, "-demo=false"}, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-addr %s: %v, want %q", addr, err, want)
		}
	}
}

func TestTheDemonstrationHasAHistory(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := start(ctx, options{addr: "127.0.0.1:0", demo: true, stderr: io.Discard, environ: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, base: s.base}
	admin := c.token(fmt.Sprintf(`{"role":"admin","org_id":%q,"user_id":"thandi"}`, demoOrg))
	if got := c.available(demoOrg, admin); got < 100 {
		t.Errorf("the demonstration has %v credits", got)
	}
	limits := c.must("GET", "/account/orgs/"+demoOrg+"/limits", admin, "")
	if teams, _ := limits["teams"].([]any); len(teams) != 1 || limits["default_user"] == nil {
		t.Errorf("the demonstration has the limits %v", limits)
	}
	if whole, _ := limits["organisation"].(map[string]any); whole["limit"] == nil || whole["left"] == 0.0 {
		t.Errorf("the demonstration's limit is %v", whole)
	}
	if teams, _ := c.must("GET", "/account/orgs/"+demoOrg+"/teams", admin, "")["items"].([]any); len(teams) != 2 {
		t.Errorf("the demonstration has the teams %v", teams)
	}
	before := c.available(demoOrg, admin)
	c.must("POST", "/account/orgs/"+demoOrg+"/promotions/redeem", admin, `{"code":"welcome50"}`, "Idempotency-Key", "gift")
	if got := c.available(demoOrg, admin); got != before+50 {
		t.Errorf("the demonstration's code made %v credits of %v", got, before)
	}
	var out strings.Builder
	s.welcome(&out)
	if !strings.Contains(out.String(), s.base+"/debit") || !strings.Contains(out.String(), "Three commands") {
		t.Errorf("the welcome says\n%s", out.String())
	}
	cancel()
	if err := s.stop(context.Background()); err != nil {
		t.Errorf("a clean stop: %v", err)
	}
}

package alerts

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/inbox"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// system is the function in its cloud, with a mail server.
type system struct {
	*cloudtest.Cloud
	ledger    *ledger.Ledger // publishes as it commits
	store     *orgs.Store
	registrar *orgs.Registrar
	inbox     *inbox.Inbox
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{Cloud: cloudtest.New(t), inbox: inbox.New(inbox.Options{Delay: 100 * time.Millisecond})}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := s.inbox.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { s.inbox.Close() })
	s.ledger = s.Ledger(t, s.Publisher(t))
	if s.store, err = orgs.NewStore(s.Client, slog.New(slog.DiscardHandler), orgs.Options{Now: s.Now}); err != nil {
		t.Fatal(err)
	}
	if s.registrar, err = orgs.NewRegistrar(s.store, s.ledger, s.Catalogue(t)); err != nil {
		t.Fatal(err)
	}
	s.Start(t, "alerts", map[string]string{
		"SMTP_HOST": "127.0.0.1", "SMTP_PORT": strconv.Itoa(l.Addr().(*net.TCPAddr).Port), "SMTP_SECURITY": "none",
		"MAIL_FROM": "Fluxori AI Credits <credits@fluxori.test>", "DASHBOARD_URL": "https://credits.fluxori.test/account/ui/",
	})
	return s
}

// register makes an organisation with an alert threshold of 100 that is told by channels; none is off.
func (s *system) register(t *testing.T, org string, channels ...orgs.Channel) {
	t.Helper()
	p := orgs.Profile{Name: "Acme Traders", Country: "ZA", Zone: "Africa/Johannesburg", OwnerEmail: "owner@" + org + ".test"}
	if _, _, err := s.registrar.Put(t.Context(), org, p); err != nil {
		t.Fatal(err)
	}
	s.choose(t, org, channels...)
}

func (s *system) choose(t *testing.T, org string, channels ...orgs.Channel) {
	t.Helper()
	on := len(channels) > 0
	if _, err := s.registrar.SetAlerts(t.Context(), org, orgs.Alerts{
		LowBalance: orgs.LowBalance{Enabled: on, Threshold: 100, Channels: channels}, Expiry: orgs.Expiry{Enabled: on, Channels: channels},
	}); err != nil {
		t.Fatal(err)
	}
}

func (s *system) buy(t *testing.T, org, payment string, credits int64) {
	t.Helper()
	s.Grant(t, s.ledger, org, org+payment, credit.Terms{Source: credit.Purchase, Granted: credits})
}

func (s *system) spend(t *testing.T, org, id string, credits int64, usage bool) {
	t.Helper()
	if _, err := s.ledger.Do(t.Context(), org, credit.Debit{
		EventID: id, Credits: credits, Usage: usage, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
	}); err != nil {
		t.Fatal(err)
	}
}

// rideDown takes a balance through 150, 90, 80, 120 and 95: below the threshold twice.
func (s *system) rideDown(t *testing.T, org string) {
	t.Helper()
	s.buy(t, org, "1", 150)
	s.spend(t, org, "a", 60, false)
	s.spend(t, org, "b", 10, false)
	s.buy(t, org, "2", 40)
	s.spend(t, org, "c", 25, false)
}

// feed lists the titles of an organisation's feed, oldest first.
func (s *system) feed(t *testing.T, org string) []string {
	t.Helper()
	ns, err := s.store.Notifications(t.Context(), org, orgs.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(ns))
	for i, n := range ns {
		out[len(ns)-1-i] = n.ID + " " + plain(n.Title)
	}
	return out
}

// mails lists the subjects of what arrived, with the addresses, sorted.
func (s *system) mails() []string {
	var out []string
	for _, m := range s.inbox.Messages() {
		out = append(out, strings.Join(m.To, ",")+" "+plain(m.Subject))
	}
	slices.Sort(out)
	return out
}

func plain(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

// redeliver publishes the alerts of an organisation again, ten times.
func (s *system) redeliver(t *testing.T, messages []events.Push) {
	t.Helper()
	for range 10 {
		for _, m := range messages {
			s.Publish(t, events.CreditAlerts, string(m.Data), m.Attributes)
		}
	}
	s.Quiet(t)
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestEachCrossingIsToldOnceAsChosenWhateverIsRedelivered(t *testing.T) {
	t.Parallel()
	feed := []string{"low:acme:1 90 AI credits left", "low:acme:2 95 AI credits left"}
	mails := []string{"owner@acme.test 90 AI credits left", "owner@acme.test 95 AI credits left"}
	tests := []struct {
		name        string
		channels    []orgs.Channel
		feed, mails []string
	}{
		{"both", []orgs.Channel{orgs.Email, orgs.Dashboard}, feed, mails},
		{"e-mail only", []orgs.Channel{orgs.Email}, []string{}, mails},
		{"dashboard only", []orgs.Channel{orgs.Dashboard}, feed, nil},
		{"off", nil, []string{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			if err := s.Broker.SetFaults(broker.Faults{Seed: 3, Duplicate: broker.Fault{PerMille: 500}, DropAck: broker.Fault{PerMille: 500, Limit: 50}}); err != nil {
				t.Fatal(err)
			}
			published := s.Record(t, events.CreditAlerts)
			s.register(t, "acme", tt.channels...)
			s.rideDown(t, "acme")
			s.Quiet(t)
			s.redeliver(t, published())
			equal(t, "feed", s.feed(t, "acme"), tt.feed)
			equal(t, "mails", s.mails(), tt.mails)
		})
	}
}

// TestTheChoiceIsTheOneInForceWhenTheAlertCame: turning a channel on later does not bring old alerts.
func TestTheChoiceIsTheOneInForceWhenTheAlertCame(t *testing.T) {
	t.Parallel()
	s := start(t)
	published := s.Record(t, events.CreditAlerts)
	s.register(t, "acme", orgs.Dashboard)
	s.rideDown(t, "acme")
	first := published()
	s.choose(t, "acme", orgs.Email, orgs.Dashboard)
	s.redeliver(t, first)
	equal(t, "mails", s.mails(), nil)
}

func TestAMailGoesOutOnceTheServerIsBack(t *testing.T) {
	t.Parallel()
	for _, mode := range []inbox.Mode{inbox.ModeDown, inbox.ModeDefer} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			if err := s.inbox.SetMode(mode); err != nil {
				t.Fatal(err)
			}
			s.register(t, "acme", orgs.Email, orgs.Dashboard)
			s.rideDown(t, "acme")
			subscription := "projects/" + s.Project + "/subscriptions/credit-alerts-push"
			for began := time.Now(); s.Broker.Stats().Subscriptions[subscription].Nacked < 4; time.Sleep(5 * time.Millisecond) {
				if time.Since(began) > 20*time.Second {
					t.Fatal("the alerts are not tried again")
				}
			}
			// The feed does not wait, and neither do debits.
			equal(t, "feed", s.feed(t, "acme"), []string{"low:acme:1 90 AI credits left", "low:acme:2 95 AI credits left"})
			s.spend(t, "acme", "d", 10, false)
			equal(t, "mails", s.mails(), nil)
			if err := s.inbox.SetMode(inbox.ModeUp); err != nil {
				t.Fatal(err)
			}
			s.Quiet(t)
			equal(t, "mails", s.mails(), []string{"owner@acme.test 90 AI credits left", "owner@acme.test 95 AI credits left"})
		})
	}
}

// TestASlowServerDoesNotMakeTwoMailsOfOne: while one delivery sends, another of the same alert waits.
func TestASlowServerDoesNotMakeTwoMailsOfOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.inbox.SetMode(inbox.ModeSlow); err != nil {
		t.Fatal(err)
	}
	published := s.Record(t, events.CreditAlerts)
	s.register(t, "acme", orgs.Email)
	s.buy(t, "acme", "1", 150)
	s.spend(t, "acme", "a", 60, false)
	s.redeliver(t, published())
	equal(t, "mails", s.mails(), []string{"owner@acme.test 90 AI credits left"})
}

// TestAnAnswerThatIsLostRepeatsTheMailUnderItsID: the server took it, but did not say so. Nobody can know; readers' programs do.
func TestAnAnswerThatIsLostRepeatsTheMailUnderItsID(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.inbox.SetMode(inbox.ModeDrop); err != nil {
		t.Fatal(err)
	}
	s.register(t, "acme", orgs.Email)
	s.buy(t, "acme", "1", 150)
	s.spend(t, "acme", "a", 60, false)
	if _, err := s.inbox.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.inbox.SetMode(inbox.ModeUp); err != nil {
		t.Fatal(err)
	}
	s.Quiet(t)
	ids := map[string]bool{}
	for _, m := range s.inbox.Messages() {
		ids[m.MessageID] = true
	}
	if got := len(s.inbox.Messages()); got < 2 || len(ids) != 1 {
		t.Errorf("%d mails under %v, want some under one id", got, ids)
	}
}

func TestEveryKindOfAlertIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme", orgs.Email, orgs.Dashboard)
	ceiling := int64(1000)
	if _, err := s.ledger.Do(t.Context(), "acme", credit.Configure{DebtCeiling: &ceiling}); err != nil {
		t.Fatal(err)
	}
	s.buy(t, "acme", "1", 150)
	s.spend(t, "acme", "a", 200, true)
	s.Quiet(t)
	s.spend(t, "acme", "b", 1100, true)
	end := s.Now().AddDate(0, 0, 6)
	m, err := events.Encode(credit.Lapse{Day: end.Truncate(24 * time.Hour), At: end, Credits: 12345, Distance: 7}.Warning("acme", s.Now().Add(time.Second), credit.Figures{}))
	if err != nil {
		t.Fatal(err)
	}
	s.Publish(t, m.Topic, string(m.Data), m.Attributes())
	s.Quiet(t)
	want := []string{
		"debt-ceiling:acme:2 1 150 AI credits owed, the ceiling is reached", "debt:acme:1 AI credits are used up, 50 owed",
		"expiring:acme:2026-03-07:7 12 345 AI credits lapse on 7 March 2026", "low:acme:1 0 AI credits left",
	}
	got := s.feed(t, "acme")
	slices.Sort(got)
	equal(t, "feed", got, want)
	if n := len(s.inbox.Messages()); n != 4 {
		t.Errorf("%d mails, want 4", n)
	}
}

func TestAPurchaseIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme", orgs.Email, orgs.Dashboard)
	for _, source := range []credit.Source{credit.Purchase, credit.Promotion} { // a gift is not one
		if _, err := s.ledger.Do(t.Context(), "acme", credit.NewGrant{
			Key: credit.SystemKey("grant", string(source)), Reason: "purchase CR-7F3K-9QX2", Announce: true, Terms: credit.Terms{Source: source, Granted: 500},
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.Quiet(t)
	got := s.mails()
	equal(t, "mails", got, []string{"owner@acme.test 500 AI credits bought"})
	if feed := s.feed(t, "acme"); len(feed) != 1 || !strings.HasSuffix(feed[0], "500 AI credits bought") {
		t.Errorf("the feed has %q", feed)
	}
}

func TestEveryAdministratorIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme", orgs.Email)
	for i, role := range []orgs.Role{orgs.RoleAdmin, orgs.RoleAdmin, orgs.RoleMember} {
		m := orgs.Member{Sub: fmt.Sprint("sub-", i), Role: role, Email: fmt.Sprintf("person-%d@acme.test", i)}
		if err := s.store.PutMember(t.Context(), "acme", m); err != nil {
			t.Fatal(err)
		}
	}
	s.buy(t, "acme", "1", 150)
	s.spend(t, "acme", "a", 60, false)
	s.Quiet(t)
	equal(t, "mails", s.mails(), []string{"person-0@acme.test 90 AI credits left", "person-1@acme.test 90 AI credits left"})
}

func TestWhatCanNeverBeToldIsPutAside(t *testing.T) {
	t.Parallel()
	s := start(t)
	letters, err := deadletters.NewStore(s.Client, s.Publisher(t), s.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.register(t, "acme", orgs.Dashboard)
	for _, data := range []string{
		`{`,
		`{"v":1,"id":"low:nobody:1","type":"low_balance","org_id":"nobody","at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"id":"party:acme:1","type":"party","org_id":"acme","at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"id":"../x","type":"debt","org_id":"acme","at":"2026-03-01T08:00:00Z"}`,
	} {
		s.Publish(t, events.CreditAlerts, data, nil)
	}
	s.Quiet(t)
	page, err := letters.List(t.Context(), deadletters.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range page.Letters {
		got = append(got, l.Topic+" "+l.Code)
	}
	slices.Sort(got)
	equal(t, "letters", got, []string{"credit-alerts invalid_request", "credit-alerts invalid_request", "credit-alerts invalid_request", "credit-alerts unknown_org"})
	newer := `{"message":{"data":"eyJ2IjoyfQ==","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`
	for token, want := range map[string]int{
		"": 401, s.Token(t, cloudtest.Scheduler, s.Audience("alerts")): 403, s.Token(t, cloudtest.Pusher, s.Audience("alerts")): 503,
	} {
		if status, answer := s.Post(t, "alerts", "", token, strings.NewReader(newer)); status != want {
			t.Errorf("an alert of a newer release: %d %v, want %d", status, answer, want)
		}
	}
}

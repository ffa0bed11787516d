package expiry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/fanout"
	"github.com/fluxori/ai-credits/shared/ledger"
)

const day = 24 * time.Hour

// system is the function in its cloud.
type system struct {
	*cloudtest.Cloud
	ledger *ledger.Ledger
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{Cloud: cloudtest.New(t)}
	s.ledger = s.Ledger(t, nil)
	s.Start(t, "expiry", nil)
	return s
}

// subscribe gives an organisation a cycle's credits, with two hours' grace after its end.
func (s *system) subscribe(t *testing.T, org string, credits int64, end time.Time) {
	t.Helper()
	s.Grant(t, s.ledger, org, "in_"+org, credit.Terms{
		Source: credit.Subscription, Granted: credits, EffectiveAt: s.Now(), ExpiresAt: end, UsableUntil: end.Add(2 * time.Hour), Item: "si_" + org,
	})
}

// promote gives an organisation credits until an end.
func (s *system) promote(t *testing.T, org, key string, credits int64, end time.Time) {
	t.Helper()
	s.Grant(t, s.ledger, org, key, credit.Terms{Source: credit.Promotion, Granted: credits, EffectiveAt: s.Now(), ExpiresAt: end, UsableUntil: end})
}

func (s *system) spend(t *testing.T, org, id string, credits int64) error {
	t.Helper()
	_, err := s.ledger.Do(t.Context(), org, credit.Debit{
		EventID: id, Credits: credits, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
	})
	return err
}

// expiries lists the expiry entries of a wallet.
func (s *system) expiries(t *testing.T, org string) []*credit.Entry {
	t.Helper()
	all, err := s.ledger.Entries(t.Context(), org, time.Time{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []*credit.Entry
	for _, e := range all {
		if e.Kind == credit.KindExpiry {
			out = append(out, e)
		}
	}
	return out
}

func (s *system) fire(t *testing.T, job string, wantWallets float64) {
	t.Helper()
	status, answer := s.Fire(t, job)
	if status != 200 || answer["wallets"] != wantWallets || answer["more"] != false {
		t.Errorf("%s: %d %v, want %v wallets", job, status, answer, wantWallets)
	}
	s.Quiet(t)
}

func TestACyclesCreditsExpireOnceHoweverOftenTheJobRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 300)
	end := s.Now().Add(30 * day)
	s.subscribe(t, "acme", 500, end)
	if err := s.spend(t, "acme", "job", 200); err != nil {
		t.Fatal(err)
	}
	s.Advance(30*day + time.Hour) // within the grace
	s.fire(t, "expiry-sweep", 0)
	s.Advance(2 * time.Hour)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if status, answer := s.Fire(t, "expiry-sweep"); status != 200 {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	both.Wait()
	s.Quiet(t)
	s.fire(t, "expiry-sweep", 0)
	got := s.expiries(t, "acme")
	if len(got) != 1 || got[0].Credits != 300 || !got[0].At.Equal(end.Add(2*time.Hour)) || got[0].After.Available != 300 {
		t.Errorf("%d expiries, the first %+v", len(got), got[0])
	}
}

func TestCreditsLapseThoughTheJobNeverRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 300)
	s.subscribe(t, "acme", 500, s.Now().Add(30*day))
	s.Advance(90 * day)
	var no *credit.Refusal
	if err := s.spend(t, "acme", "too much", 301); !errors.As(err, &no) || no.Code() != credit.CodeInsufficient {
		t.Errorf("%v, want a refusal", err)
	}
	if err := s.spend(t, "acme", "the rest", 300); err != nil {
		t.Error(err)
	}
	s.fire(t, "expiry-sweep", 0) // the debit has journaled it
	if got := s.expiries(t, "acme"); len(got) != 1 {
		t.Errorf("%d expiries", len(got))
	}
}

func TestASweepReachesEveryDueWalletAndNoOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	const due = fanout.Page + 20
	end := s.Now().Add(day)
	var all sync.WaitGroup
	places := make(chan struct{}, 32)
	for i := range due + 5 {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			org := fmt.Sprintf("org-%d", i)
			s.Fund(t, s.ledger, org, 0)
			if i < due {
				s.promote(t, org, org, 10, end)
			} else {
				s.promote(t, org, org, 10, end.Add(2*day))
			}
		})
	}
	all.Wait()
	s.Advance(2 * day)
	s.fire(t, "expiry-sweep", due)
	s.fire(t, "expiry-sweep", 0)
	for _, i := range []int{0, 1, due - 1, due, due + 4} {
		want := 1
		if i >= due {
			want = 0
		}
		if got := s.expiries(t, fmt.Sprintf("org-%d", i)); len(got) != want {
			t.Errorf("org-%d: %d expiries, want %d", i, len(got), want)
		}
	}
}

func TestAWalletThatFailsDelaysNoOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, org := range []string{"broken", "acme"} {
		s.Fund(t, s.ledger, org, 0)
		s.promote(t, org, org, 10, s.Now().Add(day))
	}
	s.Advance(2 * day)
	if _, err := s.Client.Doc("wallets/broken").Set(t.Context(), map[string]any{"v": 2, "next_due_at": s.Now().Add(-day)}); err != nil {
		t.Fatal(err)
	}
	if status, answer := s.Fire(t, "expiry-sweep"); status != 200 || answer["wallets"] != 2.0 {
		t.Errorf("%d %v", status, answer)
	}
	for began := time.Now(); len(s.expiries(t, "acme")) == 0; {
		if time.Since(began) > 10*time.Second {
			t.Fatal("acme is not settled")
		}
		time.Sleep(5 * time.Millisecond)
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		stats := s.Broker.Stats().Subscriptions["projects/"+s.Project+"/subscriptions/credit-expiry-push"]
		if stats.Acked == 1 && stats.Nacked > 0 && stats.Pending == 1 {
			return // acme's is done, the broken wallet's is kept
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%+v, want the broken wallet's message kept", stats)
		}
	}
}

func TestMessagesThatCanNeverBeDoneAreDropped(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, data := range []string{`{`, `{}`, `{"v":1}`, `{"v":1,"org_id":"nobody","duty":"settle"}`, `{"v":1,"org_id":"nobody","duty":"warn"}`,
		`{"v":1,"org_id":"../x","duty":"settle"}`, `{"v":1,"org_id":"acme","duty":"dance"}`} {
		s.Publish(t, events.CreditExpiry, data, nil)
	}
	s.Quiet(t)
	const newer = `{"message":{"data":"eyJ2IjoyfQ==","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`
	if status, _ := s.Post(t, "expiry", "/settle", s.Token(t, cloudtest.Pusher, s.Audience("expiry")), strings.NewReader(newer)); status != 503 {
		t.Errorf("a message of a newer release: %d, want 503", status)
	}
}

// warned counts warnings by id, and their credits.
func warned(t *testing.T, messages []events.Push) (times map[string]int, credits map[string]int64) {
	t.Helper()
	times, credits = map[string]int{}, map[string]int64{}
	for _, m := range messages {
		var e events.Credit
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		times[e.ID]++
		credits[e.ID] = e.Credits
	}
	return times, credits
}

func TestWarningsAreRaisedOncePerDayAndDistance(t *testing.T) {
	t.Parallel()
	s := start(t)
	alerts := s.Record(t, events.CreditAlerts)
	s.Fund(t, s.ledger, "acme", 1000)
	s.promote(t, "acme", "march-12", 100, time.Date(2026, 3, 12, 12, 0, 0, 0, time.UTC))
	s.promote(t, "acme", "march-12-late", 20, time.Date(2026, 3, 12, 20, 0, 0, 0, time.UTC))
	s.promote(t, "acme", "march-14", 7, time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC))
	s.Fund(t, s.ledger, "bravo", 0)
	s.subscribe(t, "bravo", 500, time.Date(2026, 3, 15, 23, 0, 0, 0, time.UTC)) // 16 March in Johannesburg
	for range 20 {                                                              // from 1 to 20 March, 10:00 in Johannesburg
		for range 2 {
			if status, answer := s.Fire(t, "expiry-warnings"); status != 200 {
				t.Fatalf("%d %v", status, answer)
			}
		}
		s.Quiet(t)
		s.Advance(day)
	}
	_, got := warned(t, alerts())
	want := map[string]int64{
		"expiring:acme:2026-03-12:7": 120, "expiring:acme:2026-03-12:1": 120, "expiring:acme:2026-03-14:7": 7, "expiring:acme:2026-03-14:1": 7,
		"expiring:bravo:2026-03-16:7": 500, "expiring:bravo:2026-03-16:1": 500,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestNothingLeftNothingSaid(t *testing.T) {
	t.Parallel()
	s := start(t)
	alerts := s.Record(t, events.CreditAlerts)
	s.Fund(t, s.ledger, "acme", 0)
	s.promote(t, "acme", "p", 100, s.Now().Add(5*day))
	s.fire(t, "expiry-warnings", 1)
	if err := s.spend(t, "acme", "all", 100); err != nil {
		t.Fatal(err)
	}
	s.Advance(4 * day)
	s.fire(t, "expiry-warnings", 1) // its moment is a lower bound: the wallet is looked at, and has nothing
	if got, _ := warned(t, alerts()); !maps.Equal(got, map[string]int{"expiring:acme:2026-03-06:7": 1}) {
		t.Errorf("%v", got)
	}
}

func TestALateRunStillWarns(t *testing.T) {
	t.Parallel()
	s := start(t)
	alerts := s.Record(t, events.CreditAlerts)
	s.Fund(t, s.ledger, "acme", 0)
	s.promote(t, "acme", "p", 100, s.Now().Add(30*day))
	s.Advance(26 * day) // the job has not run for days
	s.fire(t, "expiry-warnings", 1)
	s.Advance(4*day - time.Hour) // nor on the day before
	s.fire(t, "expiry-warnings", 1)
	if got, _ := warned(t, alerts()); !maps.Equal(got, map[string]int{"expiring:acme:2026-03-31:7": 1, "expiring:acme:2026-03-31:1": 1}) {
		t.Errorf("%v", got)
	}
}

func TestGrantsOutsideTheWalletDocumentAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := start(t)
	alerts := s.Record(t, events.CreditAlerts)
	s.Fund(t, s.ledger, "acme", 0)
	end := s.Now().Add(5 * day)
	for i := range 300 { // 256 stand in the wallet's document
		s.promote(t, "acme", fmt.Sprint("p", i), 10, end)
	}
	s.fire(t, "expiry-warnings", 1)
	if _, got := warned(t, alerts()); !maps.Equal(got, map[string]int64{"expiring:acme:2026-03-06:7": 3000}) {
		t.Errorf("%v", got)
	}
}

func TestOnlyThoseWhoAreWiredAreLetIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	scheduler, pusher := s.Token(t, cloudtest.Scheduler, s.Audience("expiry")), s.Token(t, cloudtest.Pusher, s.Audience("expiry"))
	const push = `{"message":{"data":"e30=","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`
	tests := []struct {
		path, token string
		want        int
	}{
		{"", "", 401}, {"", pusher, 403}, {"", scheduler, 200},
		{"/warnings", "", 401}, {"/warnings", pusher, 403}, {"/warnings", scheduler, 200},
		{"/settle", "", 401}, {"/settle", scheduler, 403}, {"/settle", pusher, 204},
	}
	for _, tt := range tests {
		if status, answer := s.Post(t, "expiry", tt.path, tt.token, strings.NewReader(push)); status != tt.want {
			t.Errorf("%s: %d %v, want %d", tt.path, status, answer, tt.want)
		}
	}
}

func TestMonthsAreFoldedOnceTheyAreOver(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, org := range []string{"acme", "globex"} {
		s.Fund(t, s.ledger, org, 300)
		if err := s.spend(t, org, "job", 200); err != nil {
			t.Fatal(err)
		}
	}
	s.Fund(t, s.ledger, "idle", 300)
	s.fire(t, "usage-fold", 0)
	s.Advance(40 * day)
	s.fire(t, "usage-fold", 2)
	s.fire(t, "usage-fold", 0)
	from, until := s.Now().Add(-60*day).Format(time.DateOnly), s.Now().Format(time.DateOnly)
	for _, org := range []string{"acme", "globex"} {
		var credits int64
		if _, err := s.ledger.Usage(t.Context(), org, from, until, func(u ledger.Used) error { credits += u.Credits; return nil }); err != nil || credits != 200 {
			t.Errorf("%s used %d credits, %v", org, credits, err)
		}
	}
}

package usage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// system is the function in its cloud.
type system struct {
	*cloudtest.Cloud
	ledger  *ledger.Ledger
	letters *deadletters.Store
	prices  *catalogue.Store
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{Cloud: cloudtest.New(t)}
	s.prices = s.Catalogue(t)
	s.ledger = s.Ledger(t, nil)
	var err error
	if s.letters, err = deadletters.NewStore(s.Client, s.Publisher(t), s.Now); err != nil {
		t.Fatal(err)
	}
	s.Start(t, "usage", nil)
	return s
}

func (s *system) figures(t *testing.T, org string) credit.Figures {
	t.Helper()
	w, err := s.ledger.View(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	return w.Figures
}

// list gives the letters in a state, the newest first.
func (s *system) list(t *testing.T, state deadletters.State) []deadletters.Letter {
	t.Helper()
	page, err := s.letters.List(t.Context(), deadletters.Query{State: state})
	if err != nil {
		t.Fatal(err)
	}
	return page.Letters
}

// reasons counts the waiting letters by code.
func (s *system) reasons(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, l := range s.list(t, deadletters.Waiting) {
		out[l.Code]++
	}
	return out
}

func event(id, feature string, more ...string) string {
	return fmt.Sprintf(`{"event_id":%q,"org_id":"acme","feature":%q%s}`, id, feature, strings.Join(append([]string{""}, more...), ","))
}

func TestTheSameEventUnderTwoMessageIDsIsOneDebit(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 500)
	first := s.Publish(t, events.Usage, event("job", "bulk-pricing"), nil)
	second := s.Publish(t, events.Usage, event("job", "bulk-pricing", `"occurred_at":"2026-02-28T10:00:00Z"`), nil)
	if first == second {
		t.Fatal("one message id")
	}
	s.Quiet(t)
	if got := s.figures(t, "acme"); got.Available != 400 {
		t.Errorf("%+v, want 400 available", got)
	}
	e, err := s.ledger.Entry(t.Context(), "acme", credit.CallerKey("job"))
	if err != nil || e.Actor != "pubsub:ai-usage" || e.Credits != 100 {
		t.Errorf("%+v, %v", e, err)
	}
	if got := s.reasons(t); len(got) != 0 {
		t.Errorf("put aside: %v", got)
	}
}

func TestRedeliveriesChangeNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 1000)
	if err := s.Broker.SetFaults(broker.Faults{
		Seed: 7, Duplicate: broker.Fault{PerMille: 700}, DropAck: broker.Fault{PerMille: 500, Limit: 60}, DropReply: broker.Fault{PerMille: 300, Limit: 10},
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		for range 3 {
			s.Publish(t, events.Usage, event(fmt.Sprint("job-", i), "pricing-recommendation"), nil)
		}
	}
	s.Publish(t, events.Usage, `{"event_id":"bad"}`, nil)
	s.Quiet(t)
	if got := s.figures(t, "acme"); got.Available != 1000-20*15 {
		t.Errorf("%+v, want 700 available", got)
	}
	for _, l := range s.list(t, "") {
		if string(l.Data) != `{"event_id":"bad"}` || l.Failures != 1 {
			t.Errorf("put aside: %+v", l)
		}
	}
}

func TestAHoldIsCapturedOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 100)
	place := func(event string) string {
		r, err := s.ledger.Do(t.Context(), "acme", credit.PlaceHold{EventID: event, Credits: 40, Work: credit.Work{Feature: "custom-query"}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Entry.Subject
	}
	capture := func(hold string, credits int) {
		s.Publish(t, events.Usage, fmt.Sprintf(`{"hold_id":%q,"credits":%d}`, hold, credits), nil)
	}
	less, more := place("less"), place("more")
	capture(less, 30)
	capture(less, 30) // another message, the same capture
	capture(more, 110)
	s.Quiet(t)
	capture(less, 31)
	s.Quiet(t)
	if got, want := s.figures(t, "acme"), (credit.Figures{Debt: 40}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := s.reasons(t); len(got) != 1 || got["hold_settled"] != 1 {
		t.Errorf("put aside: %v", got)
	}
	if e, err := s.ledger.Entry(t.Context(), "acme", credit.CaptureKey(less)); err != nil || e.Actor != "pubsub:ai-usage" || e.Credits != 30 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWhatIsNotThereBecomesDebt(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 30)
	s.Publish(t, events.Usage, event("job", "market-trend-report"), nil)
	s.Quiet(t)
	if got, want := s.figures(t, "acme"), (credit.Figures{Debt: 20}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPoisonIsPutAsideAndReplayedOnceTheCatalogueIsMended(t *testing.T) {
	t.Parallel()
	s := start(t)
	dead := s.Record(t, events.UsageDead)
	s.Fund(t, s.ledger, "acme", 1000)
	s.Publish(t, events.Usage, `{"event_id":`, nil)
	s.Publish(t, events.Usage, event("p2", "image-tagging", `"user_id":"u1"`), map[string]string{"service": "vision"})
	s.Publish(t, events.Usage, event("p3", "custom-query", `"credits":51`), nil)
	began := time.Now()
	s.Publish(t, events.Usage, event("good", "market-trend-report"), nil)
	for s.figures(t, "acme").Available != 950 {
		if time.Since(began) > 5*time.Second {
			t.Fatal("the good event is not booked")
		}
		time.Sleep(time.Millisecond)
	}
	s.Quiet(t)
	want := map[string]int{"invalid_request": 1, "unknown_feature": 1, "credits_out_of_range": 1}
	if got := s.reasons(t); !maps.Equal(got, want) {
		t.Errorf("put aside: %v, want %v", got, want)
	}
	letters := map[string]deadletters.Letter{}
	for _, l := range s.list(t, deadletters.Waiting) {
		letters[l.Code] = l
		if l.Topic != events.Usage || l.Reason == "" || l.Cut || l.Attempts != 1 || !l.FirstSeen.Equal(s.Now()) {
			t.Errorf("%+v", l)
		}
	}
	unknown := letters["unknown_feature"]
	if string(unknown.Data) != event("p2", "image-tagging", `"user_id":"u1"`) || unknown.Attributes["service"] != "vision" {
		t.Errorf("%+v", unknown)
	}
	told := map[string]string{}
	for _, m := range dead() {
		told[m.Attributes["code"]] = m.Attributes[deadletters.LetterLabel]
		if string(m.Data) != string(letters[m.Attributes["code"]].Data) {
			t.Errorf("told of %s", m.Data)
		}
	}
	if len(told) != 3 || told["unknown_feature"] != unknown.ID {
		t.Errorf("told: %v", told)
	}
	s.mend(t)
	s.replay(t, letters)
}

// mend publishes a catalogue that has the feature that was missing.
func (s *system) mend(t *testing.T) {
	t.Helper()
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	d := seed.Document()
	d.Version = 2
	d.Features = append(slices.Clone(d.Features), catalogue.Feature{
		ID: "image-tagging", Name: "Image tagging", Description: "Tags for product images", Price: catalogue.Range{Min: 100, Max: 100},
	})
	next, err := catalogue.New(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.prices.Publish(t.Context(), next, "operator"); err != nil {
		t.Fatal(err)
	}
}

// replay replays all three letters, twice: the mended one is charged for once, the others fail again and wait again.
func (s *system) replay(t *testing.T, letters map[string]deadletters.Letter) {
	t.Helper()
	s.Start(t, "usage", nil) // another process, which has not seen the old catalogue
	for range 2 {
		for _, l := range letters {
			if _, err := s.letters.Replay(t.Context(), l.ID, "ops@test"); err != nil {
				t.Fatal(err)
			}
		}
		s.Quiet(t)
	}
	if got := s.figures(t, "acme"); got.Available != 850 {
		t.Errorf("%+v, want 850 available", got)
	}
	if got, want := s.reasons(t), map[string]int{"invalid_request": 1, "credits_out_of_range": 1}; !maps.Equal(got, want) {
		t.Errorf("waiting: %v, want %v", got, want)
	}
	for _, l := range s.list(t, "") {
		wantFailures := int64(3)
		if l.ID == letters["unknown_feature"].ID {
			wantFailures = 1
		}
		if l.Failures != wantFailures || l.Replays != 2 || l.ReplayedBy != "ops@test" {
			t.Errorf("%+v", l)
		}
	}
}

func TestEachHopelessMessageHasItsReason(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 100)
	s.Publish(t, events.Usage, event("taken", "custom-query", `"credits":10`), nil)
	s.Quiet(t)
	tests := []struct{ name, data, code, reason string }{
		{"other content under a taken id", event("taken", "custom-query", `"credits":11`), "idempotency_conflict", "event id"},
		{"unknown organisation", `{"event_id":"e","org_id":"nobody","feature":"bulk-pricing"}`, "unknown_org", "organisation"},
		{"unknown field", event("e", "bulk-pricing", `"color":"red"`), "invalid_request", `"color"`},
		{"a capture of what is no hold", `{"hold_id":"acme.1","credits":5}`, "not_found", "hold"},
		{"a capture of an unknown hold", `{"hold_id":"` + credit.HoldID("acme", "x") + `","credits":5}`, "not_found", "hold"},
		{"a capture of nothing", `{"hold_id":"` + credit.HoldID("acme", "x") + `"}`, "invalid_request", "Credits is 0"},
		{"a capture with more", `{"hold_id":"` + credit.HoldID("acme", "x") + `","credits":5,"org_id":"acme"}`, "invalid_request", `"org_id"`},
		{"a capture of null", `{"hold_id":null,"credits":5}`, "invalid_request", `"hold_id"`},
		{"no event id", `{"org_id":"acme","feature":"bulk-pricing"}`, "invalid_request", "event_id"},
		{"unknown price version", event("e", "bulk-pricing", `"price_version":9`), "invalid_request", "price version"},
		{"larger than a debit may be", event("e", "bulk-pricing", `"metadata":{"a":"`+strings.Repeat("x", 16<<10)+`"}`), "too_large", "16384"},
		{"larger than a letter", strings.Repeat("x", 9<<20), "too_large", "16384"},
		{"not text", "\xff\xfe", "invalid_request", "object"},
	}
	for _, tt := range tests { // one after the other: the letters are told apart by their number
		id := s.Publish(t, events.Usage, tt.data, nil)
		s.Quiet(t)
		found := false
		for _, l := range s.list(t, deadletters.Waiting) {
			if l.MessageID != id {
				continue
			}
			found = true
			if l.Code != tt.code || !strings.Contains(l.Reason, tt.reason) || l.Size != int64(len(tt.data)) || !strings.HasPrefix(tt.data, string(l.Data)) {
				t.Errorf("%s: %s %q, %d bytes", tt.name, l.Code, l.Reason, l.Size)
			}
			if l.Cut != (len(tt.data) > 64<<10) {
				t.Errorf("%s: cut is %v", tt.name, l.Cut)
			}
		}
		if !found {
			t.Errorf("%s is not put aside", tt.name)
		}
	}
	if got := s.figures(t, "acme"); got.Available != 90 {
		t.Errorf("%+v, want 90 available", got)
	}
}

// outage makes the catalogue unreadable, count times or, if that is 0, until the rules are set anew.
func (s *system) outage(count int) {
	s.Hooks.Set(firedb.Rule{Method: "BatchGetDocuments", Count: count, Fault: firedb.Fault{Code: codes.PermissionDenied}, When: func(m proto.Message) bool {
		return strings.Contains(fmt.Sprint(m), "/catalogue/")
	}})
}

func TestAPassingFaultIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 100)
	s.outage(1)
	s.Publish(t, events.Usage, event("job", "bulk-pricing"), nil)
	s.Quiet(t)
	if got := s.figures(t, "acme"); got.Available != 0 {
		t.Errorf("%+v, want all spent", got)
	}
	stats := s.Broker.Stats().Subscriptions["projects/"+s.Project+"/subscriptions/ai-usage-push"]
	if got := s.list(t, ""); len(got) != 0 || stats.Nacked == 0 {
		t.Errorf("put aside: %+v after %d failures", got, stats.Nacked)
	}
}

func TestWhatPubSubGivesUpOnIsKeptAndCanBeReplayed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 100)
	s.outage(0)
	s.Publish(t, events.Usage, event("job", "bulk-pricing"), map[string]string{"service": "prices"})
	s.Quiet(t)
	s.Hooks.Set()
	letters := s.list(t, deadletters.Waiting)
	if len(letters) != 1 {
		t.Fatalf("letters: %+v", letters)
	}
	l := letters[0]
	want := map[string]string{"service": "prices"}
	if l.Code != deadletters.Undelivered || l.Attempts != 100 || string(l.Data) != event("job", "bulk-pricing") || !maps.Equal(l.Attributes, want) {
		t.Errorf("%+v", l)
	}
	s.Start(t, "usage", nil) // another process, which has no failure in memory
	if _, err := s.letters.Replay(t.Context(), l.ID, "ops@test"); err != nil {
		t.Fatal(err)
	}
	s.Quiet(t)
	if got := s.figures(t, "acme"); got.Available != 0 {
		t.Errorf("%+v, want all spent", got)
	}
	if got := s.list(t, deadletters.Waiting); len(got) != 0 {
		t.Errorf("waiting: %+v", got)
	}
}

func TestOnlyPubSubIsLetIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	const push = `{"message":{"data":"e30=","messageId":"1","publishTime":"2026-03-01T08:00:00Z"},"subscription":"projects/p/subscriptions/s"}`
	for token, want := range map[string]int{
		"": 401, s.Token(t, cloudtest.Scheduler, s.Audience("usage")): 403, s.Token(t, cloudtest.Pusher, s.Audience("debit")): 401,
		s.Token(t, cloudtest.Pusher, s.Audience("usage")): 204,
	} {
		for _, path := range []string{"", "/dead"} {
			if status, answer := s.Post(t, "usage", path, token, strings.NewReader(push)); status != want {
				t.Errorf("%s: %d %v, want %d", path, status, answer, want)
			}
		}
	}
}

package events_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
)

func TestAlertsAndEventsGoToTheirTopics(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	after := credit.Figures{Available: 80, Held: 5}
	tests := []struct {
		name  string
		event credit.Event
		topic string
		data  string
	}{
		{
			"low balance", credit.Event{ID: "low:acme:1", Kind: credit.EventLowBalance, Org: "acme", At: at, Credits: 85, Threshold: 100, After: after}, "credit-alerts",
			`{"v":1,"id":"low:acme:1","type":"low_balance","org_id":"acme","at":"2026-03-01T08:00:00Z","credits":85,"threshold":100,"balance":{"available":80,"held":5,"debt":0}}`,
		},
		{
			"expiring", credit.Event{ID: "expiring:acme:2026-03-08:7", Kind: credit.EventExpiring, Org: "acme", At: at, Credits: 20, ExpiresAt: at.AddDate(0, 0, 7), After: after}, "credit-alerts",
			`{"v":1,"id":"expiring:acme:2026-03-08:7","type":"expiring","org_id":"acme","at":"2026-03-01T08:00:00Z","credits":20,"expires_at":"2026-03-08T08:00:00Z","balance":{"available":80,"held":5,"debt":0}}`,
		},
		{
			"a threshold of a limit", credit.Event{ID: "limit:acme:3", Kind: credit.EventLimit, Org: "acme", At: at, Credits: 76, Threshold: 75, After: after, Limit: &credit.LimitNotice{
				Subject: credit.Subject{Scope: credit.ScopeTeam, ID: "sales"}, Limit: credit.Limit{Credits: 100}, Used: 76, Percent: 75, Window: "2026-03", ResetsAt: at.AddDate(0, 0, 30),
			}}, "credit-alerts",
			`{"v":1,"id":"limit:acme:3","type":"limit_threshold","org_id":"acme","at":"2026-03-01T08:00:00Z","credits":76,"threshold":75,` +
				`"limit":{"scope":"team","subject":"sales","limit":100,"used":76,"percent":75,"blocks":true,"window":"2026-03","resets_at":"2026-03-31T08:00:00Z"},` +
				`"balance":{"available":80,"held":5,"debt":0}}`,
		},
		{
			"the organisation's limit, soft, reached", credit.Event{ID: "limit:acme:4", Kind: credit.EventLimitFull, Org: "acme", At: at, Credits: 100, Threshold: 100, After: after, Limit: &credit.LimitNotice{
				Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: credit.Limit{Credits: 100, Soft: true}, Used: 100, Percent: 100, Window: "2026-03", ResetsAt: at.AddDate(0, 0, 30),
			}}, "credit-alerts",
			`{"v":1,"id":"limit:acme:4","type":"limit_reached","org_id":"acme","at":"2026-03-01T08:00:00Z","credits":100,"threshold":100,` +
				`"limit":{"scope":"organisation","subject":"acme","limit":100,"used":100,"percent":100,"blocks":false,"window":"2026-03","resets_at":"2026-03-31T08:00:00Z"},` +
				`"balance":{"available":80,"held":5,"debt":0}}`,
		},
		{
			"a top-up is due", credit.Event{ID: "topup:acme:1", Kind: credit.EventTopUpDue, Org: "acme", At: at, Credits: 85, Threshold: 90, After: after}, "credit-topups",
			`{"v":1,"id":"topup:acme:1","type":"top_up_due","org_id":"acme","at":"2026-03-01T08:00:00Z","credits":85,"threshold":90,"balance":{"available":80,"held":5,"debt":0}}`,
		},
		{
			"granted", credit.Event{ID: "granted:acme:7", Kind: credit.EventGranted, Org: "acme", At: at, Grant: "g1", Source: credit.Purchase, Credits: 80, After: after}, "credit-events",
			`{"v":1,"id":"granted:acme:7","type":"granted","org_id":"acme","at":"2026-03-01T08:00:00Z","grant_id":"g1","source":"purchase","credits":80,"balance":{"available":80,"held":5,"debt":0}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := events.Encode(tt.event)
			if err != nil {
				t.Fatal(err)
			}
			if m.Topic != tt.topic || m.ID != tt.event.ID || string(m.Data) != tt.data {
				t.Errorf("%s %s %s\nwant %s", m.Topic, m.ID, m.Data, tt.data)
			}
			if back, err := events.DecodeCredit(m.Data); err != nil || back.ID != tt.event.ID || back.Credits != tt.event.Credits {
				t.Errorf("read back as %+v, %v", back, err)
			}
		})
	}
}

func TestLabelsDoNotTakeTheIDsPlace(t *testing.T) {
	t.Parallel()
	m := events.Message{ID: "one", Labels: map[string]string{"id": "other", "reason": "unknown_feature"}}
	if got, want := m.Attributes(), map[string]string{"id": "one", "reason": "unknown_feature"}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDecodeCreditTellsNewerFromBad(t *testing.T) {
	t.Parallel()
	const rest = `"id":"low:acme:1","type":"low_balance","org_id":"acme","at":"2026-03-01T08:00:00Z"`
	tests := []struct {
		name, data string
		want       error
	}{
		{"good, with a member that is not known yet", `{"v":1,` + rest + `,"color":"red"}`, nil},
		{"newer, of another shape", `{"v":2,"id":{"a":1}}`, events.ErrNewer},
		{"not JSON", `{`, events.ErrBadCredit},
		{"not an object", `[1]`, events.ErrBadCredit},
		{"a member of another type", `{"v":1,` + rest + `,"credits":"5"}`, events.ErrBadCredit},
		{"no version", `{` + rest + `}`, events.ErrBadCredit},
		{"no id", `{"v":1,"type":"low_balance","at":"2026-03-01T08:00:00Z"}`, events.ErrBadCredit},
		{"no moment", `{"v":1,"id":"low:acme:1","type":"low_balance"}`, events.ErrBadCredit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := events.DecodeCredit([]byte(tt.data)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

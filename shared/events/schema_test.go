package events_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fluxori/ai-credits/shared/apidoc"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
)

// schemas are those of the messages that are published, strict: what they do not describe is refused.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	strict, err := apidoc.Messages(true)
	if err != nil {
		t.Fatal(err)
	}
	var topics map[string]json.RawMessage
	if err := json.Unmarshal(strict, &topics); err != nil {
		t.Fatal(err)
	}
	out := map[string]*jsonschema.Schema{}
	for topic, raw := range topics {
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource(topic, parsed); err != nil {
			t.Fatal(err)
		}
		if out[topic], err = c.Compile(topic); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func validate(s *jsonschema.Schema, data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// kinds are all constants of type EventKind in a file.
func kinds(t *testing.T, file string) []credit.EventKind {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := []credit.EventKind{}
	for _, found := range regexp.MustCompile(`EventKind\s+= "(\w+)"`).FindAllSubmatch(source, -1) {
		out = append(out, credit.EventKind(found[1]))
	}
	return out
}

func TestEveryMessageIsAsItsSchemaSays(t *testing.T) {
	t.Parallel()
	of := schemas(t)
	at := time.Date(2026, 3, 1, 8, 0, 0, 123456000, time.UTC)
	for _, kind := range kinds(t, "../credit/event.go") {
		for name, e := range map[string]credit.Event{
			"little": {ID: "x", Kind: kind, Org: "acme", At: at},
			"all": {
				ID: "x", Kind: kind, Org: "acme", At: at, Grant: "g", Source: credit.Purchase, Credits: 5, Threshold: 10, ExpiresAt: at, Reason: "why",
				After: credit.Figures{Available: 1, Held: 2, Debt: 3},
				Limit: &credit.LimitNotice{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: credit.Limit{Credits: 9}, Used: 8, Percent: 75, Window: "2026-03", ResetsAt: at},
			},
		} {
			m, err := events.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(of[m.Topic], m.Data); err != nil {
				t.Errorf("%s of %s: %s: %v", name, kind, m.Data, err)
			}
		}
	}
	limit := int64(500)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var raised []credit.EventKind // by others than the domain
	for _, file := range files {
		raised = append(raised, kinds(t, file)...)
	}
	if len(raised) < 6 || len(kinds(t, "../credit/event.go")) < 10 {
		t.Errorf("kinds of events are not found where they were: %v", raised)
	}
	for _, kind := range raised {
		m, err := events.EncodeAlert(events.Credit{ID: "x", Type: kind, OrgID: "acme", At: at, LimitRequest: &events.LimitRequest{
			RequestID: "r", UserID: "u", Scope: "team", SubjectID: "t1", SubjectName: "Design", Credits: 5, Limit: &limit, Reason: "why",
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(of[m.Topic], m.Data); err != nil {
			t.Errorf("%s: %s: %v", kind, m.Data, err)
		}
	}
}

func TestACycleIsToldAsItsSchemaSays(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	m, err := events.EncodeCycle(events.CycleClosed, "acme", at, events.Cycle{Subscription: "sub_1", Plan: "Growth", Start: at, End: at.AddDate(0, 1, 0), Expired: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(schemas(t)[m.Topic], m.Data); err != nil {
		t.Errorf("%s: %v", m.Data, err)
	}
}

func TestASchemaRefusesWhatIsNoSuchMessage(t *testing.T) {
	t.Parallel()
	of := schemas(t)
	for data, topic := range map[string]string{
		`{"event_id":"a","org_id":"acme"}`:                                events.Usage,
		`{"event_id":"a","org_id":"acme","feature":"f","color":"red"}`:    events.Usage,
		`{"hold_id":"acme.1"}`:                                            events.Usage,
		`{"v":1,"id":"x","type":"granted","org_id":"acme","balance":{}}`:  events.CreditEvents,
		`{"v":1,"id":"x","type":"low_balance","org_id":"acme","at":"no"}`: events.CreditAlerts,
	} {
		if validate(of[topic], []byte(data)) == nil {
			t.Errorf("%s takes %s", topic, data)
		}
	}
	for _, good := range []string{`{"event_id":"a","org_id":"acme","feature":"f","credits":5}`, `{"hold_id":"acme.1","credits":0}`} {
		if err := validate(of[events.Usage], []byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

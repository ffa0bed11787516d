package debit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
)

// place sets credits aside for a custom query and returns the hold's id.
func (s *system) place(t *testing.T, event string, credits, ttl int64) string {
	t.Helper()
	status, got := s.post(t, "/holds", fmt.Sprintf(`{"event_id":%q,"org_id":"acme","feature":"custom-query","credits":%d,"ttl_seconds":%d}`, event, credits, ttl))
	id, _ := got["hold_id"].(string)
	if status != 201 || id == "" {
		t.Fatalf("placing %s: %d %v", event, status, got)
	}
	return id
}

func (s *system) get(t *testing.T, path string) (int, map[string]any) {
	t.Helper()
	return s.send(t, http.MethodGet, path, "Bearer "+s.token, nil)
}

// answer is what a path should give for a body.
type answer struct {
	path, body string
	status     int
	code       string // of a problem
}

func (s *system) ask(t *testing.T, asked ...answer) {
	t.Helper()
	for _, a := range asked {
		if status, got := s.post(t, a.path, a.body); status != a.status || (a.code != "" && got["code"] != a.code) {
			t.Errorf("%s %s: %d %v, want %d %s", a.path, a.body, status, got, a.status, a.code)
		}
	}
}

// decoded is JSON as the tests' answers come.
func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAHoldTellsWhereItStands(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	grant := credit.GrantID(credit.SystemKey("grant", "pi_acme"))
	id := credit.HoldID("acme", "job")
	body := `{"event_id":"job","org_id":"acme","user_id":"u1","team_id":"t1","feature":"market-trend-report","ttl_seconds":600}`
	status, first := s.post(t, "/holds", body)
	want := decoded(t, `{"hold_id":"`+id+`","event_id":"job","credits":50,"price_version":1,"expires_at":"2026-03-01T08:10:00Z",
		"allocations":[{"grant_id":"`+grant+`","source":"purchase","credits":50}],"balance":{"available":50,"held":50,"debt":0},"replayed":false}`)
	want["expires_at"] = first["expires_at"] // entries of one moment are set apart by a microsecond each
	if diff := cmp.Diff(want, first); status != 201 || diff != "" || !strings.HasPrefix(fmt.Sprint(first["expires_at"]), "2026-03-01T08:10:00") {
		t.Errorf("placed: %d %v %s", status, first["expires_at"], diff)
	}
	want["replayed"] = true
	if status, again := s.post(t, "/holds", strings.Replace(body, "600", "60", 1)); status != 201 || cmp.Diff(want, again) != "" {
		t.Errorf("placed again: %d %s", status, cmp.Diff(want, again))
	}
	s.passed.Store(300)
	if status, got := s.post(t, "/holds/"+id+"/extend", `{"ttl_seconds":900}`); status != 200 || got["expires_at"] != "2026-03-01T08:20:00Z" {
		t.Errorf("extended: %d %v", status, got)
	}
	if status, got := s.post(t, "/holds/"+id+"/extend", `{"ttl_seconds":1}`); status != 200 || got["expires_at"] != "2026-03-01T08:20:00Z" {
		t.Errorf("extended to an earlier end: %d %v", status, got)
	}
	status, got := s.get(t, "/holds/"+id)
	want = decoded(t, `{"hold_id":"`+id+`","event_id":"job","state":"open","feature":"market-trend-report","user_id":"u1","team_id":"t1","credits":50,
		"price_version":1,"expires_at":"2026-03-01T08:20:00Z","allocations":[{"grant_id":"`+grant+`","source":"purchase","credits":50}]}`)
	want["placed_at"] = got["placed_at"]
	if diff := cmp.Diff(want, got); status != 200 || diff != "" {
		t.Errorf("found: %d %s", status, diff)
	}
	want = decoded(t, `{"hold_id":"`+id+`","credits":70,"price_version":1,"released":0,"debt":0,"replayed":false,
		"allocations":[{"grant_id":"`+grant+`","source":"purchase","credits":70}],"balance":{"available":30,"held":0,"debt":0}}`)
	if status, got := s.post(t, "/holds/"+id+"/capture", `{"credits":70}`); status != 200 || cmp.Diff(want, got) != "" {
		t.Errorf("captured: %d %s", status, cmp.Diff(want, got))
	}
	if _, got := s.get(t, "/holds/"+id); got["state"] != "captured" || got["captured_credits"] != 70.0 {
		t.Errorf("found: %v", got)
	}
	s.ask(t, answer{"/reverse", `{"event_id":"undo","org_id":"acme","debit_event_id":"job","reason":"failed"}`, 200, ""})
	if got := s.available(t, "acme"); got != 100 {
		t.Errorf("%d are left, want 100", got)
	}
}

func TestAHoldIsSettledOnceOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 1000)
	captured, releasedID, late, timedOut := s.place(t, "a", 40, 60), s.place(t, "b", 40, 60), s.place(t, "c", 40, 60), s.place(t, "d", 40, 60)
	const settled = "hold_settled"
	s.ask(t,
		answer{"/holds/" + captured + "/capture", `{"credits":30}`, 200, ""},
		answer{"/holds/" + captured + "/capture", `{"credits":30}`, 200, ""},
		answer{"/holds/" + captured + "/capture", `{"credits":31}`, 409, settled},
		answer{"/holds/" + captured + "/release", ``, 409, settled},
		answer{"/holds/" + captured + "/extend", `{"ttl_seconds":60}`, 409, settled},
		answer{"/holds/" + releasedID + "/release", `{"reason":"cancelled"}`, 200, ""},
		answer{"/holds/" + releasedID + "/release", ``, 200, ""},
		answer{"/holds/" + releasedID + "/capture", `{"credits":40}`, 409, settled},
	)
	if status, got := s.post(t, "/holds/"+captured+"/capture", `{"credits":30}`); status != 200 || got["replayed"] != true || got["released"] != 10.0 {
		t.Errorf("captured again: %d %v", status, got)
	}
	s.passed.Store(120)
	if _, got := s.get(t, "/holds/"+late); got["state"] != "timed_out" {
		t.Errorf("past its time: %v", got)
	}
	s.ask(t,
		answer{"/holds/" + late + "/extend", `{"ttl_seconds":60}`, 409, settled},
		answer{"/holds/" + late + "/capture", `{"credits":40}`, 200, ""},
		answer{"/holds/" + late + "/capture", `{"credits":39}`, 409, settled},
		answer{"/holds/" + late + "/release", ``, 409, settled},
		answer{"/holds/" + timedOut + "/release", ``, 200, ""},
	)
	if got := s.available(t, "acme"); got != 1000-30-40 {
		t.Errorf("%d are left", got)
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoHoldIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	id := s.place(t, "a", 20, 60)
	const ask = `{"event_id":"x","org_id":"acme","feature":"custom-query","credits":20`
	s.ask(t,
		answer{"/holds", ask + `,"ttl_seconds":0}`, 400, "invalid_request"},
		answer{"/holds", ask + `,"ttl_seconds":86401}`, 400, "invalid_request"},
		answer{"/holds", ask + `,"ttl_seconds":9223372036854775807}`, 400, "invalid_request"},
		answer{"/holds", ask + `,"ttl_seconds":1.5}`, 400, "invalid_request"},
		answer{"/holds", ask + `,"ttl":5}`, 400, "invalid_request"},
		answer{"/holds", `{"event_id":"x","org_id":"acme","feature":"custom-query","credits":51}`, 422, "credits_out_of_range"},
		answer{"/holds", `{"event_id":"x","org_id":"acme","feature":"alchemy"}`, 422, "unknown_feature"},
		answer{"/holds", `{"event_id":"x","org_id":"nobody","feature":"bulk-pricing"}`, 404, "unknown_org"},
		answer{"/holds", `{"event_id":"x","org_id":"acme","feature":"bulk-pricing"}`, 402, "insufficient_credits"},
		answer{"/holds", `{"org_id":"acme","feature":"bulk-pricing"}`, 400, "invalid_request"},
		answer{"/holds", `{"event_id":"a","org_id":"acme","feature":"custom-query","credits":21}`, 409, "idempotency_conflict"},
		answer{"", `{"event_id":"a","org_id":"acme","feature":"custom-query","credits":20}`, 409, "idempotency_conflict"},
		answer{"/holds/" + id + "/capture", `{}`, 400, "invalid_request"},
		answer{"/holds/" + id + "/capture", ``, 400, "invalid_request"},
		answer{"/holds/" + id + "/capture", `{"credits":-1}`, 400, "invalid_request"},
		answer{"/holds/" + id + "/capture", `{"credits":1,"hold_id":"` + id + `"}`, 400, "invalid_request"},
		answer{"/holds/" + id + "/release", `{"why":"x"}`, 400, "invalid_request"},
		answer{"/holds/" + id + "/extend", `{"ttl_seconds":-1}`, 400, "invalid_request"},
		answer{"/holds/" + id + "/extend", `{}`, 400, "invalid_request"},
		answer{"/holds/" + credit.HoldID("acme", "unknown") + "/capture", `{"credits":1}`, 404, "not_found"},
		answer{"/holds/" + credit.HoldID("nobody", "a") + "/release", ``, 404, "unknown_org"},
		answer{"/holds/acme/release", ``, 404, "not_found"},
		answer{"/holds/" + id + "/settle", ``, 404, "not_found"},
	)
	if status, got := s.get(t, "/holds/"+credit.HoldID("acme", "unknown")); status != 404 || got["code"] != "not_found" {
		t.Errorf("an unknown hold: %d %v", status, got)
	}
	if status, got := s.get(t, "/holds"); status != 405 {
		t.Errorf("all holds: %d %v", status, got)
	}
	if w, err := s.ledger.View(t.Context(), "acme"); err != nil || w.Held != 20 || w.Available != 80 || w.OpenHolds != 1 {
		t.Errorf("%+v, %v", w.Figures, err)
	}
}

func TestOnlyListedServicesHold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	id := s.place(t, "a", 20, 60)
	for name, tt := range map[string]struct {
		authorization string
		want          int
	}{
		"nobody":                    {"", 401},
		"one bound to another org":  {"Bearer " + s.issuer.Service(t, bound, audience), 403},
		"one without the role":      {"Bearer " + s.issuer.Service(t, operator, audience), 403},
		"one that is not listed":    {"Bearer " + s.issuer.Service(t, "stranger@test.iam.gserviceaccount.com", audience), 403},
		"one for another audience":  {"Bearer " + s.issuer.Service(t, spender, "https://example.com"), 401},
		"a person's, of this house": {"Bearer " + s.people.Token(t, map[string]any{"sub": "u1", "aud": "account", "exp": time.Now().Add(time.Hour).Unix()}), 403},
	} {
		for _, call := range [][3]string{
			{http.MethodPost, "/holds", `{"event_id":"x","org_id":"acme","feature":"custom-query","credits":10}`},
			{http.MethodGet, "/holds/" + id, ""},
			{http.MethodPost, "/holds/" + id + "/capture", `{"credits":10}`},
			{http.MethodPost, "/holds/" + id + "/release", ``},
			{http.MethodPost, "/holds/" + id + "/extend", `{"ttl_seconds":60}`},
		} {
			if status, got := s.send(t, call[0], call[1], tt.authorization, strings.NewReader(call[2])); status != tt.want {
				t.Errorf("%s at %s: %d %v, want %d", name, call[1], status, got, tt.want)
			}
		}
	}
	if _, got := s.get(t, "/holds/"+id); got["state"] != "open" {
		t.Errorf("%v", got)
	}
}

func TestTwoCapturesAtOnceOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	id := s.place(t, "a", 50, 60)
	var won, replayed, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			status, got := s.post(t, "/holds/"+id+"/capture", fmt.Sprintf(`{"credits":%d}`, 40+i%2))
			switch {
			case status == 200 && got["replayed"] == true:
				replayed.Add(1)
			case status == 200:
				won.Add(1)
			case status == 409 && got["code"] == "hold_settled":
				refused.Add(1)
			default:
				t.Errorf("%d %v", status, got)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || replayed.Load() != 14 || refused.Load() != 15 {
		t.Errorf("%d won, %d replayed, %d refused", won.Load(), replayed.Load(), refused.Load())
	}
	if got := s.available(t, "acme"); got != 60 && got != 59 {
		t.Errorf("%d are left", got)
	}
}

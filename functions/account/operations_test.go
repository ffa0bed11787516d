package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

// silent publishes nothing: it is the function that replays.
type silent struct{}

func (silent) Publish(context.Context, []events.Message) error { return errors.New("not from here") }

// putAside keeps the nth message that could not be handled.
func (s *system) putAside(t testing.TB, n int) (id string) {
	t.Helper()
	letters, err := deadletters.NewStore(s.Client, silent{}, s.now)
	if err != nil {
		t.Fatal(err)
	}
	id, err = letters.Put(t.Context(), deadletters.Failure{
		Topic: events.Usage, Code: "unknown_feature", Reason: "There is no feature \"x\".", Attempts: 1,
		Push: events.Push{
			Data: fmt.Appendf(nil, `{"event_id":"e%d"}`, n), MessageID: fmt.Sprint(n), Subscription: "projects/p/subscriptions/ai-usage-push",
			Attributes: map[string]string{"from": "reports"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestDeadLettersAreListedAndReplayed(t *testing.T) {
	t.Parallel()
	s := start(t)
	delivered := make(chan string, 10)
	project := "projects/" + s.Project
	if err := s.broker.Subscribe(t.Context(), broker.Subscription{
		Name: project + "/subscriptions/all", Topic: project + "/topics/" + events.Usage,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			push, err := events.DecodePush(r.Body)
			if err != nil {
				t.Error(err)
			}
			delivered <- string(push.Data) + " of " + push.Attributes[deadletters.LetterLabel]
			w.WriteHeader(http.StatusNoContent)
		}),
	}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n := range 5 {
		ids = append([]string{s.putAside(t, n)}, ids...)
		s.advance(time.Second)
	}
	token := s.platform(t)
	got := s.walk(t, token, "/operations/dead-letters", 2)
	if len(got) != 5 {
		t.Fatalf("%d letters, want 5", len(got))
	}
	for i, l := range got {
		if l["id"] != ids[i] || l["code"] != "unknown_feature" || l["reason"] == "" || l["state"] != "waiting" || l["data"] != fmt.Sprintf(`{"event_id":"e%d"}`, 4-i) {
			t.Errorf("letter %d: %v", i, l)
		}
	}
	replayed := s.must(t, token, http.MethodPost, "/operations/dead-letters/"+ids[0]+"/replay", "")
	if replayed.body["state"] != "replayed" || replayed.body["replayed_by"] != "fluxori" || number(replayed.body["replays"]) != 1 {
		t.Errorf("replayed: %s", replayed.raw)
	}
	select {
	case message := <-delivered:
		if want := `{"event_id":"e4"} of ` + ids[0]; message != want {
			t.Errorf("delivered %s, want %s", message, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("the message was not published")
	}
	for state, want := range map[string]int{"waiting": 4, "replayed": 1} {
		items, _ := s.must(t, token, http.MethodGet, "/operations/dead-letters?state="+state, "").body["items"].([]any)
		if len(items) != want {
			t.Errorf("%d letters are %s, want %d", len(items), state, want)
		}
	}
	for path, code := range map[string]string{
		"GET /operations/dead-letters?state=lost": "invalid_request", "GET /operations/dead-letters?page_token=x": "invalid_request",
		"POST /operations/dead-letters/" + strings.Repeat("0", 32) + "/replay": "not_found", "POST /operations/dead-letters/..%2Forgs/replay": "not_found",
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := s.call(t, token, method, path, ""); got.code() != code {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.raw)
		}
	}
}

package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/problem"
)

var _ problem.Coded = (*deadletters.Error)(nil)

// desk is a store with what it publishes.
type desk struct {
	*engine.Engine
	*deadletters.Store
	micros atomic.Int64

	mu        sync.Mutex
	published []events.Message
	publish   func(events.Message) error // what happens on publishing, if set
}

func open(t *testing.T, e *engine.Engine) *desk {
	t.Helper()
	d := &desk{Engine: e}
	d.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	var err error
	if d.Store, err = deadletters.NewStore(e.Client, d, d.now); err != nil {
		t.Fatal(err)
	}
	return d
}

// now moves on a little each time it is asked.
func (d *desk) now() time.Time { return time.UnixMicro(d.micros.Add(1000)).UTC() }

// Publish implements deadletters.Publisher.
func (d *desk) Publish(_ context.Context, messages []events.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range messages {
		if d.publish != nil {
			if err := d.publish(m); err != nil {
				return err
			}
		}
		d.published = append(d.published, m)
	}
	return nil
}

var _ deadletters.Publisher = (*desk)(nil)

func failure(messageID, data string) deadletters.Failure {
	return deadletters.Failure{
		Push:  events.Push{Data: []byte(data), MessageID: messageID, Subscription: "projects/p/subscriptions/s", Attributes: map[string]string{"a": "1"}},
		Topic: "ai-usage", Code: "unknown_feature", Reason: "There is no such feature.", Attempts: 1,
	}
}

func (d *desk) put(t *testing.T, f deadletters.Failure) string {
	t.Helper()
	id, err := d.Put(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (d *desk) get(t *testing.T, id string) deadletters.Letter {
	t.Helper()
	l, err := d.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func code(err error) string {
	if coded, ok := errors.AsType[*deadletters.Error](err); ok {
		return coded.Code()
	}
	return ""
}

func TestAMessageIsPutAsideOnce(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		d := open(t, e)
		first := d.put(t, failure("1", "{}"))
		want := d.get(t, first)
		again := failure("1", "{}")
		again.Code, again.Attempts = "invalid_request", 2
		if id := d.put(t, again); id != first {
			t.Errorf("%s, then %s", first, id)
		}
		if got := d.get(t, first); got.Code != want.Code || got.Attempts != 1 || got.Failures != 1 || !got.LastSeen.Equal(want.LastSeen) {
			t.Errorf("%+v", got)
		}
		if other := d.put(t, failure("2", "{}")); other == first {
			t.Error("another message has the same letter")
		}
	})
}

func TestLettersAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		d := open(t, e)
		var ids []string
		for i := range 7 {
			ids = append([]string{d.put(t, failure(fmt.Sprint(i), "{}"))}, ids...)
		}
		if _, err := d.Replay(t.Context(), ids[2], "ops"); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			state deadletters.State
			want  []string
		}{
			{"", ids},
			{deadletters.Waiting, append(append([]string{}, ids[:2]...), ids[3:]...)},
			{deadletters.Replayed, ids[2:3]},
		}
		for _, tt := range tests {
			var got []string
			token := ""
			for range 7 {
				page, err := d.List(t.Context(), deadletters.Query{State: tt.state, Size: 3, Token: token})
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range page.Letters {
					got = append(got, l.ID)
				}
				if token = page.Next; token == "" {
					break
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%q: %v, want %v", tt.state, got, tt.want)
			}
		}
		for _, bad := range []string{"x", "!", "MTIzLi4vLi4vd2FsbGV0cy9hY21l"} {
			if _, err := d.List(t.Context(), deadletters.Query{Token: bad}); code(err) != "invalid_request" {
				t.Errorf("token %q: %v", bad, err)
			}
		}
	})
}

func TestAReplayPublishesTheSameAndRecordsWho(t *testing.T) {
	t.Parallel()
	d := open(t, engine.New(t))
	id := d.put(t, failure("1", `{"event_id":"e"}`))
	for n := int64(1); n <= 2; n++ {
		l, err := d.Replay(t.Context(), id, "ops@test")
		if err != nil || l.State != deadletters.Replayed || l.Replays != n || l.ReplayedBy != "ops@test" || l.ReplayedAt.IsZero() {
			t.Errorf("replay %d: %+v, %v", n, l, err)
		}
		m := d.published[n-1]
		if m.Topic != "ai-usage" || string(m.Data) != `{"event_id":"e"}` || m.Labels[deadletters.LetterLabel] != id || m.Labels["a"] != "1" {
			t.Errorf("replay %d published %+v", n, m)
		}
	}
	if d.published[0].ID == d.published[1].ID {
		t.Error("two replays have one id")
	}
	for _, unknown := range []string{"", "x", "../../wallets/acme", strings.Repeat("0", 32)} {
		if _, err := d.Replay(t.Context(), unknown, "ops"); code(err) != "not_found" {
			t.Errorf("%q: %v", unknown, err)
		}
	}
}

func TestAFailedPublishLeavesTheLetterWaiting(t *testing.T) {
	t.Parallel()
	d := open(t, engine.New(t))
	id := d.put(t, failure("1", "{}"))
	d.publish = func(events.Message) error { return errors.New("down") }
	if _, err := d.Replay(t.Context(), id, "ops"); code(err) != "unavailable" {
		t.Errorf("%v", err)
	}
	if l := d.get(t, id); l.State != deadletters.Waiting || l.Replays != 0 {
		t.Errorf("%+v", l)
	}
}

// TestAReplayThatFailsAtOnceGoesOnWaiting: the failure may be recorded before the replay is.
func TestAReplayThatFailsAtOnceGoesOnWaiting(t *testing.T) {
	t.Parallel()
	d := open(t, engine.New(t))
	id := d.put(t, failure("1", "{}"))
	d.publish = func(m events.Message) error {
		f := failure("2", "{}")
		f.Push.Attributes = m.Attributes()
		f.Code = "invalid_request"
		for range 2 { // its acknowledgement is lost once
			if got, err := d.Put(t.Context(), f); err != nil || got != id {
				t.Errorf("the replay is put aside under %s, %v", got, err)
			}
		}
		return nil
	}
	l, err := d.Replay(t.Context(), id, "ops")
	if err != nil || l.State != deadletters.Waiting || l.Failures != 2 || l.Replays != 1 || l.Code != "invalid_request" || l.MessageID != "2" {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestALabelAloneDoesNotReachALetter: any publisher may write attributes.
func TestALabelAloneDoesNotReachALetter(t *testing.T) {
	t.Parallel()
	d := open(t, engine.New(t))
	id := d.put(t, failure("1", "{}"))
	for i, change := range []func(*deadletters.Failure){
		func(f *deadletters.Failure) { f.Push.Data = []byte("other") },
		func(f *deadletters.Failure) { f.Topic = "credit-alerts" },
		func(f *deadletters.Failure) { f.Push.Attributes[deadletters.LetterLabel] = strings.Repeat("0", 32) },
		func(f *deadletters.Failure) { f.Push.Attributes[deadletters.LetterLabel] = "../x" },
	} {
		f := failure(fmt.Sprint("new-", i), "{}")
		f.Push.Attributes = map[string]string{deadletters.LetterLabel: id}
		change(&f)
		if got := d.put(t, f); got == id {
			t.Errorf("change %d took the letter's place", i)
		}
	}
	if l := d.get(t, id); l.Failures != 1 {
		t.Errorf("%+v", l)
	}
}

func TestWhatIsTooLargeIsKeptCut(t *testing.T) {
	t.Parallel()
	d := open(t, engine.New(t))
	f := failure("1", strings.Repeat("x", 64<<10+1))
	f.Reason = strings.Repeat("é", 1000)
	f.Push.Attributes = map[string]string{"CloudPubSubDeadLetterSourceDeliveryCount": "5"}
	for i := range 100 {
		f.Push.Attributes[fmt.Sprintf("k%02d", i)] = "v"
	}
	id := d.put(t, f)
	l := d.get(t, id)
	if !l.Cut || len(l.Data) != 64<<10 || l.Size != 64<<10+1 || len(l.Reason) > 1024 || !strings.HasSuffix(l.Reason, "é…") {
		t.Errorf("cut %v, %d of %d bytes, reason of %d", l.Cut, len(l.Data), l.Size, len(l.Reason))
	}
	if len(l.Attributes) != 90 || !maps.Equal(map[string]string{"k00": l.Attributes["k00"]}, map[string]string{"k00": "v"}) || l.Attributes["CloudPubSubDeadLetterSourceDeliveryCount"] != "" {
		t.Errorf("attributes %v", l.Attributes)
	}
	if _, err := d.Replay(t.Context(), id, "ops"); code(err) != "invalid_request" || len(d.published) != 0 {
		t.Errorf("a cut letter is replayed: %v", err)
	}
	told := f.Message("ai-usage-dead", id)
	if len(told.Data) != 64<<10+1 || told.Labels["reason"] != l.Reason || told.Labels["source_message_id"] != "1" {
		t.Errorf("told %d bytes, %v", len(told.Data), told.Labels)
	}
}

func TestALetterOfANewerReleaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := open(t, engine.New(t))
	id := d.put(t, failure("1", "{}"))
	if _, err := d.Client.Doc("deadLetters/"+id).Set(t.Context(), map[string]any{"v": 2, "first_seen_at": d.now(), "state": 7}); err != nil {
		t.Fatal(err)
	}
	f := failure("2", "{}")
	f.Push.Attributes[deadletters.LetterLabel] = id
	_, replayErr := d.Replay(t.Context(), id, "ops")
	_, putErr := d.Put(t.Context(), f)
	_, listErr := d.List(t.Context(), deadletters.Query{})
	for what, err := range map[string]error{"replay": replayErr, "put": putErr, "list": listErr} {
		if code(err) != "unavailable" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(d.published) != 0 {
		t.Error("published")
	}
}

package events_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/events"
)

const (
	// production is a push as production sends it.
	production = `{"deliveryAttempt":2,"message":{"attributes":{"kind":"debit"},"data":"eyJhIjoxfQ==","messageId":"2070443601311540","message_id":"2070443601311540","orderingKey":"org-1","publishTime":"2026-02-26T19:13:55.749Z","publish_time":"2026-02-26T19:13:55.749Z"},"subscription":"projects/p/subscriptions/s"}`
	// emulated is one as Google's emulator sends it.
	emulated = `{"subscription":"projects\/p\/subscriptions\/s","message":{"publishTime":"2026-11-22T11:56:02.599Z","data":"","publish_time":"2026-11-22T11:56:02.599Z","messageId":"1","attributes":{"a":"<&>"},"message_id":"1"}}`
)

func TestDecodePush(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       events.Push
	}{
		{"production's", production, events.Push{
			Data: []byte(`{"a":1}`), Attributes: map[string]string{"kind": "debit"}, MessageID: "2070443601311540", OrderingKey: "org-1",
			PublishTime: time.Date(2026, 2, 26, 19, 13, 55, 749e6, time.UTC), Subscription: "projects/p/subscriptions/s", DeliveryAttempt: 2,
		}},
		{"the emulator's", emulated, events.Push{
			Data: []byte{}, Attributes: map[string]string{"a": "<&>"}, MessageID: "1",
			PublishTime: time.Date(2026, 11, 22, 11, 56, 2, 599e6, time.UTC), Subscription: "projects/p/subscriptions/s",
		}},
		{"only the old names, and a zone", `{"message":{"data":"eA==","message_id":"7","publish_time":"2026-01-01T02:00:00+02:00"},"subscription":"s"}`, events.Push{
			Data: []byte("x"), MessageID: "7", PublishTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Subscription: "s",
		}},
		{"fields not known yet", `{"message":{"data":"eA==","messageId":"7","publishTime":"2026-01-01T00:00:00Z","trace":{"id":1}},"subscription":"s","region":"europe-west4"}`, events.Push{
			Data: []byte("x"), MessageID: "7", PublishTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Subscription: "s",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := events.DecodePush(strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodePushRefusesWhatIsNoPush(t *testing.T) {
	t.Parallel()
	edit := func(old, with string) string {
		out := strings.Replace(production, old, with, 1)
		if out == production {
			t.Fatalf("%s is not in the push", old)
		}
		return out
	}
	tests := map[string]string{
		"nothing":                ``,
		"no object":              `[]`,
		"null":                   `null`,
		"cut off":                production[:len(production)-1],
		"trailing data":          production + `{}`,
		"no message":             `{"subscription":"s"}`,
		"a null message":         `{"message":null,"subscription":"s"}`,
		"an empty message":       `{"message":{},"subscription":"s"}`,
		"no subscription":        edit(`"subscription":"projects/p/subscriptions/s"`, `"subscription":""`),
		"no message id":          edit(`"messageId":"2070443601311540","message_id":"2070443601311540",`, ``),
		"two message ids":        edit(`"message_id":"2070443601311540"`, `"message_id":"2"`),
		"two publish times":      edit(`"publish_time":"2026-02-26T19:13:55.749Z"`, `"publish_time":"2026-02-26T19:13:55.750Z"`),
		"no publish time":        edit(`,"publishTime":"2026-02-26T19:13:55.749Z","publish_time":"2026-02-26T19:13:55.749Z"`, ``),
		"a time past all years":  `{"message":{"data":"eA==","messageId":"7","publishTime":"9999-12-31T23:59:59-01:00"},"subscription":"s"}`,
		"a publish time of sort": `{"message":{"data":"eA==","messageId":"7","publishTime":"yesterday"},"subscription":"s"}`,
		"data not in base64":     edit(`eyJhIjoxfQ==`, `{a:1}`),
		"data in URL's base64":   edit(`eyJhIjoxfQ==`, `_-_-`),
		"attributes not strings": edit(`"debit"`, `1`),
		"a negative attempt":     edit(`"deliveryAttempt":2`, `"deliveryAttempt":-1`),
		"a fractional attempt":   edit(`"deliveryAttempt":2`, `"deliveryAttempt":1.5`),
		"neither data nor attributes": `{"message":{"data":"","attributes":{},"messageId":"7","publishTime":"2026-01-01T00:00:00Z"},` +
			`"subscription":"s"}`,
		"a CloudEvent": `{"specversion":"1.0","id":"1","source":"//pubsub","type":"google.cloud.pubsub.topic.v1.messagePublished","data":{"message":{"data":"eA=="}}}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := events.DecodePush(strings.NewReader(body)); !errors.Is(err, events.ErrBadPush) {
				t.Errorf("push %+v, error %v; want ErrBadPush", got, err)
			}
		})
	}
}

func TestDecodePushIsBounded(t *testing.T) {
	t.Parallel()
	padded := func(size int) io.Reader {
		return io.MultiReader(strings.NewReader(production), bytes.NewReader(bytes.Repeat([]byte(" "), size-len(production))))
	}
	if _, err := events.DecodePush(padded(events.MaxPushBytes)); err != nil {
		t.Errorf("a push of MaxPushBytes: %v", err)
	}
	if _, err := events.DecodePush(padded(events.MaxPushBytes + 1)); !errors.Is(err, events.ErrPushTooLarge) {
		t.Errorf("a push of one byte more: %v, want ErrPushTooLarge", err)
	}
	endless := &counter{}
	if _, err := events.DecodePush(endless); !errors.Is(err, events.ErrPushTooLarge) || endless.read > 2*events.MaxPushBytes {
		t.Errorf("an endless body: %v after %d bytes, want ErrPushTooLarge soon", err, endless.read)
	}
}

// counter is an endless body.
type counter struct{ read int }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	c.read += len(p)
	return len(p), nil
}

func TestDecodePushPassesOnAReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	_, err := events.DecodePush(io.MultiReader(strings.NewReader(production[:40]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || errors.Is(err, events.ErrBadPush) {
		t.Errorf("error %v, want the reader's and not ErrBadPush: repeating may help", err)
	}
}

func FuzzDecodePush(f *testing.F) {
	f.Add([]byte(production))
	f.Add([]byte(emulated))
	f.Add([]byte(`{"message":{"data":"eA==","messageId":"7","publishTime":"2026-01-01T00:00:00Z"},"subscription":"s"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := events.DecodePush(bytes.NewReader(body))
		if err != nil {
			if !errors.Is(err, events.ErrBadPush) || !cmp.Equal(p, events.Push{}) {
				t.Fatalf("push %+v, error %v: want ErrBadPush and nothing else", p, err)
			}
			return
		}
		if p.MessageID == "" || p.Subscription == "" || p.PublishTime.Location() != time.UTC || p.DeliveryAttempt < 0 || len(p.Data)+len(p.Attributes) == 0 {
			t.Fatalf("incomplete push %+v", p)
		}
		// What was decoded is what a sender of the same content would have sent.
		again, err := json.Marshal(map[string]any{
			"message": map[string]any{
				"data": base64.StdEncoding.EncodeToString(p.Data), "attributes": p.Attributes, "messageId": p.MessageID,
				"publishTime": p.PublishTime.Format(time.RFC3339Nano), "orderingKey": p.OrderingKey,
			},
			"subscription": p.Subscription, "deliveryAttempt": p.DeliveryAttempt,
		})
		if err != nil {
			t.Fatal(err)
		}
		q, err := events.DecodePush(bytes.NewReader(again))
		if err != nil || !bytes.Equal(p.Data, q.Data) || p.MessageID != q.MessageID || !p.PublishTime.Equal(q.PublishTime) || len(p.Attributes) != len(q.Attributes) {
			t.Fatalf("%+v became %+v, error %v", p, q, err)
		}
	})
}

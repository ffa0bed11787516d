package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

func TestPushBodyAndHeadersAreProductions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		message *pubsubpb.PubsubMessage
		sub     broker.Subscription
		body    string // %[1]s is the message id, %[2]s the publish time
		auth    string
	}{
		{
			name:    "data only",
			message: text("hello"),
			body:    `{"message":{"data":"aGVsbG8=","messageId":"%[1]s","message_id":"%[1]s","publishTime":"%[2]s","publish_time":"%[2]s"},"subscription":"projects/test/subscriptions/usage-push"}`,
		},
		{
			name:    "attributes, key, attempts and a signed token",
			message: &pubsubpb.PubsubMessage{Data: []byte{0xff, 0}, Attributes: map[string]string{"kind": "debit"}, OrderingKey: "org-1"},
			sub:     broker.Subscription{Ordered: true, DeadLetterTopic: dead, ServiceAccount: "push@test.iam.gserviceaccount.com", Audience: "https://usage"},
			body:    `{"deliveryAttempt":1,"message":{"attributes":{"kind":"debit"},"data":"/wA=","messageId":"%[1]s","message_id":"%[1]s","orderingKey":"org-1","publishTime":"%[2]s","publish_time":"%[2]s"},"subscription":"projects/test/subscriptions/usage-push"}`,
			auth:    "Bearer push@test.iam.gserviceaccount.com for https://usage",
		},
		{
			name:    "attributes only, audience left to the endpoint",
			message: &pubsubpb.PubsubMessage{Attributes: map[string]string{"a": "1"}},
			sub:     broker.Subscription{URL: "http://usage.test/usage?x=1", ServiceAccount: "s"},
			body:    `{"message":{"attributes":{"a":"1"},"messageId":"%[1]s","message_id":"%[1]s","publishTime":"%[2]s","publish_time":"%[2]s"},"subscription":"projects/test/subscriptions/usage-push"}`,
			auth:    "Bearer s for http://usage.test/usage?x=1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, broker.Options{TokenSource: func(_ context.Context, account, audience string) (string, error) {
				return account + " for " + audience, nil
			}})
			e := newEndpoint(t, nil)
			tt.sub.Handler = e
			subscribe(t, b, tt.sub)
			id := publish(t, connect(t, b), usage, tt.message)[0]
			waitQuiet(t, b)
			if len(e.bodies) != 1 {
				t.Fatalf("%d pushes, want 1", len(e.bodies))
			}
			at := e.pushes[0].PublishTime.Format("2006-01-02T15:04:05.000Z")
			if diff := cmp.Diff(fmt.Sprintf(tt.body, id, at), compact(t, e.bodies[0])); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if age := time.Since(e.pushes[0].PublishTime); age < 0 || age > time.Minute {
				t.Errorf("published %v ago", age)
			}
			h := e.heads[0]
			if h.Get("Authorization") != tt.auth || h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "CloudPubSub-Google" {
				t.Errorf("headers %v, want Authorization %q", h, tt.auth)
			}
		})
	}
}

func TestOnlyProductionsStatusesAcknowledge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code int
		acks bool
	}{
		{200, true}, {201, true}, {202, true}, {204, true},
		{203, false}, {205, false}, {206, false}, {299, false},
		{301, false}, {302, false}, {304, false}, {307, false},
		{400, false}, {401, false}, {404, false}, {409, false}, {429, false}, {500, false}, {503, false},
	}
	for _, where := range []string{"in process", "over TCP"} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s %d", where, tt.code), func(t *testing.T) {
				t.Parallel()
				b := open(t, broker.Options{})
				e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request, _ events.Push) {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(tt.code)
				})
				sub := broker.Subscription{Handler: e, DeadLetterTopic: dead, MaxAttempts: 2, Retry: &broker.Retry{}}
				if where == "over TCP" {
					server := httptest.NewServer(e)
					t.Cleanup(server.Close)
					sub.Handler, sub.URL = nil, server.URL
				}
				subscribe(t, b, sub)
				publish(t, connect(t, b), usage, text("x"))
				waitQuiet(t, b)
				s := b.Stats().Subscriptions[usagePush]
				if acked := s.Acked == 1; acked != tt.acks || s.Nacked != 2*(1-s.Acked) {
					t.Errorf("%d: acked %d, nacked %d; want acknowledged: %v", tt.code, s.Acked, s.Nacked, tt.acks)
				}
			})
		}
	}
}

func TestPushFailsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, p events.Push)
	}{
		{"the deadline passes", func(_ http.ResponseWriter, r *http.Request, _ events.Push) { <-r.Context().Done() }},
		{"the handler panics", func(http.ResponseWriter, *http.Request, events.Push) { panic("broken") }},
		{"the connection is aborted", func(http.ResponseWriter, *http.Request, events.Push) { panic(http.ErrAbortHandler) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, broker.Options{})
			var calls atomic.Int32
			e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request, p events.Push) {
				if calls.Add(1) < 3 {
					tt.answer(w, r, p)
				}
			})
			subscribe(t, b, broker.Subscription{Handler: e, AckDeadline: 20 * time.Millisecond, Retry: &broker.Retry{}})
			publish(t, connect(t, b), usage, text("x"))
			waitQuiet(t, b)
			if got := e.received(); len(got) != 3 {
				t.Errorf("delivered %d times, want 3: two failures and a success", len(got))
			}
			if s := b.Stats().Subscriptions[usagePush]; s.Acked != 1 || s.Nacked != 2 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestTokenThatCannotBeSignedIsANack(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	b := open(t, broker.Options{TokenSource: func(context.Context, string, string) (string, error) {
		if calls.Add(1) == 1 {
			return "", errors.New("no key yet")
		}
		return "token", nil
	}})
	e := newEndpoint(t, nil)
	subscribe(t, b, broker.Subscription{Handler: e, ServiceAccount: "s", Retry: &broker.Retry{}})
	publish(t, connect(t, b), usage, text("x"))
	waitQuiet(t, b)
	if s := b.Stats().Subscriptions[usagePush]; s.Nacked != 1 || s.Acked != 1 || len(e.heads) != 1 || e.heads[0].Get("Authorization") != "Bearer token" {
		t.Errorf("stats %+v, headers %v", s, e.heads)
	}
}

func TestBackOffDoublesUpToItsMaximum(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		retry *broker.Retry
		waits []time.Duration
	}{
		{"by policy", &broker.Retry{Min: time.Second, Max: 6 * time.Second}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 6 * time.Second, 6 * time.Second}},
		{"without one", nil, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := open(t, broker.Options{})
				var calls atomic.Int32
				e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request, _ events.Push) {
					if calls.Add(1) <= int32(len(tt.waits)) {
						w.WriteHeader(http.StatusInternalServerError)
					}
				})
				subscribe(t, b, broker.Subscription{Handler: e, Retry: tt.retry})
				publish(t, connect(t, b), usage, text("x"))
				if err := b.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				var waits []time.Duration
				for i := 1; i < len(e.times); i++ {
					waits = append(waits, e.times[i].Sub(e.times[i-1]))
				}
				if !slices.Equal(waits, tt.waits) {
					t.Errorf("waited %v, want %v", waits, tt.waits)
				}
			})
		})
	}
}

func TestPushesOutAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{})
		var out, most atomic.Int32
		e := newEndpoint(t, func(_ http.ResponseWriter, _ *http.Request, _ events.Push) {
			n := out.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Second)
			out.Add(-1)
		})
		subscribe(t, b, broker.Subscription{Handler: e, Concurrency: 7})
		c := connect(t, b)
		start := time.Now()
		for _, m := range numbered(70) {
			publish(t, c, usage, text(m))
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if most.Load() != 7 || time.Since(start) != 10*time.Second {
			t.Errorf("%d at a time for %v, want 7 for 10s", most.Load(), time.Since(start))
		}
	})
}

func TestOrderingKeyWaitsForItsFailedMessage(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	failures := map[string]int{"a1": 3, "b2": 1}
	left := make(chan map[string]int, 1)
	left <- failures
	e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request, p events.Push) {
		f := <-left
		defer func() { left <- f }()
		if f[string(p.Data)] > 0 {
			f[string(p.Data)]--
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	subscribe(t, b, broker.Subscription{Handler: e, Ordered: true, Retry: &broker.Retry{Min: 5 * time.Millisecond, Max: 5 * time.Millisecond}})
	c := connect(t, b)
	for i := range 5 {
		for _, key := range []string{"a", "b"} {
			publish(t, c, usage, &pubsubpb.PubsubMessage{Data: fmt.Appendf(nil, "%s%d", key, i), OrderingKey: key})
		}
	}
	waitQuiet(t, b)
	of := func(key string) []string {
		return slices.DeleteFunc(e.received(), func(s string) bool { return !strings.HasPrefix(s, key) })
	}
	if diff := cmp.Diff([]string{"a0", "a1", "a1", "a1", "a1", "a2", "a3", "a4"}, of("a")); diff != "" {
		t.Errorf("key a (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b0", "b1", "b2", "b2", "b3", "b4"}, of("b")); diff != "" {
		t.Errorf("key b (-want +got):\n%s", diff)
	}
}

func TestNothingIsLostOverARestartOfTheEndpoint(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	e := newEndpoint(t, nil)
	server := httptest.NewServer(e)
	address := server.Listener.Addr().String()
	subscribe(t, b, broker.Subscription{URL: server.URL, Concurrency: 8, Retry: &broker.Retry{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond}})
	c := connect(t, b)
	want := numbered(600)
	for i, m := range want {
		switch i {
		case 200:
			server.CloseClientConnections()
			server.Close()
		case 400:
			server = restart(t, address, e)
			t.Cleanup(server.Close)
		}
		publish(t, c, usage, text(m))
	}
	waitQuiet(t, b)
	if lost := missing(want, e.received()); len(lost) > 0 {
		t.Errorf("lost %d messages: %v", len(lost), lost)
	}
	if s := b.Stats().Subscriptions[usagePush]; s.Acked != 600 || s.Nacked == 0 {
		t.Errorf("acked %d, nacked %d: want 600 acked, and failures while the endpoint was away", s.Acked, s.Nacked)
	}
}

// restart serves h again where a server served before.
func restart(t *testing.T, address string, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = l
	server.Start()
	return server
}

package broker_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/needs"
)

// settleTimeout bounds the wait for what an engine does in its own time; Google's emulator dead-letters within seconds.
const settleTimeout = 30 * time.Second

// An engine is a Pub/Sub under test.
type engine struct {
	client *pubsub.Client
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		b, err := broker.Open(broker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		addr, err := b.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conform(t, engine{client: dial(t, addr.String())})
	})
	t.Run("emulator", func(t *testing.T) {
		t.Parallel()
		conform(t, engine{client: dial(t, needs.PubSubEmulator(t))})
	})
}

// conform runs the same steps on any engine, each on topics of its own. What only the embedded engine does as production
// does is tested elsewhere; README.md lists it.
func conform(t *testing.T, e engine) {
	t.Helper()
	for name, step := range map[string]func(*testing.T, engine){
		"push, ack and nack":       conformPush,
		"dead letter and pull":     conformDeadLetter,
		"lease, give back, settle": conformPull,
		"receive":                  conformReceive,
		"errors":                   conformErrors,
		"topics and subscriptions": conformAdmin,
		"ordered pull":             conformOrder,
		"deleted topic":            conformDeletedTopic,
		"pause and resume a push":  conformPause,
		"two subscriptions":        conformFanOut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step(t, e)
		})
	}
}

// conformNames returns names for topics and subscriptions that no other test, or earlier run on the same engine, uses.
func conformNames(tb testing.TB) (topic, deadTopic, sub, deadSub string) {
	tb.Helper()
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(tb.Name()))
	id += "-" + strings.ToLower(rand.Text())
	p := "projects/" + project
	return p + "/topics/" + id, p + "/topics/" + id + "-dead", p + "/subscriptions/" + id, p + "/subscriptions/" + id + "-dead"
}

func (e engine) create(tb testing.TB, topics []string, subs ...*pubsubpb.Subscription) {
	tb.Helper()
	for _, name := range topics {
		if _, err := e.client.TopicAdminClient.CreateTopic(tb.Context(), &pubsubpb.Topic{Name: name}); err != nil {
			tb.Fatal(err)
		}
	}
	for _, s := range subs {
		if _, err := e.client.SubscriptionAdminClient.CreateSubscription(tb.Context(), s); err != nil {
			tb.Fatal(err)
		}
	}
}

// eventually waits until ok.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(settleTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %v", what, settleTimeout)
		}
	}
}

func conformPush(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	seen := newEndpoint(t, nil)
	seen.answer = func(w http.ResponseWriter, _ *http.Request, p events.Push) {
		codes := map[string]int{"200": 200, "201": 201, "204": 204, "400": 400, "500": 500}
		code := codes[string(p.Data)]
		if code >= 400 && countOf(seen.received(), string(p.Data)) > 1 {
			code = 200
		}
		w.WriteHeader(code)
	}
	server := httptest.NewServer(seen)
	t.Cleanup(server.Close)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic, PushConfig: &pubsubpb.PushConfig{PushEndpoint: server.URL}})
	ids := map[string]string{}
	for _, data := range []string{"200", "201", "204", "400", "500"} {
		ids[data] = publish(t, e.client, topic, &pubsubpb.PubsubMessage{Data: []byte(data), Attributes: map[string]string{"data": data}})[0]
	}
	want := []string{"200", "201", "204", "400", "400", "500", "500"}
	eventually(t, "every push, refused ones twice", func() bool { return len(seen.received()) >= len(want) })
	got := seen.received()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for i, p := range seen.pushes {
		if p.Subscription != sub || p.MessageID != ids[string(p.Data)] || p.Attributes["data"] != string(p.Data) {
			t.Errorf("push %+v, want message %s on %s", p, ids[string(p.Data)], sub)
		}
		if ct := seen.heads[i].Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
			t.Errorf("content type %q", ct)
		}
	}
}

func countOf(list []string, s string) int {
	n := 0
	for _, v := range list {
		if v == s {
			n++
		}
	}
	return n
}

func conformDeadLetter(t *testing.T, e engine) {
	t.Helper()
	topic, deadTopic, sub, deadSub := conformNames(t)
	seen := newEndpoint(t, refusePoison)
	server := httptest.NewServer(seen)
	t.Cleanup(server.Close)
	e.create(t, []string{topic, deadTopic},
		&pubsubpb.Subscription{
			Name: sub, Topic: topic, PushConfig: &pubsubpb.PushConfig{PushEndpoint: server.URL},
			DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: deadTopic, MaxDeliveryAttempts: 5},
			RetryPolicy:      &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(0), MaximumBackoff: durationpb.New(time.Second)},
		},
		&pubsubpb.Subscription{Name: deadSub, Topic: deadTopic})
	publish(t, e.client, topic, &pubsubpb.PubsubMessage{Data: []byte("poison"), Attributes: map[string]string{"a": "1"}})
	good := numbered(20)
	for _, m := range good {
		publish(t, e.client, topic, text(m))
	}
	var letters []*pubsubpb.ReceivedMessage
	eventually(t, "a dead letter, and every good message", func() bool {
		letters = append(letters, pull(t, e.client, deadSub)...)
		return len(letters) > 0 && len(missing(good, seen.received())) == 0
	})
	time.Sleep(300 * time.Millisecond) // for a second one to show
	letters = append(letters, pull(t, e.client, deadSub)...)
	if len(letters) != 1 || string(letters[0].GetMessage().GetData()) != "poison" {
		t.Fatalf("dead letters %v, want the poison, once", letters)
	}
	attributes := letters[0].GetMessage().GetAttributes()
	want := map[string]string{
		"a": "1",
		"CloudPubSubDeadLetterSourceDeliveryCount":       "5",
		"CloudPubSubDeadLetterSourceSubscription":        sub[strings.LastIndex(sub, "/")+1:],
		"CloudPubSubDeadLetterSourceSubscriptionProject": project,
		"CloudPubSubDeadLetterSourceTopicPublishTime":    attributes["CloudPubSubDeadLetterSourceTopicPublishTime"],
	}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if _, err := time.Parse(time.RFC3339Nano, attributes["CloudPubSubDeadLetterSourceTopicPublishTime"]); err != nil {
		t.Error(err)
	}
	if n := countOf(seen.received(), "poison"); n != 5 {
		t.Errorf("the poison was pushed %d times, want 5", n)
	}
}

func conformPull(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic, AckDeadlineSeconds: 60})
	publish(t, e.client, topic, text("a"))
	take := func() *pubsubpb.ReceivedMessage {
		t.Helper()
		var got []*pubsubpb.ReceivedMessage
		eventually(t, "a message", func() bool {
			//nolint:staticcheck // both engines answer it
			r, err := e.client.SubscriptionAdminClient.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 1, ReturnImmediately: true})
			if err != nil {
				t.Fatal(err)
			}
			got = r.GetReceivedMessages()
			return len(got) > 0
		})
		return got[0]
	}
	first := take()
	if got := pull(t, e.client, sub); len(got) != 0 {
		t.Errorf("leased twice: %v", got)
	}
	if err := e.client.SubscriptionAdminClient.ModifyAckDeadline(t.Context(), &pubsubpb.ModifyAckDeadlineRequest{Subscription: sub, AckIds: []string{first.GetAckId()}}); err != nil {
		t.Fatal(err)
	}
	again := take()
	if again.GetMessage().GetMessageId() != first.GetMessage().GetMessageId() || again.GetDeliveryAttempt() != 0 {
		t.Errorf("after giving it back: %v, want message %s without an attempt count", again, first.GetMessage().GetMessageId())
	}
	if err := e.client.SubscriptionAdminClient.Acknowledge(t.Context(), &pubsubpb.AcknowledgeRequest{Subscription: sub, AckIds: []string{again.GetAckId()}}); err != nil {
		t.Fatal(err)
	}
	if got := pull(t, e.client, sub); len(got) != 0 {
		t.Errorf("delivered after its acknowledgement: %v", got)
	}
}

func conformOrder(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic, EnableMessageOrdering: true})
	want := numbered(10)
	for _, m := range want {
		publish(t, e.client, topic, &pubsubpb.PubsubMessage{Data: []byte(m), OrderingKey: "k"})
	}
	var got []string
	eventually(t, "ten messages", func() bool {
		for _, m := range pull(t, e.client, sub) {
			got = append(got, string(m.GetMessage().GetData()))
			if m.GetMessage().GetOrderingKey() != "k" {
				t.Errorf("ordering key %q", m.GetMessage().GetOrderingKey())
			}
		}
		return len(got) >= len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func conformReceive(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic})
	want := numbered(50)
	for _, m := range want {
		publish(t, e.client, topic, text(m))
	}
	ctx, cancel := context.WithTimeout(t.Context(), settleTimeout)
	defer cancel()
	received := make(chan string, 2*len(want))
	var count atomic.Int32
	err := e.client.Subscriber(sub).Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		if m.Ack(); count.Add(1) <= int32(len(want)) {
			received <- string(m.Data)
		}
		if count.Load() >= int32(len(want)) {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	close(received)
	var got []string
	for m := range received {
		got = append(got, m)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

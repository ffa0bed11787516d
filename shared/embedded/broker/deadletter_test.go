package broker_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

// refusePoison answers 500 to what begins with "poison".
func refusePoison(w http.ResponseWriter, _ *http.Request, p events.Push) {
	if strings.HasPrefix(string(p.Data), "poison") {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func TestPoisonIsDeadLetteredOnceWhileOthersFlow(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{1, 5, 7} {
		t.Run(fmt.Sprint(attempts, " attempts"), func(t *testing.T) {
			t.Parallel()
			b := open(t, broker.Options{})
			e := newEndpoint(t, refusePoison)
			subscribe(t, b, broker.Subscription{Handler: e, Concurrency: 4, DeadLetterTopic: dead, MaxAttempts: attempts, Retry: &broker.Retry{Min: 20 * time.Millisecond, Max: 20 * time.Millisecond}})
			subscribe(t, b, broker.Subscription{Name: deadPull, Topic: dead})
			c := connect(t, b)
			ids := publish(t, c, usage, &pubsubpb.PubsubMessage{Data: []byte("poison"), Attributes: map[string]string{"kind": "debit"}, OrderingKey: "k"})
			good := numbered(200)
			for _, m := range good {
				publish(t, c, usage, text(m))
			}
			waitQuiet(t, b)

			got := e.received()
			if n := len(got); n != 200+attempts || len(missing(good, got)) > 0 {
				t.Errorf("%d deliveries, want 200 good ones and %d of the poison", n, attempts)
			}
			letters := pull(t, c, deadPull)
			if len(letters) != 1 {
				t.Fatalf("%d dead letters, want 1", len(letters))
			}
			checkDeadLetter(t, letters[0].GetMessage(), e, ids[0], attempts)
			if s := b.Stats(); s.Held != 0 || s.Subscriptions[usagePush].DeadLettered != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func checkDeadLetter(t *testing.T, m *pubsubpb.PubsubMessage, e *endpoint, id string, attempts int) {
	t.Helper()
	var published time.Time
	last := 0
	for _, p := range e.pushes {
		if p.MessageID == id {
			published = p.PublishTime
			if p.DeliveryAttempt != last+1 {
				t.Errorf("attempt %d follows %d", p.DeliveryAttempt, last)
			}
			last = p.DeliveryAttempt
		}
	}
	want := map[string]string{
		"kind": "debit",
		"CloudPubSubDeadLetterSourceDeliveryCount":       fmt.Sprint(attempts),
		"CloudPubSubDeadLetterSourceSubscription":        "usage-push",
		"CloudPubSubDeadLetterSourceSubscriptionProject": "test",
		"CloudPubSubDeadLetterSourceTopicPublishTime":    published.Format("2006-01-02T15:04:05.000+00:00"),
	}
	if diff := cmp.Diff(want, m.GetAttributes()); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if string(m.GetData()) != "poison" || m.GetOrderingKey() != "k" || m.GetMessageId() == id {
		t.Errorf("dead letter %v, want the data and key of message %s under an id of its own", m, id)
	}
}

func TestOrderingKeyContinuesAfterADeadLetter(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	e := newEndpoint(t, refusePoison)
	subscribe(t, b, broker.Subscription{Handler: e, Ordered: true, DeadLetterTopic: dead, MaxAttempts: 3, Retry: &broker.Retry{}})
	c := connect(t, b)
	for _, data := range []string{"before", "poison", "after"} {
		publish(t, c, usage, &pubsubpb.PubsubMessage{Data: []byte(data), OrderingKey: "k"})
	}
	waitQuiet(t, b)
	if diff := cmp.Diff([]string{"before", "poison", "poison", "poison", "after"}, e.received()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeadLetterWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{})
		e := newEndpoint(t, refusePoison)
		subscribe(t, b, broker.Subscription{Handler: e, DeadLetterTopic: dead, MaxAttempts: 2, Retry: &broker.Retry{}})
		c := connect(t, b)
		if err := c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: dead}); err != nil {
			t.Fatal(err)
		}
		publish(t, c, usage, text("poison"))
		time.Sleep(time.Hour)
		if s := b.Stats(); s.Held != 1 || len(e.received()) != 2 {
			t.Fatalf("held %d after %d deliveries, want the message held after 2", s.Held, len(e.received()))
		}
		if err := b.Topic(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		subscribe(t, b, broker.Subscription{Name: deadPull, Topic: dead})
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := pull(t, c, deadPull); len(got) != 1 {
			t.Errorf("%d dead letters, want 1", len(got))
		}
	})
}

func TestDeadLetterWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{MaxMessages: 2})
		e := newEndpoint(t, refusePoison)
		subscribe(t, b, broker.Subscription{Handler: e, DeadLetterTopic: dead, MaxAttempts: 1})
		for _, name := range []string{"one", "two", "three"} {
			subscribe(t, b, broker.Subscription{Name: "projects/test/subscriptions/" + name, Topic: dead})
		}
		c := connect(t, b)
		publish(t, c, usage, text("poison"))
		time.Sleep(time.Minute)
		if s := b.Stats(); s.Held != 1 || s.Subscriptions[usagePush].DeadLettered != 0 {
			t.Fatalf("stats %+v, want the message still held: three copies do not fit in two places", s)
		}
		if err := c.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: "projects/test/subscriptions/three"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := b.Stats(); s.Held != 2 || len(e.received()) != 1 {
			t.Errorf("held %d after %d deliveries, want two dead letters after one", s.Held, len(e.received()))
		}
	})
}

func TestDeadLetterThatWaitsSurvivesAReopening(t *testing.T) {
	t.Parallel()
	o := broker.Options{Path: filepath.Join(t.TempDir(), "broker.db")}
	b := open(t, o)
	e := newEndpoint(t, refusePoison)
	sub := broker.Subscription{Handler: e, DeadLetterTopic: dead, MaxAttempts: 2, Retry: &broker.Retry{}}
	subscribe(t, b, sub)
	c := connect(t, b)
	if err := c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: dead}); err != nil {
		t.Fatal(err)
	}
	publish(t, c, usage, text("poison"))
	eventually(t, "two failures", func() bool { return b.Stats().Subscriptions[usagePush].Nacked == 2 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, o) // with the topic again
	subscribe(t, b, broker.Subscription{Name: deadPull, Topic: dead})
	subscribe(t, b, sub)
	waitQuiet(t, b)
	got := pull(t, connect(t, b), deadPull)
	if len(got) != 1 || got[0].GetMessage().GetAttributes()["CloudPubSubDeadLetterSourceDeliveryCount"] != "2" || len(e.received()) != 2 {
		t.Errorf("dead letters %v after %d deliveries, want one after two", got, len(e.received()))
	}
}

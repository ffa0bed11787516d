package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

func TestTopicLifecycle(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Name: usagePull})
	c := connect(t, b)
	publish(t, c, usage, text("before"))
	if _, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: usage}); grpcstatus.Code(err) != codes.AlreadyExists {
		t.Errorf("creating it again: %v, want ALREADY_EXISTS", err)
	}
	if _, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "usage"}); grpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("a bad name: %v, want INVALID_ARGUMENT", err)
	}
	if err := c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: usage}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"get":    second(c.TopicAdminClient.GetTopic(t.Context(), &pubsubpb.GetTopicRequest{Topic: usage})),
		"delete": c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: usage}),
	} {
		if grpcstatus.Code(err) != codes.NotFound {
			t.Errorf("%s a deleted topic: %v, want NOT_FOUND", name, err)
		}
	}
	s, err := c.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: usagePull})
	if err != nil || s.GetTopic() != "_deleted-topic_" {
		t.Errorf("subscription %v, error %v: want it to outlive its topic", s, err)
	}
	if err := b.Topic(t.Context(), usage); err != nil {
		t.Fatal(err)
	}
	publish(t, c, usage, text("after"))
	if diff := cmp.Diff([]string{"before"}, dataOf(pull(t, c, usagePull))); diff != "" {
		t.Errorf("pulled (-want +got):\n%s", diff)
	}
}

func second[T any](_ T, err error) error { return err }

func TestDeletedSubscriptionHoldsNothing(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	release := make(chan struct{})
	e := newEndpoint(t, nil)
	e.answer = func(_ http.ResponseWriter, r *http.Request, _ events.Push) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	subscribe(t, b, broker.Subscription{Handler: e, Concurrency: 2, Ordered: true})
	c := connect(t, b)
	for i := range 10 {
		publish(t, c, usage, &pubsubpb.PubsubMessage{Data: []byte("x"), OrderingKey: fmt.Sprint(i % 3)})
	}
	if err := c.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: usagePush}); err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Held != 0 || s.HeldBytes != 0 || len(s.Subscriptions) != 0 {
		t.Errorf("stats %+v, want nothing held", s)
	}
	waitQuiet(t, b)
	close(release)
	if err := c.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: usagePush}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("deleting again: %v, want NOT_FOUND", err)
	}
}

func TestClosedBrokerRefusesWork(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Handler: newEndpoint(t, func(_ http.ResponseWriter, r *http.Request, _ events.Push) { <-r.Context().Done() })})
	publish(t, connect(t, b), usage, text("x"))
	waited := make(chan error, 1)
	go func() { waited <- b.Wait(t.Context()) }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Wait: %v, want ErrClosed", err)
	}
	if _, err := b.Listen(t.Context(), "127.0.0.1:0"); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Listen: %v, want ErrClosed", err)
	}
	if err := b.Topic(t.Context(), "projects/test/topics/new"); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("Topic: %v, want UNAVAILABLE", err)
	}
	if err := b.Close(); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Close again: %v, want ErrClosed", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Handler: newEndpoint(t, status(500)), Retry: &broker.Retry{Min: time.Minute, Max: time.Minute}})
	publish(t, connect(t, b), usage, text("x"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), usagePush) {
		t.Errorf("error %v, want the deadline and the subscription's name", err)
	}
}

func TestWhatIsTriedAgainLaterNeedNotBeWaitedFor(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	tried := make(chan struct{}, 10)
	subscribe(t, b, broker.Subscription{Retry: &broker.Retry{Min: time.Minute, Max: time.Minute}, Handler: newEndpoint(t, func(w http.ResponseWriter, _ *http.Request, _ events.Push) {
		time.Sleep(5 * time.Millisecond)
		if tried <- struct{}{}; len(tried) == 1 { // the first waits for its retry, while the others are done with
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})})
	publisher := connect(t, b)
	for want := 1; want <= 3; want++ {
		publish(t, publisher, usage, text("x"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := b.WaitTried(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if len(tried) != want {
			t.Errorf("%d messages were tried, want %d", len(tried), want)
		}
	}
}

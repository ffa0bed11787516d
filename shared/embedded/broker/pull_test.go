package broker_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
)

const usagePull = "projects/test/subscriptions/usage-pull"

// lease pulls without acknowledging.
func lease(t *testing.T, c *pubsub.Client, n int32) []*pubsubpb.ReceivedMessage {
	t.Helper()
	r, err := c.SubscriptionAdminClient.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: usagePull, MaxMessages: n})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetReceivedMessages()
}

func dataOf(received []*pubsubpb.ReceivedMessage) []string {
	out := make([]string, len(received))
	for i, m := range received {
		out[i] = string(m.GetMessage().GetData())
	}
	return out
}

func modify(t *testing.T, c *pubsub.Client, seconds int32, received ...*pubsubpb.ReceivedMessage) {
	t.Helper()
	var ids []string
	for _, m := range received {
		ids = append(ids, m.GetAckId())
	}
	if err := c.SubscriptionAdminClient.ModifyAckDeadline(t.Context(), &pubsubpb.ModifyAckDeadlineRequest{Subscription: usagePull, AckIds: ids, AckDeadlineSeconds: seconds}); err != nil {
		t.Fatal(err)
	}
}

func TestLeaseLifecycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{})
		subscribe(t, b, broker.Subscription{Name: usagePull, AckDeadline: 20 * time.Second, DeadLetterTopic: dead, MaxAttempts: 50})
		c := connect(t, b)
		for _, m := range []string{"a", "b", "c"} {
			publish(t, c, usage, text(m))
		}
		first := lease(t, c, 2)
		if diff := cmp.Diff([]string{"a", "b"}, dataOf(first)); diff != "" {
			t.Fatalf("first two (-want +got):\n%s", diff)
		}
		modify(t, c, 0, first[0])
		second := lease(t, c, 10)
		if diff := cmp.Diff([]string{"c", "a"}, dataOf(second)); diff != "" {
			t.Fatalf("after giving a back (-want +got):\n%s", diff)
		}
		if second[1].GetDeliveryAttempt() != 2 || second[0].GetDeliveryAttempt() != 1 {
			t.Errorf("attempts %d and %d, want 1 and 2", second[0].GetDeliveryAttempt(), second[1].GetDeliveryAttempt())
		}
		modify(t, c, 60, second[0])
		time.Sleep(21 * time.Second) // the leases of b and a end, c's was extended
		third := lease(t, c, 10)
		got := dataOf(third)
		slices.Sort(got)
		if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
			t.Fatalf("after the deadline (-want +got):\n%s", diff)
		}
		ack := func(received ...*pubsubpb.ReceivedMessage) {
			t.Helper()
			for _, m := range received {
				if err := c.SubscriptionAdminClient.Acknowledge(t.Context(), &pubsubpb.AcknowledgeRequest{Subscription: usagePull, AckIds: []string{m.GetAckId()}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		ack(first...) // too late: these leases have ended
		if n := b.Stats().Subscriptions[usagePull].Pending; n != 3 {
			t.Fatalf("%d pending after a late acknowledgement, want 3", n)
		}
		ack(third...)
		ack(second[0])
		if s := b.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.Subscriptions[usagePull].InFlight != 0 {
			t.Errorf("stats %+v, want nothing held", s)
		}
	})
}

func TestPullWaitsForAMessageAndNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{})
		subscribe(t, b, broker.Subscription{Name: usagePull})
		c := connect(t, b)
		start := time.Now()
		if got := lease(t, c, 1); len(got) != 0 || time.Since(start) != 10*time.Second {
			t.Errorf("%d messages after %v, want none after 10s", len(got), time.Since(start))
		}
		time.AfterFunc(3*time.Second, func() { publish(t, c, usage, text("x")) })
		start = time.Now()
		if got := lease(t, c, 1); len(got) != 1 || time.Since(start) != 3*time.Second {
			t.Errorf("%d messages after %v, want one after 3s", len(got), time.Since(start))
		}
	})
}

func TestPulledPoisonIsDeadLettered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{})
		subscribe(t, b, broker.Subscription{Name: usagePull, DeadLetterTopic: dead, MaxAttempts: 3, Retry: &broker.Retry{Min: 2 * time.Second, Max: 5 * time.Second}})
		subscribe(t, b, broker.Subscription{Name: deadPull, Topic: dead})
		c := connect(t, b)
		start := time.Now()
		publish(t, c, usage, text("poison"))
		for range 3 {
			modify(t, c, 0, lease(t, c, 1)...)
		}
		if waited := time.Since(start); waited != 6*time.Second { // 2 s, then 4 s
			t.Errorf("three attempts took %v, want 6s of back-off", waited)
		}
		if got := pull(t, c, deadPull); len(got) != 1 || got[0].GetMessage().GetAttributes()["CloudPubSubDeadLetterSourceDeliveryCount"] != "3" {
			t.Errorf("dead letters %v", got)
		}
		if s := b.Stats(); s.Held != 0 {
			t.Errorf("held %d, want 0", s.Held)
		}
	})
}

func TestReceiveGetsEveryMessageWithinItsFlowControl(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Name: usagePull})
	c := connect(t, b)
	want := numbered(500)
	for _, m := range want {
		publish(t, c, usage, text(m))
	}
	s := c.Subscriber(usagePull)
	s.ReceiveSettings.MaxOutstandingMessages = 40
	ctx, cancel := context.WithTimeout(t.Context(), quietTimeout)
	defer cancel()
	var mu sync.Mutex
	var got []string
	refused := map[string]bool{}
	err := s.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		mu.Lock()
		defer mu.Unlock()
		if n := b.Stats().Subscriptions[usagePull].InFlight; n > 40 {
			t.Errorf("%d leased, want at most 40", n)
		}
		if data := string(m.Data); data[len(data)-1] == '7' && !refused[data] {
			refused[data] = true
			m.Nack()
			return
		}
		m.Ack()
		got = append(got, string(m.Data))
		if len(got) == len(want) {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(refused) != 50 {
		t.Errorf("%d refused once; received (-want +got):\n%s", len(refused), diff)
	}
	if s := b.Stats().Subscriptions[usagePull]; s.Acked != 500 || s.Nacked != 50 || s.Pending != 0 {
		t.Errorf("stats %+v, want 500 acknowledged on the server too", s)
	}
}

func TestStreamAnswersPingsAndTakesAcks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{})
		subscribe(t, b, broker.Subscription{Name: usagePull})
		c := connect(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := c.SubscriptionAdminClient.StreamingPull(ctx)
		if err != nil {
			t.Fatal(err)
		}
		exchange := func(r *pubsubpb.StreamingPullRequest) []*pubsubpb.ReceivedMessage {
			t.Helper()
			if err := stream.Send(r); err != nil {
				t.Fatal(err)
			}
			answer, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return answer.GetReceivedMessages()
		}
		publish(t, c, usage, text("1"))
		got := exchange(&pubsubpb.StreamingPullRequest{Subscription: usagePull, StreamAckDeadlineSeconds: 60, MaxOutstandingMessages: 1})
		if diff := cmp.Diff([]string{"1"}, dataOf(got)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for range 3 { // the client gives a stream up that leaves its pings unanswered
			time.Sleep(10 * time.Second)
			if got := exchange(&pubsubpb.StreamingPullRequest{}); len(got) != 0 {
				t.Fatalf("a ping was answered with %v", got)
			}
		}
		got = exchange(&pubsubpb.StreamingPullRequest{ModifyDeadlineAckIds: []string{got[0].GetAckId()}, ModifyDeadlineSeconds: []int32{0}})
		if diff := cmp.Diff([]string{"1"}, dataOf(got)); diff != "" {
			t.Fatalf("after a nack (-want +got):\n%s", diff)
		}
		publish(t, c, usage, text("2"))
		got = exchange(&pubsubpb.StreamingPullRequest{AckIds: []string{got[0].GetAckId()}})
		if diff := cmp.Diff([]string{"2"}, dataOf(got)); diff != "" {
			t.Fatalf("after an acknowledgement (-want +got):\n%s", diff)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if answer, err := stream.Recv(); err == nil {
			t.Fatalf("received %v after closing", answer)
		}
		time.Sleep(61 * time.Second)
		if s := b.Stats().Subscriptions[usagePull]; s.InFlight != 0 || s.Pending != 1 || s.Acked != 1 {
			t.Errorf("stats %+v, want the second message's lease ended with its deadline", s)
		}
	})
}

func TestOrderedPullHandsOutAKeyInOrder(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Name: usagePull, Ordered: true})
	c := connect(t, b)
	want := numbered(20)
	for _, m := range want {
		publish(t, c, usage, &pubsubpb.PubsubMessage{Data: []byte(m), OrderingKey: "k"})
	}
	var got []string
	for range want {
		got = append(got, dataOf(pull(t, c, usagePull))...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPushSubscriptionCannotBePulled(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Handler: newEndpoint(t, nil)})
	c := connect(t, b)
	_, err := c.SubscriptionAdminClient.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: usagePush, MaxMessages: 1})
	if grpcstatus.Code(err) != codes.FailedPrecondition {
		t.Errorf("error %v, want FAILED_PRECONDITION", err)
	}
	if _, err := c.SubscriptionAdminClient.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: usagePull, MaxMessages: 1}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("error %v, want NOT_FOUND", err)
	}
}

func TestPausedPushIsResumed(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	e := newEndpoint(t, nil)
	subscribe(t, b, broker.Subscription{Handler: e})
	c := connect(t, b)
	if err := c.SubscriptionAdminClient.ModifyPushConfig(t.Context(), &pubsubpb.ModifyPushConfigRequest{Subscription: usagePush, PushConfig: &pubsubpb.PushConfig{}}); err != nil {
		t.Fatal(err)
	}
	publish(t, c, usage, text("1"), text("2"))
	waitQuiet(t, b) // what waits to be pulled does not count
	if got := e.received(); len(got) != 0 {
		t.Fatalf("pushed %v while paused", got)
	}
	subscribe(t, b, broker.Subscription{Handler: e})
	waitQuiet(t, b)
	if got := e.received(); len(got) != 2 {
		t.Errorf("pushed %v after resuming, want both", got)
	}
}

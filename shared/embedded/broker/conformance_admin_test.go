package broker_test

import (
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

func conformErrors(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic})
	topics, subs := e.client.TopicAdminClient, e.client.SubscriptionAdminClient
	for name, step := range map[string]struct {
		err  error
		code codes.Code
	}{
		"topic exists":            {second(topics.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic})), codes.AlreadyExists},
		"topic name":              {second(topics.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "projects/test/topics/1"})), codes.InvalidArgument},
		"get no topic":            {second(topics.GetTopic(t.Context(), &pubsubpb.GetTopicRequest{Topic: topic + "-none"})), codes.NotFound},
		"delete no topic":         {topics.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: topic + "-none"}), codes.NotFound},
		"publish nowhere":         {second(topics.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: topic + "-none", Messages: []*pubsubpb.PubsubMessage{text("x")}})), codes.NotFound},
		"publish nothing":         {second(topics.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: topic, Messages: []*pubsubpb.PubsubMessage{{}}})), codes.InvalidArgument},
		"subscription exists":     {second(subs.CreateSubscription(t.Context(), &pubsubpb.Subscription{Name: sub, Topic: topic})), codes.AlreadyExists},
		"subscribe to nothing":    {second(subs.CreateSubscription(t.Context(), &pubsubpb.Subscription{Name: sub + "-2", Topic: topic + "-none"})), codes.NotFound},
		"get no subscription":     {second(subs.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: sub + "-none"})), codes.NotFound},
		"delete no subscription":  {subs.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: sub + "-none"}), codes.NotFound},
		"pull from nothing":       {second(subs.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: sub + "-none", MaxMessages: 1})), codes.NotFound},
		"acknowledge for nothing": {subs.Acknowledge(t.Context(), &pubsubpb.AcknowledgeRequest{Subscription: sub + "-none", AckIds: []string{"1-1"}}), codes.NotFound},
	} {
		if got := grpcstatus.Code(step.err); got != step.code {
			t.Errorf("%s: %v (%v), want %v", name, got, step.err, step.code)
		}
	}
}

func conformAdmin(t *testing.T, e engine) {
	t.Helper()
	topic, deadTopic, sub, deadSub := conformNames(t)
	e.create(t, []string{topic, deadTopic}, &pubsubpb.Subscription{Name: sub, Topic: topic}, &pubsubpb.Subscription{Name: deadSub, Topic: topic})
	it := e.client.TopicAdminClient.ListTopicSubscriptions(t.Context(), &pubsubpb.ListTopicSubscriptionsRequest{Topic: topic})
	got := collect(t, it.Next, func(s string) string { return s })
	slices.Sort(got)
	if diff := cmp.Diff([]string{sub, deadSub}, got); diff != "" {
		t.Errorf("a topic's subscriptions (-want +got):\n%s", diff)
	}
	s, err := e.client.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: sub})
	if err != nil || s.GetTopic() != topic || s.GetAckDeadlineSeconds() != 10 || s.GetPushConfig().GetPushEndpoint() != "" {
		t.Errorf("subscription %v, error %v: want a pull subscription with a deadline of 10 s", s, err)
	}
	all := e.client.TopicAdminClient.ListTopics(t.Context(), &pubsubpb.ListTopicsRequest{Project: "projects/" + project})
	if lost := missing([]string{topic, deadTopic}, collect(t, all.Next, (*pubsubpb.Topic).GetName)); len(lost) > 0 {
		t.Errorf("not listed: %v", lost)
	}
}

func conformDeletedTopic(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic})
	publish(t, e.client, topic, text("kept"))
	if err := e.client.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: topic}); err != nil {
		t.Fatal(err)
	}
	s, err := e.client.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: sub})
	if err != nil || s.GetTopic() != "_deleted-topic_" {
		t.Errorf("subscription %v, error %v: want it to outlive its topic", s, err)
	}
	var got []string
	eventually(t, "what was published before", func() bool {
		got = dataOf(pull(t, e.client, sub))
		return len(got) > 0
	})
	if diff := cmp.Diff([]string{"kept"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func conformPause(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, _ := conformNames(t)
	seen := newEndpoint(t, nil)
	server := httptest.NewServer(seen)
	t.Cleanup(server.Close)
	config := &pubsubpb.PushConfig{PushEndpoint: server.URL}
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic, PushConfig: config})
	set := func(c *pubsubpb.PushConfig) {
		t.Helper()
		if err := e.client.SubscriptionAdminClient.ModifyPushConfig(t.Context(), &pubsubpb.ModifyPushConfigRequest{Subscription: sub, PushConfig: c}); err != nil {
			t.Fatal(err)
		}
	}
	set(&pubsubpb.PushConfig{})
	publish(t, e.client, topic, text("1"))
	time.Sleep(200 * time.Millisecond) // for a push to show
	if got := seen.received(); len(got) != 0 {
		t.Errorf("pushed %v while paused", got)
	}
	set(config)
	eventually(t, "a push after resuming", func() bool { return len(seen.received()) == 1 })
}

func conformFanOut(t *testing.T, e engine) {
	t.Helper()
	topic, _, sub, deadSub := conformNames(t)
	e.create(t, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic}, &pubsubpb.Subscription{Name: deadSub, Topic: topic})
	r, err := e.client.TopicAdminClient.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: topic, Messages: []*pubsubpb.PubsubMessage{text("a"), text("b")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{sub, deadSub} {
		got := map[string]string{}
		eventually(t, "both messages", func() bool {
			for _, m := range pull(t, e.client, name) {
				got[m.GetMessage().GetMessageId()] = string(m.GetMessage().GetData())
			}
			return len(got) == 2
		})
		want := map[string]string{r.GetMessageIds()[0]: "a", r.GetMessageIds()[1]: "b"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
)

func TestSubscriptionRoundTripsOverTheWire(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{TokenSource: func(context.Context, string, string) (string, error) { return "t", nil }})
	c := connect(t, b).SubscriptionAdminClient
	want := &pubsubpb.Subscription{
		Name: usagePush, Topic: usage, AckDeadlineSeconds: 30, EnableMessageOrdering: true,
		Filter:           `attributes.kind = "debit"`,
		DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: 6},
		RetryPolicy:      &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(time.Second), MaximumBackoff: durationpb.New(time.Minute)},
		PushConfig: &pubsubpb.PushConfig{
			PushEndpoint: "https://usage.test/", Attributes: map[string]string{"x-goog-version": "v1"},
			Wrapper:              &pubsubpb.PushConfig_PubsubWrapper_{PubsubWrapper: &pubsubpb.PushConfig_PubsubWrapper{}},
			AuthenticationMethod: &pubsubpb.PushConfig_OidcToken_{OidcToken: &pubsubpb.PushConfig_OidcToken{ServiceAccountEmail: "s", Audience: "a"}},
		},
		State: pubsubpb.Subscription_ACTIVE,
	}
	if _, err := c.CreateSubscription(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		got, err := c.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: usagePush})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check()
	want.AckDeadlineSeconds, want.RetryPolicy = 60, nil
	_, err := c.UpdateSubscription(t.Context(), &pubsubpb.UpdateSubscriptionRequest{
		Subscription: &pubsubpb.Subscription{Name: usagePush, AckDeadlineSeconds: 60},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"ack_deadline_seconds", "retry_policy"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	check()
}

func TestSubscriptionsThatCannotBeHonouredAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	c := connect(t, b).SubscriptionAdminClient
	subscribe(t, b, broker.Subscription{Name: usagePull})
	push := func(p *pubsubpb.PushConfig) *pubsubpb.Subscription { return &pubsubpb.Subscription{PushConfig: p} }
	policy := func(topic string, n int32) *pubsubpb.Subscription {
		return &pubsubpb.Subscription{DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topic, MaxDeliveryAttempts: n}}
	}
	tests := []struct {
		name string
		sub  *pubsubpb.Subscription
		code codes.Code
	}{
		{"exists", &pubsubpb.Subscription{Name: usagePull}, codes.AlreadyExists},
		{"bad name", &pubsubpb.Subscription{Name: "usage"}, codes.InvalidArgument},
		{"reserved characters", &pubsubpb.Subscription{Name: "projects/p/subscriptions/a b"}, codes.InvalidArgument},
		{"no topic", &pubsubpb.Subscription{Topic: "projects/test/topics/none"}, codes.NotFound},
		{"bad topic", &pubsubpb.Subscription{Topic: "none"}, codes.InvalidArgument},
		{"short deadline", &pubsubpb.Subscription{AckDeadlineSeconds: 9}, codes.InvalidArgument},
		{"long deadline", &pubsubpb.Subscription{AckDeadlineSeconds: 601}, codes.InvalidArgument},
		{"few attempts", policy(dead, 4), codes.InvalidArgument},
		{"many attempts", policy(dead, 101), codes.InvalidArgument},
		{"no dead-letter topic", policy("", 5), codes.InvalidArgument},
		{"missing dead-letter topic", policy("projects/test/topics/none", 5), codes.NotFound},
		{"long back-off", &pubsubpb.Subscription{RetryPolicy: &pubsubpb.RetryPolicy{MaximumBackoff: durationpb.New(601 * time.Second)}}, codes.InvalidArgument},
		{"back-off reversed", &pubsubpb.Subscription{RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(time.Minute), MaximumBackoff: durationpb.New(time.Second)}}, codes.InvalidArgument},
		{"filter not supported", &pubsubpb.Subscription{Filter: `hasPrefix(attributes.kind, "d")`}, codes.InvalidArgument},
		{"exactly once", &pubsubpb.Subscription{EnableExactlyOnceDelivery: true}, codes.InvalidArgument},
		{"replay", &pubsubpb.Subscription{RetainAckedMessages: true}, codes.InvalidArgument},
		{"export", &pubsubpb.Subscription{BigqueryConfig: &pubsubpb.BigQueryConfig{Table: "p.d.t"}}, codes.InvalidArgument},
		{"transforms", &pubsubpb.Subscription{MessageTransforms: []*pubsubpb.MessageTransform{{}}}, codes.InvalidArgument},
		{"endpoint no URL", push(&pubsubpb.PushConfig{PushEndpoint: "usage"}), codes.InvalidArgument},
		{"unwrapped", push(&pubsubpb.PushConfig{PushEndpoint: "http://x", Wrapper: &pubsubpb.PushConfig_NoWrapper_{NoWrapper: &pubsubpb.PushConfig_NoWrapper{}}}), codes.InvalidArgument},
		{"old version", push(&pubsubpb.PushConfig{PushEndpoint: "http://x", Attributes: map[string]string{"x-goog-version": "v1beta1"}}), codes.InvalidArgument},
		{"nobody signs", push(&pubsubpb.PushConfig{PushEndpoint: "http://x", AuthenticationMethod: &pubsubpb.PushConfig_OidcToken_{OidcToken: &pubsubpb.PushConfig_OidcToken{ServiceAccountEmail: "s"}}}), codes.InvalidArgument},
		{"signed by nobody", push(&pubsubpb.PushConfig{PushEndpoint: "http://x", AuthenticationMethod: &pubsubpb.PushConfig_OidcToken_{OidcToken: &pubsubpb.PushConfig_OidcToken{}}}), codes.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.sub.Name == "" {
				tt.sub.Name = "projects/test/subscriptions/other"
			}
			if tt.sub.Topic == "" {
				tt.sub.Topic = usage
			}
			if got, err := c.CreateSubscription(t.Context(), tt.sub); grpcstatus.Code(err) != tt.code {
				t.Errorf("created %v, error %v, want %v", got, err, tt.code)
			}
		})
	}
}

func TestChangesThatProductionRefusesAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Name: usagePull})
	c := connect(t, b).SubscriptionAdminClient
	tests := []struct {
		name, sub string
		paths     []string
		code      codes.Code
	}{
		{"no mask", usagePull, nil, codes.InvalidArgument},
		{"topic", usagePull, []string{"topic"}, codes.InvalidArgument},
		{"filter", usagePull, []string{"filter"}, codes.InvalidArgument},
		{"ordering", usagePull, []string{"enable_message_ordering"}, codes.InvalidArgument},
		{"unknown subscription", usagePush, []string{"ack_deadline_seconds"}, codes.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.UpdateSubscription(t.Context(), &pubsubpb.UpdateSubscriptionRequest{
				Subscription: &pubsubpb.Subscription{Name: tt.sub, AckDeadlineSeconds: 20},
				UpdateMask:   &fieldmaskpb.FieldMask{Paths: tt.paths},
			})
			if grpcstatus.Code(err) != tt.code {
				t.Errorf("error %v, want %v", err, tt.code)
			}
		})
	}
	for name, s := range map[string]broker.Subscription{
		"topic":    {Name: usagePull, Topic: dead},
		"filter":   {Name: usagePull, Topic: usage, Filter: "attributes:a"},
		"ordering": {Name: usagePull, Topic: usage, Ordered: true},
		"deadline": {Name: usagePull, Topic: usage, AckDeadline: -time.Second},
		"parallel": {Name: usagePull, Topic: usage, Concurrency: 1001},
		"attempts": {Name: usagePull, Topic: usage, MaxAttempts: 3},
		"account":  {Name: usagePull, Topic: usage, ServiceAccount: "s"},
	} {
		t.Run("Subscribe "+name, func(t *testing.T) {
			t.Parallel()
			if err := b.Subscribe(t.Context(), s); grpcstatus.Code(err) != codes.InvalidArgument {
				t.Errorf("error %v, want INVALID_ARGUMENT", err)
			}
		})
	}
}

func TestMessagesBeyondProductionsLimitsAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	subscribe(t, b, broker.Subscription{Name: usagePull})
	c := connect(t, b).TopicAdminClient
	many := map[string]string{}
	for i := range 101 {
		many[fmt.Sprint("k", i)] = "v"
	}
	attribute := func(key, value string) []*pubsubpb.PubsubMessage {
		return []*pubsubpb.PubsubMessage{{Attributes: map[string]string{key: value}}}
	}
	tests := []struct {
		name     string
		messages []*pubsubpb.PubsubMessage
		code     codes.Code
	}{
		{"none", nil, codes.InvalidArgument},
		{"1000", repeat(text("x"), 1000), codes.OK},
		{"1001", repeat(text("x"), 1001), codes.InvalidArgument},
		{"empty", []*pubsubpb.PubsubMessage{{OrderingKey: "k"}}, codes.InvalidArgument},
		{"10 MiB less the rest of the request", []*pubsubpb.PubsubMessage{{Data: make([]byte, 10<<20-100)}}, codes.OK},
		{"more than 10 MiB", []*pubsubpb.PubsubMessage{{Data: make([]byte, 10<<20)}}, codes.InvalidArgument},
		{"101 attributes", []*pubsubpb.PubsubMessage{{Attributes: many}}, codes.InvalidArgument},
		{"longest key and value", attribute(strings.Repeat("k", 256), strings.Repeat("v", 1024)), codes.OK},
		{"long key", attribute(strings.Repeat("k", 257), "v"), codes.InvalidArgument},
		{"no key", attribute("", "v"), codes.InvalidArgument},
		{"long value", attribute("k", strings.Repeat("v", 1025)), codes.InvalidArgument},
		{"reserved key", attribute("googclient", "v"), codes.InvalidArgument},
		{"long ordering key", []*pubsubpb.PubsubMessage{{Data: []byte("x"), OrderingKey: strings.Repeat("k", 1025)}}, codes.InvalidArgument},
		{"one bad among good", []*pubsubpb.PubsubMessage{text("x"), {}}, codes.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := c.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: usage, Messages: tt.messages})
			if grpcstatus.Code(err) != tt.code {
				t.Errorf("error %v, want %v", err, tt.code)
			}
			if err == nil && len(r.GetMessageIds()) != len(tt.messages) {
				t.Errorf("%d ids for %d messages", len(r.GetMessageIds()), len(tt.messages))
			}
		})
	}
	if _, err := c.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: "projects/test/topics/none", Messages: []*pubsubpb.PubsubMessage{text("x")}}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("error %v, want NOT_FOUND", err)
	}
}

func repeat(m *pubsubpb.PubsubMessage, n int) []*pubsubpb.PubsubMessage {
	out := make([]*pubsubpb.PubsubMessage, n)
	for i := range out {
		out[i] = m
	}
	return out
}

func TestPublishingBeyondTheBoundIsRefusedUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]broker.Options{
		"messages": {MaxMessages: 6},
		"bytes":    {MaxBytes: 6 * 120},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, o)
			subscribe(t, b, broker.Subscription{Name: usagePull})
			subscribe(t, b, broker.Subscription{Name: "projects/test/subscriptions/second"})
			c := connect(t, b)
			request := &pubsubpb.PublishRequest{Topic: usage, Messages: []*pubsubpb.PubsubMessage{text(strings.Repeat("x", 90))}}
			for range 3 { // each is held twice
				if _, err := c.TopicAdminClient.Publish(t.Context(), request); err != nil {
					t.Fatal(err)
				}
			}
			conn, err := b.Conn()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// The client library would try again until there is room.
			if _, err := pubsubpb.NewPublisherClient(conn).Publish(t.Context(), request); grpcstatus.Code(err) != codes.ResourceExhausted {
				t.Fatalf("a seventh copy: error %v, want RESOURCE_EXHAUSTED", err)
			}
			if n := len(pull(t, c, usagePull)); n != 3 {
				t.Fatalf("pulled %d, want 3", n)
			}
			if _, err := c.TopicAdminClient.Publish(t.Context(), request); err != nil {
				t.Errorf("publish after making room: %v", err)
			}
			if s := b.Stats(); s.Held != 5 {
				t.Errorf("held %d, want 5", s.Held)
			}
		})
	}
}

func TestListingsArePaged(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	c := connect(t, b)
	var wantTopics, wantSubs []string
	for i := range 7 {
		topic, sub := fmt.Sprintf("projects/listed/topics/topic-%d", i), fmt.Sprintf("projects/listed/subscriptions/sub-%d", i)
		if err := b.Topic(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		subscribe(t, b, broker.Subscription{Name: sub, Topic: "projects/listed/topics/topic-0"})
		wantTopics, wantSubs = append(wantTopics, topic), append(wantSubs, sub)
	}
	topics := c.TopicAdminClient.ListTopics(t.Context(), &pubsubpb.ListTopicsRequest{Project: "projects/listed", PageSize: 3})
	if diff := cmp.Diff(wantTopics, collect(t, topics.Next, (*pubsubpb.Topic).GetName)); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
	subs := c.SubscriptionAdminClient.ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: "projects/listed", PageSize: 7})
	if diff := cmp.Diff(wantSubs, collect(t, subs.Next, (*pubsubpb.Subscription).GetName)); diff != "" {
		t.Errorf("subscriptions (-want +got):\n%s", diff)
	}
	of := c.TopicAdminClient.ListTopicSubscriptions(t.Context(), &pubsubpb.ListTopicSubscriptionsRequest{Topic: "projects/listed/topics/topic-0", PageSize: 2})
	if diff := cmp.Diff(wantSubs, collect(t, of.Next, func(s string) string { return s })); diff != "" {
		t.Errorf("a topic's subscriptions (-want +got):\n%s", diff)
	}
}

func collect[T any](t *testing.T, next func() (T, error), name func(T) string) []string {
	t.Helper()
	var out []string
	for len(out) < 1000 {
		v, err := next()
		if errors.Is(err, iterator.Done) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, name(v))
	}
	t.Fatal("the listing does not end")
	return nil
}

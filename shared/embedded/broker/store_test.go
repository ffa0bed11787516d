package broker

import (
	"path/filepath"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestPublishThatCannotBeWrittenIsRefusedAndNotDelivered(t *testing.T) {
	t.Parallel()
	const (
		topicName        = "projects/test/topics/usage"
		subscriptionName = "projects/test/subscriptions/usage"
	)
	b, err := Open(Options{Path: filepath.Join(t.TempDir(), "broker.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Topic(t.Context(), topicName); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe(t.Context(), Subscription{Name: subscriptionName, Topic: topicName}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.db.Close(); err != nil { // as if the disk were gone
		t.Fatal(err)
	}
	p := publisher{broker: b}
	for range 2 {
		_, err := p.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: topicName, Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}})
		if status.Code(err) != codes.Internal {
			t.Errorf("publish: %v, want INTERNAL", err)
		}
	}
	if s := b.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.Subscriptions[subscriptionName].Pending != 0 {
		t.Errorf("stats %+v, want nothing held", s)
	}
	if err := b.Topic(t.Context(), topicName+"-2"); status.Code(err) != codes.Internal {
		t.Errorf("create a topic: %v, want INTERNAL", err)
	}
	if err := b.Close(); err == nil {
		t.Error("Close does not report that writes failed")
	}
}

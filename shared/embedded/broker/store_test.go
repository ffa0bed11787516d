package broker

import (
	"errors"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	testTopic        = "projects/test/topics/usage"
	testSubscription = "projects/test/subscriptions/usage"
)

func TestPublishThatCannotBeWrittenIsRefusedAndNotDelivered(t *testing.T) {
	t.Parallel()
	b, err := Open(Options{Path: filepath.Join(t.TempDir(), "broker.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Topic(t.Context(), testTopic); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe(t.Context(), Subscription{Name: testSubscription, Topic: testTopic}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.db.Close(); err != nil { // as if the disk were gone
		t.Fatal(err)
	}
	p := publisher{broker: b}
	for range 2 {
		_, err := p.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: testTopic, Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}})
		if status.Code(err) != codes.Internal {
			t.Errorf("publish: %v, want INTERNAL", err)
		}
	}
	if s := b.Stats(); s.Held != 0 || s.HeldBytes != 0 || s.Subscriptions[testSubscription].Pending != 0 {
		t.Errorf("stats %+v, want nothing held", s)
	}
	if err := b.Topic(t.Context(), testTopic+"-2"); status.Code(err) != codes.Internal {
		t.Errorf("create a topic: %v, want INTERNAL", err)
	}
	if err := b.Close(); err == nil {
		t.Error("Close does not report that writes failed")
	}
}

func TestSettledMessagesLeaveTheFile(t *testing.T) {
	t.Parallel()
	b, err := Open(Options{Path: filepath.Join(t.TempDir(), "broker.db")})
	if err != nil {
		t.Fatal(err)
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	accept := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, err := range []error{
		b.Topic(t.Context(), testTopic),
		b.Topic(t.Context(), testTopic+"-dead"),
		b.Subscribe(t.Context(), Subscription{Name: testSubscription, Topic: testTopic, Handler: accept}),
		b.Subscribe(t.Context(), Subscription{Name: testSubscription + "-2", Topic: testTopic, Handler: refuse, DeadLetterTopic: testTopic + "-dead", MaxAttempts: 2, Retry: &Retry{}}),
		b.Subscribe(t.Context(), Subscription{Name: testSubscription + "-3", Topic: testTopic + "-dead", Handler: accept}),
		b.Subscribe(t.Context(), Subscription{Name: testSubscription + "-4", Topic: testTopic}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p := publisher{broker: b}
	for range 20 {
		if _, err := p.Publish(t.Context(), &pubsubpb.PublishRequest{Topic: testTopic, Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.deleteSubscription(t.Context(), testSubscription+"-4"); err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Subscriptions[testSubscription+"-3"].Acked != 20 {
		t.Fatalf("stats %+v, want 20 dead letters", s)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(b.options.Path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMessages, bucketCopies} {
			if n := tx.Bucket(name).Stats().KeyN; n != 0 {
				t.Errorf("%d %s are left in the file", n, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestASubscriptionDeletedDuringAWriteLeavesNothing deletes one while a message to it and to another is being written.
func TestASubscriptionDeletedDuringAWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	o := Options{Path: filepath.Join(t.TempDir(), "broker.db")}
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Topic(t.Context(), testTopic); err != nil {
		t.Fatal(err)
	}
	kept := testSubscription + "-kept"
	for _, name := range []string{testSubscription, kept} {
		if err := b.Subscribe(t.Context(), Subscription{Name: name, Topic: testTopic}); err != nil {
			t.Fatal(err)
		}
	}
	hold, err := b.store.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	if _, err := b.publish(&pubsubpb.PublishRequest{Topic: testTopic, Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}}, func(err error) { written <- err }); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	go func() { deleted <- b.deleteSubscription(t.Context(), testSubscription) }()
	for _, there := b.Stats().Subscriptions[testSubscription]; there; _, there = b.Stats().Subscriptions[testSubscription] {
		runtime.Gosched()
	}
	if err := errors.Join(hold.Rollback(), <-written, <-deleted); err != nil {
		t.Fatal(err)
	}
	for _, reopen := range []bool{true, false} {
		if s := b.Stats(); s.Held != 1 || s.Subscriptions[kept].Pending != 1 {
			t.Errorf("stats %+v, want the copy of the other subscription alone", s)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if reopen {
			if b, err = Open(o); err != nil {
				t.Fatal(err)
			}
		}
	}
}

package cloud_test

import (
	"context"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2"

	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
)

func TestTheClientsReachTheServicesThatAreNamed(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	documents, err := e.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Topic(t.Context(), "projects/"+e.Project+"/topics/news"); err != nil {
		t.Fatal(err)
	}
	messages, err := b.Listen(context.WithoutCancel(t.Context()), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clients, err := cloud.Open(t.Context(), cloud.Config{
		Project: e.Project, Database: "(default)", FirestoreEmulator: documents.String(), PubSubEmulator: messages.String(),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients.Documents.Doc("things/one").Set(t.Context(), map[string]any{"n": 1}); err != nil {
		t.Error(err)
	}
	got, err := clients.Commits.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: clients.Database + "/documents/things/one"})
	if err != nil || got.Fields["n"].GetIntegerValue() != 1 {
		t.Errorf("the commit path's client reads %v, %v", got, err)
	}
	publisher := clients.Messages.Publisher("news")
	if _, err := publisher.Publish(t.Context(), &pubsub.Message{Data: []byte("x")}).Get(t.Context()); err != nil {
		t.Error(err)
	}
	publisher.Stop()
	if err := clients.Close(); err != nil {
		t.Error(err)
	}
	if _, err := clients.Documents.Doc("things/one").Get(t.Context()); err == nil {
		t.Error("a closed client still reads")
	}
}

func TestNothingIsOpenedWithoutAProject(t *testing.T) {
	t.Parallel()
	if c, err := cloud.Open(t.Context(), cloud.Config{}, nil); err == nil {
		t.Errorf("opened %+v without a project", c)
	}
}

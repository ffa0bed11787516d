package engine_test

import (
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

func TestEnginesServeBothClientsAndShareNothing(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		if _, err := e.Client.Doc("c/d").Create(t.Context(), map[string]any{"v": 1}); err != nil {
			t.Fatal(err)
		}
		got, err := e.Raw.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: e.DocumentName("c/d")})
		if err != nil || got.Fields["v"].GetIntegerValue() != 1 {
			t.Errorf("the generated client reads %v, %v", got, err)
		}
		var other *engine.Engine
		if e.IsEmulator {
			other = engine.New(t, engine.Emulator())
		} else {
			other = engine.New(t, engine.Embedded())
		}
		if other.Project == e.Project {
			t.Errorf("two engines have the project %s", e.Project)
		}
		if e.IsEmulator != (e.Server == nil) || e.IsEmulator != (e.Name == "emulator") {
			t.Errorf("an engine called %s, with the server %v, says of the emulator: %t", e.Name, e.Server, e.IsEmulator)
		}
	})
}

func TestHooksSeeTheCallsOfBothClients(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		doc := e.Client.Doc("c/d")
		if _, err := doc.Create(t.Context(), map[string]any{"v": 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Raw.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: e.DocumentName("c/d")}); err != nil {
			t.Fatal(err)
		}
		if n := e.Hooks.Counts(); n.RPCs["Commit"] != 1 || n.RPCs["GetDocument"] != 1 || n.Writes != 1 || n.Reads != 1 {
			t.Errorf("counted %+v; want one commit of one write and one document read", n)
		}

		e.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: codes.Internal}})
		if _, err := doc.Set(t.Context(), map[string]any{"v": 2}); status.Code(err) != codes.Internal {
			t.Errorf("a commit that is to fail: %v", err)
		}
		e.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: codes.Internal, After: true}})
		if _, err := doc.Set(t.Context(), map[string]any{"v": 3}); status.Code(err) != codes.Internal {
			t.Errorf("a commit whose answer is to be lost: %v", err)
		}
		d, err := doc.Get(t.Context())
		if err != nil || d.Data()["v"] != int64(3) {
			t.Errorf("after a commit that failed and one whose answer was lost: %v, %v; want 3", d.Data(), err)
		}
	})
}

func TestTheEmbeddedEngineWantsTheProjectsIndexes(t *testing.T) {
	t.Parallel()
	unindexed := func(e *engine.Engine) error {
		_, err := e.Client.Collection("c").Where("a", "==", 1).OrderBy("b", firestore.Desc).Documents(t.Context()).GetAll()
		return err
	}
	if err := unindexed(engine.New(t, engine.Embedded())); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a query without its index: %v; want FailedPrecondition", err)
	}
	if err := unindexed(engine.New(t, engine.Embedded(), engine.AnyQuery())); err != nil {
		t.Errorf("with AnyQuery: %v", err)
	}
}

func TestAClockStampsCommits(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC)
	e := engine.New(t, engine.Clock(func() time.Time { return at }))
	got, err := e.Client.Doc("c/d").Create(t.Context(), map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.UpdateTime.Equal(at) {
		t.Errorf("committed at %v; want %v", got.UpdateTime, at)
	}
}

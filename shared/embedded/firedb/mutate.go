package firedb

import (
	"context"
	"crypto/rand"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// BeginTransaction opens a read-write transaction, or with that option a read-only one.
func (s *service) BeginTransaction(_ context.Context, r *pb.BeginTransactionRequest) (*pb.BeginTransactionResponse, error) {
	if err := checkDatabase(r.GetDatabase()); err != nil {
		return nil, err
	}
	t, err := s.store.begin(r.GetOptions())
	if err != nil {
		return nil, err
	}
	return &pb.BeginTransactionResponse{Transaction: []byte(t.id)}, nil
}

// Rollback closes a transaction.
func (s *service) Rollback(_ context.Context, r *pb.RollbackRequest) (*emptypb.Empty, error) {
	if err := s.store.rollback(r.GetTransaction()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// Commit applies its writes, all or none.
func (s *service) Commit(ctx context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	if err := checkDatabase(r.GetDatabase()); err != nil {
		return nil, err
	}
	done, err := s.store.commit(ctx, r.GetDatabase(), r.GetTransaction(), r.GetWrites())
	if err != nil {
		return nil, err
	}
	return &pb.CommitResponse{WriteResults: done.results, CommitTime: done.at}, nil
}

// BatchWrite applies each of its writes by itself and says for each how it went.
func (s *service) BatchWrite(ctx context.Context, r *pb.BatchWriteRequest) (*pb.BatchWriteResponse, error) {
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	if err := checkDatabase(r.GetDatabase()); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, w := range r.GetWrites() {
		name := documentOf(w)
		if seen[name] {
			return nil, invalid("BatchWrite has two writes to %q.", name)
		}
		seen[name] = true
	}
	// What is malformed fails the request; only what the state refuses fails its write alone.
	if _, err := prepare(r.GetDatabase(), r.GetWrites()); err != nil {
		return nil, err
	}
	out := &pb.BatchWriteResponse{}
	for _, w := range r.GetWrites() {
		st, res := &rpcstatus.Status{}, &pb.WriteResult{}
		done, err := s.store.commit(ctx, r.GetDatabase(), nil, []*pb.Write{w})
		if err != nil {
			st = status.Convert(err).Proto()
		} else {
			res = done.results[0]
		}
		out.Status, out.WriteResults = append(out.Status, st), append(out.WriteResults, res)
	}
	return out, nil
}

// documentOf names the document that a write is for.
func documentOf(w *pb.Write) string {
	switch op := w.GetOperation().(type) {
	case *pb.Write_Update:
		return op.Update.GetName()
	case *pb.Write_Delete:
		return op.Delete
	case *pb.Write_Transform:
		return op.Transform.GetDocument()
	}
	return ""
}

// CreateDocument creates one document, under an id of the server's own if none is given.
func (s *service) CreateDocument(ctx context.Context, r *pb.CreateDocumentRequest) (*pb.Document, error) {
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	id := r.GetDocumentId()
	if id == "" {
		id = rand.Text()
	}
	return s.single(ctx, r.GetMask(), &pb.Write{
		Operation: &pb.Write_Update{Update: &pb.Document{
			Name: r.GetParent() + "/" + r.GetCollectionId() + "/" + id, Fields: r.GetDocument().GetFields(),
		}},
		CurrentDocument: &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: false}},
	})
}

// UpdateDocument writes one document, or the fields of its mask, whether or not it exists.
func (s *service) UpdateDocument(ctx context.Context, r *pb.UpdateDocumentRequest) (*pb.Document, error) {
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	return s.single(ctx, r.GetMask(), &pb.Write{
		Operation:       &pb.Write_Update{Update: &pb.Document{Name: r.GetDocument().GetName(), Fields: r.GetDocument().GetFields()}},
		UpdateMask:      r.GetUpdateMask(),
		CurrentDocument: r.GetCurrentDocument(),
	})
}

// DeleteDocument deletes one document; that it does not exist is an error only by the precondition.
func (s *service) DeleteDocument(ctx context.Context, r *pb.DeleteDocumentRequest) (*emptypb.Empty, error) {
	w := &pb.Write{Operation: &pb.Write_Delete{Delete: r.GetName()}, CurrentDocument: r.GetCurrentDocument()}
	if _, err := s.store.commit(ctx, "", nil, []*pb.Write{w}); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// single commits one update and returns the document that it left, cut to mask.
func (s *service) single(ctx context.Context, mask *pb.DocumentMask, w *pb.Write) (*pb.Document, error) {
	paths, err := parseMask(mask)
	if err != nil {
		return nil, err
	}
	done, err := s.store.commit(ctx, "", nil, []*pb.Write{w})
	if err != nil {
		return nil, err
	}
	return project(done.docs[0], paths), nil
}

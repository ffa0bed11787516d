package firedb

import (
	"context"
	"errors"
	"io"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

// ProxyServer forwards the calls that Server answers to another Firestore.
type ProxyServer struct{ *endpoint }

// forwarder answers the calls of the API by making them.
type forwarder struct {
	pb.UnimplementedFirestoreServer
	upstream pb.FirestoreClient
}

// Proxy puts hooks in front of another Firestore, such as Google's emulator. The caller closes what it returns, and
// after that upstream.
func Proxy(upstream *grpc.ClientConn, h *Hooks) *ProxyServer {
	return &ProxyServer{newEndpoint(&forwarder{upstream: pb.NewFirestoreClient(upstream)}, h.ServerOptions())}
}

// forwarded names the metadata that means something to a Firestore.
func forwarded() []string {
	return []string{"authorization", "google-cloud-resource-prefix", "x-goog-request-params"}
}

func outgoing(ctx context.Context) context.Context {
	in, _ := metadata.FromIncomingContext(ctx)
	out := metadata.MD{}
	for _, k := range forwarded() {
		if v := in.Get(k); len(v) > 0 {
			out.Set(k, v...)
		}
	}
	return metadata.NewOutgoingContext(ctx, out)
}

// relay passes an upstream's stream of answers on.
func relay[M any](from grpc.ServerStreamingClient[M], err error, send func(*M) error) error {
	if err != nil {
		return err
	}
	for {
		m, err := from.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(m); err != nil {
			return err
		}
	}
}

// BeginTransaction forwards.
func (p *forwarder) BeginTransaction(ctx context.Context, r *pb.BeginTransactionRequest) (*pb.BeginTransactionResponse, error) {
	return p.upstream.BeginTransaction(outgoing(ctx), r)
}

// Commit forwards.
func (p *forwarder) Commit(ctx context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	return p.upstream.Commit(outgoing(ctx), r)
}

// Rollback forwards.
func (p *forwarder) Rollback(ctx context.Context, r *pb.RollbackRequest) (*emptypb.Empty, error) {
	return p.upstream.Rollback(outgoing(ctx), r)
}

// BatchWrite forwards.
func (p *forwarder) BatchWrite(ctx context.Context, r *pb.BatchWriteRequest) (*pb.BatchWriteResponse, error) {
	return p.upstream.BatchWrite(outgoing(ctx), r)
}

// GetDocument forwards.
func (p *forwarder) GetDocument(ctx context.Context, r *pb.GetDocumentRequest) (*pb.Document, error) {
	return p.upstream.GetDocument(outgoing(ctx), r)
}

// CreateDocument forwards.
func (p *forwarder) CreateDocument(ctx context.Context, r *pb.CreateDocumentRequest) (*pb.Document, error) {
	return p.upstream.CreateDocument(outgoing(ctx), r)
}

// UpdateDocument forwards.
func (p *forwarder) UpdateDocument(ctx context.Context, r *pb.UpdateDocumentRequest) (*pb.Document, error) {
	return p.upstream.UpdateDocument(outgoing(ctx), r)
}

// DeleteDocument forwards.
func (p *forwarder) DeleteDocument(ctx context.Context, r *pb.DeleteDocumentRequest) (*emptypb.Empty, error) {
	return p.upstream.DeleteDocument(outgoing(ctx), r)
}

// ListDocuments forwards.
func (p *forwarder) ListDocuments(ctx context.Context, r *pb.ListDocumentsRequest) (*pb.ListDocumentsResponse, error) {
	return p.upstream.ListDocuments(outgoing(ctx), r)
}

// ListCollectionIds forwards.
func (p *forwarder) ListCollectionIds(ctx context.Context, r *pb.ListCollectionIdsRequest) (*pb.ListCollectionIdsResponse, error) {
	return p.upstream.ListCollectionIds(outgoing(ctx), r)
}

// BatchGetDocuments forwards.
func (p *forwarder) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, out pb.Firestore_BatchGetDocumentsServer) error {
	from, err := p.upstream.BatchGetDocuments(outgoing(out.Context()), r)
	return relay(from, err, out.Send)
}

// RunQuery forwards.
func (p *forwarder) RunQuery(r *pb.RunQueryRequest, out pb.Firestore_RunQueryServer) error {
	from, err := p.upstream.RunQuery(outgoing(out.Context()), r)
	return relay(from, err, out.Send)
}

// RunAggregationQuery forwards.
func (p *forwarder) RunAggregationQuery(r *pb.RunAggregationQueryRequest, out pb.Firestore_RunAggregationQueryServer) error {
	from, err := p.upstream.RunAggregationQuery(outgoing(out.Context()), r)
	return relay(from, err, out.Send)
}

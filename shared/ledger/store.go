package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// store speaks Firestore's RPCs in the few shapes that the commit path needs.
type store struct {
	client        *firestore.Client
	database      string
	readTimeout   time.Duration
	commitTimeout time.Duration
	// transaction is the read-only one whose moment is read; nil reads what is newest.
	transaction []byte
}

func (s *store) documents() string { return s.database + "/documents" }

func (s *store) walletName(org string) string { return s.documents() + "/wallets/" + org }

func (s *store) grantName(org, id string) string { return s.walletName(org) + "/grants/" + id }

func (s *store) holdName(org, doc string) string { return s.walletName(org) + "/holds/" + doc }

func (s *store) entryName(org, doc string) string { return s.walletName(org) + "/entries/" + doc }

func (s *store) counterName(org string, p credit.CounterPage) string {
	return s.walletName(org) + "/counters/" + p.Window + "-" + strconv.FormatInt(p.Index, 10)
}

func (s *store) outboxName(id string) string { return s.documents() + "/outbox/" + id }

// lastSegment is the id of a document.
func lastSegment(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// get reads documents at one moment; those that do not exist are not in the answer.
func (s *store) get(ctx context.Context, names ...string) (map[string]*pb.Document, error) {
	return s.getFields(ctx, nil, names...)
}

// getFields is get for some of the documents' fields; nil for all.
func (s *store) getFields(ctx context.Context, mask *pb.DocumentMask, names ...string) (map[string]*pb.Document, error) {
	var out map[string]*pb.Document
	err := s.reading(ctx, func(ctx context.Context) error {
		out = make(map[string]*pb.Document, len(names))
		req := &pb.BatchGetDocumentsRequest{Database: s.database, Documents: names, Mask: mask}
		if s.transaction != nil {
			req.ConsistencySelector = &pb.BatchGetDocumentsRequest_Transaction{Transaction: s.transaction}
		}
		stream, err := s.client.BatchGetDocuments(ctx, req)
		if err != nil {
			return err
		}
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if d := m.GetFound(); d != nil {
				out[d.GetName()] = d
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s and %d more: %w", names[0], len(names)-1, err)
	}
	return out, nil
}

// query runs a query on a collection beneath parent.
func (s *store) query(ctx context.Context, parent string, q *pb.StructuredQuery) ([]*pb.Document, error) {
	var out []*pb.Document
	err := s.reading(ctx, func(ctx context.Context) error {
		out = nil
		req := &pb.RunQueryRequest{Parent: parent, QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q}}
		if s.transaction != nil {
			req.ConsistencySelector = &pb.RunQueryRequest_Transaction{Transaction: s.transaction}
		}
		stream, err := s.client.RunQuery(ctx, req)
		if err != nil {
			return err
		}
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if d := m.GetDocument(); d != nil {
				out = append(out, d)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("querying %s beneath %s: %w", q.GetFrom()[0].GetCollectionId(), parent, err)
	}
	return out, nil
}

// reading retries what a passing fault interrupted, until the context ends. Reads have no effect, so that is always safe.
func (s *store) reading(ctx context.Context, read func(context.Context) error) error {
	pause := 5 * time.Millisecond
	for {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
			defer cancel()
			return read(ctx)
		}()
		switch status.Code(err) {
		case codes.OK:
			return nil
		case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted, codes.Internal, codes.Canceled, codes.Unknown:
		default:
			return err
		}
		if sleep(ctx, jitter(pause)) != nil {
			return err
		}
		pause = min(2*pause, time.Second)
	}
}

// commitOptions are how commits are sent: never again by the client itself, since a commit that is sent again must first be known not to have
// landed; and written to the wire by the ledger's own codec.
func commitOptions() []gax.CallOption {
	return []gax.CallOption{
		gax.WithRetry(func() gax.Retryer { return nil }), gax.WithGRPCOptions(grpc.ForceCodecV2(newCommitCodec())),
	}
}

// commit sends a commit once.
func (s *store) commit(ctx context.Context, writes []*pb.Write) (*pb.CommitResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.commitTimeout)
	defer cancel()
	return s.client.Commit(ctx, &pb.CommitRequest{Database: s.database, Writes: writes}, commitOptions()...)
}

func setWrite(name string, f fields) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name, Fields: f}}}
}

func createWrite(name string, f fields) *pb.Write {
	w := setWrite(name, f)
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: false}}
	return w
}

func where(field string, op pb.StructuredQuery_FieldFilter_Operator, v *pb.Value) *pb.StructuredQuery_Filter {
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{FieldFilter: &pb.StructuredQuery_FieldFilter{
		Field: &pb.StructuredQuery_FieldReference{FieldPath: field}, Op: op, Value: v,
	}}}
}

func order(field string, d pb.StructuredQuery_Direction) *pb.StructuredQuery_Order {
	return &pb.StructuredQuery_Order{Field: &pb.StructuredQuery_FieldReference{FieldPath: field}, Direction: d}
}

func from(collection string, limit int32) *pb.StructuredQuery {
	return &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: collection}}, Limit: wrapperspb.Int32(limit)}
}

// jitter spreads a pause over [d/2, d), so that those who failed together do not come back together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// sleep waits, or returns the context's error when that ends first or could not last so long.
func sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package firedb

import (
	"context"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// selector says at which state a call reads.
type selector struct {
	id    []byte // of the transaction, empty for none
	fresh []byte // the same when this call began it
}

// selectState resolves a call's consistency selector; at most one of its arguments is set.
func (s *service) selectState(id []byte, begin *pb.TransactionOptions, readTime *timestamppb.Timestamp) (selector, error) {
	if readTime != nil {
		return selector{}, unsupported("read_time")
	}
	if begin == nil {
		return selector{id: id}, nil
	}
	t, err := s.store.begin(begin)
	if err != nil {
		return selector{}, err
	}
	return selector{id: []byte(t.id), fresh: []byte(t.id)}, nil
}

// parseMask returns the paths of a mask: nil for no mask, none for one that asks for the name alone.
func parseMask(m *pb.DocumentMask) ([]fieldPath, error) {
	if m == nil {
		return nil, nil
	}
	out := []fieldPath{}
	for _, s := range m.GetFieldPaths() {
		path, err := parseFieldPath(s)
		if err != nil {
			return nil, err
		}
		if path != nil {
			out = append(out, path)
		}
	}
	return out, nil
}

// GetDocument reads one document; NOT_FOUND when it does not exist.
func (s *service) GetDocument(ctx context.Context, r *pb.GetDocumentRequest) (*pb.Document, error) {
	paths, err := parseMask(r.GetMask())
	if err != nil {
		return nil, err
	}
	if err := checkDocumentName("", r.GetName()); err != nil {
		return nil, err
	}
	sel, err := s.selectState(r.GetTransaction(), nil, r.GetReadTime())
	if err != nil {
		return nil, err
	}
	docs, _, err := s.store.get(ctx, sel.id, []string{r.GetName()})
	if err != nil {
		return nil, err
	}
	if docs[0] == nil {
		return nil, status.Errorf(codes.NotFound, "Document %q not found.", r.GetName())
	}
	return project(docs[0], paths), nil
}

// BatchGetDocuments reads documents as one consistent state; a name given twice is answered once.
func (s *service) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, out pb.Firestore_BatchGetDocumentsServer) error {
	if err := checkDatabase(r.GetDatabase()); err != nil {
		return err
	}
	paths, err := parseMask(r.GetMask())
	if err != nil {
		return err
	}
	var names []string
	seen := map[string]bool{}
	for _, n := range r.GetDocuments() {
		if err := checkDocumentName(r.GetDatabase(), n); err != nil {
			return err
		}
		if !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	sel, err := s.selectState(r.GetTransaction(), r.GetNewTransaction(), r.GetReadTime())
	if err != nil {
		return err
	}
	docs, at, err := s.store.get(out.Context(), sel.id, names)
	if err != nil {
		return s.abandon(sel, err)
	}
	readTime := timestamppb.New(at)
	if sel.fresh != nil {
		if err := out.Send(&pb.BatchGetDocumentsResponse{Transaction: sel.fresh, ReadTime: readTime}); err != nil {
			return s.abandon(sel, err)
		}
	}
	for i, n := range names {
		m := &pb.BatchGetDocumentsResponse{ReadTime: readTime, Result: &pb.BatchGetDocumentsResponse_Missing{Missing: n}}
		if docs[i] != nil {
			m.Result = &pb.BatchGetDocumentsResponse_Found{Found: project(docs[i], paths)}
		}
		if err := out.Send(m); err != nil {
			return s.abandon(sel, err)
		}
	}
	return nil
}

// abandon closes a transaction that this call began and whose id may never have reached the client.
func (s *service) abandon(sel selector, err error) error {
	if sel.fresh != nil {
		if closing := s.store.rollback(sel.fresh); closing != nil {
			return closing
		}
	}
	return err
}

// RunQuery runs a structured query: FAILED_PRECONDITION when no index serves it.
func (s *service) RunQuery(r *pb.RunQueryRequest, out pb.Firestore_RunQueryServer) error {
	if r.GetExplainOptions() != nil {
		return unsupported("explain_options")
	}
	q, err := compileQuery(r.GetParent(), r.GetStructuredQuery())
	if err != nil {
		return err
	}
	if err := s.requireIndex(r.GetStructuredQuery(), nil); err != nil {
		return err
	}
	sel, err := s.selectState(r.GetTransaction(), r.GetNewTransaction(), r.GetReadTime())
	if err != nil {
		return err
	}
	res, err := s.store.query(out.Context(), sel.id, q)
	if err != nil {
		return s.abandon(sel, err)
	}
	readTime := timestamppb.New(res.at)
	if sel.fresh != nil || len(res.docs) == 0 || res.skipped > 0 {
		first := &pb.RunQueryResponse{Transaction: sel.fresh, ReadTime: readTime, SkippedResults: int32(res.skipped)}
		if err := out.Send(first); err != nil {
			return s.abandon(sel, err)
		}
	}
	for _, d := range res.docs {
		if err := out.Send(&pb.RunQueryResponse{Document: project(d, q.projection), ReadTime: readTime}); err != nil {
			return s.abandon(sel, err)
		}
	}
	return nil
}

// RunAggregationQuery counts, sums and averages over a query's result.
func (s *service) RunAggregationQuery(r *pb.RunAggregationQueryRequest, out pb.Firestore_RunAggregationQueryServer) error {
	if r.GetExplainOptions() != nil {
		return unsupported("explain_options")
	}
	aq := r.GetStructuredAggregationQuery()
	aggregations, err := compileAggregations(aq.GetAggregations())
	if err != nil {
		return err
	}
	q, err := compileQuery(r.GetParent(), aq.GetStructuredQuery(), aggregatedPaths(aq.GetAggregations())...)
	if err != nil {
		return err
	}
	if err := s.requireIndex(aq.GetStructuredQuery(), aq.GetAggregations()); err != nil {
		return err
	}
	sel, err := s.selectState(r.GetTransaction(), r.GetNewTransaction(), r.GetReadTime())
	if err != nil {
		return err
	}
	res, err := s.store.query(out.Context(), sel.id, q)
	if err != nil {
		return s.abandon(sel, err)
	}
	noteEntries(out.Context(), len(res.docs)+res.skipped)
	fields := map[string]*pb.Value{}
	for _, a := range aggregations {
		fields[a.alias] = a.of(res.docs)
	}
	err = out.Send(&pb.RunAggregationQueryResponse{
		Result: &pb.AggregationResult{AggregateFields: fields}, Transaction: sel.fresh, ReadTime: timestamppb.New(res.at),
	})
	if err != nil {
		return s.abandon(sel, err)
	}
	return nil
}

// requireIndex refuses a query that no index in the set serves.
func (s *service) requireIndex(q *pb.StructuredQuery, aggregations []*pb.StructuredAggregationQuery_Aggregation) error {
	if s.indexes == nil {
		return nil
	}
	if err := s.indexes.Supports(q, aggregations...); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return nil
}

const (
	maxPage     = 300 // documents or collection ids on one page
	maxPageText = maxIDBytes
)

// pageSize applies the bound to a page size that a caller asks for; 0 leaves it to the server.
func pageSize(asked int32) (int, error) {
	switch {
	case asked < 0:
		return 0, invalid("The page size %d is negative.", asked)
	case asked == 0:
		return maxPage, nil
	}
	return min(int(asked), maxPage), nil
}

// ListDocuments lists a collection in the order of names; with show_missing also the names that only have documents
// below them.
func (s *service) ListDocuments(_ context.Context, r *pb.ListDocumentsRequest) (*pb.ListDocumentsResponse, error) {
	paths, err := parseMask(r.GetMask())
	if err != nil {
		return nil, err
	}
	if r.GetOrderBy() != "" && r.GetShowMissing() {
		return nil, invalid("cannot specify an order when show_missing is true")
	}
	if r.GetOrderBy() != "" || len(r.GetTransaction()) > 0 || r.GetReadTime() != nil {
		return nil, unsupported("ListDocuments with order_by, transaction or read_time")
	}
	if err := checkList(r.GetParent(), r.GetPageToken()); err != nil {
		return nil, err
	}
	if err := checkID(r.GetCollectionId()); err != nil {
		return nil, err
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	out := &pb.ListDocumentsResponse{}
	name := r.GetParent() + "/" + r.GetCollectionId()
	t := s.store.newest().tree
	for id := range t.childIDs(keyOf(name), r.GetPageToken()) {
		d := t.get(keyOf(name) + separator + id)
		if d == nil {
			if !r.GetShowMissing() {
				continue
			}
			d = &pb.Document{Name: name + "/" + id}
		}
		if len(out.Documents) == size {
			out.NextPageToken = id
			break
		}
		out.Documents = append(out.Documents, project(d, paths))
	}
	return out, nil
}

// ListCollectionIds lists the collections directly below a document or the root.
func (s *service) ListCollectionIds(_ context.Context, r *pb.ListCollectionIdsRequest) (*pb.ListCollectionIdsResponse, error) {
	if r.GetReadTime() != nil {
		return nil, unsupported("read_time")
	}
	if err := checkList(r.GetParent(), r.GetPageToken()); err != nil {
		return nil, err
	}
	size, err := pageSize(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	out := &pb.ListCollectionIdsResponse{}
	for id := range s.store.newest().tree.childIDs(keyOf(r.GetParent()), r.GetPageToken()) {
		if len(out.CollectionIds) == size {
			out.NextPageToken = id
			break
		}
		out.CollectionIds = append(out.CollectionIds, id)
	}
	return out, nil
}

// checkList checks what a listing starts from. A page token is the id that its page begins with.
func checkList(parent, token string) error {
	if err := checkParent(parent); err != nil {
		return err
	}
	if len(token) > maxPageText {
		return invalid("The page token is longer than %d bytes.", maxPageText)
	}
	return nil
}

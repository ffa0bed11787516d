package firedb_test

import (
	"context"
	"errors"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// deal is a transaction of the bank. Unlike the client library's it is tried once: a worker goes on to something else.
type deal struct {
	*bank
	ctx context.Context
	id  []byte
}

// transact runs a transaction that writes what do returns. An error of do rolls it back.
func (b *bank) transact(ctx context.Context, o *pb.TransactionOptions, do func(*deal) ([]*pb.Write, error)) error {
	begun, err := b.Raw.BeginTransaction(ctx, &pb.BeginTransactionRequest{Database: b.Database(), Options: o})
	if err != nil {
		return err
	}
	writes, err := do(&deal{b, ctx, begun.Transaction})
	if err != nil {
		return errors.Join(err, b.Raw.Rollback(ctx, &pb.RollbackRequest{Database: b.Database(), Transaction: begun.Transaction}))
	}
	_, err = b.Raw.Commit(ctx, &pb.CommitRequest{Database: b.Database(), Transaction: begun.Transaction, Writes: writes})
	return err
}

// write sets a document.
func (b *bank) write(path string, f fields) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: b.DocumentName(path), Fields: value(f).GetMapValue().Fields}}}
}

// get reads documents, nil for those that are missing.
func (x *deal) get(paths ...string) ([]*pb.Document, error) {
	var names []string
	for _, p := range paths {
		names = append(names, x.DocumentName(p))
	}
	got, err := drain(x.Raw.BatchGetDocuments(x.ctx, &pb.BatchGetDocumentsRequest{Database: x.Database(), Documents: names,
		ConsistencySelector: &pb.BatchGetDocumentsRequest_Transaction{Transaction: x.id}}))
	if err != nil {
		return nil, err
	}
	found := map[string]*pb.Document{}
	for _, m := range got {
		if d := m.GetFound(); d != nil {
			found[d.Name] = d
		}
	}
	var out []*pb.Document
	for _, n := range names {
		out = append(out, found[n])
	}
	return out, nil
}

func (x *deal) query(q *pb.StructuredQuery) ([]*pb.Document, error) {
	got, err := drain(x.Raw.RunQuery(x.ctx, &pb.RunQueryRequest{Parent: x.Database() + "/documents",
		QueryType:           &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q},
		ConsistencySelector: &pb.RunQueryRequest_Transaction{Transaction: x.id}}))
	return documentsOf(got), err
}

// count counts a query's results, by an aggregation or by fetching them.
func (x *deal) count(q *pb.StructuredQuery, aggregate bool) (int, error) {
	if !aggregate {
		docs, err := x.query(q)
		return len(docs), err
	}
	got, err := drain(x.Raw.RunAggregationQuery(x.ctx, &pb.RunAggregationQueryRequest{Parent: x.Database() + "/documents",
		QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: &pb.StructuredAggregationQuery{
			QueryType:    &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: q},
			Aggregations: []*pb.StructuredAggregationQuery_Aggregation{countAs("n", nil)}}},
		ConsistencySelector: &pb.RunAggregationQueryRequest_Transaction{Transaction: x.id}}))
	if err != nil {
		return 0, err
	}
	return int(got[0].GetResult().GetAggregateFields()["n"].GetIntegerValue()), nil
}

// v is the number that a document of the bank holds.
func v(d *pb.Document) int { return int(d.GetFields()["v"].GetIntegerValue()) }

func documentsOf(got []*pb.RunQueryResponse) []*pb.Document {
	var out []*pb.Document
	for _, m := range got {
		if m.Document != nil {
			out = append(out, m.Document)
		}
	}
	return out
}

// collection selects one collection at the root.
func collection(id string) []*pb.StructuredQuery_CollectionSelector {
	return []*pb.StructuredQuery_CollectionSelector{{CollectionId: id}}
}

// fieldFilter compares a field with a value.
func fieldFilter(path string, op pb.StructuredQuery_FieldFilter_Operator, with any) *pb.StructuredQuery_Filter {
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &pb.StructuredQuery_FieldFilter{Field: field(path), Op: op, Value: value(with)}}}
}

// countAs counts, up to a bound if there is one.
func countAs(alias string, upTo *wrapperspb.Int64Value) *pb.StructuredAggregationQuery_Aggregation {
	return &pb.StructuredAggregationQuery_Aggregation{Alias: alias, Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{
		Count: &pb.StructuredAggregationQuery_Aggregation_Count{UpTo: upTo}}}
}

package firedb_test

import (
	"context"
	"fmt"
	"strings"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// tx is a transaction driven step by step, so that several can be interleaved. Documents hold one integer, v.
type tx struct {
	s  *script
	id []byte
}

func (s *script) begin(o *pb.TransactionOptions) *tx {
	s.t.Helper()
	got, err := s.Raw.BeginTransaction(s.t.Context(), &pb.BeginTransactionRequest{Database: s.Database(), Options: o})
	if err != nil {
		s.t.Errorf("begin a transaction: %v", err)
		return &tx{s: s}
	}
	return &tx{s: s, id: got.Transaction}
}

func readOnly() *pb.TransactionOptions {
	return &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: &pb.TransactionOptions_ReadOnly{}}}
}

func readWrite() *pb.TransactionOptions {
	return &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{ReadWrite: &pb.TransactionOptions_ReadWrite{}}}
}

// get reads documents: their v, or "missing", each.
func (x *tx) get(paths ...string) string {
	var names []string
	for _, p := range paths {
		names = append(names, x.s.DocumentName(p))
	}
	got, err := drain(x.s.Raw.BatchGetDocuments(x.s.t.Context(), &pb.BatchGetDocumentsRequest{Database: x.s.Database(), Documents: names,
		ConsistencySelector: &pb.BatchGetDocumentsRequest_Transaction{Transaction: x.id}}))
	if err != nil {
		return code(err)
	}
	found := map[string]string{}
	for _, m := range got {
		found[m.GetMissing()] = "missing"
		found[m.GetFound().GetName()] = show(m.GetFound().GetFields()["v"])
	}
	var out []string
	for _, n := range names {
		out = append(out, found[n])
	}
	return strings.Join(out, " ")
}

// positive is the query for the documents of a collection whose v is above zero.
func positive(id string) *pb.StructuredQuery {
	return &pb.StructuredQuery{From: collection(id), Where: fieldFilter("v", pb.StructuredQuery_FieldFilter_GREATER_THAN, 0)}
}

// query gives the ids of the documents of a collection whose v is above zero.
func (x *tx) query(collection string) string {
	got, err := drain(x.s.Raw.RunQuery(x.s.t.Context(), &pb.RunQueryRequest{Parent: x.s.Database() + "/documents",
		QueryType:           &pb.RunQueryRequest_StructuredQuery{StructuredQuery: positive(collection)},
		ConsistencySelector: &pb.RunQueryRequest_Transaction{Transaction: x.id}}))
	if err != nil {
		return code(err)
	}
	var out []string
	for _, m := range got {
		if m.Document != nil {
			out = append(out, m.Document.Name[strings.LastIndexByte(m.Document.Name, '/')+1:])
		}
	}
	return "[" + strings.Join(out, " ") + "]"
}

// count counts the documents of a collection whose v is above zero.
func (x *tx) count(collection string) string {
	got, err := drain(x.s.Raw.RunAggregationQuery(x.s.t.Context(), &pb.RunAggregationQueryRequest{Parent: x.s.Database() + "/documents",
		QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: &pb.StructuredAggregationQuery{
			QueryType:    &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: positive(collection)},
			Aggregations: []*pb.StructuredAggregationQuery_Aggregation{countAs("n", nil)}}},
		ConsistencySelector: &pb.RunAggregationQueryRequest_Transaction{Transaction: x.id}}))
	if err != nil {
		return code(err)
	}
	return show(got[0].GetResult().GetAggregateFields()["n"])
}

// commit ends the transaction with writes; a set like "c/d=3" gives document c/d the v of 3.
func (x *tx) commit(sets ...string) string {
	var writes []*pb.Write
	for _, set := range sets {
		writes = append(writes, x.s.setV(set))
	}
	return x.commitWrites(writes...)
}

func (x *tx) commitWrites(writes ...*pb.Write) string {
	_, err := x.s.Raw.Commit(x.s.t.Context(), &pb.CommitRequest{Database: x.s.Database(), Transaction: x.id, Writes: writes})
	return code(err)
}

func (x *tx) rollback() string {
	return code(x.s.Raw.Rollback(x.s.t.Context(), &pb.RollbackRequest{Database: x.s.Database(), Transaction: x.id}))
}

func (s *script) setV(set string) *pb.Write {
	var v int
	path, number, _ := strings.Cut(set, "=")
	if _, err := fmt.Sscan(number, &v); err != nil {
		panic(fmt.Sprintf("%q sets nothing: %v", set, err))
	}
	return s.write(path, fields{"v": v})
}

// transactions: how one lives and ends, and what it sees alone.
func transactions(s *script) {
	s.put("tx/a", fields{"v": 1})
	x := s.begin(nil)
	s.note("empty commit", x.commit())
	s.note("commit again", x.commit("tx/a=9"))
	s.note("read when closed", x.get("tx/a"))
	s.note("query when closed", x.query("tx"))
	s.note("roll back when closed", x.rollback())
	x = s.begin(nil)
	s.note("roll back", x.rollback())
	s.note("commit when rolled back", x.commit("tx/a=9"))
	s.note("roll back again", x.rollback())
	junk := &tx{s: s, id: []byte("junk")}
	s.note("roll back what is none", junk.rollback())
	s.note("commit what is none", junk.commit("tx/a=9"))
	s.note("read in what is none", junk.get("tx/a"))
	none := &tx{s: s}
	s.note("roll back nothing", none.rollback())
	s.note("nothing of this was written", s.content("tx/a"))

	x = s.begin(nil)
	s.note("write without reading", x.commit("tx/a=2", "tx/b=2"))
	s.note("what it left", s.content("tx/b"))
	x = s.begin(readWrite())
	s.note("read", x.get("tx/a", "tx/none"))
	s.note("read again", x.get("tx/a"))
	s.note("query", x.query("tx"))
	s.note("count", x.count("tx"))
	s.note("write what was read", x.commit("tx/a=3", "tx/none=1"))
	s.note("what they hold then", fmt.Sprint(show(s.content("tx/a")), show(s.content("tx/none"))))
	x = s.begin(nil)
	s.note("read first", x.get("tx/a"))
	s.note("commit nothing after reading", x.commit())
	transactionsThatRead(s)
	transactionsThatFail(s)
	transactionsMadeByReads(s)
	transactionsOfTheClient(s)
}

func transactionsThatRead(s *script) {
	s.put("ro/a", fields{"v": 1})
	x := s.begin(readOnly())
	s.note("read only, read", x.get("ro/a"))
	s.put("ro/a", fields{"v": 2})
	s.put("ro/b", fields{"v": 2})
	s.note("read only, sees no later write", x.get("ro/a", "ro/b"))
	s.note("read only, nor does its query", x.query("ro"))
	s.note("read only, nor does its count", x.count("ro"))
	s.note("read only, may not write", x.commit("ro/a=9"))
	x = s.begin(readOnly())
	s.note("read only, next one", x.get("ro/a", "ro/b"))
	s.note("read only, commit", x.commit())
	s.note("read only, read when closed", x.get("ro/a"))
}

func transactionsThatFail(s *script) {
	s.put("f/a", fields{"v": 1})
	x := s.begin(nil)
	s.note("fails on a precondition", x.commitWrites(s.setV("f/b=1"), exists(s.setV("f/a=2"), false)))
	s.note("writes nothing then", s.content("f/b"))
	s.note("is closed then", x.commit("f/b=1"))
	x = s.begin(nil)
	s.note("fails on a bad write", x.commitWrites(s.write("f/__x__", nil)))
	s.note("after a bad write", x.commit("f/b=1"))
	again := s.begin(&pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{ReadWrite: &pb.TransactionOptions_ReadWrite{RetryTransaction: x.id}}})
	s.note("a retry of it", again.commit("f/b=2"))
	s.note("what the retry left", s.content("f/b"))
	x = s.begin(nil)
	s.note("may use preconditions", x.get("f/a")+" "+x.commitWrites(exists(s.setV("f/a=5"), true), exists(s.setV("f/new=1"), false)))
	x = s.begin(nil)
	s.note("may increment what it read", x.get("f/a")+" "+x.commitWrites(s.touch("f/a", incremented("v", 2))))
	s.note("and it counts once", s.content("f/a"))
}

// transactionsMadeByReads begin with their first read.
func transactionsMadeByReads(s *script) {
	got, err := drain(s.Raw.BatchGetDocuments(s.t.Context(), &pb.BatchGetDocumentsRequest{Database: s.Database(), Documents: []string{s.DocumentName("tx/a")},
		ConsistencySelector: &pb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: readWrite()}}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.note("made by a read, announced first", fmt.Sprint(len(got[0].Transaction) > 0, " ", got[0].Result == nil, " ", len(got)))
	s.note("made by a read, commit", (&tx{s: s, id: got[0].Transaction}).commit("tx/a=77"))
	for _, collection := range []string{"tx", "unknown"} {
		got, err := drain(s.Raw.RunQuery(s.t.Context(), &pb.RunQueryRequest{Parent: s.Database() + "/documents",
			QueryType:           &pb.RunQueryRequest_StructuredQuery{StructuredQuery: positive(collection)},
			ConsistencySelector: &pb.RunQueryRequest_NewTransaction{NewTransaction: readWrite()}}))
		if err != nil {
			s.t.Fatal(err)
		}
		s.note("made by a query on "+collection, fmt.Sprint(len(got[0].Transaction) > 0, " ", got[0].Document == nil))
		s.note("made by a query on "+collection+", commit", (&tx{s: s, id: got[0].Transaction}).commit("tx/q=1"))
	}
}

func transactionsOfTheClient(s *script) {
	ctx, cancel := context.WithTimeout(s.t.Context(), callTimeout)
	defer cancel()
	tries := 0
	err := s.Client.RunTransaction(ctx, func(_ context.Context, t *firestore.Transaction) error {
		tries++
		d, err := t.Get(s.Client.Doc("tx/a"))
		if err != nil {
			return err
		}
		v, err := d.DataAt("v")
		if err != nil {
			return err
		}
		return t.Update(d.Ref, []firestore.Update{{Path: "v", Value: v.(int64) + 1}})
	})
	s.note("of the client", fmt.Sprint(code(err), " ", tries, " ", show(s.content("tx/a"))))
	err = s.Client.RunTransaction(ctx, func(_ context.Context, t *firestore.Transaction) error {
		q := s.Client.Collection("tx").Where("v", ">", 0)
		docs, err := t.Documents(q).GetAll()
		if err != nil {
			return err
		}
		n, err := q.NewAggregationQuery().WithCount("n").Transaction(t).Get(ctx)
		if err != nil {
			return err
		}
		return t.Set(s.Client.Doc("tx/sum"), fields{"v": len(docs), "n": n["n"].(*pb.Value).GetIntegerValue()})
	})
	s.note("of the client, with a query and a count", outcome(err, s.content("tx/sum")))
	err = s.Client.RunTransaction(ctx, func(_ context.Context, t *firestore.Transaction) error {
		_, err := t.Get(s.Client.Doc("tx/absent"))
		return err
	})
	s.note("of the client, missing document", code(err))
	err = s.Client.RunTransaction(ctx, func(_ context.Context, t *firestore.Transaction) error {
		return t.Set(s.Client.Doc("tx/ro"), fields{"v": 1})
	}, firestore.ReadOnly)
	s.note("of the client, write in a read-only one", code(err))
}

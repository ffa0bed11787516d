package firedb

import (
	"context"
	"maps"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// entriesPerRead is how many index entries an aggregation may look at for the price of one read.
const entriesPerRead = 1000

// Counts is what a server was asked for. RPCs counts calls by method, failed ones too; the rest counts documents as
// Firestore bills them: a document that does not exist costs a read, a query without results one, a skipped result
// one, an aggregation one per thousand index entries, a listing of collections one. A write that changes nothing is a
// write; one that was refused costs nothing.
type Counts struct {
	RPCs                   map[string]int64
	Reads, Writes, Deletes int64
}

// Counts returns what was counted since the start or the last Reset.
func (h *Hooks) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.counts
	c.RPCs = maps.Clone(c.RPCs)
	if c.RPCs == nil {
		c.RPCs = map[string]int64{}
	}
	return c
}

// Reset sets all counts to zero. The rules stay.
func (h *Hooks) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts = Counts{}
}

func (h *Hooks) countCall(method string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts.RPCs == nil {
		h.counts.RPCs = map[string]int64{}
	}
	h.counts.RPCs[method]++
}

func (h *Hooks) add(c Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Reads += c.Reads
	h.counts.Writes += c.Writes
	h.counts.Deletes += c.Deletes
}

// meter counts a call with one answer.
func (h *Hooks) meter(request, response any, err error) {
	var c Counts
	switch r := request.(type) {
	case *pb.CommitRequest:
		if err == nil {
			c.addWrites(r.GetWrites()...)
		}
	case *pb.BatchWriteRequest:
		out, ok := response.(*pb.BatchWriteResponse)
		for i, w := range r.GetWrites() {
			if ok && err == nil && out.GetStatus()[i].GetCode() == int32(codes.OK) {
				c.addWrites(w)
			}
		}
	case *pb.CreateDocumentRequest, *pb.UpdateDocumentRequest:
		if err == nil {
			c.Writes++
		}
	case *pb.DeleteDocumentRequest:
		if err == nil {
			c.Deletes++
		}
	case *pb.GetDocumentRequest:
		if err == nil || isNotFound(err) {
			c.Reads++
		}
	case *pb.ListDocumentsRequest:
		if out, ok := response.(*pb.ListDocumentsResponse); ok && err == nil {
			c.Reads += max(1, int64(len(out.GetDocuments())))
		}
	case *pb.ListCollectionIdsRequest:
		if err == nil {
			c.Reads++
		}
	}
	h.add(c)
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }

func (c *Counts) addWrites(writes ...*pb.Write) {
	for _, w := range writes {
		if _, ok := w.GetOperation().(*pb.Write_Delete); ok {
			c.Deletes++
		} else {
			c.Writes++
		}
	}
}

// bill gathers what a streamed call costs.
type bill struct {
	query       bool  // a query costs at least one read
	aggregation bool  // as does an aggregation
	reads       int64 // documents sent, and those that the answer says were skipped
	offset      int64 // documents to skip, as long as no answer has said how many were
	entries     int64 // index entries that an aggregation looked at
	counted     string
}

type billKey struct{}

// noteEntries tells the hooks around a call, if any, how many index entries an aggregation looked at: its answer does
// not say. Behind a Proxy nobody calls it, and the answer's count is taken, if there is one.
func noteEntries(ctx context.Context, n int) {
	if b, ok := ctx.Value(billKey{}).(*bill); ok {
		b.entries, b.counted = int64(n), ""
	}
}

func (b *bill) request(m any) {
	switch r := m.(type) {
	case *pb.RunQueryRequest:
		b.query, b.offset = true, int64(r.GetStructuredQuery().GetOffset())
	case *pb.RunAggregationQueryRequest:
		b.aggregation = true
		for _, a := range r.GetStructuredAggregationQuery().GetAggregations() {
			if a.GetCount() != nil {
				b.counted = a.GetAlias()
			}
		}
	}
}

func (b *bill) response(m any) {
	switch r := m.(type) {
	case *pb.BatchGetDocumentsResponse:
		if r.GetResult() != nil {
			b.reads++
		}
	case *pb.RunQueryResponse:
		if r.GetSkippedResults() > 0 {
			b.reads += int64(r.GetSkippedResults())
			b.offset = 0
		}
		if r.GetDocument() != nil {
			b.reads += 1 + b.offset // a document comes only after all that were to be skipped
			b.offset = 0
		}
	case *pb.RunAggregationQueryResponse:
		if b.counted != "" {
			b.entries = r.GetResult().GetAggregateFields()[b.counted].GetIntegerValue()
		}
	}
}

// total returns the bill of a call that ended with err; one that failed costs what it sent.
func (b *bill) total(err error) Counts {
	switch {
	case b.aggregation && err == nil:
		return Counts{Reads: max(1, (b.entries+entriesPerRead-1)/entriesPerRead)}
	case b.query && err == nil:
		return Counts{Reads: max(1, b.reads)}
	}
	return Counts{Reads: b.reads}
}

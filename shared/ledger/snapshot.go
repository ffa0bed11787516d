package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Found is a document beneath a wallet: its id, whose it says that it is, and what it holds.
type Found[T any] struct {
	Doc, Org string
	Value    T
}

// Day is what a roll-up document holds: credits by the names of its fields.
type Day struct {
	Day          string // 2006-01-02
	Cells, Flows map[string]int64
}

// Snapshot is a wallet and what stands beneath it, as they were at one moment, for who compares them. It is read in a read-only transaction,
// which locks nothing and delays no commit; Firestore keeps one for some four minutes, and for one minute between two reads. Each wallet's
// documents are read as they are stored: nothing is journaled. Errors are an *Unavailable, or say what of a document cannot be read.
type Snapshot struct {
	store  store
	org    string
	wallet *stored
}

// Snapshot begins to read a wallet at a moment. The error is a Refusal, `unknown_org`, when there is none.
func (l *Ledger) Snapshot(ctx context.Context, org string) (_ *Snapshot, err error) {
	if err := credit.CheckOrg(org); err != nil {
		return nil, err
	}
	s := &Snapshot{store: l.store, org: org}
	begun := func(ctx context.Context) error {
		r, err := l.store.client.BeginTransaction(ctx, &pb.BeginTransactionRequest{
			Database: l.store.database,
			Options:  &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: &pb.TransactionOptions_ReadOnly{}}},
		})
		s.store.transaction = r.GetTransaction()
		return err
	}
	if err := l.store.reading(ctx, begun); err != nil {
		return nil, unavailable(fmt.Errorf("beginning to read %s at a moment: %w", org, err))
	}
	defer func() {
		if err != nil {
			s.Close(ctx)
		}
	}()
	if s.wallet, err = s.store.walletAt(ctx, org); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the transaction. One that cannot be ended ends by itself.
func (s *Snapshot) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.store.readTimeout)
	defer cancel()
	_ = s.store.client.Rollback(ctx, &pb.RollbackRequest{Database: s.store.database, Transaction: s.store.transaction})
}

// Wallet is the wallet.
func (s *Snapshot) Wallet() credit.Wallet { return s.wallet.wallet }

// Org is whose the wallet document says that it is.
func (s *Snapshot) Org() string { return s.wallet.wallet.Org }

// Zoned is the day in UTC on which the time zone last changed, empty for never. Usage until then may stand on the days of another zone.
func (s *Snapshot) Zoned() string { return s.wallet.usage.zoned }

// Beyond is an entry later than the wallet's last; ok is false when there is none, as there should be.
func (s *Snapshot) Beyond(ctx context.Context) (e Found[*credit.Entry], ok bool, err error) {
	q := from("entries", 1)
	q.Where = both(inAnyLane(), where("at", pb.StructuredQuery_FieldFilter_GREATER_THAN, timeValue(s.wallet.wallet.LastAt)))
	q.OrderBy = []*pb.StructuredQuery_Order{order("at", pb.StructuredQuery_DESCENDING)}
	docs, err := s.store.query(ctx, s.store.walletName(s.org), q)
	if err != nil {
		return e, false, unavailable(err)
	}
	if len(docs) == 0 {
		return e, false, nil
	}
	e, err = foundEntry(docs[0])
	return e, true, err
}

// Count counts a collection's documents: entries, or holds. Firestore bills a read for each thousand.
func (s *Snapshot) Count(ctx context.Context, collection string) (n int64, err error) {
	q := from(collection, 0)
	q.Limit = nil
	count := &pb.StructuredAggregationQuery{
		QueryType: &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: q},
		Aggregations: []*pb.StructuredAggregationQuery_Aggregation{{
			Alias: "n", Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{Count: &pb.StructuredAggregationQuery_Aggregation_Count{}},
		}},
	}
	err = s.store.reading(ctx, func(ctx context.Context) error {
		stream, err := s.store.client.RunAggregationQuery(ctx, &pb.RunAggregationQueryRequest{
			Parent:              s.store.walletName(s.org),
			QueryType:           &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: count},
			ConsistencySelector: &pb.RunAggregationQueryRequest_Transaction{Transaction: s.store.transaction},
		})
		for err == nil {
			var m *pb.RunAggregationQueryResponse
			if m, err = stream.Recv(); m.GetResult() != nil {
				n = m.GetResult().GetAggregateFields()["n"].GetIntegerValue()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, unavailable(fmt.Errorf("counting the %s of %s: %w", collection, s.org, err))
	}
	return n, nil
}

// Grants reads the records of some grants, those that there are.
func (s *Snapshot) Grants(ctx context.Context, ids []string, each func(Found[*credit.Grant]) error) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = s.store.grantName(s.org, id)
	}
	return s.store.each(ctx, names, func(d *pb.Document) error { return eachFound(d, decodeGrantRecord, each) })
}

// AllGrants reads the records of all grants.
func (s *Snapshot) AllGrants(ctx context.Context, each func(Found[*credit.Grant]) error) error {
	return s.store.walk(ctx, s.org, "grants", func(d *pb.Document) error { return eachFound(d, decodeGrantRecord, each) })
}

// Holds reads the records of some holds, those that there are.
func (s *Snapshot) Holds(ctx context.Context, ids []string, each func(Found[*credit.Hold]) error) error {
	return s.store.holds(ctx, s.org, ids, each)
}

// AllHolds reads the records of all holds.
func (s *Snapshot) AllHolds(ctx context.Context, each func(Found[*credit.Hold]) error) error {
	return s.store.walk(ctx, s.org, "holds", func(d *pb.Document) error { return eachFound(d, decodeHold, each) })
}

// Counters reads the documents of a window's counters.
func (s *Snapshot) Counters(ctx context.Context, w credit.CountedWindow, each func(Found[credit.Counters]) error) error {
	names := make([]string, w.Pages)
	for i := range names {
		names[i] = s.store.counterName(s.org, credit.CounterPage{Window: w.Key, Index: int64(i)})
	}
	return s.store.each(ctx, names, func(d *pb.Document) error { return eachFound(d, decodeCounters, each) })
}

// Days reads the roll-up documents of the days from one until another, 2006-01-02, half-open.
func (s *Snapshot) Days(ctx context.Context, from, until string, each func(Found[Day]) error) error {
	return s.store.days(ctx, s.org, from, until, each)
}

// HoldRecords reads the records of some holds as they are now, those that there are.
func (l *Ledger) HoldRecords(ctx context.Context, org string, ids []string, each func(Found[*credit.Hold]) error) error {
	return l.store.holds(ctx, org, ids, each)
}

// DayRecords reads the roll-up documents of the days from one until another, 2006-01-02, half-open, as they are now.
func (l *Ledger) DayRecords(ctx context.Context, org, from, until string, each func(Found[Day]) error) error {
	return l.store.days(ctx, org, from, until, each)
}

func (s *store) holds(ctx context.Context, org string, ids []string, each func(Found[*credit.Hold]) error) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		of, doc, err := credit.ParseHoldID(id)
		if err != nil || of != org {
			return fmt.Errorf("%q names no hold of %s", id, org)
		}
		names[i] = s.holdName(org, doc)
	}
	return s.each(ctx, names, func(d *pb.Document) error { return eachFound(d, decodeHold, each) })
}

func (s *store) days(ctx context.Context, org, from, until string, each func(Found[Day]) error) error {
	_, err := s.eachDayDocument(ctx, org, from, until, maxDayRecords, func(d *pb.Document) error {
		return eachFound(d, decodeDay, each)
	})
	return err
}

// maxDayRecords bounds the roll-up documents that are read at once: a day of a wallet with a hundred documents a day, for a century.
const maxDayRecords = 4_000_000

// each reads documents, some at a time.
func (s *store) each(ctx context.Context, names []string, each func(*pb.Document) error) error {
	for chunk := range slices.Chunk(names, recordsAtOnce) {
		got, err := s.get(ctx, chunk...)
		if err != nil {
			return unavailable(err)
		}
		for _, name := range chunk {
			if d := got[name]; d != nil {
				if err := each(d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// recordsAtOnce is how many documents are read by their names in one call.
const recordsAtOnce = 300

func eachFound[T any](d *pb.Document, decode func(*pb.Document) (T, error), each func(Found[T]) error) error {
	v, err := decode(d)
	if err != nil {
		return err
	}
	r := readDocument(d)
	f := Found[T]{Doc: lastSegment(d.GetName()), Org: r.str("org"), Value: v}
	if *r.err != nil {
		return *r.err
	}
	return each(f)
}

func foundEntry(d *pb.Document) (f Found[*credit.Entry], err error) {
	decode := func(d *pb.Document) (*credit.Entry, error) {
		e, _, err := decodeEntry(d)
		return e, err
	}
	err = eachFound(d, decode, func(found Found[*credit.Entry]) error {
		f = found
		return nil
	})
	return f, err
}

func decodeDay(d *pb.Document) (Day, error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return Day{}, err
	}
	day := Day{Day: r.str("day")}
	day.Cells, day.Flows = r.group("cells").numbers(), r.group("flows").numbers()
	if id := lastSegment(d.GetName()); !strings.HasPrefix(id, day.Day+"-") {
		r.bad("it is of the day %q", day.Day)
	}
	return day, *r.err
}

// numbers reads all fields, which are numbers.
func (r reader) numbers() map[string]int64 {
	out := make(map[string]int64, len(r.m))
	for field := range r.m {
		out[field] = r.num(field)
	}
	return out
}

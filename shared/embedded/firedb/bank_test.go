package firedb_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

const (
	bankAccounts = 5
	bankOpening  = 100 // of each account, and of both halves of each pair together
	bankSeats    = 1   // reservations for one event: with more, the locks on those found would hide phantoms
	bankTurns    = 20  // operations of a worker on one event and one document to create
)

// bank is a set of documents whose invariants only serialisable transactions keep, and workers that try to break them:
//
//   - transfers move money between accounts and book it, so that all accounts always sum to what they opened with, each
//     is its opening and its bookings, and none is below zero;
//   - withdrawals take from either half of a pair if both together suffice (write skew would overdraw it), else fill it up;
//   - reservations count those of an event, by a query or an aggregation, before they add one (phantoms would overbook it);
//   - creations write a document only where they found none (two would both believe to be the first);
//   - guarded commits hold a wallet to the version that was read, without a transaction, and create an entry.
type bank struct {
	*engine.Engine
	t *testing.T

	mu        sync.Mutex
	done      map[string]int      // operations that committed, by kind
	gaveUp    int                 // and those that were aborted
	created   map[string]int      // winners of each creation
	anomalies map[string][]string // what is wrong, by kind of operation
}

// operation is one kind of thing that workers do; rng is the worker's own.
type operation struct {
	kind   string
	weight int
	do     func(b *bank, ctx context.Context, rng *rand.Rand, worker, turn int) error
}

func bankOperations() []operation {
	return []operation{
		{"transfer", 5, (*bank).transfer},
		{"withdrawal", 3, (*bank).withdraw},
		{"reservation", 3, (*bank).reserve},
		{"creation", 2, (*bank).create},
		{"guarded commit", 2, (*bank).guarded},
		{"audit", 2, (*bank).audit},
		{"locking audit", 1, (*bank).lockingAudit},
	}
}

// errRefused ends an operation that the state of the bank does not allow.
var errRefused = errors.New("refused")

func TestBankKeepsItsInvariants(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		workers, turns, limit := 8, 250, time.Minute
		if e.IsEmulator {
			workers, turns, limit = 4, 100, 40*time.Second // its lock time-outs take seconds
		}
		b := openBank(t, e)
		b.run(*seed, workers, turns, limit)
		for kind, wrong := range b.anomalies {
			t.Errorf("seed %d, %s: %d anomalies, such as %s", *seed, kind, len(wrong), wrong[0])
		}
		for _, o := range bankOperations() {
			if b.done[o.kind] == 0 {
				t.Errorf("seed %d: no %s was committed", *seed, o.kind)
			}
		}
		t.Logf("%d workers: committed %v, aborted %d", workers, b.done, b.gaveUp)
	}, engine.AnyQuery())
}

// TestBankFindsBrokenValidation shows that the bank is able to fail: on an engine that validates and locks nothing, every
// kind of anomaly is found.
func TestBankFindsBrokenValidation(t *testing.T) {
	t.Parallel()
	const rounds = 20
	missing := []string{"transfer", "withdrawal", "reservation", "creation"}
	for round := range uint64(rounds) {
		e := engine.New(t, engine.Embedded(), engine.AnyQuery())
		firedb.BreakValidation(e.Server)
		b := openBank(t, e)
		b.run(*seed+round, 8, 60, time.Minute)
		missing = slices.DeleteFunc(missing, func(kind string) bool { return len(b.anomalies[kind]) > 0 })
		if len(missing) == 0 {
			return
		}
	}
	t.Errorf("an engine without validation and locks showed no anomaly in: %v", missing)
}

// openBank writes the documents with which the bank opens.
func openBank(t *testing.T, e *engine.Engine) *bank {
	t.Helper()
	b := &bank{Engine: e, t: t, done: map[string]int{}, created: map[string]int{}, anomalies: map[string][]string{}}
	var writes []*pb.Write
	for i := range bankAccounts {
		writes = append(writes,
			b.write(account(i), fields{"v": bankOpening}),
			b.write(half(i, 0), fields{"v": bankOpening / 2}),
			b.write(half(i, 1), fields{"v": bankOpening / 2}))
	}
	writes = append(writes, b.write("wallets/w", fields{"v": 0}))
	if _, err := e.Raw.Commit(t.Context(), &pb.CommitRequest{Database: e.Database(), Writes: writes}); err != nil {
		t.Fatal(err)
	}
	return b
}

func account(i int) string    { return fmt.Sprintf("accounts/%d", i) }
func half(pair, i int) string { return fmt.Sprintf("pairs/%d-%d", pair, i) }

// run lets workers do turns operations each, none begun after limit, and then looks at what is left.
func (b *bank) run(seed uint64, workers, turns int, limit time.Duration) {
	ctx, cancel := context.WithTimeout(b.t.Context(), limit+callTimeout)
	defer cancel()
	var weighted []operation
	for _, o := range bankOperations() {
		weighted = append(weighted, slices.Repeat([]operation{o}, o.weight)...)
	}
	end := time.Now().Add(limit)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(worker)))
			for turn := 0; turn < turns && time.Now().Before(end); turn++ {
				o := weighted[rng.IntN(len(weighted))]
				b.count(o.kind, o.do(b, ctx, rng, worker, turn))
			}
		})
	}
	wg.Wait()
	b.examine(ctx)
}

func (b *bank) count(kind string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.done[kind]++
	case errors.Is(err, errRefused):
	case status.Code(err) == codes.Aborted, kind == "guarded commit" && status.Code(err) == codes.FailedPrecondition:
		b.gaveUp++
	default:
		b.t.Errorf("%s: %v", kind, err)
	}
}

func (b *bank) wrong(kind, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.anomalies[kind] = append(b.anomalies[kind], fmt.Sprintf(format, args...))
}

func (b *bank) transfer(ctx context.Context, rng *rand.Rand, worker, turn int) error {
	from, to := account(rng.IntN(bankAccounts)), account(rng.IntN(bankAccounts))
	amount, richest := 1+rng.IntN(30), rng.IntN(3) == 0
	return b.transact(ctx, readWrite(), func(x *deal) ([]*pb.Write, error) {
		if richest { // found by a query
			docs, err := x.query(&pb.StructuredQuery{From: collection("accounts"), Limit: wrapperspb.Int32(1),
				OrderBy: []*pb.StructuredQuery_Order{{Field: field("v"), Direction: pb.StructuredQuery_DESCENDING}}})
			if err != nil {
				return nil, err
			}
			from = relative(docs[0].Name)
		}
		if from == to {
			return nil, errRefused
		}
		docs, err := x.get(from, to)
		if err != nil {
			return nil, err
		}
		if v(docs[0]) < amount {
			return nil, errRefused
		}
		booking := fields{"from": from, "to": to, "v": amount}
		return []*pb.Write{
			b.write(from, fields{"v": v(docs[0]) - amount}),
			b.write(to, fields{"v": v(docs[1]) + amount}),
			exists(b.write(fmt.Sprintf("bookings/%d-%d", worker, turn), booking), false),
		}, nil
	})
}

func (b *bank) withdraw(ctx context.Context, rng *rand.Rand, worker, turn int) error {
	pair, side, amount := (worker+turn)/bankTurns%bankAccounts, rng.IntN(2), 1+rng.IntN(40)
	return b.transact(ctx, readWrite(), func(x *deal) ([]*pb.Write, error) {
		docs, err := x.get(half(pair, 0), half(pair, 1))
		if err != nil {
			return nil, err
		}
		switch sum := v(docs[0]) + v(docs[1]); {
		case sum < 0:
			b.wrong("withdrawal", "pair %d holds %d", pair, sum)
			return nil, errRefused
		case sum < amount: // both are filled up, so that it goes on
			return []*pb.Write{
				b.write(half(pair, 0), fields{"v": bankOpening / 2}),
				b.write(half(pair, 1), fields{"v": bankOpening / 2}),
			}, nil
		}
		return []*pb.Write{b.write(half(pair, side), fields{"v": v(docs[side]) - amount})}, nil
	})
}

func (b *bank) reserve(ctx context.Context, rng *rand.Rand, worker, turn int) error {
	event := turn / bankTurns
	q := &pb.StructuredQuery{From: collection("reservations"), Where: fieldFilter("v", pb.StructuredQuery_FieldFilter_EQUAL, event)}
	byCount := rng.IntN(2) == 0
	return b.transact(ctx, readWrite(), func(x *deal) ([]*pb.Write, error) {
		taken, err := x.count(q, byCount)
		if err != nil {
			return nil, err
		}
		if taken >= bankSeats {
			return nil, errRefused
		}
		return []*pb.Write{exists(b.write(fmt.Sprintf("reservations/%d-%d", worker, turn), fields{"v": event}), false)}, nil
	})
}

func (b *bank) create(ctx context.Context, _ *rand.Rand, worker, turn int) error {
	path := fmt.Sprintf("created/%d", turn/bankTurns)
	err := b.transact(ctx, readWrite(), func(x *deal) ([]*pb.Write, error) {
		docs, err := x.get(path)
		if err != nil {
			return nil, err
		}
		if docs[0] != nil {
			return nil, errRefused
		}
		return []*pb.Write{b.write(path, fields{"v": worker})}, nil
	})
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.created[path]++
	}
	return err
}

func (b *bank) guarded(ctx context.Context, _ *rand.Rand, worker, turn int) error {
	wallet, err := b.Raw.GetDocument(ctx, &pb.GetDocumentRequest{Name: b.DocumentName("wallets/w")})
	if err != nil {
		return err
	}
	_, err = b.Raw.Commit(ctx, &pb.CommitRequest{Database: b.Database(), Writes: []*pb.Write{
		unmoved(b.write("wallets/w", fields{"v": v(wallet) + 1}), wallet.UpdateTime),
		exists(b.write(fmt.Sprintf("wallets/w/entries/%d-%d", worker, turn), fields{"v": v(wallet) + 1}), false),
	}})
	return err
}

// audit reads all in one read-only transaction.
func (b *bank) audit(ctx context.Context, _ *rand.Rand, _, _ int) error {
	return b.transact(ctx, readOnly(), func(x *deal) ([]*pb.Write, error) {
		accounts, err := x.query(&pb.StructuredQuery{From: collection("accounts")})
		if err != nil {
			return nil, err
		}
		bookings, err := x.query(&pb.StructuredQuery{From: collection("bookings")})
		if err != nil {
			return nil, err
		}
		b.examineAccounts(accounts, bookings)
		return nil, nil
	})
}

// lockingAudit reads the accounts in a read-write transaction. What it read counts only if it commits a write.
func (b *bank) lockingAudit(ctx context.Context, _ *rand.Rand, worker, turn int) error {
	sum := 0
	err := b.transact(ctx, readWrite(), func(x *deal) ([]*pb.Write, error) {
		accounts, err := x.query(&pb.StructuredQuery{From: collection("accounts")})
		if err != nil {
			return nil, err
		}
		sum = 0
		for _, a := range accounts {
			sum += v(a)
		}
		return []*pb.Write{b.write(fmt.Sprintf("audits/%d-%d", worker, turn), fields{"v": sum})}, nil
	})
	if err == nil && sum != bankAccounts*bankOpening {
		b.wrong("transfer", "an audit that committed found %d in all; want %d", sum, bankAccounts*bankOpening)
	}
	return err
}

// examine looks at the bank when nobody works on it.
func (b *bank) examine(ctx context.Context) {
	all := func(id string) []*pb.Document {
		got, err := drain(b.Raw.RunQuery(ctx, &pb.RunQueryRequest{Parent: b.Database() + "/documents",
			QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: &pb.StructuredQuery{
				From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: id, AllDescendants: true}}}}}))
		if err != nil {
			b.t.Errorf("examine %s: %v", id, err)
		}
		return documentsOf(got)
	}
	b.examineAccounts(all("accounts"), all("bookings"))
	pairs := map[string]int{}
	for _, d := range all("pairs") {
		path := relative(d.Name)
		pairs[path[:len(path)-2]] += v(d)
	}
	for pair, sum := range pairs {
		if sum < 0 {
			b.wrong("withdrawal", "%s holds %d", pair, sum)
		}
	}
	events := map[int]int{}
	for _, d := range all("reservations") {
		events[v(d)]++
	}
	for event, n := range events {
		if n > bankSeats {
			b.wrong("reservation", "event %d has %d reservations; at most %d", event, n, bankSeats)
		}
	}
	for path, n := range b.created {
		if n > 1 {
			b.wrong("creation", "%s was created %d times", path, n)
		}
	}
	if wallet, entries := all("wallets"), all("entries"); v(wallet[0]) != len(entries) || len(entries) != b.done["guarded commit"] {
		b.wrong("guarded commit", "the wallet counts %d, with %d entries and %d commits", v(wallet[0]), len(entries), b.done["guarded commit"])
	}
}

func (b *bank) examineAccounts(accounts, bookings []*pb.Document) {
	want, sum := map[string]int{}, 0
	for _, d := range bookings {
		want[d.Fields["from"].GetStringValue()] -= v(d)
		want[d.Fields["to"].GetStringValue()] += v(d)
	}
	for _, a := range accounts {
		path := relative(a.Name)
		if v(a) != bankOpening+want[path] || v(a) < 0 {
			b.wrong("transfer", "%s holds %d; its bookings make it %d", path, v(a), bankOpening+want[path])
		}
		sum += v(a)
	}
	if sum != bankAccounts*bankOpening {
		b.wrong("transfer", "the accounts hold %d in all; want %d", sum, bankAccounts*bankOpening)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/indexes"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/limits"
)

// repeats is how often each kind of request is run, to be divided by.
const repeats = 50

// operations are Firestore's, as it bills them, of a number of requests.
type operations struct {
	what                   string
	requests               int64
	reads, writes, deletes int64
}

// nanos is what n such requests cost, rounded up.
func (o operations) nanos(n int64) int64 {
	all := (o.reads*readNanos + o.writes*writeNanos + o.deletes*deleteNanos) * n
	return (all + o.requests - 1) / o.requests
}

// counted are the kinds of requests that cost something.
type counted struct {
	debit, view, page, grant operations
}

// bench is a ledger on an embedded Firestore that counts.
type bench struct {
	hooks  *firedb.Hooks
	ledger *ledger.Ledger
}

// count runs each kind of request and counts. Each debit is alone in its commit, as with few callers: debits at once share commits, and cost
// less (scripts/loadtest).
func count(ctx context.Context) (c counted, err error) {
	b, stop, err := open(ctx)
	if err != nil {
		return counted{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	const org = "counted"
	zone := "Africa/Johannesburg"
	if _, err := b.ledger.Do(ctx, org, credit.Configure{Zone: &zone}); err != nil {
		return counted{}, err
	}
	grant := func(ctx context.Context, i int) error {
		_, err := b.ledger.Do(ctx, org, credit.NewGrant{
			Key: credit.SystemKey("grant", fmt.Sprintf("pi_%d", i)), Terms: credit.Terms{Source: credit.Purchase, Granted: 1_000_000},
		})
		return err
	}
	debit := func(ctx context.Context, i int) error {
		credits, event := int64(10), fmt.Sprintf("alone-%d", i)
		_, err := b.ledger.Do(ctx, org, credit.Debit{
			EventID: event, Credits: credits, Content: credit.Content{Kind: credit.KindDebit, Org: org, Feature: "custom-query", Credits: &credits},
			Work: credit.Work{Feature: "custom-query", PriceVersion: 1}, Actor: "costs",
		})
		return err
	}
	if c.grant, err = b.each(ctx, "a grant", repeats, grant); err != nil {
		return counted{}, err
	}
	if c.debit, err = b.each(ctx, "a debit, alone", repeats, debit); err != nil {
		return counted{}, err
	}
	if c.view, err = b.each(ctx, "a check, or a balance", repeats, func(ctx context.Context, _ int) error {
		_, err := b.ledger.Balance(ctx, org)
		return err
	}); err != nil {
		return counted{}, err
	}
	if c.page, err = b.each(ctx, "a page of the ledger", repeats, func(ctx context.Context, _ int) error {
		_, err := b.ledger.Entries(ctx, org, time.Time{}, pageOfEntries)
		return err
	}); err != nil {
		return counted{}, err
	}
	return c, nil
}

func open(ctx context.Context) (_ *bench, stop func() error, err error) {
	set, err := indexes.Load()
	if err != nil {
		return nil, nil, err
	}
	hooks := &firedb.Hooks{}
	server, err := firedb.Open(firedb.Options{Hooks: hooks, Indexes: set})
	if err != nil {
		return nil, nil, err
	}
	conn, err := server.Conn()
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	stop = func() error { return errors.Join(conn.Close(), server.Close()) }
	client, err := apiv1.NewClient(ctx, option.WithGRPCConn(conn), option.WithoutAuthentication())
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	table, err := limits.Load()
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	o, err := table.Function("debit").Ledger()
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	o.Now, o.Publish = time.Now, nowhere{}
	l, err := ledger.New(client, "projects/costs/databases/(default)", o)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return &bench{hooks: hooks, ledger: l}, stop, nil
}

// nowhere is a publisher, so that what goes out with a commit is removed after it, as in the cloud.
type nowhere struct{}

// Publish implements ledger.Publisher.
func (nowhere) Publish(context.Context, []events.Message) error { return nil }

// each runs requests one after the other.
func (b *bench) each(ctx context.Context, what string, n int, do func(context.Context, int) error) (operations, error) {
	b.hooks.Reset()
	for i := range n {
		if err := do(ctx, i); err != nil {
			return operations{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	return b.operations(what, n), nil
}

func (b *bench) operations(what string, n int) operations {
	c := b.hooks.Counts()
	return operations{what: what, requests: int64(n), reads: c.Reads, writes: c.Writes, deletes: c.Deletes}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// parallelChecks bounds the wallets that are prepared or checked at once, violationsShown what is told of them.
const (
	parallelChecks  = 64
	violationsShown = 20
)

// seed publishes the catalogue, which the functions price by and organisations are registered by.
func (b *bench) seed(ctx context.Context) error {
	clients, err := openClients(ctx, b.ready)
	if err != nil {
		return err
	}
	defer clients.Close()
	seed, err := catalogue.Seed()
	if err != nil {
		return err
	}
	return catalogue.NewStore(clients.Documents, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}).Seed(ctx, seed)
}

// each runs do for every wallet of a phase.
func each(ctx context.Context, ph phase, do func(ctx context.Context, wallet int) error) error {
	errs := make([]error, ph.wallets)
	places := make(chan struct{}, parallelChecks)
	var all sync.WaitGroup
	for i := range ph.wallets {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			errs[i] = do(ctx, i)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// prepare opens the wallets of a phase with their credits and entries. The naive way needs none.
func (b *bench) prepare(ctx context.Context, ph phase) error {
	if ph.via == viaNaive {
		return nil
	}
	if err := b.order(order{Delay: &delays{}}); err != nil {
		return err
	}
	clients, err := openClients(ctx, b.ready)
	if err != nil {
		return err
	}
	defer clients.Close()
	l, err := openLedger(clients)
	if err != nil {
		return err
	}
	people, err := openHouse(clients, l)
	if err != nil {
		return err
	}
	credits := ph.credits
	if credits == 0 {
		credits = ample
	}
	zone := "Africa/Johannesburg"
	if err := each(ctx, ph, func(ctx context.Context, i int) error {
		org := orgName(ph.orgs, i)
		if _, err := l.Do(ctx, org, credit.Configure{Zone: &zone}); err != nil {
			return err
		}
		if ph.users > 0 {
			if err := people.register(ctx, org); err != nil {
				return err
			}
		}
		if ph.limited {
			if _, err := l.Do(ctx, org, allLimits()); err != nil {
				return err
			}
		}
		_, err := l.Do(ctx, org, credit.NewGrant{
			Key: credit.SystemKey("grant", org), Terms: credit.Terms{Source: credit.Purchase, Granted: credits, Payment: org},
		})
		return err
	}); err != nil {
		return err
	}
	return b.fill(ctx, l, ph)
}

// allLimits bind the organisation, each team and each user, and stop nobody.
func allLimits() credit.SetLimits {
	most := &credit.Limit{Credits: ample}
	c := credit.SetLimits{Changes: []credit.LimitChange{
		{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: most}, {Default: true, Limit: most},
	}}
	for i := range teams {
		c.Changes = append(c.Changes, credit.LimitChange{
			Subject: credit.Subject{Scope: credit.ScopeTeam, ID: fmt.Sprint("team-", i)}, Limit: most,
		})
	}
	return c
}

// filled begins the ids of the entries that a wallet is to have before.
const filled = "before."

// fillCallers debit at once while a wallet is given entries.
const fillCallers = 512

// fill gives a wallet the entries that it is to have before.
func (b *bench) fill(ctx context.Context, l *ledger.Ledger, ph phase) error {
	errs := make([]error, fillCallers)
	var all sync.WaitGroup
	for c := range fillCallers {
		all.Go(func() {
			for n := c; n < ph.entries && errs[c] == nil; n += fillCallers {
				_, errs[c] = l.Do(ctx, orgName(ph.orgs, 0), debitOf(orgName(ph.orgs, 0), fmt.Sprint(filled, n), 0))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// fate is what callers know of one event.
type fate struct {
	charged, no, unknown bool
	firstRefusal         int64 // when it was first refused, in microseconds since 1970
}

// checked is what the check of a phase found.
type checked struct {
	violations []string
	latencies  []uint32 // over Pub/Sub, from publishing to the decision
	// charged is how many debits of the phase are stored.
	charged int64
}

// checker compares what callers were told with what is stored.
type checker struct {
	bench   *bench
	phase   phase
	clients *cloud.Clients
	ledger  *ledger.Ledger
	heard   *heard
	fates   map[int]map[string]*fate // by wallet and event

	mu  sync.Mutex
	out checked
}

func (b *bench) check(ctx context.Context, ph phase, h *heard) (checked, error) {
	c := &checker{bench: b, phase: ph, heard: h, fates: fates(h)}
	for _, r := range h.records {
		if r.outcome == wrong {
			c.violate("%s had an answer that it should not have", r.event())
		}
	}
	if ph.via == viaNaive {
		return c.out, nil
	}
	var err error
	if c.clients, err = openClients(ctx, b.ready); err != nil {
		return checked{}, err
	}
	defer c.clients.Close()
	if c.ledger, err = openLedger(c.clients); err != nil {
		return checked{}, err
	}
	if err := c.resolve(ctx); err != nil {
		return checked{}, err
	}
	err = each(ctx, ph, c.wallet)
	return c.out, err
}

// fates gathers what was told of each event of each wallet.
func fates(h *heard) map[int]map[string]*fate {
	out := map[int]map[string]*fate{}
	of := func(r record) *fate {
		id, wallet := r.event(), int(r.wallet)
		if out[wallet] == nil {
			out[wallet] = map[string]*fate{}
		}
		if out[wallet][id] == nil {
			out[wallet][id] = &fate{}
		}
		return out[wallet][id]
	}
	for _, r := range h.records {
		switch r.outcome {
		case acknowledged, replayed:
			of(r).charged = true
		case refused:
			if f := of(r); !f.no || r.end() < f.firstRefusal {
				f.no, f.firstRefusal = true, r.end()
			}
		case unknown:
			of(r).unknown = true
		case wrong, unsent, begun:
		}
	}
	for _, r := range h.begun {
		of(r).unknown = true
	}
	return out
}

// resolve repeats, with the same ids, what nobody was told the outcome of: as callers do.
func (c *checker) resolve(ctx context.Context) error {
	if c.phase.rate > 0 {
		return nil // an open loop's callers do not repeat: what is unknown may be charged or not
	}
	for wallet, events := range c.fates {
		for id, f := range events {
			if !f.unknown || f.charged || f.no {
				continue
			}
			if err := c.repeat(ctx, orgName(c.phase.orgs, wallet), id, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeat sends a debit again and notes its fate.
func (c *checker) repeat(ctx context.Context, org, id string, f *fate) error {
	_, err := c.ledger.Do(ctx, org, debitOf(org, id, c.phase.users))
	var no *credit.Refusal
	switch {
	case err == nil:
		f.charged = true
	case errors.As(err, &no) && no.Code() == credit.CodeInsufficient:
		f.no = true
		f.firstRefusal = time.Now().UnixMicro()
	default:
		return fmt.Errorf("repeat %s: %w", id, err)
	}
	return nil
}

// wallet checks one wallet: its own consistency, and its entries against what callers know.
func (c *checker) wallet(ctx context.Context, i int) error {
	org := orgName(c.phase.orgs, i)
	if err := c.ledger.Audit(ctx, org); err != nil {
		c.violate("%s: %v", org, err)
	}
	w, err := c.ledger.View(ctx, org)
	if err != nil {
		return err
	}
	stored, err := c.entries(ctx, org)
	if err != nil {
		return err
	}
	c.compare(org, i, w.Available, stored)
	return nil
}

// never is later than any moment, in microseconds since 1970.
const never = int64(1 << 62)

// compare tells where what callers know of a wallet and what it stores do not agree.
func (c *checker) compare(org string, wallet int, available int64, stored map[string]int64) {
	firstRefusal, lastCharge := never, int64(0)
	fates := c.fates[wallet]
	for id, f := range fates {
		at, charged := stored[id]
		switch {
		case f.charged && !charged:
			c.violate("%s: %s was acknowledged, but is not stored", org, id)
		case f.no && !f.charged && charged:
			c.violate("%s: %s was refused, but is stored", org, id)
		}
		if f.no && !f.charged {
			firstRefusal = min(firstRefusal, f.firstRefusal)
		}
		lastCharge = max(lastCharge, at)
	}
	for id := range stored {
		if f := fates[id]; f == nil || !f.charged && !f.unknown {
			c.violate("%s: %s is stored, but nobody asked for it or was told", org, id)
		}
	}
	c.dry(org, available, firstRefusal, lastCharge)
}

// dry checks the refusals: each debit takes the same, so one process alone refuses only once too little is left, and charges nothing later.
func (c *checker) dry(org string, available, firstRefusal, lastCharge int64) {
	if firstRefusal == never {
		return
	}
	if available >= debitCredits {
		c.violate("%s: debits were refused though %d credits are left", org, available)
	}
	if lastCharge > firstRefusal {
		c.violate("%s: a debit was charged %d µs after another had been refused", org, lastCharge-firstRefusal)
	}
}

// entries reads when each debit of a phase was decided, in microseconds since 1970, by its event.
func (c *checker) entries(ctx context.Context, org string) (map[string]int64, error) {
	out := map[string]int64{}
	sent := map[string]int64{}
	if c.phase.via == viaPubSub {
		for _, r := range c.heard.records {
			if _, again := sent[r.event()]; !again {
				sent[r.event()] = r.start
			}
		}
	}
	docs := c.clients.Documents.Collection("wallets/"+org+"/entries").Select("key", "kind", "at").Documents(ctx)
	defer docs.Stop()
	var lag []uint32
	for {
		d, err := docs.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the entries of %s: %w", org, err)
		}
		id, at, ours := debited(d)
		if !ours {
			continue
		}
		out[id] = at
		if start, ok := sent[id]; ok {
			lag = append(lag, uint32(max(0, at-start)))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.charged += int64(len(out))
	c.out.latencies = append(c.out.latencies, lag...)
	return out, nil
}

// debited reads an entry; ours is false for those that the phase did not ask for.
func debited(d *firestore.DocumentSnapshot) (id string, at int64, ours bool) {
	var e struct {
		Key  string    `firestore:"key"`
		Kind string    `firestore:"kind"`
		At   time.Time `firestore:"at"`
	}
	if err := d.DataTo(&e); err != nil || e.Kind != string(credit.KindDebit) {
		return "", 0, false
	}
	if strings.HasPrefix(e.Key, filled) {
		return "", 0, false
	}
	return e.Key, e.At.UnixMicro(), true
}

func (c *checker) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out.violations) < violationsShown {
		c.out.violations = append(c.out.violations, fmt.Sprintf(format, args...))
	}
}

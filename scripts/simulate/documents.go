package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"
)

// What the judge reads, as DESIGN §5 has it stored. It shares nothing with the code that wrote it.

type figures struct {
	Available int64 `firestore:"available"`
	Held      int64 `firestore:"held"`
	Debt      int64 `firestore:"debt"`
}

type grantDoc struct {
	ID          string    `firestore:"id"`
	Source      string    `firestore:"source"`
	Granted     int64     `firestore:"granted"`
	Priority    int64     `firestore:"priority"`
	EffectiveAt time.Time `firestore:"effective_at"`
	ExpiresAt   time.Time `firestore:"expires_at"`
	UsableUntil time.Time `firestore:"usable_until"`
	Payment     string    `firestore:"payment"`
	LinkedTo    string    `firestore:"linked_to"`
	Free        int64     `firestore:"free"`
	Held        int64     `firestore:"held"`
	Place       string    `firestore:"place"`
	Frozen      bool      `firestore:"frozen"`
	ClawedBack  int64     `firestore:"clawed_back"`
}

type changeDoc struct {
	Grant string `firestore:"grant"`
	Free  int64  `firestore:"free"`
	Held  int64  `firestore:"held"`
}

type entryDoc struct {
	Org     string      `firestore:"org"`
	Key     string      `firestore:"key"`
	System  bool        `firestore:"system"`
	Kind    string      `firestore:"kind"`
	Seq     int64       `firestore:"seq"`
	At      time.Time   `firestore:"at"`
	Credits int64       `firestore:"credits"`
	Subject string      `firestore:"subject"`
	Changes []changeDoc `firestore:"changes"`
	Debt    int64       `firestore:"debt"`
	After   figures     `firestore:"after"`
	User    string      `firestore:"user"`
	Feature string      `firestore:"feature"`
	Actor   string      `firestore:"actor"`
	Reason  string      `firestore:"reason"`
	Closed  []string    `firestore:"closed"`
	Until   time.Time   `firestore:"until"`
	Born    *grantDoc   `firestore:"born"`
	Counts  []string    `firestore:"counts"` // scope, window, credits, used, limit, id
}

type walletDoc struct {
	figures
	Seq    int64      `firestore:"seq"`
	Frozen bool       `firestore:"frozen"`
	Grants []grantDoc `firestore:"grants"`
	Low    struct {
		On        bool  `firestore:"on"`
		Threshold int64 `firestore:"threshold"`
		N         int64 `firestore:"n"`
	} `firestore:"low_balance"`
	OpenHolds int64 `firestore:"open_holds"`
}

// ledger is a wallet with all that is beneath it.
type ledger struct {
	org     string
	wallet  walletDoc
	entries []entryDoc // in the order of seq
	grants  map[string]grantDoc
}

// readAll reads every document of a collection.
func readAll[T any](ctx context.Context, c *firestore.CollectionRef) ([]T, error) {
	var out []T
	it := c.Documents(ctx)
	defer it.Stop()
	for {
		d, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", c.Path, err)
		}
		var one T
		if err := d.DataTo(&one); err != nil {
			return nil, fmt.Errorf("read %s: %w", d.Ref.Path, err)
		}
		out = append(out, one)
	}
}

// readLedger reads a wallet while nobody writes to it.
func readLedger(ctx context.Context, w *world, org string) (*ledger, error) {
	ref := w.store.Doc("wallets/" + org)
	d, err := ref.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("read wallet %s: %w", org, err)
	}
	l := &ledger{org: org, grants: map[string]grantDoc{}}
	if err := d.DataTo(&l.wallet); err != nil {
		return nil, fmt.Errorf("read wallet %s: %w", org, err)
	}
	if l.entries, err = readAll[entryDoc](ctx, ref.Collection("entries")); err != nil {
		return nil, err
	}
	slices.SortFunc(l.entries, func(a, b entryDoc) int { return int(a.Seq - b.Seq) })
	outside, err := readAll[grantDoc](ctx, ref.Collection("grants"))
	if err != nil {
		return nil, err
	}
	for _, g := range outside {
		l.grants[g.ID] = g
	}
	for _, g := range l.wallet.Grants {
		l.grants[g.ID] = g
	}
	return l, nil
}

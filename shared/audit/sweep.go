package audit

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

const (
	// sweepPage is how many wallets are looked through at once.
	sweepPage = 300
	// verifiedFor is how long a wallet that does not move is taken at what was verified.
	verifiedFor = 20 * time.Hour
)

// place is the document reconciliation/audit: after which organisation the next sweep goes on.
type place struct {
	V     int64  `firestore:"v"`
	After string `firestore:"after"`
}

// Sweep tells which wallets are to be looked at, page by page: those that moved since they were verified, or were not looked at for most of a
// day, or did not agree. It goes through all wallets in the order of their organisations, from where the last sweep stopped, once around or
// until most were told, so that none waits for ever, however many there are and however busy some. Two sweeps at once tell of some twice.
// A wallet costs a sweep two reads.
func (a *Auditor) Sweep(ctx context.Context, most int, each func(ctx context.Context, orgs []string) error) (told int, more bool, err error) {
	doc := a.opts.Documents.Collection("reconciliation").Doc("audit")
	var at place
	d, err := doc.Get(ctx)
	if err == nil {
		err = d.DataTo(&at)
	}
	if err != nil && status.Code(err) != codes.NotFound {
		return 0, false, fmt.Errorf("read where the last sweep stopped: %w", err)
	}
	began, around := at.After, at.After == ""
	for {
		heads, err := a.opts.Ledger.Heads(ctx, at.After, sweepPage)
		if err != nil {
			return told, false, err
		}
		if around && began != "" { // back where it began
			heads = until(heads, began)
		}
		orgs, err := a.due(ctx, heads)
		if err != nil {
			return told, false, err
		}
		if len(orgs) > 0 {
			if err := each(ctx, orgs); err != nil {
				return told, false, err
			}
		}
		told += len(orgs)
		end := len(heads) < sweepPage
		if at.After = ""; !end {
			at.After = heads[len(heads)-1].Org
		}
		if _, err := doc.Set(ctx, place{V: schemaVersion, After: at.After}); err != nil {
			return told, false, fmt.Errorf("write where the sweep stopped: %w", err)
		}
		switch {
		case end && around:
			return told, false, nil
		case end:
			around = true
		}
		if told >= most {
			return told, true, nil
		}
	}
}

// until are the heads up to an organisation's.
func until(heads []ledger.Head, org string) []ledger.Head {
	for i, h := range heads {
		if h.Org > org {
			return heads[:i]
		}
	}
	return heads
}

// due are the organisations whose wallets are to be looked at.
func (a *Auditor) due(ctx context.Context, heads []ledger.Head) ([]string, error) {
	orgs := make([]string, 0, len(heads))
	for _, h := range heads {
		if credit.CheckOrg(h.Org) == nil {
			orgs = append(orgs, h.Org)
		}
	}
	known, err := a.store.heads(ctx, orgs)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, h := range heads {
		c, seen := known[h.Org]
		if credit.CheckOrg(h.Org) != nil || seen && c.Finding == nil && c.VerifiedSeq == h.Seq && a.opts.Now().Sub(c.VerifiedAt) < verifiedFor {
			continue
		}
		out = append(out, h.Org)
	}
	return out, nil
}

// Verified tells how an organisation's wallet stood when it was looked at last; the zero Checkpoint when it never was.
func (a *Auditor) Verified(ctx context.Context, org string) (Checkpoint, error) {
	if err := credit.CheckOrg(org); err != nil {
		return Checkpoint{}, err
	}
	return a.store.head(ctx, org)
}

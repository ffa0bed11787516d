package audit

import (
	"context"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// Accept takes what is stored of a wallet as right, after a person has looked into what did not agree and mended it: from then on, audits begin
// with the wallet's last entry. What came before is not proven any more, and an audit of the whole finds it again. The error is a Refusal,
// `unknown_org`, or `invalid_request` without a name and a reason, or says what could not be read or written.
func (a *Auditor) Accept(ctx context.Context, org, by, reason string) (Checkpoint, error) {
	if strings.TrimSpace(by) == "" || strings.TrimSpace(reason) == "" || len(reason) > 1000 || !utf8.ValidString(by+reason) {
		return Checkpoint{}, credit.Refuse(credit.CodeInvalid, "who accepts what is stored as right says so, and why", map[string]any{"field": "reason"})
	}
	s, err := a.opts.Ledger.Snapshot(ctx, org)
	if err != nil {
		return Checkpoint{}, err
	}
	defer s.Close(ctx)
	p := &pass{state: newState(org), ledger: a.opts.Ledger, org: org, latest: map[string]cause{}}
	p.in(s)
	if err := p.adopt(ctx, s); err != nil {
		return Checkpoint{}, err
	}
	now := a.opts.Now().UTC()
	head := Checkpoint{Org: org, VerifiedSeq: p.book.Seq, VerifiedAt: now, AcceptedBy: by, AcceptedAt: now, Reason: reason}
	if err := a.store.save(ctx, head, p.state); err != nil {
		return Checkpoint{}, err
	}
	a.opts.Log.WarnContext(ctx, "a wallet is accepted as it is stored", slog.String("org", org), slog.Int64("seq", p.book.Seq), slog.String("by", by),
		slog.String("reason", reason))
	return a.store.head(ctx, org)
}

// adopt makes a state of what is stored.
func (p *pass) adopt(ctx context.Context, s *ledger.Snapshot) error {
	w, b := s.Wallet(), p.book
	b.Seq, b.LastAt, b.Figures, b.Frozen = w.Seq, w.LastAt, w.Figures, w.Frozen
	b.Repayments, b.Moves, b.LimitChanges = w.Repayments, w.Moves, w.LimitChanges
	err := s.AllGrants(ctx, func(f ledger.Found[*credit.Grant]) error {
		b.Grants[f.Value.ID] = f.Value
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range w.Live { // newer than their own records
		b.Grants[g.ID] = g
	}
	err = s.AllHolds(ctx, func(f ledger.Found[*credit.Hold]) error {
		if p.placed++; f.Value.State == credit.HoldOpen {
			b.Holds[f.Value.ID] = f.Value
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, window := range w.Windows {
		by := map[credit.Subject]credit.Counter{}
		b.Counters[window.Key] = by
		err := s.Counters(ctx, window, func(f ledger.Found[credit.Counters]) error {
			for subject, n := range f.Value.By {
				by[subject] = n
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	p.settle()
	p.compared = max(p.closed(), p.mixed)
	return s.Days(ctx, p.compared, lastDay, func(f ledger.Found[ledger.Day]) error {
		sum(p.days, f.Value.Day, flatten(f.Value))
		return nil
	})
}

// flatten are the fields of a roll-up document by their names.
func flatten(d ledger.Day) moved {
	m := moved{}
	for field, n := range d.Cells {
		m.add("cells "+field, n)
	}
	for field, n := range d.Flows {
		m.add("flows "+field, n)
	}
	return m
}

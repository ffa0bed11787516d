package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

const (
	// mismatch is what the log says of a finding, and alertMismatch its attribute "alert". Both never change: people are woken by them.
	mismatch      = "a wallet's figures do not agree"
	alertMismatch = "audit_mismatch"
	// actor is who freezes.
	actor = "system:audit"
	// rounds is how often entries are added up until so few are left that a moment is chosen and compared.
	rounds = 5
	// tailEntries are so few.
	tailEntries = 5000
)

// Options make an Auditor.
type Options struct {
	Documents *firestore.Client
	Ledger    *ledger.Ledger
	Log       *slog.Logger
	// Now is the system's clock.
	Now func() time.Time
}

// Auditor proves wallets. It is safe for concurrent use: two that look at one wallet at once both find the same.
type Auditor struct {
	opts  Options
	store checkpoints
}

// New makes an Auditor.
func New(o Options) (*Auditor, error) {
	if o.Documents == nil || o.Ledger == nil || o.Log == nil || o.Now == nil {
		return nil, errors.New("an auditor needs documents, a ledger, a log and a clock")
	}
	return &Auditor{opts: o, store: checkpoints{o.Documents}}, nil
}

// Request says what is to be looked at.
type Request struct {
	// Whole reads everything again from the first entry, whatever was verified before.
	Whole bool
	// Time bounds the work, by the machine's clock; what is left is for the next audit, which goes on. Zero is no bound.
	Time time.Duration
	// Progress, if set, is told of each page of entries.
	Progress func(Progress)
}

// Progress is how far an audit has come.
type Progress struct{ Seq, Of int64 }

// Report is what an audit did.
type Report struct {
	Org string `json:"org_id"`
	// From is the entry after which it began, Seq the last it added up, Entries how many it read.
	From    int64 `json:"from"`
	Seq     int64 `json:"seq"`
	Entries int64 `json:"entries"`
	// Whole says that all was compared; if not, what was moved since it was verified last, and whatever holds credits.
	Whole bool `json:"whole"`
	// More says that time ran out: nothing was compared yet, and the next audit goes on.
	More bool `json:"more"`
	// Finding is what does not agree; nil for nothing. Frozen says that the wallet is frozen for it.
	Finding *Finding `json:"finding,omitempty"`
	Frozen  bool     `json:"frozen"`
}

// Wallet proves an organisation's wallet. What does not agree is in the report, and is no error: it is looked at twice, told in the log, and the
// wallet is frozen. Errors are a Refusal, `unknown_org`, or say that something could not be read or written, which proves nothing.
func (a *Auditor) Wallet(ctx context.Context, org string, r Request) (Report, error) {
	if err := credit.CheckOrg(org); err != nil {
		return Report{}, err
	}
	head, err := a.store.head(ctx, org)
	if err != nil {
		return Report{}, err
	}
	head.Org = org
	report, err := a.look(ctx, head, r)
	var first *Finding
	if errors.As(err, &first) {
		report, err = a.look(ctx, head, r)
	}
	var second *Finding
	switch {
	case errors.As(err, &second):
		report.Finding = second
		report.Frozen = a.alarm(ctx, second)
		head.Finding = second
		telemetry.FromContext(ctx).Audited(ctx, 0, 1)
		return report, a.store.save(ctx, head, nil)
	case first != nil && err == nil:
		a.opts.Log.WarnContext(ctx, "what did not agree agreed when it was looked at again", slog.String("org", org), slog.Any("finding", first))
	}
	if err == nil && !report.More {
		telemetry.FromContext(ctx).Audited(ctx, 1, 0)
	}
	return report, err
}

// look adds up what is new since a checkpoint, compares, and keeps a checkpoint. The error may be a *Finding.
func (a *Auditor) look(ctx context.Context, head Checkpoint, r Request) (Report, error) {
	began := time.Now()
	p := &pass{state: newState(head.Org), ledger: a.opts.Ledger, org: head.Org, latest: map[string]cause{}}
	whole := r.Whole
	if !whole {
		s, err := a.store.load(ctx, head.Org, head)
		if err != nil {
			return Report{}, err
		}
		if whole = s == nil; !whole {
			p.state = s
		}
	}
	report := Report{Org: head.Org, From: p.book.Seq}
	if p.all && !head.Whole { // it begins anew
		head.Whole = true
	}
	done := func() Report {
		report.Seq, report.Entries, report.Whole = p.book.Seq, p.read, p.all
		return report
	}
	spent := func() bool { return r.Time > 0 && time.Since(began) > r.Time }
	err := a.addUp(ctx, p, r, spent)
	switch {
	case errors.Is(err, errSpent):
		report.More = true
		return done(), a.store.save(ctx, head, p.state)
	case err != nil:
		return done(), err
	}
	s, err := a.opts.Ledger.Snapshot(ctx, head.Org)
	if err != nil {
		return done(), unreadable(p, err)
	}
	defer s.Close(ctx)
	if err := a.rest(ctx, p, s); err != nil {
		return done(), unreadable(p, err)
	}
	if err := p.compare(ctx, s); err != nil {
		return done(), unreadable(p, err)
	}
	out := done()
	p.forgetDays()
	now := a.opts.Now().UTC()
	if p.all {
		head.WholeAt = now
	}
	head.VerifiedSeq, head.VerifiedAt, head.Whole, head.Finding = p.book.Seq, now, false, nil
	p.settle()
	return out, a.store.save(ctx, head, p.state)
}

// errSpent says that the time is up.
var errSpent = errors.New("the time is up")

// addUp adds up entries until few are left. They never change, so no moment is held for it.
func (a *Auditor) addUp(ctx context.Context, p *pass, r Request, spent func() bool) error {
	for range rounds {
		head, err := a.opts.Ledger.Head(ctx, p.org)
		if err != nil {
			return unreadable(p, err)
		}
		if head.Seq < p.book.Seq {
			return p.found(differ("wallet", "seq", "at least "+text(p.book.Seq), head.Seq))
		}
		if head.Seq-p.book.Seq <= tailEntries {
			return nil
		}
		if err := a.zone(ctx, p); err != nil {
			return unreadable(p, err)
		}
		err = a.opts.Ledger.Records(ctx, p.org, p.mark(), head.Mark, func(page []ledger.Found[*credit.Entry]) error {
			if err := p.entries(ctx, page); err != nil {
				return err
			}
			if r.Progress != nil {
				r.Progress(Progress{Seq: p.book.Seq, Of: head.Seq})
			}
			if spent() {
				return errSpent
			}
			return nil
		})
		if err != nil {
			return unreadable(p, err)
		}
		if err := p.reached(head.Mark); err != nil {
			return err
		}
	}
	return nil
}

// zone learns the organisation's time zone.
func (a *Auditor) zone(ctx context.Context, p *pass) error {
	s, err := a.opts.Ledger.Snapshot(ctx, p.org)
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	p.in(s)
	return nil
}

// in takes over the time zone of a wallet, which is UTC where this machine does not know it, as it is for the ledger.
func (p *pass) in(s *ledger.Snapshot) {
	zone, err := time.LoadLocation(s.Wallet().Zone)
	if err != nil {
		zone = time.UTC
	}
	p.zone, p.mixed = zone, mixedUntil(s.Zoned())
}

// rest adds up the entries that are left at the moment at which all is compared.
func (a *Auditor) rest(ctx context.Context, p *pass, s *ledger.Snapshot) error {
	p.in(s)
	w := s.Wallet()
	to := ledger.Mark{Seq: w.Seq, At: w.LastAt}
	if to.Seq > p.book.Seq || to.At.After(p.book.LastAt) {
		err := a.opts.Ledger.Records(ctx, p.org, p.mark(), to, func(page []ledger.Found[*credit.Entry]) error { return p.entries(ctx, page) })
		if err != nil {
			return err
		}
	}
	return p.reached(to)
}

// reached tells whether all entries up to a wallet's last were there.
func (p *pass) reached(to ledger.Mark) error {
	if p.book.Seq != to.Seq || !p.book.LastAt.Equal(to.At) {
		f := differ("entry", "the last", fmt.Sprintf("%d at %s", to.Seq, text(to.At)), fmt.Sprintf("%d at %s", p.book.Seq, text(p.book.LastAt)))
		f.Seq, f.Entry = min(p.book.Seq+1, max(to.Seq, 1)), none
		return p.found(f)
	}
	return nil
}

// unreadable makes a document that cannot be read a finding. What could not be had, or has a newer form, is none.
func unreadable(p *pass, err error) error {
	var finding *Finding
	var down *ledger.Unavailable
	var no *credit.Refusal
	if errors.As(err, &finding) || errors.As(err, &down) || errors.As(err, &no) || errors.Is(err, errSpent) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return p.found(differ("documents", "form", "what can be read", err.Error()))
}

// alarm tells of a finding and freezes the wallet; it tells whether that is frozen.
func (a *Auditor) alarm(ctx context.Context, f *Finding) (frozen bool) {
	attributes := []any{
		slog.String("alert", alertMismatch), slog.String("org", f.Org), slog.Int64("seq", f.Seq), slog.String("entry", f.Entry),
		slog.String("where", f.Where), slog.String("field", f.Field), slog.String("expected", f.Expected), slog.String("found", f.Found),
	}
	_, err := a.opts.Ledger.Do(ctx, f.Org, credit.FreezeWallet{Frozen: true, Actor: actor, Reason: "audit: " + clip(f.Where+" "+f.Field)})
	if err != nil {
		attributes = append(attributes, slog.Any("not_frozen", err))
	}
	a.opts.Log.ErrorContext(ctx, mismatch, attributes...)
	return err == nil
}

// maxReason bounds the reason of a freeze, in bytes.
const maxReason = 200

func clip(s string) string { return s[:min(len(s), maxReason)] }

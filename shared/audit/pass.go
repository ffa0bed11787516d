package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// maxWindows is for how many windows what entries counted is remembered: twice those that a wallet keeps.
const maxWindows = 2 * credit.MaxWindows

// pass adds up a wallet's entries, page by page.
type pass struct {
	*state
	ledger *ledger.Ledger
	org    string
	zone   *time.Location
	// mixed is the first day from which on usage stands on the days of the present zone.
	mixed string
	// latest are the entries that moved something last, by what they moved, of those that this pass has read.
	latest map[string]cause
	read   int64
}

// cause is an entry that moved something.
type cause struct {
	seq int64
	doc string
}

// found makes a finding complete: whose it is, and which entry moved it last.
func (p *pass) found(f *Finding) error {
	f.Org = p.org
	if f.Entry == "" && f.Seq == 0 {
		c := p.latest[f.Where]
		f.Seq, f.Entry = c.seq, c.doc
	}
	return f
}

// entries adds up a page of entries, and compares what they have settled for good.
func (p *pass) entries(ctx context.Context, page []ledger.Found[*credit.Entry]) error {
	if err := p.recall(ctx, page); err != nil {
		return err
	}
	settled := map[string]bool{}
	for _, r := range page {
		if err := p.entry(r); err != nil {
			return err
		}
		if k := r.Value.Kind; k == credit.KindCapture || k == credit.KindRelease {
			settled[r.Value.Subject] = true
		}
	}
	p.read += int64(len(page))
	if err := p.holds(ctx, settled); err != nil {
		return err
	}
	for _, old := range slices.Sorted(maps.Keys(p.book.Counters))[:max(0, len(p.book.Counters)-maxWindows)] {
		delete(p.book.Counters, old)
	}
	return p.closeDays(ctx)
}

// recall brings back holds that timed out and are captured now.
func (p *pass) recall(ctx context.Context, page []ledger.Found[*credit.Entry]) error {
	known, unknown := map[string]bool{}, map[string]bool{}
	for _, r := range page {
		switch e := r.Value; {
		case e.Kind == credit.KindHold:
			known[e.Subject] = true
		case e.Kind == credit.KindCapture && p.book.Holds[e.Subject] == nil && !known[e.Subject]:
			unknown[e.Subject] = true
		}
	}
	return p.ledger.HoldRecords(ctx, p.org, ownHolds(p.org, unknown), func(f ledger.Found[*credit.Hold]) error {
		if h := f.Value; h.State == credit.HoldTimedOut && unknown[h.ID] {
			h.Captured = 0
			p.book.Holds[h.ID] = h
		}
		return nil
	})
}

// ownHolds lists the ids that can be those of an organisation's holds. Of another the entry is found wrong when it is added up.
func ownHolds(org string, ids map[string]bool) []string {
	var out []string
	for id := range ids {
		if of, _, err := credit.ParseHoldID(id); err == nil && of == org {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// entry adds up one entry.
func (p *pass) entry(r ledger.Found[*credit.Entry]) error {
	e := r.Value
	wrong := func(field string, expected, found any) error {
		f := differ("entry", field, expected, found)
		f.Seq, f.Entry = e.Seq, r.Doc
		return p.found(f)
	}
	switch want := p.book.Seq + 1; {
	case r.Org != p.org:
		return wrong("org", p.org, r.Org)
	case e.Seq > want:
		f := differ("entry", "seq", want, e.Seq)
		f.Seq, f.Entry = want, r.Doc
		return p.found(f)
	case r.Doc != docOf(e.Key):
		return wrong("id", docOf(e.Key), r.Doc)
	}
	before := p.book.Figures
	if err := p.book.Add(e); err != nil {
		var c *credit.Contradiction
		if errors.As(err, &c) && c.Field != "" {
			return wrong(c.Field, c.Want, c.Found)
		}
		if errors.As(err, &c) {
			return wrong("what it says", "what can be true", c.Why())
		}
		return err
	}
	p.note(cause{e.Seq, r.Doc}, before, e)
	return nil
}

// docOf is the id that an entry's document must have.
func docOf(k credit.Key) string {
	sum := sha256.Sum256([]byte(k.ID))
	prefix := "c_"
	if k.System {
		prefix = "s_"
	}
	return prefix + hex.EncodeToString(sum[:])[:40]
}

// note remembers what an entry moved.
func (p *pass) note(c cause, before credit.Figures, e *credit.Entry) {
	p.latest["wallet"] = c
	grant := func(id string) {
		if p.book.Grants[id] != nil {
			p.touched[id] = true
			p.latest["grant "+id] = c
		}
	}
	for _, change := range e.Changes {
		grant(change.Grant)
	}
	for _, id := range e.Closed {
		grant(id)
	}
	if e.Born != nil {
		grant(e.Born.ID)
	}
	grant(e.Subject)
	switch e.Kind {
	case credit.KindHold:
		p.placed++
		p.latest["hold "+e.Subject] = c
	case credit.KindExtend, credit.KindCapture, credit.KindRelease:
		p.latest["hold "+e.Subject] = c
	default:
	}
	for _, n := range e.Counts {
		p.windows[n.Window] = true
		p.latest[counterName(n.Window, n.Subject)] = c
	}
	p.use(c, before, e)
}

// holds compares what became of holds. A settled one never changes, but for one that timed out and is captured after all; that one is kept
// until its capture is read, or, if that is not there yet, until all is compared at one moment.
func (p *pass) holds(ctx context.Context, settled map[string]bool) error {
	left := maps.Clone(settled)
	err := p.ledger.HoldRecords(ctx, p.org, ownHolds(p.org, settled), func(f ledger.Found[*credit.Hold]) error {
		want := p.book.Holds[f.Value.ID]
		if want == nil {
			return nil
		}
		delete(left, want.ID)
		if want.State == credit.HoldTimedOut && want.Captured != f.Value.Captured {
			return nil
		}
		if err := p.hold(want, f); err != nil {
			return err
		}
		delete(p.book.Holds, want.ID)
		delete(p.latest, "hold "+want.ID) // there may be a million of them
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(left)) {
		return p.found(differ("hold "+id, "record", "one", none))
	}
	return nil
}

// hold compares a hold's record.
func (p *pass) hold(want *credit.Hold, f ledger.Found[*credit.Hold]) error {
	where := "hold " + want.ID
	if f.Org != p.org {
		return p.found(differ(where, "org", p.org, f.Org))
	}
	if d := compare(where, *want, *f.Value); d != nil {
		return p.found(d)
	}
	return nil
}

func counterName(window string, s credit.Subject) string {
	return "counter " + window + " " + string(s.Scope) + " " + s.ID
}

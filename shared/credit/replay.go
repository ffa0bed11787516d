package credit

import (
	"errors"
	"fmt"
	"time"
)

// Book is what a wallet's entries say, rebuilt from nothing but them.
type Book struct {
	Org    string
	Grants map[string]*Grant // all but their places, which are no matter of the ledger
	Holds  map[string]*Hold
	Figures
	Frozen       bool
	FrozenReason string
	Repayments   int64
	Moves        int64
	LimitChanges int64
	// Counters are what entries counted, by window.
	Counters map[string]map[Subject]Counter
	Seq      int64
	LastAt   time.Time
	// keys are nil for whoever knows that no two are equal, as a store knows that names its entries by them.
	keys map[Key]bool
}

// NewBook is the book of a wallet without entries.
func NewBook(org string) *Book {
	return &Book{Org: org, Grants: map[string]*Grant{}, Holds: map[string]*Hold{}, Counters: map[string]map[Subject]Counter{}, keys: map[Key]bool{}}
}

// NewLongBook is a book that does not remember keys, so that it takes no more room with each entry. Settled holds may be deleted from it, and
// windows that are past: of what later entries say, only the capture of a hold that timed out needs its hold.
func NewLongBook(org string) *Book {
	b := NewBook(org)
	b.keys = nil
	return b
}

// Contradiction is the first thing in a wallet's entries that cannot be true.
type Contradiction struct {
	Org   string
	Entry *Entry
	// Field is what of the entry is wrong, with what would be right and what is found; all empty where no one field is.
	Field, Want, Found string

	why error
}

func (c *Contradiction) Error() string {
	return fmt.Sprintf("entry %d of %s (%s %s): %v", c.Entry.Seq, c.Org, c.Entry.Kind, c.Entry.Key.ID, c.why)
}

func (c *Contradiction) Unwrap() error { return c.why }

// Why is what cannot be true, without the entry's name.
func (c *Contradiction) Why() string { return c.why.Error() }

// differs says that a field of an entry is not what it must be.
func differs(field string, want, found any, format string, args ...any) error {
	return &Contradiction{Field: field, Want: fmt.Sprint(want), Found: fmt.Sprint(found), why: fmt.Errorf(format, args...)}
}

// Add applies the next entry. The error is a *Contradiction: the first thing about it that cannot be true.
func (b *Book) Add(e *Entry) error {
	err := b.add(e)
	if err == nil {
		return nil
	}
	var c *Contradiction
	if !errors.As(err, &c) {
		c = &Contradiction{why: err}
	}
	c.Org, c.Entry = b.Org, e
	return c
}

func (b *Book) add(e *Entry) error {
	switch {
	case e.Seq != b.Seq+1:
		return differs("seq", b.Seq+1, e.Seq, "follows entry %d", b.Seq)
	case !e.At.After(b.LastAt):
		return differs("at", "after "+b.LastAt.Format(time.RFC3339Nano), e.At.Format(time.RFC3339Nano), "is at %v, not after %v", e.At, b.LastAt)
	case b.keys[e.Key]:
		return errors.New("has a key that another has")
	}
	if b.Seq, b.LastAt = e.Seq, e.At; b.keys != nil {
		b.keys[e.Key] = true
	}
	if e.Born != nil {
		if b.Grants[e.Born.ID] != nil {
			return fmt.Errorf("bears grant %s again", e.Born.ID)
		}
		b.Grants[e.Born.ID] = &Grant{Terms: *e.Born, CreatedAt: e.At, Started: !e.At.Before(e.Born.EffectiveAt)}
	}
	for _, id := range e.Closed {
		g := b.Grants[id]
		if g == nil {
			return fmt.Errorf("closes grant %s, which is not known", id)
		}
		g.UsableUntil = g.ExpiresAt
	}
	if err := b.hold(e); err != nil {
		return err
	}
	for _, c := range e.Changes {
		if err := b.change(e, c); err != nil {
			return err
		}
	}
	if err := b.subject(e); err != nil {
		return err
	}
	if err := b.counts(e); err != nil {
		return err
	}
	b.Debt += e.Debt
	switch e.Kind {
	case KindRepayment:
		b.Repayments++
	case KindLimits:
		b.LimitChanges++
	default:
	}
	if b.Debt < 0 {
		return fmt.Errorf("debt becomes %d", b.Debt)
	}
	return b.follows(e)
}

// follows tells whether the figures that an entry states are those that its changes give.
func (b *Book) follows(e *Entry) error {
	for _, f := range []struct {
		name        string
		want, found int64
	}{
		{"after.available", b.Available, e.After.Available}, {"after.held", b.Held, e.After.Held}, {"after.debt", b.Debt, e.After.Debt},
	} {
		if f.want != f.found {
			return differs(f.name, f.want, f.found, "states %+v after it; its changes give %+v", e.After, b.Figures)
		}
	}
	return nil
}

func (b *Book) change(e *Entry, c Change) error {
	g := b.Grants[c.Grant]
	if g == nil {
		return fmt.Errorf("changes grant %s, which is not known", c.Grant)
	}
	drawn := c.Free < 0 && c.Grant != e.Subject
	switch {
	case drawn && (!g.Started || g.Frozen):
		return fmt.Errorf("draws on grant %s, which cannot be drawn on", g.ID)
	case e.Kind == KindExpiry && (g.Source == Purchase || !g.ended(e.At)):
		return fmt.Errorf("expires grant %s, whose time has not passed", g.ID)
	}
	b.count(g, -1)
	g.Free += c.Free
	g.Held += c.Held
	b.count(g, 1)
	if g.Free < 0 || g.Held < 0 || g.Free+g.Held > g.Granted {
		return fmt.Errorf("leaves grant %s with %d free and %d held of %d", g.ID, g.Free, g.Held, g.Granted)
	}
	return nil
}

// subject applies what an entry does to the grant, or wallet, that it concerns, beyond its changes.
func (b *Book) subject(e *Entry) error {
	switch e.Kind {
	case KindStart, KindExpiry, KindClawback, KindRestore, KindFreeze, KindThaw, KindGrace:
	default:
		return nil
	}
	if e.Subject == walletSubject {
		b.Frozen, b.FrozenReason = e.Kind == KindFreeze, ""
		if b.Frozen {
			b.FrozenReason = e.Reason
		}
		b.Moves++
		return nil
	}
	g := b.Grants[e.Subject]
	if g == nil {
		return fmt.Errorf("concerns grant %s, which is not known", e.Subject)
	}
	b.count(g, -1)
	g.Moves++
	switch e.Kind {
	case KindStart:
		g.Started = true
	case KindExpiry:
		g.Expired += e.Credits
	case KindClawback:
		own, others := taken(e)
		g.ClawedBack += e.Credits
		g.TakenOwn += own
		g.TakenElsewhere += others
	case KindRestore:
		elsewhere, own := g.untaken(e.Credits)
		g.ClawedBack -= e.Credits
		g.TakenOwn -= own
		g.TakenElsewhere -= elsewhere
	case KindFreeze, KindThaw:
		g.Frozen = e.Kind == KindFreeze
	case KindGrace:
		if g.ended(e.At) || e.Until.Before(g.ExpiresAt) || g.Source != Subscription {
			return fmt.Errorf("lets grant %s be used until %v; it ends at %v, with its grace at %v", g.ID, e.Until, g.ExpiresAt, g.UsableUntil)
		}
		g.UsableUntil = e.Until
	default:
	}
	if e.Kind == KindRestore || e.Kind == KindFreeze || e.Kind == KindThaw {
		g.Started = g.Started || !e.At.Before(g.EffectiveAt)
	}
	b.count(g, 1)
	if g.ClawedBack < 0 || g.ClawedBack > g.Granted || g.TakenOwn+g.TakenElsewhere > g.ClawedBack || g.room() < 0 {
		return fmt.Errorf("leaves grant %s with %d of %d clawed back, %d of its own and %d elsewhere, and %d expired",
			g.ID, g.ClawedBack, g.Granted, g.TakenOwn, g.TakenElsewhere, g.Expired)
	}
	return nil
}

// taken is what a clawback took from its own grant, and what from others or as debt.
func taken(e *Entry) (own, elsewhere int64) {
	elsewhere = e.Debt
	for _, c := range e.Changes {
		if c.Grant == e.Subject {
			own -= c.Free
		} else {
			elsewhere -= c.Free
		}
	}
	return own, elsewhere
}

func (b *Book) count(g *Grant, sign int64) {
	if g.Started && !g.Frozen {
		b.Available += sign * g.Free
	}
	b.Held += sign * g.Held
}

// Replay rebuilds a book from all entries of a wallet in their order.
func Replay(org string, entries []*Entry) (*Book, error) {
	b := NewBook(org)
	for _, e := range entries {
		if err := b.Add(e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

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
	keys     map[Key]bool
}

// NewBook is the book of a wallet without entries.
func NewBook(org string) *Book {
	return &Book{Org: org, Grants: map[string]*Grant{}, Holds: map[string]*Hold{}, Counters: map[string]map[Subject]Counter{}, keys: map[Key]bool{}}
}

// Add applies the next entry, and tells the first thing about it that cannot be true.
func (b *Book) Add(e *Entry) error {
	if err := b.add(e); err != nil {
		return fmt.Errorf("entry %d of %s (%s %s): %w", e.Seq, b.Org, e.Kind, e.Key.ID, err)
	}
	return nil
}

func (b *Book) add(e *Entry) error {
	switch {
	case e.Seq != b.Seq+1:
		return fmt.Errorf("follows entry %d", b.Seq)
	case !e.At.After(b.LastAt):
		return fmt.Errorf("is at %v, not after %v", e.At, b.LastAt)
	case b.keys[e.Key]:
		return errors.New("has a key that another has")
	}
	b.Seq, b.LastAt, b.keys[e.Key] = e.Seq, e.At, true
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
	if b.Figures != e.After {
		return fmt.Errorf("states %+v after it; its changes give %+v", e.After, b.Figures)
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

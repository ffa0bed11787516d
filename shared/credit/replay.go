package credit

import (
	"errors"
	"fmt"
	"time"
)

// Book is what a wallet's entries say, rebuilt from nothing but them.
type Book struct {
	Org    string
	Grants map[string]*Grant
	Figures
	Frozen bool
	Seq    int64
	LastAt time.Time
	keys   map[Key]bool
}

// NewBook is the book of a wallet without entries.
func NewBook(org string) *Book {
	return &Book{Org: org, Grants: map[string]*Grant{}, keys: map[Key]bool{}}
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
		b.Grants[e.Born.ID] = &Grant{Terms: *e.Born, Started: !e.At.Before(e.Born.EffectiveAt)}
	}
	for _, id := range e.Closed {
		g := b.Grants[id]
		if g == nil {
			return fmt.Errorf("closes grant %s, which is not known", id)
		}
		g.UsableUntil = g.ExpiresAt
	}
	for _, c := range e.Changes {
		if err := b.change(e, c); err != nil {
			return err
		}
	}
	if err := b.subject(e); err != nil {
		return err
	}
	b.Debt += e.Debt
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
	if e.Subject == walletSubject && (e.Kind == KindFreeze || e.Kind == KindThaw) {
		b.Frozen = e.Kind == KindFreeze
		return nil
	}
	switch e.Kind {
	case KindStart, KindExpiry, KindClawback, KindRestore, KindFreeze, KindThaw:
	default:
		return nil
	}
	g := b.Grants[e.Subject]
	if g == nil {
		return fmt.Errorf("concerns grant %s, which is not known", e.Subject)
	}
	b.count(g, -1)
	switch e.Kind {
	case KindStart:
		g.Started = true
	case KindExpiry:
		g.Expired += e.Credits
	case KindClawback:
		g.ClawedBack += e.Credits
	case KindRestore:
		g.ClawedBack -= e.Credits
	case KindFreeze, KindThaw:
		g.Frozen = e.Kind == KindFreeze
		g.Started = g.Started || !e.At.Before(g.EffectiveAt)
	default:
	}
	b.count(g, 1)
	if g.ClawedBack < 0 || g.ClawedBack > g.Granted {
		return fmt.Errorf("leaves grant %s with %d of %d clawed back", g.ID, g.ClawedBack, g.Granted)
	}
	return nil
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

// Verify compares a wallet as stored, and the grants outside it, with the book, and tells the first difference.
func (b *Book) Verify(w *Wallet, outside []*Grant) error {
	if w.Seq != b.Seq || !w.LastAt.Equal(b.LastAt) || w.Figures != b.Figures || w.Frozen != b.Frozen {
		return fmt.Errorf("wallet %s stands at entry %d with %+v; its entries end at %d with %+v", w.Org, w.Seq, w.Figures, b.Seq, b.Figures)
	}
	if w.Debt > 0 && w.Available > 0 {
		return fmt.Errorf("wallet %s owes %d while %d is available", w.Org, w.Debt, w.Available)
	}
	seen := map[string]bool{}
	sums := map[Place]Sum{}
	check := func(g *Grant) error {
		want := b.Grants[g.ID]
		if want == nil || seen[g.ID] {
			return fmt.Errorf("grant %s of %s is not in its entries, or stands twice", g.ID, w.Org)
		}
		seen[g.ID] = true
		if g.Free != want.Free || g.Held != want.Held || g.Expired != want.Expired || g.ClawedBack != want.ClawedBack ||
			g.Frozen != want.Frozen || g.Started != want.Started || g.Granted != want.Granted || !g.UsableUntil.Equal(want.UsableUntil) {
			return fmt.Errorf("grant %s of %s is %+v; its entries make it %+v", g.ID, w.Org, *g, *want)
		}
		s := sums[g.Place]
		s.add(g, 1)
		sums[g.Place] = s
		return nil
	}
	for i, g := range w.Live {
		if i > 0 && Compare(w.Live[i-1], g) >= 0 {
			return fmt.Errorf("wallet %s holds grant %s out of order", w.Org, g.ID)
		}
		if g.Place != InWallet {
			return fmt.Errorf("grant %s stands in the wallet of %s as %s", g.ID, w.Org, g.Place)
		}
		if err := check(g); err != nil {
			return err
		}
	}
	for _, g := range outside {
		if g.Place == InWallet {
			return fmt.Errorf("grant %s is said to stand in the wallet of %s, but does not", g.ID, w.Org)
		}
		if err := check(g); err != nil {
			return err
		}
	}
	if len(seen) != len(b.Grants) {
		return fmt.Errorf("wallet %s has %d grants; its entries make %d", w.Org, len(seen), len(b.Grants))
	}
	if sums[Waiting] != w.Waiting || sums[Pending] != w.Pending || sums[Aside] != w.Aside {
		return fmt.Errorf("wallet %s sums %+v waiting, %+v pending, %+v aside; its grants give %+v", w.Org, w.Waiting, w.Pending, w.Aside, sums)
	}
	return nil
}

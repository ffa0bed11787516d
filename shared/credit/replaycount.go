package credit

import "fmt"

// counts applies what an entry did to counters, and tells what of it cannot be true.
func (b *Book) counts(e *Entry) error {
	for _, c := range e.Counts {
		if !e.mayCount(c) {
			return fmt.Errorf("counts %+v", c)
		}
		by := b.Counters[c.Window]
		if by == nil {
			by = map[Subject]Counter{}
			b.Counters[c.Window] = by
		}
		n := by[c.Subject]
		n.Used += c.Credits
		n.Peak = max(n.Peak, n.Used)
		if n.Used != c.Used || n.Used < 0 {
			return fmt.Errorf("states that %s %q used %d of %s after it; its counts give %d", c.Scope, c.ID, c.Used, c.Window, n.Used)
		}
		by[c.Subject] = n
	}
	return nil
}

// mayCount tells whether an entry of its kind can have done this to a counter.
func (e *Entry) mayCount(c Count) bool {
	switch e.Kind {
	case KindDebit, KindHold:
		return c.Credits == e.Credits
	case KindCapture:
		return c.Credits <= e.Credits
	case KindRelease, KindReversal:
		return c.Credits <= 0 && -c.Credits <= e.Credits
	case KindLimits:
		return c.Credits > 0 && c.Credits == c.Used
	default:
		return false
	}
}

// verifyCounters compares the counters of the windows that are kept true with the book.
func (b *Book) verifyCounters(w *Wallet, documents []Counters) error {
	stored := map[CounterPage]map[Subject]Counter{}
	for _, d := range documents {
		if stored[d.CounterPage] != nil {
			return fmt.Errorf("counters %s-%d of %s stand twice", d.Window, d.Index, w.Org)
		}
		stored[d.CounterPage] = d.By
	}
	for _, window := range w.Windows {
		found := 0
		for s, want := range b.Counters[window.Key] {
			p := CounterPage{window.Key, pageOf(s, window.Pages)}
			if got := stored[p][s]; got != want {
				return fmt.Errorf("%s %q of %s used %+v of %s as stored in page %d; its entries give %+v", s.Scope, s.ID, w.Org, got, window.Key, p.Index, want)
			}
			found++
		}
		for i := range window.Pages {
			found -= len(stored[CounterPage{window.Key, i}])
		}
		if found != 0 {
			return fmt.Errorf("%d counters of %s in %s are not in its entries", -found, w.Org, window.Key)
		}
	}
	return nil
}

package credit

import (
	"cmp"
	"maps"
	"slices"
)

// Counter is what a subject has used in a window, in credits: debits, what is set aside in holds, and usage, less what was given back.
type Counter struct {
	Used int64
	// Peak is the most that it ever was. A notice fires where a new peak passes a threshold, so once per threshold, whatever is given back.
	Peak int64
}

// CountedWindow is a window in which something was counted, and over how many documents its counters are spread: a power of two.
type CountedWindow struct {
	Key   string
	Pages int64
}

// Bounds of counters.
const (
	// MaxPageSubjects is how many subjects a document counts before the number of documents doubles.
	MaxPageSubjects = 4000
	// MaxPages is where doubling ends. Then a document takes maxLastPageSubjects, and subjects beyond those are not counted.
	MaxPages            = 8
	maxLastPageSubjects = 4500
	// MaxWindows is for how many windows counters are kept true. What is given back of use in an older one is counted nowhere.
	MaxWindows = 13
)

// CounterPage names one of the documents over which a window's counters are spread.
type CounterPage struct {
	Window string
	Index  int64
}

// Counters are those of one document.
type Counters struct {
	CounterPage
	By map[Subject]Counter
	// Whole says that they are all there are in it. If not, the others stay as they are stored.
	Whole bool
}

// tally is what is known of counters. States share its maps and its list, so all of them are replaced and none is changed.
type tally struct {
	pages map[CounterPage]map[Subject]Counter // as loaded, or as made anew
	moved *moved                              // what changed since, the latest first
	added map[CounterPage]int                 // how many subjects that brought to a page
	whole map[string]bool                     // windows whose pages are made anew
}

// moved is a counter's new value.
type moved struct {
	window  string
	subject Subject
	counter Counter
	before  *moved
}

// pageOf is the document of a subject, of so many: FNV-1a.
func pageOf(s Subject, pages int64) int64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, part := range [...]string{string(s.Scope), s.ID} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
	}
	h ^= h >> 32
	return int64(h % uint64(pages))
}

// find is a counter, if it has begun. Its page is loaded.
func (t *tally) find(p CounterPage, s Subject) (c Counter, begun bool) {
	for m := t.moved; m != nil; m = m.before {
		if m.subject == s && m.window == p.Window {
			return m.counter, true
		}
	}
	c, begun = t.pages[p][s]
	return c, begun
}

// latest lists what changed, each counter once.
func (t *tally) latest() map[string]map[Subject]Counter {
	out := map[string]map[Subject]Counter{}
	for m := t.moved; m != nil; m = m.before {
		by := out[m.window]
		if by == nil {
			by = map[Subject]Counter{}
			out[m.window] = by
		}
		if _, newer := by[m.subject]; !newer {
			by[m.subject] = m.counter
		}
	}
	return out
}

// merged are the loaded pages with what changed in them.
func (s *State) merged() map[CounterPage]map[Subject]Counter {
	out := cloned(s.tally.pages)
	own := map[CounterPage]bool{}
	for window, by := range s.tally.latest() {
		pages := s.pages(window)
		for subject, c := range by {
			p := CounterPage{window, pageOf(subject, pages)}
			if !own[p] {
				out[p], own[p] = cloned(out[p]), true
			}
			out[p][subject] = c
		}
	}
	return out
}

// pages is over how many documents a window's counters are spread; 0 when nothing was counted in it, or it is too long ago.
func (s *State) pages(window string) int64 {
	for i := len(s.Windows) - 1; i >= 0; i-- {
		if s.Windows[i].Key == window {
			return s.Windows[i].Pages
		}
	}
	return 0
}

// LoadCounters adds a page of counters, with none if there is no such document. What is known already stays.
func (s *State) LoadCounters(p CounterPage, by map[Subject]Counter) {
	if _, known := s.tally.pages[p]; known {
		return
	}
	if by == nil {
		by = map[Subject]Counter{}
	}
	s.tally.pages = cloned(s.tally.pages)
	s.tally.pages[p] = by
}

// LoadUsage adds what subjects have used in a window, counted or not, in credits: for those whose limit begins within it. It includes what
// is not committed yet, and holds for the next command only.
func (s *State) LoadUsage(window string, by map[Subject]int64) {
	s.usage, s.usageOf = by, window
}

// KeepCounters takes over the loaded counters of a state of the same version of the wallet.
func (s *State) KeepCounters(from *State) {
	if from != nil {
		s.tally = tally{pages: from.tally.pages}
	}
}

// CountersKept is how many counters the state holds.
func (s *State) CountersKept() (n int) {
	for _, by := range s.tally.pages {
		n += len(by)
	}
	return n
}

// settled are the counters of a state whose changes are committed: those of the latest window, which the next commands will need.
func (s *State) settled() tally {
	if len(s.tally.pages) == 0 {
		return tally{}
	}
	pages := s.merged()
	maps.DeleteFunc(pages, func(p CounterPage, _ map[Subject]Counter) bool { return p.Window != s.Windows[len(s.Windows)-1].Key })
	return tally{pages: pages}
}

// DirtyCounters lists the counters that must be written with the wallet, in the order of their pages.
func (s *State) DirtyCounters() []Counters {
	var out []Counters
	for window, by := range s.tally.latest() {
		if s.tally.whole[window] {
			continue
		}
		pages := s.pages(window)
		split := map[int64]map[Subject]Counter{}
		for subject, c := range by {
			i := pageOf(subject, pages)
			if split[i] == nil {
				split[i] = map[Subject]Counter{}
			}
			split[i][subject] = c
		}
		for i, by := range split {
			out = append(out, Counters{CounterPage: CounterPage{window, i}, By: by})
		}
	}
	if len(s.tally.whole) > 0 {
		for p, by := range s.merged() {
			if s.tally.whole[p.Window] {
				out = append(out, Counters{CounterPage: p, By: by, Whole: true})
			}
		}
	}
	slices.SortFunc(out, func(a, b Counters) int { return cmp.Or(cmp.Compare(a.Window, b.Window), cmp.Compare(a.Index, b.Index)) })
	return out
}

// ask asks for those pages that are not loaded.
func (w *work) ask(pages ...CounterPage) error {
	var unknown []CounterPage
	for _, p := range pages {
		if _, known := w.tally.pages[p]; !known && !slices.Contains(unknown, p) {
			unknown = append(unknown, p)
		}
	}
	if unknown != nil {
		return &Missing{Counters: unknown}
	}
	return nil
}

// allPages are those of a window.
func (s *State) allPages(window string) []CounterPage {
	out := make([]CounterPage, s.pages(window))
	for i := range out {
		out[i] = CounterPage{window, int64(i)}
	}
	return out
}

// openWindow begins to count in a window; it has as many documents as the one before.
func (w *work) openWindow(window string) {
	if w.pages(window) > 0 {
		return
	}
	next := CountedWindow{Key: window, Pages: 1}
	if n := len(w.Windows); n > 0 {
		next.Pages = w.Windows[n-1].Pages
	}
	keep := w.Windows[max(0, len(w.Windows)-MaxWindows+1):]
	w.Windows = append(slices.Clone(keep), next)
	w.tally.pages = cloned(w.tally.pages)
	for _, p := range w.allPages(window) {
		w.tally.pages[p] = map[Subject]Counter{} // nothing can be stored
	}
}

// room makes room for a subject that is not counted yet in a window whose page is loaded; ok is false when there is none. The number of
// documents doubles when the subject's is full, in this commit.
func (w *work) room(p CounterPage, s Subject) (ok bool, err error) {
	for len(w.tally.pages[p])+w.tally.added[p] >= MaxPageSubjects {
		pages := w.pages(p.Window)
		if pages >= MaxPages {
			return len(w.tally.pages[p])+w.tally.added[p] < maxLastPageSubjects, nil
		}
		if err := w.ask(w.allPages(p.Window)...); err != nil {
			return false, err
		}
		w.spread(p.Window, 2*pages, nil)
		p.Index = pageOf(s, 2*pages)
	}
	return true, nil
}

// spread makes a window's documents anew, so many of them, with more counters. All of them are loaded.
func (w *work) spread(window string, pages int64, more map[Subject]Counter) {
	fresh := make([]map[Subject]Counter, pages)
	for i := range fresh {
		fresh[i] = map[Subject]Counter{}
	}
	merged := w.merged()
	for _, p := range w.allPages(window) {
		for s, c := range merged[p] {
			fresh[pageOf(s, pages)][s] = c
		}
	}
	for s, c := range more {
		fresh[pageOf(s, pages)][s] = c
	}
	w.tally.pages, w.tally.added = cloned(w.tally.pages), cloned(w.tally.added)
	for i, by := range fresh {
		p := CounterPage{window, int64(i)}
		w.tally.pages[p] = by
		delete(w.tally.added, p)
	}
	w.Windows = slices.Clone(w.Windows)
	for i := range w.Windows {
		if w.Windows[i].Key == window {
			w.Windows[i].Pages = pages
		}
	}
	w.tally.whole = withValue(w.tally.whole, window, true)
}

// setCounter gives a counter another value. Its page is loaded.
func (w *work) setCounter(p CounterPage, s Subject, c Counter, begun bool) {
	w.tally.moved = &moved{window: p.Window, subject: s, counter: c, before: w.tally.moved}
	if !begun {
		w.tally.added = cloned(w.tally.added)
		w.tally.added[p]++
	}
}

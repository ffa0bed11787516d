package ledger

import (
	"hash/maphash"
	"sync"

	"github.com/fluxori/ai-credits/shared/credit"
)

// traces is how many ids are remembered for each entry that is kept whole: eight bytes each.
const traces = 16

// name of an entry's document.
type entryName struct{ org, doc string }

// memory keeps the entries that were stored or found of late, over all wallets, and a trace of those before them. What it holds is
// stored, and entries never change, so it answers repeats at any time. It is safe for concurrent use.
type memory struct {
	seed maphash.Seed

	mu      sync.Mutex
	entries map[entryName]*credit.Entry
	recent  ring[entryName]
	traces  map[uint64]struct{}
	traced  ring[uint64]
}

func newMemory(entries int) *memory {
	return &memory{
		seed: maphash.MakeSeed(), entries: map[entryName]*credit.Entry{}, traces: map[uint64]struct{}{},
		recent: ring[entryName]{most: entries}, traced: ring[uint64]{most: entries * traces},
	}
}

// keep remembers an entry that is known to be stored as doc.
func (m *memory) keep(org, doc string, e *credit.Entry) {
	name := entryName{org, doc}
	trace := maphash.Comparable(m.seed, name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[name] != nil {
		return
	}
	if oldest, full := m.recent.put(name); full {
		delete(m.entries, oldest)
	}
	m.entries[name] = e
	if _, known := m.traces[trace]; known {
		return
	}
	if oldest, full := m.traced.put(trace); full {
		delete(m.traces, oldest)
	}
	m.traces[trace] = struct{}{}
}

// find returns an entry that is kept, or whether there probably is one that is stored.
func (m *memory) find(org, doc string) (e *credit.Entry, probably bool) {
	name := entryName{org, doc}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[name]; e != nil {
		return e, true
	}
	_, probably = m.traces[maphash.Comparable(m.seed, name)]
	return nil, probably
}

// ring holds the latest values, at most so many.
type ring[T any] struct {
	most   int
	values []T
	next   int
}

// put adds a value in place of the oldest, if it is full.
func (r *ring[T]) put(v T) (oldest T, full bool) {
	if len(r.values) < r.most {
		r.values = append(r.values, v)
		return oldest, false
	}
	oldest, r.values[r.next] = r.values[r.next], v
	r.next = (r.next + 1) % r.most
	return oldest, true
}

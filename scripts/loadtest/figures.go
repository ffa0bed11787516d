package main

import (
	"slices"
)

// List prices of Firestore in a region, in nano-dollars per document. They are those of 2026: check the list.
const (
	readNanos   = 300 // $0.03 per 100,000
	writeNanos  = 900 // $0.09 per 100,000
	deleteNanos = 100 // $0.01 per 100,000
)

// used is what the store was asked for.
type used struct {
	RPCs, Reads, Writes, Deletes int64
}

// costMicros is what a million debits cost in micro-dollars, when n debits used u.
func (u used) costMicros(n int64) int64 {
	if n == 0 {
		return 0
	}
	nanos := u.Reads*readNanos + u.Writes*writeNanos + u.Deletes*deleteNanos
	return nanos * 1000 / n
}

// percentile is the least of sorted values that at least p percent are not above: the nearest rank.
func percentile(sorted []uint32, p int) uint32 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// latencies are of a phase, in microseconds.
type latencies struct {
	P50, P95, P99, Max uint32
}

func newLatencies(micros []uint32) latencies {
	sorted := slices.Clone(micros)
	slices.Sort(sorted)
	return latencies{P50: percentile(sorted, 50), P95: percentile(sorted, 95), P99: percentile(sorted, 99), Max: percentile(sorted, 100)}
}

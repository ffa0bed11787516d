package main

// List prices of 2026 for a region of the first tier, in nano-dollars. Check the list.
const (
	readNanos   = 300 // a document: $0.03 per 100,000
	writeNanos  = 900 // $0.09 per 100,000
	deleteNanos = 100 // $0.01 per 100,000

	storedGiBNanos    = 150_000_000 // Firestore, a month
	recoveredGiBNanos = 150_000_000 // what point-in-time recovery keeps; taken to be as much again
	backupGiBNanos    = 30_000_000  // a backup, a month

	requestNanos    = 400    // Cloud Run: $0.40 per million
	cpuSecondNanos  = 24_000 // a processor, while a request is under way
	idleSecondNanos = 2_500  // a processor of an instance that is kept
	gibSecondNanos  = 2_500  // memory, under way or kept

	messageTiBNanos = 40_000_000_000 // Pub/Sub, published and delivered alike
	logGiBNanos     = 500_000_000    // Cloud Logging
	sampleNanos     = 60             // Cloud Monitoring: $0.06 per million samples of figures
	jobNanos        = 100_000_000    // Cloud Scheduler, a month
	secretNanos     = 60_000_000     // Secret Manager, a version and month
)

const (
	kib = 1 << 10
	gib = 1 << 30
	tib = 1 << 40

	monthSeconds = 730 * 3600
)

// priceOf is what bytes cost at a price for so many, rounded up: the product would not fit 64 bits at a great size.
func priceOf(bytes, unit, nanos int64) int64 {
	whole, rest := bytes/unit, bytes%unit
	// A part of a unit, to a thousandth.
	return whole*nanos + ((rest*1000+unit-1)/unit)*nanos/1000
}

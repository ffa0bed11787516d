// Package firedb is a Firestore in process: the v1 gRPC API that Google's Go clients use, for tests and for the local
// runner. Documents are kept in memory, and in a file if one is named.
//
// Invariants:
//   - Commits are atomic and serialisable: a commit is applied only if everything that its transaction read is still
//     the newest state, phantoms included. Locks only schedule.
//   - Commit times rise strictly, by microseconds, whatever the clock does, and stay so when a file is opened again.
//   - A write that leaves a document as it was keeps its update time.
//   - With a file, no answer leaves the server before everything it may speak of is in the file; a file holds whole
//     commits only.
//   - Queries give the rows and the order of Firestore's indexes, and with Options.Indexes are refused when production
//     would want an index that is not listed.
//   - What a document, name or request may hold is limited as Firestore's documentation says.
//
// Concurrency is production's pessimistic mode: a read-write transaction locks the documents that it reads or finds by
// a query until it ends, other transactions' reads and everybody's writes wait for it in turn, and of those that wait
// for each other one is aborted.
//
// It does not own security rules, authentication, listeners and the web channel, reads in the past, vector search,
// pipelines, or production's rates and latencies; the last two can be had from Hooks. See README.md.
package firedb

// Package ledger carries out commands on wallets in Firestore: it loads, asks package credit, and commits.
//
// Every change beneath wallets/{org} is one atomic Commit that also writes the wallet document, with its last update time as a
// precondition, and creates its entries with exists=false. So, whatever process wrote, whenever an answer was lost:
//
//   - an event id has one effect, and its entry is its proof;
//   - what was read beneath a wallet at a version holds while that version holds;
//   - an acknowledged command is stored; a refused one was decided on a wallet just read, after looking for its entry, and no commit that
//     was still under way can turn it into a success;
//   - one item's refusal, replay or conflict never harms those that were committed with it;
//   - a hold is placed once, extended by count, and settled once: its capture and its release have keys of their own;
//   - what must be told afterwards stands in an outbox document of the same commit.
//
// One actor per wallet and process gathers the commands that wait, decides them in their order of arrival on one state, and commits
// them together; while that commit is under way the next batch gathers. A lone command never lingers. Everything is bounded: items and
// bytes of a batch, commands that wait, states that are cached, and the time a caller waits. A caller who has gone is dropped before the
// commit, never after.
//
// Processes that race for a wallet take turns by a roster in its document. Joining that roster is the one write without a precondition: it
// moves the wallet's version and changes nothing else, so that everything above holds.
//
// It does not own: what a command does (package credit), prices, people, Pub/Sub's topics and schemas (package events), HTTP.
package ledger

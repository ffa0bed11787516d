// Package credit is the domain: what a command does to an organisation's wallet, as a pure function of (state, command, time).
//
// It holds, for every history of commands:
//
//   - the changes in a wallet's entries sum to its stored figures, per wallet and per grant, and [Replay] rebuilds them;
//   - 0 ≤ free + held ≤ granted for each grant;
//   - available is never negative; debt is explicit and stands only while nothing is available;
//   - a grant is drawn on only between its start and its end, never while frozen;
//   - an expiry touches only a grant whose time has passed, and never a purchased one;
//   - held credits belong to a hold, grant by grant, and cannot expire under it; a hold settles once;
//   - what is clawed back never exceeds what was granted;
//   - an alert is raised once per crossing.
//
// It does not own: idempotency (package ledger looks entries up by their keys), prices (package catalogue), money and payments, storage,
// transport, people. It reads no clock, no network and no database, and imports nothing but the standard library.
package credit

// Package audit proves wallets: it adds up their entries by itself, and compares what comes out with everything that is stored.
//
// It holds:
//
//   - what the entries of a wallet say is what stands in the wallet, its grants, holds, counters and roll-ups, all read at one moment, so that
//     traffic beside it raises no alarm;
//   - entries that were added up once are not read again: a checkpoint keeps what they came to, under a digest, up to an entry's number. A
//     checkpoint that is damaged counts as none. All is read again on demand;
//   - what it holds in memory grows with grants, open holds, counted subjects and three days of usage, not with entries;
//   - what differs is looked at a second time, and then told: the first entry that is wrong, or the last that moved the figure, with what was
//     expected and what was found; the wallet is frozen, and people are woken;
//   - what Stripe says was paid and refunded, payment by payment, is what our records say and what the grants are worth.
//
// It shares with what it checks the meaning of documents (package ledger reads them) and the rules by which entries follow each other
// ([credit.Book]), which is not the code that decides. It does not own how a difference is mended: a person does that, and then accepts what is
// stored as right ([Auditor.Accept]).
package audit

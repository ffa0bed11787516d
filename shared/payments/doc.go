// Package payments turns what Stripe says was paid into credits, and what went back into less of them;
// it opens the checkouts in which people pay, and refunds what they have not used.
//
// It holds, whatever the order, repetition and loss of Stripe's events:
//
//   - a paid purchase is granted once, under grant:{payment intent, else session}; a paid invoice line once, under grant:{invoice}:{line};
//   - what a purchase grants is what its own record offered, and only against that very amount and currency;
//   - a subscription's record ends as Stripe has it, whatever order its events came in; they grant nothing, and move the grace of what is granted;
//   - a cycle that was paid for is closed once: one statement, told under one id;
//   - the records of a purchase and its payment are the same whatever order their events came in;
//   - an event is settled, or put aside for a person, before it is acknowledged;
//   - what was refunded or lost takes its share of the credits, and no more than were granted; what is disputed is frozen;
//   - a refund of ours sets the credits aside before Stripe is called, and is ended once, whatever dies in between;
//   - what was never told is found in Stripe's own record, and settled in the same way, within 15 minutes while Stripe and the store answer;
//   - nothing is stored of an event whose signature, mode or API version is wrong, and never any data of a card.
//
// The grant comes first, through the ledger, then the records: what a crash between them leaves open is closed by the event's redelivery,
// which finds the grant by its key. Idempotency is by those keys alone; stripeEvents is for people to look at.
//
// What an event asks for is a pure function, [Plan], of the event and what is known. It reads no clock, no network and no database.
//
// The package does not own wallets and grants (package ledger), prices (package catalogue), organisations and people, or HTTP: who may buy is
// decided before [Shop.StartPurchase], and how a webhook arrives is the function's matter.
package payments

// Package campaigns gives credits away: by promotions, which an organisation redeems by a code, and by referrals, which reward both the
// organisation that brought another and the one that was brought.
//
// It holds, whatever fails and however much happens at once:
//
//   - a promotion is redeemed no more often than its caps say, in total and per organisation, and each redemption has a number of its own,
//     under which its credits are granted: `promotion:{code}:{n}`;
//   - a redemption that is recorded is granted: by the request itself, by its repetition, or by [Giver.Sweep];
//   - an organisation has one first paid purchase, whose rewards are fixed with it and granted once, under `referral:{purchase}:{side}` and
//     `promotion:{code}:{n}`;
//   - an organisation claims one referral, before its first paid purchase, and never one of its own or of its owner's;
//   - whoever guesses codes learns nothing: what is unknown, over, not yet begun, used up and not for this organisation has one answer, and after
//     a few of them there is none for an hour.
//
// What is decided is decided by pure functions of what is known, in the files promotion.go and referral.go. They read no clock and no store.
//
// The documents lie outside wallets, so they are changed by transactions; credits are granted after them, by keys that follow from them.
//
// The package does not own wallets and grants (package ledger), the amounts of referral rewards (package catalogue), payments and what becomes of
// rewards when one is refunded (package payments), organisations (package orgs), or who may ask.
package campaigns

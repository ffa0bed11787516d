// Package topups buys credits for organisations that asked for it, when their balance falls to a threshold: the card that they have at Stripe is
// charged, without anyone there, and can never be charged without bound.
//
// Invariants:
//   - A crossing is one attempt, and an attempt at most one charge, whatever is delivered again and wherever it is broken off: the attempt is
//     recorded with its purchase's reference before Stripe is called, and Stripe is called under the attempt's own key, topup:{org}:{n}.
//   - What is charged in a calendar month of the organisation's zone stays within its cap. An attempt sets its amount aside in the commit
//     that records it; only one that failed gives it back.
//   - A charge that fails opens the breaker: nothing is charged until there is another card, or the settings are changed.
//   - What a top-up buys is a purchase as any other: its credits come with Stripe's event, and it is found, refunded and disputed alike.
//
// It does not own crossings: the wallet has a latch for them (package credit), which is armed anew when settings change, so that a balance that
// is low already crosses at once. Nor does it own charging (package payments), or telling people (package notify), to whom it passes notices.
//
// Records: autoTopUps/{org}, and autoTopUps/{org}/attempts/{n}.
package topups

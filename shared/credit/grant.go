package credit

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Source says where a grant's credits came from.
type Source string

// The sources of grants, in the words of the design.
const (
	Subscription Source = "subscription"
	Promotion    Source = "promotion"
	Referral     Source = "referral"
	Adjustment   Source = "adjustment"
	Purchase     Source = "purchase"
)

// Sources lists every source.
var Sources = []Source{Subscription, Promotion, Referral, Adjustment, Purchase}

// MaxCredits bounds the credits of one command or grant.
const MaxCredits int64 = 1_000_000_000_000

// Place says where a grant is kept, which follows from its state: the wallet document holds the first of those that can be drawn on,
// everything else has its own record only.
type Place string

// The places of a grant.
const (
	InWallet Place = "wallet"  // started, with credits, among the first in burn-down order
	Waiting  Place = "waiting" // started, with credits, behind those in the wallet
	Pending  Place = "pending" // not yet started
	Aside    Place = "aside"   // frozen
	Reserved Place = "held"    // nothing free, all that is left is held
	Gone     Place = "gone"    // nothing free, nothing held
)

// Terms are what a grant is born with and keeps, but for UsableUntil, which the next paid line of its item brings down to ExpiresAt.
type Terms struct {
	ID      string
	Source  Source
	Granted int64 // credits
	// Priority comes first in the burn-down order, lowest drawn first.
	Priority int32
	// EffectiveAt is when the grant starts; it can be drawn on from then. Zero, in a new grant, means from the moment of decision.
	EffectiveAt time.Time
	// ExpiresAt is the end shown to people; zero means never.
	ExpiresAt time.Time
	// UsableUntil is when it really ends: ExpiresAt, or later for a subscription's grace. Zero means never.
	UsableUntil time.Time
	// Payment is the payment intent, session or invoice that paid for it, if any.
	Payment string
	// Item is the subscription item of a subscription grant.
	Item string
	// Campaign is the promotion or referral of a bonus.
	Campaign string
	// LinkedTo is the purchase grant that a bonus came with.
	LinkedTo string
}

// Grant is credits that came in together. Values are immutable once they are part of a State: a change makes a new one.
type Grant struct {
	Terms
	CreatedAt time.Time
	Free      int64 // credits that can be drawn on
	Held      int64 // credits set aside for holds
	Expired   int64 // credits ever journaled as expired
	// ClawedBack is how far the grant's clawback has come, in credits, wherever they were taken from.
	ClawedBack int64
	// TakenOwn and TakenElsewhere are how many of ClawedBack were the grant's own free credits, and how many were taken from other grants
	// or became debt. For the others nothing was taken, because they had expired, or were a spent referral reward's.
	TakenOwn, TakenElsewhere int64
	Started                  bool
	Frozen                   bool
	// Moves counts the grant's expiries, clawbacks, restores, freezes and thaws: the n of their keys.
	Moves int64
	// Place is where the grant is kept.
	Place Place
}

// ends reports whether the grant ever ends.
func (g *Grant) ends() bool { return !g.UsableUntil.IsZero() }

// ended reports whether the grant's time has passed at t.
func (g *Grant) ended(t time.Time) bool { return g.ends() && !t.Before(g.UsableUntil) }

// Eligible reports whether the grant can be drawn on at t: effective_at ≤ t < usable_until, and not frozen.
func (g *Grant) Eligible(t time.Time) bool {
	return !g.Frozen && !t.Before(g.EffectiveAt) && !g.ended(t)
}

// room is how many credits may come back into the grant: what of it was spent, and neither lapsed nor was clawed back from it.
func (g *Grant) room() int64 { return g.Granted - g.Free - g.Held - g.Expired - g.TakenOwn }

// starts reports whether what the clock decides next about the grant is its start.
func (g *Grant) starts() bool { return !g.Started && !g.Frozen }

// DueAt is when the clock next decides something about the grant; ok is false when it never does. A start comes before an end. While it
// is frozen it does not start, but its time passes.
func (g *Grant) DueAt() (at time.Time, ok bool) {
	switch {
	case g.Free == 0:
		return time.Time{}, false
	case g.starts():
		return g.EffectiveAt, true
	}
	return g.UsableUntil, g.ends()
}

// Compare is the burn-down order: priority, soonest expiry with never last, free before paid, oldest start, oldest creation, id.
// It is total, so that every replay agrees.
func Compare(a, b *Grant) int {
	return cmp.Or(
		cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(endMicros(a), endMicros(b)),
		cmp.Compare(paid(a), paid(b)),
		a.EffectiveAt.Compare(b.EffectiveAt),
		a.CreatedAt.Compare(b.CreatedAt),
		cmp.Compare(a.ID, b.ID),
	)
}

// OrderKey is a string that sorts as Compare does, for stores that order by one field.
func OrderKey(g *Grant) string {
	return fmt.Sprintf("%08x.%016x.%d.%016x.%016x.%s", uint32(int64(g.Priority)-math.MinInt32), sortable(endMicros(g)), paid(g),
		sortable(g.EffectiveAt.UnixMicro()), sortable(g.CreatedAt.UnixMicro()), g.ID)
}

func sortable(n int64) uint64 { return uint64(n) ^ 1<<63 }

func endMicros(g *Grant) int64 {
	if g.ExpiresAt.IsZero() {
		return math.MaxInt64
	}
	return g.ExpiresAt.UnixMicro()
}

func paid(g *Grant) int {
	if g.Source == Purchase {
		return 1
	}
	return 0
}

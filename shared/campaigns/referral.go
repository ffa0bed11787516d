package campaigns

import (
	"strings"
	"time"
)

// referred is how an organisation came: by whose code, and what both sides were promised then.
type referred struct {
	Code     string    `firestore:"code"`
	Referrer string    `firestore:"referrer"`
	Key      string    `firestore:"key"` // the caller's Idempotency-Key
	By       string    `firestore:"by"`
	At       time.Time `firestore:"at"`
	// ReferrerCredits and ReferredCredits are the rewards, which live for LifeDays. PriceVersion is the catalogue's that promised them.
	ReferrerCredits int64 `firestore:"referrer_credits"`
	ReferredCredits int64 `firestore:"referred_credits"`
	LifeDays        int64 `firestore:"life_days"`
	PriceVersion    int64 `firestore:"price_version"`
}

// The reasons for which a claim is refused, as programs are told.
const (
	SelfReferral   = "self_referral"
	AlreadyClaimed = "already_claimed"
	AlreadyBought  = "already_bought"
	CapReached     = "cap_reached"
)

// claimed is what a claim of a referral is decided on.
type claimed struct {
	// org is who claims, owner its owner's address; referrer and referrerOwner those of the code.
	org, owner              string
	referrer, referrerOwner string
	// standing and referrerStanding are what is known of both.
	standing, referrerStanding standing
	// month is the referrer's calendar month now, monthlyMax how often its codes may be claimed in one.
	month      string
	monthlyMax int64
}

// judge decides about a claim; nil for accepted.
func (c claimed) judge() *Error {
	switch {
	case c.standing.Referred != nil:
		return refusedReferral(AlreadyClaimed, "The organisation has claimed a referral before.")
	case c.standing.First != nil:
		return refusedReferral(AlreadyBought, "A referral is claimed before the first paid purchase.")
	case c.org == c.referrer, sameOwner(c.owner, c.referrerOwner), c.referrerStanding.Referred != nil && c.referrerStanding.Referred.Referrer == c.org:
		return refusedReferral(SelfReferral, "An organisation cannot be referred by itself, by its own owner, or by one that it referred.")
	case c.referrerStanding.claimsIn(c.month) >= c.monthlyMax:
		return refusedReferral(CapReached, "This code has been claimed as often as it can be in this month.")
	}
	return nil
}

// sameOwner reports whether two addresses are one person's, as far as that can be seen: case does not count, nor what follows a plus sign before
// the @, where most providers deliver alike.
func sameOwner(a, b string) bool {
	a, b = bareAddress(a), bareAddress(b)
	return a != "" && a == b
}

func bareAddress(address string) string {
	local, domain, ok := strings.Cut(strings.ToLower(strings.TrimSpace(address)), "@")
	if !ok {
		return ""
	}
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// monthIn is the calendar month of a moment in a time zone, such as 2026-03; in UTC where the zone is not known.
func monthIn(t time.Time, zone string) string {
	place, err := time.LoadLocation(zone)
	if err != nil {
		place = time.UTC
	}
	return t.In(place).Format("2006-01")
}

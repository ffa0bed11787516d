package campaigns

import (
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/payments"
)

// standing is the document campaigns/{org}: where an organisation stands in referrals and with its first purchase. The zero standing is that of an
// organisation of which nothing is known yet.
type standing struct {
	V   int64  `firestore:"v"`
	Org string `firestore:"org"`
	// Code is its own referral code, which can be claimed up to CodeEndsAt.
	Code       string    `firestore:"code,omitempty"`
	CodeEndsAt time.Time `firestore:"code_ends_at,omitempty"`
	// Claims is how often its codes were claimed in Month.
	Month  string `firestore:"month,omitempty"`
	Claims int64  `firestore:"claims,omitempty"`
	// Referred is how it came; nil for by itself.
	Referred *referred `firestore:"referred,omitempty"`
	// Waiting is the bonus that waits for its first purchase; nil for none.
	Waiting *waiting `firestore:"waiting,omitempty"`
	// First is its first paid purchase; nil while there is none.
	First *first `firestore:"first,omitempty"`
}

// waiting is a redemption whose credits are given with the first purchase.
type waiting struct {
	Code     string `firestore:"code"`
	N        int64  `firestore:"n"`
	Credits  int64  `firestore:"credits"`
	LifeDays int64  `firestore:"life_days"`
	// Until is when the purchase must have been begun.
	Until time.Time `firestore:"until"`
}

// first is an organisation's first paid purchase, with all that it brings.
type first struct {
	Reference string    `firestore:"reference"`
	Payment   string    `firestore:"payment"`
	At        time.Time `firestore:"at"`
	Rewards   []reward  `firestore:"rewards"`
}

// reward is credits that are promised, with all that their grant needs.
type reward struct {
	Org     string        `firestore:"org"`
	Key     string        `firestore:"key"`
	Source  credit.Source `firestore:"source"`
	Credits int64         `firestore:"credits"`
	// At is when they begin, EndsAt when they end; zero for never.
	At       time.Time `firestore:"at"`
	EndsAt   time.Time `firestore:"ends_at,omitempty"`
	Campaign string    `firestore:"campaign"`
	Reason   string    `firestore:"reason"`
	Actor    string    `firestore:"actor"`
	// Payment and LinkedTo are the purchase's, for a bonus in the buyer's own wallet.
	Payment  string `firestore:"payment,omitempty"`
	LinkedTo string `firestore:"linked_to,omitempty"`
}

// grant is the command that gives a reward.
func (r reward) grant() credit.NewGrant {
	return credit.NewGrant{
		Key: credit.SystemKey(r.Key), Actor: r.Actor, Reason: r.Reason,
		Terms: credit.Terms{
			Source: r.Source, Granted: r.Credits, EffectiveAt: r.At, ExpiresAt: r.EndsAt, UsableUntil: r.EndsAt,
			Payment: r.Payment, Campaign: r.Campaign, LinkedTo: r.LinkedTo,
		},
	}
}

// bonus is a reward as the payment's record has it.
func (r reward) bonus() payments.Bonus {
	return payments.Bonus{Org: r.Org, ID: credit.GrantID(credit.SystemKey(r.Key)), Source: r.Source, Credits: r.Credits}
}

// promotionKey is the key of a promotion's n-th redemption.
func promotionKey(code string, n int64) string {
	return "promotion:" + code + ":" + strconv.FormatInt(n, 10)
}

// claimsIn is how often the organisation's codes were claimed in a month.
func (s standing) claimsIn(month string) int64 {
	if s.Month != month {
		return 0
	}
	return s.Claims
}

// actor is who the ledger names as the cause of what a purchase brings.
const actor = "campaigns"

// pays is the standing after a purchase, which is its first paid one. What was promised is fixed now: the purchase's own bonus, if it was begun in
// time, and the rewards of both sides of a referral. The referrer's reward is in another wallet, so it names neither the purchase's grant nor its
// payment there.
func (s standing) pays(p payments.PaidPurchase, now time.Time) standing {
	f := first{Reference: p.Reference, Payment: p.Payment, At: now, Rewards: []reward{}}
	if w := s.Waiting; w != nil && p.Begun.Before(w.Until) {
		f.Rewards = append(f.Rewards, reward{
			Org: p.Org, Key: promotionKey(w.Code, w.N), Source: credit.Promotion, Credits: w.Credits, At: now, EndsAt: end(now, w.LifeDays),
			Campaign: w.Code, Reason: "first purchase " + p.Reference, Actor: actor, Payment: p.Payment, LinkedTo: p.Grant,
		})
	}
	if r := s.Referred; r != nil {
		common := reward{
			Source: credit.Referral, At: now, EndsAt: end(now, r.LifeDays), Campaign: r.Code, Reason: "referral " + r.Code, Actor: actor,
		}
		referredSide, referrerSide := common, common
		referredSide.Org, referredSide.Key, referredSide.Credits = p.Org, "referral:"+p.Reference+":referred", r.ReferredCredits
		referredSide.Payment, referredSide.LinkedTo = p.Payment, p.Grant
		referrerSide.Org, referrerSide.Key, referrerSide.Credits = r.Referrer, "referral:"+p.Reference+":referrer", r.ReferrerCredits
		f.Rewards = append(f.Rewards, referredSide, referrerSide)
	}
	s.First, s.Waiting = &f, nil
	return s
}

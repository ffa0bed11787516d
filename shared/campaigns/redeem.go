package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
)

// redemption is the document redemptions/{hash of organisation and key}.
type redemption struct {
	V    int64     `firestore:"v"`
	Org  string    `firestore:"org"`
	Code string    `firestore:"code"`
	N    int64     `firestore:"n"`
	On   On        `firestore:"on"`
	By   string    `firestore:"by"`
	At   time.Time `firestore:"at"`
	// Credits are given from At on up to EndsAt, zero for never; of a bonus for the first purchase, neither is known yet.
	Credits  int64     `firestore:"credits"`
	EndsAt   time.Time `firestore:"ends_at,omitempty"`
	LifeDays int64     `firestore:"life_days"`
	Name     string    `firestore:"name"`
	// DueAt is there while the credits are to be granted and may not be yet; the sweep looks for it.
	DueAt time.Time `firestore:"due_at,omitempty"`
}

// tally is the document promotions/{code}/tallies/{org}: how often an organisation redeemed a promotion.
type tally struct {
	V        int64 `firestore:"v"`
	Redeemed int64 `firestore:"redeemed"`
}

// Redeemed is what a code has brought.
type Redeemed struct {
	Code    string
	Credits int64
	On      On
	// GrantID and EndsAt are the grant's; empty while a bonus waits for the first purchase. A zero EndsAt is never.
	GrantID string
	EndsAt  time.Time
	// LifeDays is how long a bonus that waits can be used once it is given; 0 for ever.
	LifeDays int64
	// Replayed says that this very request was made before.
	Replayed bool
}

func (r redemption) shown(replayed bool) Redeemed {
	out := Redeemed{Code: r.Code, Credits: r.Credits, On: r.On, EndsAt: r.EndsAt, LifeDays: r.LifeDays, Replayed: replayed}
	if r.On == Redemption {
		out.GrantID = credit.GrantID(credit.SystemKey(promotionKey(r.Code, r.N)))
	}
	return out
}

// reward is what the redemption of a promotion that gives at once grants.
func (r redemption) reward() reward {
	return reward{
		Org: r.Org, Key: promotionKey(r.Code, r.N), Source: credit.Promotion, Credits: r.Credits, At: r.At, EndsAt: r.EndsAt,
		Campaign: r.Code, Reason: "promotion " + r.Code + ": " + r.Name, Actor: r.By,
	}
}

// Redeem redeems a promotion's code for an organisation: first the redemption is counted and recorded, then its credits are granted. Who meets a
// failure in between repeats it with the same key, or leaves it to the sweep.
//
// Errors are an *Error: `not_found` about every code that cannot be used, whatever the reason; `promotion_used`; `idempotency_conflict` when the
// key was used with another code; `rate_limited`; `unavailable`; or those of orgs and the ledger.
func (g *Giver) Redeem(ctx context.Context, r Request) (Redeemed, error) {
	if err := r.check(); err != nil {
		return Redeemed{}, err
	}
	org, err := g.opts.Orgs.Get(ctx, r.Org)
	if err != nil {
		return Redeemed{}, fmt.Errorf("redeem a code for %s: %w", r.Org, err)
	}
	var got redemption
	var replayed bool
	var refused *Error
	err = g.change(ctx, "redeem a code for "+r.Org, func(tx *firestore.Transaction) (err error) {
		got, replayed, refused, err = g.redeem(tx, r, org.Country)
		return err
	})
	if err != nil {
		return Redeemed{}, err
	}
	if refused != nil {
		return Redeemed{}, refused
	}
	if got.DueAt.IsZero() {
		return got.shown(replayed), nil
	}
	return got.shown(replayed), g.grantDue(ctx, g.redemption(r), got, replayed)
}

// entered is what a code is judged on, as the documents say.
type entered struct {
	before    redemption // what this very request brought before; the zero redemption for nothing
	who       guesser
	standing  standing
	promotion promotionDocument // the zero document for none
	tally     tally
}

// load reads what a code is judged on, at one moment.
func (g *Giver) load(tx *firestore.Transaction, r Request, code string) (e entered, err error) {
	ofPerson, ofOrg := g.guessRefs(r)
	refs := []*firestore.DocumentRef{g.redemption(r), ofPerson, ofOrg, g.standing(r.Org)}
	if code != "" {
		refs = append(refs, g.promotion(code), g.tally(code, r.Org))
	}
	got, err := tx.GetAll(refs)
	if err != nil {
		return entered{}, err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	readers := []func(*firestore.DocumentSnapshot) error{
		into(&e.before), into(&e.who.person), into(&e.who.org), into(&e.standing), into(&e.promotion), into(&e.tally),
	}
	for i, snapshot := range got {
		if err := readers[i](snapshot); err != nil {
			return entered{}, err
		}
	}
	now := g.now()
	e.who = guesser{person: e.who.person.at(now), org: e.who.org.at(now)}
	return e, nil
}

// redeem is the body of Redeem's transaction. A code that cannot be used is counted, so that is no error of the transaction.
func (g *Giver) redeem(tx *firestore.Transaction, r Request, country string) (out redemption, replayed bool, refused *Error, err error) {
	code, possible := NormalCode(r.Code)
	if !possible {
		code = ""
	}
	e, err := g.load(tx, r, code)
	if err != nil {
		return redemption{}, false, nil, err
	}
	if e.before.V != 0 {
		if e.before.Code != code {
			return redemption{}, false, conflict(), nil
		}
		return e.before, true, nil, nil
	}
	now := g.now()
	if until, yes := e.who.limited(); yes {
		return redemption{}, false, limited(now, until), nil
	}
	judged := unknown
	if e.promotion.V != 0 {
		judged = e.promotion.promotion(code).judge(redeemer{
			org: r.Org, country: country, redeemed: e.tally.Redeemed, bought: e.standing.First != nil, waiting: e.standing.Waiting != nil,
		}, now)
	}
	switch judged {
	case accepted:
		out, err = g.accept(tx, r, code, e, now)
		return out, false, nil, err
	case usedUp:
		return redemption{}, false, used(), nil
	default:
		return redemption{}, false, noSuchCode(), g.miss(tx, r, e.who)
	}
}

// accept counts a redemption and records it.
func (g *Giver) accept(tx *firestore.Transaction, r Request, code string, e entered, now time.Time) (redemption, error) {
	p := e.promotion
	p.Redeemed++
	out := redemption{
		V: schemaVersion, Org: r.Org, Code: code, N: p.Redeemed, On: p.On, By: r.By, At: now, Credits: p.Credits, LifeDays: p.LifeDays, Name: p.Name,
	}
	writes := []written{
		{g.promotion(code), p},
		{g.tally(code, r.Org), tally{V: schemaVersion, Redeemed: e.tally.Redeemed + 1}},
	}
	if p.On == FirstPurchase {
		s := e.standing
		s.V, s.Org = schemaVersion, r.Org
		s.Waiting = &waiting{Code: code, N: p.Redeemed, Credits: p.Credits, LifeDays: p.LifeDays, Until: p.EndsAt}
		writes = append(writes, written{g.standing(r.Org), s})
	} else {
		out.EndsAt, out.DueAt = end(now, p.LifeDays), now
	}
	return out, set(tx, append(writes, written{g.redemption(r), out})...)
}

// miss counts a code that cannot be used.
func (g *Giver) miss(tx *firestore.Transaction, r Request, who guesser) error {
	ofPerson, ofOrg := g.guessRefs(r)
	who = who.missed()
	return set(tx, written{ofPerson, who.person}, written{ofOrg, who.org})
}

func (g *Giver) redemption(r Request) *firestore.DocumentRef {
	return g.doc("redemptions", hashed(r.Org, r.Key))
}

func (g *Giver) promotion(code string) *firestore.DocumentRef { return g.doc("promotions", code) }

func (g *Giver) tally(code, org string) *firestore.DocumentRef {
	return g.promotion(code).Collection("tallies").Doc(org)
}

// grantDue grants a redemption's credits and notes that it has.
func (g *Giver) grantDue(ctx context.Context, ref *firestore.DocumentRef, r redemption, again bool) error {
	if err := g.give(ctx, r.reward(), again); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if _, err := ref.Update(ctx, []firestore.Update{{Path: "due_at", Value: firestore.Delete}}); err != nil {
		g.opts.Log.WarnContext(ctx, "a redemption is granted, and could not be noted as such; the sweep will", slog.String("org", r.Org), slog.Any("error", err))
	}
	return nil
}

package campaigns

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// referralDocument is the document referrals/{code}: whose code it is. It never changes.
type referralDocument struct {
	V         int64     `firestore:"v"`
	Code      string    `firestore:"code"`
	Org       string    `firestore:"org"`
	CreatedAt time.Time `firestore:"created_at"`
	EndsAt    time.Time `firestore:"ends_at"`
}

// Referral is what an organisation can pass on, and what comes of it.
type Referral struct {
	Code string
	// EndsAt is when the code can no longer be claimed; then there is another.
	EndsAt time.Time
	// ReferrerCredits come to the organisation, ReferredCredits to the one that it brings, with that one's first paid purchase. Both live LifeDays.
	ReferrerCredits, ReferredCredits, LifeDays int64
	// Claims is how many organisations claimed in this calendar month, of at most MonthlyMax.
	Claims, MonthlyMax int64
	// ReferredBy is the code by which the organisation itself came; empty for none.
	ReferredBy string
}

// alphabet has 32 characters that are not mistaken for each other when read aloud or copied by hand: without 0, 1, I and O.
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// newCode draws a referral code such as R-7F3K-9QX2: 40 random bits.
func newCode() string {
	var b [8]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))]
	}
	return "R-" + string(b[:4]) + "-" + string(b[4:])
}

func (g *Giver) referral(code string) *firestore.DocumentRef { return g.doc("referrals", code) }

// offer is what referrals give now. The error is an *Error, `not_found`, while they give nothing, or the catalogue's.
func (g *Giver) offer(ctx context.Context) (*catalogue.Catalogue, *catalogue.Referral, error) {
	current, err := g.opts.Prices.Current(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("what referrals give: %w", err)
	}
	if current.Referral() == nil {
		return nil, nil, noSuchCode()
	}
	return current, current.Referral(), nil
}

// Referral returns an organisation's code, which is drawn when it is first asked for, or when the one before has run out. Errors are an *Error:
// `not_found` while referrals give nothing, `unavailable`; or those of orgs and the catalogue.
func (g *Giver) Referral(ctx context.Context, org string) (Referral, error) {
	_, terms, err := g.offer(ctx)
	if err != nil {
		return Referral{}, err
	}
	o, err := g.opts.Orgs.Get(ctx, org)
	if err != nil {
		return Referral{}, fmt.Errorf("the referral code of %s: %w", org, err)
	}
	var s standing
	err = g.change(ctx, "find the referral code of "+org, func(tx *firestore.Transaction) error {
		s = standing{}
		got, err := tx.GetAll([]*firestore.DocumentRef{g.standing(org)})
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		if err := read(got[0], &s); err != nil {
			return err
		}
		now := g.now()
		if s.Code != "" && now.Before(s.CodeEndsAt) {
			return nil
		}
		s.V, s.Org, s.Code, s.CodeEndsAt = schemaVersion, org, newCode(), end(now, terms.CodeLifeDays)
		d := referralDocument{V: schemaVersion, Code: s.Code, Org: org, CreatedAt: now, EndsAt: s.CodeEndsAt}
		if err := tx.Create(g.referral(s.Code), d); err != nil { // of a code that is somebody's, the transaction fails and another is drawn
			return fmt.Errorf("create referral %s: %w", s.Code, err)
		}
		return set(tx, written{g.standing(org), s})
	})
	if err != nil {
		return Referral{}, err
	}
	out := Referral{
		Code: s.Code, EndsAt: s.CodeEndsAt, ReferrerCredits: terms.ReferrerCredits, ReferredCredits: terms.ReferredCredits, LifeDays: terms.LifeDays,
		Claims: s.claimsIn(monthIn(g.now(), o.Zone)), MonthlyMax: terms.MonthlyMax,
	}
	if s.Referred != nil {
		out.ReferredBy = s.Referred.Code
	}
	return out, nil
}

// Claimed is a referral that an organisation has claimed.
type Claimed struct {
	Code string
	// Credits are what the organisation gets with its first paid purchase, for LifeDays.
	Credits, LifeDays int64
	// Replayed says that this very request was made before.
	Replayed bool
}

// Claim notes by whose code an organisation came. What both sides will get is what the catalogue says now. Errors are an *Error: `not_found` about
// every code that is not one, or no longer; `referral_refused` with a reason; `rate_limited`; `unavailable`; or those of orgs and the catalogue.
func (g *Giver) Claim(ctx context.Context, r Request) (Claimed, error) {
	if err := r.check(); err != nil {
		return Claimed{}, err
	}
	current, terms, err := g.offer(ctx)
	if err != nil {
		return Claimed{}, err
	}
	org, err := g.opts.Orgs.Get(ctx, r.Org)
	if err != nil {
		return Claimed{}, fmt.Errorf("claim a referral for %s: %w", r.Org, err)
	}
	code, d, err := g.codeOf(ctx, r.Code)
	if err != nil {
		return Claimed{}, err
	}
	c := claimed{org: r.Org, owner: org.OwnerEmail, monthlyMax: terms.MonthlyMax}
	if d.V != 0 {
		referrer, err := g.opts.Orgs.Get(ctx, d.Org)
		if err != nil {
			return Claimed{}, fmt.Errorf("claim the referral of %s for %s: %w", d.Org, r.Org, err)
		}
		c.referrer, c.referrerOwner, c.month = d.Org, referrer.OwnerEmail, monthIn(g.now(), referrer.Zone)
	}
	promised := referred{
		Code: code, Referrer: d.Org, Key: r.Key, By: r.By, ReferrerCredits: terms.ReferrerCredits, ReferredCredits: terms.ReferredCredits,
		LifeDays: terms.LifeDays, PriceVersion: current.Version(),
	}
	var out Claimed
	var refused *Error
	err = g.change(ctx, "claim a referral for "+r.Org, func(tx *firestore.Transaction) (err error) {
		out, refused, err = g.claim(tx, r, d, c, promised)
		return err
	})
	if err == nil && refused != nil {
		err = refused
	}
	return out, err
}

// codeOf finds a code, whose document never changes; the zero document for one that there is not.
func (g *Giver) codeOf(ctx context.Context, typed string) (code string, d referralDocument, err error) {
	code, ok := NormalCode(typed)
	if !ok {
		return "", referralDocument{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	snapshot, err := g.referral(code).Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return code, referralDocument{}, nil
	case err != nil:
		return "", referralDocument{}, unavailable(fmt.Errorf("read referral %s: %w", code, err))
	}
	return code, d, read(snapshot, &d)
}

// claim is the body of Claim's transaction. A code that is not one is counted, so that is no error of the transaction.
func (g *Giver) claim(tx *firestore.Transaction, r Request, d referralDocument, c claimed, promised referred) (out Claimed, refused *Error, err error) {
	ofPerson, ofOrg := g.guessRefs(r)
	refs := []*firestore.DocumentRef{ofPerson, ofOrg, g.standing(r.Org)}
	if d.V != 0 && d.Org != r.Org {
		refs = append(refs, g.standing(d.Org))
	}
	got, err := tx.GetAll(refs)
	if err != nil {
		return Claimed{}, nil, err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	var who guesser
	readers := []func(*firestore.DocumentSnapshot) error{into(&who.person), into(&who.org), into(&c.standing), into(&c.referrerStanding)}
	for i, snapshot := range got {
		if err := readers[i](snapshot); err != nil {
			return Claimed{}, nil, err
		}
	}
	out = Claimed{Code: promised.Code, Credits: promised.ReferredCredits, LifeDays: promised.LifeDays}
	if before := c.standing.Referred; before != nil && before.Key == r.Key && before.Code == promised.Code {
		return Claimed{Code: before.Code, Credits: before.ReferredCredits, LifeDays: before.LifeDays, Replayed: true}, nil, nil
	}
	now := g.now()
	who = guesser{person: who.person.at(now), org: who.org.at(now)}
	if until, yes := who.limited(); yes {
		return Claimed{}, limited(now, until), nil
	}
	if d.V == 0 || !now.Before(d.EndsAt) {
		return Claimed{}, noSuchCode(), g.miss(tx, r, who)
	}
	if refused := c.judge(); refused != nil {
		return Claimed{}, refused, nil
	}
	promised.At = now
	own, referrer := c.standing, c.referrerStanding
	own.V, own.Org, own.Referred = schemaVersion, r.Org, &promised
	referrer.V, referrer.Org, referrer.Month, referrer.Claims = schemaVersion, d.Org, c.month, referrer.claimsIn(c.month)+1
	return out, nil, set(tx, written{g.standing(r.Org), own}, written{g.standing(d.Org), referrer})
}

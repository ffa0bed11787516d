package campaigns

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// promotionDocument is the document promotions/{code}.
type promotionDocument struct {
	V         int64     `firestore:"v"`
	Code      string    `firestore:"code"`
	Name      string    `firestore:"name"`
	On        On        `firestore:"on"`
	Credits   int64     `firestore:"credits"`
	LifeDays  int64     `firestore:"life_days"`
	StartsAt  time.Time `firestore:"starts_at"`
	EndsAt    time.Time `firestore:"ends_at"`
	TotalMax  int64     `firestore:"total_max"`
	PerOrgMax int64     `firestore:"per_org_max"`
	Orgs      []string  `firestore:"orgs,omitempty"`
	Countries []string  `firestore:"countries,omitempty"`
	Paused    bool      `firestore:"paused"`
	Redeemed  int64     `firestore:"redeemed"`
	Revision  int64     `firestore:"revision"`
	ChangedBy string    `firestore:"changed_by"`
	CreatedAt time.Time `firestore:"created_at"`
	UpdatedAt time.Time `firestore:"updated_at"`
}

// promotion is the promotion that a document is of; the one of a document that does not exist has its code alone.
func (d promotionDocument) promotion(code string) Promotion {
	return Promotion{
		Code: code, Redeemed: d.Redeemed, Revision: d.Revision, ChangedBy: d.ChangedBy, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		Terms: Terms{
			Name: d.Name, On: d.On, Credits: d.Credits, LifeDays: d.LifeDays, StartsAt: d.StartsAt, EndsAt: d.EndsAt, TotalMax: d.TotalMax,
			PerOrgMax: d.PerOrgMax, Orgs: d.Orgs, Countries: d.Countries, Paused: d.Paused,
		},
	}
}

func (p Promotion) document() promotionDocument {
	return promotionDocument{
		V: schemaVersion, Code: p.Code, Name: p.Name, On: p.On, Credits: p.Credits, LifeDays: p.LifeDays, StartsAt: p.StartsAt, EndsAt: p.EndsAt,
		TotalMax: p.TotalMax, PerOrgMax: p.PerOrgMax, Orgs: p.Orgs, Countries: p.Countries, Paused: p.Paused, Redeemed: p.Redeemed,
		Revision: p.Revision, ChangedBy: p.ChangedBy, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

// PutPromotion makes a promotion's terms what is said, and reports whether it is new. What was redeemed stays as it was promised; redemptions that
// happen at once are decided on the terms before or after, and are counted either way. Errors are an *Error: `invalid_request` or `unavailable`.
func (g *Giver) PutPromotion(ctx context.Context, typed string, t Terms, by string) (p Promotion, created bool, err error) {
	code, ok := NormalCode(typed)
	if !ok {
		return Promotion{}, false, invalid("code", []string{"code must be 4 to 32 letters, digits and -, and begin and end with a letter or digit"})
	}
	t.StartsAt, t.EndsAt = t.StartsAt.UTC().Truncate(time.Microsecond), t.EndsAt.UTC().Truncate(time.Microsecond)
	err = g.change(ctx, "write promotion "+code, func(tx *firestore.Transaction) error {
		got, err := tx.GetAll([]*firestore.DocumentRef{g.promotion(code)})
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		var d promotionDocument
		if err := read(got[0], &d); err != nil {
			return err
		}
		if p, err = d.promotion(code).amended(t, by, g.now()); err != nil {
			return err
		}
		created = d.V == 0
		return set(tx, written{g.promotion(code), p.document()})
	})
	return p, created && err == nil, err
}

// Promotion returns a promotion. Errors are an *Error, `not_found` or `unavailable`.
func (g *Giver) Promotion(ctx context.Context, typed string) (Promotion, error) {
	code, ok := NormalCode(typed)
	if !ok {
		return Promotion{}, noSuchPromotion()
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	snapshot, err := g.promotion(code).Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return Promotion{}, noSuchPromotion()
	case err != nil:
		return Promotion{}, unavailable(fmt.Errorf("read promotion %s: %w", code, err))
	}
	var d promotionDocument
	if err := read(snapshot, &d); err != nil {
		return Promotion{}, err
	}
	return d.promotion(code), nil
}

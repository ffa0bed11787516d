package campaigns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/payments"
)

var _ payments.Bonuses = (*Giver)(nil)

// PurchasePaid implements payments.Bonuses. If the purchase is the organisation's first paid one, what was promised for it is fixed in the
// organisation's standing, then granted. Told again, it finds the rewards there and makes sure that they are granted. Every error passes.
func (g *Giver) PurchasePaid(ctx context.Context, p payments.PaidPurchase) ([]payments.Bonus, error) {
	s, err := g.standingOf(ctx, p.Org)
	if err != nil {
		return nil, err
	}
	again := s.First != nil
	if !again {
		if s, err = g.fixFirst(ctx, p); err != nil {
			return nil, err
		}
	}
	if s.First.Reference != p.Reference {
		return nil, nil // a later purchase brings nothing
	}
	var out []payments.Bonus
	for _, r := range s.First.Rewards {
		err := g.give(ctx, r, again)
		if no, refused := errors.AsType[*credit.Refusal](err); refused {
			// A wallet that is not there any more must not keep the purchase from being settled.
			g.opts.Log.ErrorContext(ctx, "a reward cannot be granted", slog.String("org", r.Org), slog.String("key", r.Key), slog.String("code", no.Code()))
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r.bonus())
	}
	return out, nil
}

// standingOf reads an organisation's standing; the zero standing when nothing is known of it.
func (g *Giver) standingOf(ctx context.Context, org string) (standing, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	snapshot, err := g.standing(org).Get(ctx)
	var s standing
	switch {
	case status.Code(err) == codes.NotFound:
		return standing{}, nil
	case err != nil:
		return standing{}, unavailable(fmt.Errorf("read the campaigns of %s: %w", org, err))
	}
	return s, read(snapshot, &s)
}

// fixFirst makes a purchase the organisation's first paid one, unless another is.
func (g *Giver) fixFirst(ctx context.Context, p payments.PaidPurchase) (standing, error) {
	var s standing
	err := g.change(ctx, "note the first purchase of "+p.Org, func(tx *firestore.Transaction) error {
		s = standing{}
		got, err := tx.GetAll([]*firestore.DocumentRef{g.standing(p.Org)})
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		if err := read(got[0], &s); err != nil {
			return err
		}
		if s.First != nil {
			return nil
		}
		s = s.pays(p, g.now())
		s.V, s.Org = schemaVersion, p.Org
		return set(tx, written{g.standing(p.Org), s})
	})
	return s, err
}

// Swept is what a sweep did.
type Swept struct {
	Granted int  // redemptions whose credits are granted now
	Failed  int  // those that could not be
	More    bool // there may be others yet
}

const (
	// A redemption that could not be granted is put off for as long as it has waited, within these bounds.
	minPutOff = 2 * time.Minute
	maxPutOff = 6 * time.Hour
)

// Sweep grants what was redeemed before a moment and may not have been granted, the oldest first, at most limit redemptions: a process may have
// died in between. It goes on past those that fail, until the context ends, and returns the failures. Those are put off, so that however many
// can never be granted, others have their turn.
func (g *Giver) Sweep(ctx context.Context, before time.Time, limit int) (Swept, error) {
	query := g.opts.Documents.Collection("redemptions").Where("due_at", "<", before).OrderBy("due_at", firestore.Asc).Limit(limit)
	found, err := query.Documents(ctx).GetAll()
	if err != nil {
		return Swept{}, unavailable(fmt.Errorf("find redemptions that are due: %w", err))
	}
	out := Swept{More: len(found) == limit}
	var failures []error
	for _, snapshot := range found {
		if err := g.grantLeft(ctx, snapshot); err != nil {
			out.Failed++
			failures = append(failures, fmt.Errorf("redemption %s: %w", snapshot.Ref.ID, err))
			continue
		}
		out.Granted++
	}
	return out, errors.Join(failures...)
}

// grantLeft grants a redemption that was left, or puts it off.
func (g *Giver) grantLeft(ctx context.Context, snapshot *firestore.DocumentSnapshot) error {
	var r redemption
	if err := read(snapshot, &r); err != nil {
		return err
	}
	err := g.grantDue(ctx, snapshot.Ref, r, true)
	if err == nil || ctx.Err() != nil { // what the time was too short for is not put off
		return err
	}
	now := g.now()
	next := now.Add(min(max(now.Sub(r.At), minPutOff), maxPutOff))
	_, late := snapshot.Ref.Update(ctx, []firestore.Update{{Path: "due_at", Value: next}}, firestore.LastUpdateTime(snapshot.UpdateTime))
	if status.Code(late) == codes.FailedPrecondition { // somebody else has granted it, or put it off
		late = nil
	}
	return errors.Join(err, late)
}

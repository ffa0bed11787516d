package payments

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// cursor is the record reconciliation/stripe: how far Stripe's record has been walked. It is all that a run writes which finds nothing new.
type cursor struct {
	V int64 `firestore:"v"`
	// Until is the moment before which every event has been seen to, except those that are owed.
	Until time.Time `firestore:"until"`
	// Owed are objects of Stripe's that could not be settled, and are tried again in each run.
	Owed []debt `firestore:"owed"`
	// Sweep is the walk through Stripe's objects that a long gap asked for; nil for none.
	Sweep *sweep `firestore:"sweep"`
	// Uncredited are purchases that were paid some time ago and are not credited.
	Uncredited []Uncredited `firestore:"uncredited"`
	// RanAt is when a run last came to its end or its bound.
	RanAt time.Time `firestore:"ran_at"`

	at time.Time // the document's update time; zero for none
}

// debt is an object that is owed: the name of its source, and its id.
type debt struct {
	Source string `firestore:"source"`
	ID     string `firestore:"id"`
	// Type and Object are the type of an event, and what it is about: Stripe tells the event itself for a month.
	Type   string `firestore:"type"`
	Object string `firestore:"object"`
	// Since is when it could not be settled first.
	Since time.Time `firestore:"since"`
}

// sweep is how far a walk through Stripe's objects has come: it goes through the sources in order, and through each from the newest back.
type sweep struct {
	From   time.Time `firestore:"from"` // where the gap begins
	To     time.Time `firestore:"to"`
	Source string    `firestore:"source"`
	// Before is the moment from which on this source's objects have been seen to.
	Before time.Time `firestore:"before"`
}

// Uncredited is a purchase that Stripe says is paid, and that is not credited.
type Uncredited struct {
	// Reference and Org are those that the session names. Of an auto top-up, which has no checkout, the payment stands for it.
	Reference string    `firestore:"reference"`
	Org       string    `firestore:"org"`
	Session   string    `firestore:"session"`
	PaidAt    time.Time `firestore:"paid_at"`
}

func (s store) cursor() *firestore.DocumentRef {
	return s.client.Collection("reconciliation").Doc("stripe")
}

// loadCursor reads the cursor; the zero cursor when there is none.
func (s store) loadCursor(ctx context.Context) (cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := s.cursor().Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return cursor{}, nil
	case err != nil:
		return cursor{}, storeDown(fmt.Errorf("read the cursor: %w", err))
	}
	var c cursor
	if err := decode(snapshot, &c); err != nil {
		return cursor{}, err
	}
	c.at = snapshot.UpdateTime
	return c, nil
}

// saveCursor writes the cursor, unless another run has written it since it was read: then that run has seen to the same and more, and what
// this one did is done.
func (s store) saveCursor(ctx context.Context, c cursor) (saved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	c.V = schemaVersion
	err = s.commit(ctx, []write{func(tx *firestore.Transaction) error {
		if c.at.IsZero() {
			return tx.Create(s.cursor(), c)
		}
		return tx.Update(s.cursor(), []firestore.Update{
			{Path: "until", Value: c.Until}, {Path: "owed", Value: c.Owed}, {Path: "sweep", Value: c.Sweep},
			{Path: "uncredited", Value: c.Uncredited}, {Path: "ran_at", Value: c.RanAt},
		}, firestore.LastUpdateTime(c.at))
	}})
	switch status.Code(err) {
	case codes.OK:
		return true, nil
	case codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted:
		return false, nil
	default:
		return false, storeDown(fmt.Errorf("write the cursor: %w", err))
	}
}

// seenBefore tells which of some events have been settled or put aside: that they are seen is written last.
func (s store) seenBefore(ctx context.Context, notices []told) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	refs := make([]*firestore.DocumentRef, len(notices))
	for i, n := range notices {
		refs[i] = s.event(n.Notice.ID)
	}
	seen := map[string]bool{}
	if len(refs) == 0 {
		return seen, nil
	}
	snapshots, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, storeDown(fmt.Errorf("read %d events: %w", len(refs), err))
	}
	for _, snapshot := range snapshots {
		if snapshot.Exists() {
			seen[snapshot.Ref.ID] = true
		}
	}
	return seen, nil
}

// purchasesOf reads the purchases of some references. What is not there, or is of a form that is not known, is left out.
func (s store) purchasesOf(ctx context.Context, references []string) (map[string]Purchase, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var refs []*firestore.DocumentRef
	for _, r := range references {
		if ValidReference(r) {
			refs = append(refs, s.purchases().Doc(r))
		}
	}
	out := map[string]Purchase{}
	if len(refs) == 0 {
		return out, nil
	}
	snapshots, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, storeDown(fmt.Errorf("read %d purchases: %w", len(refs), err))
	}
	for _, snapshot := range snapshots {
		if !snapshot.Exists() {
			continue
		}
		var d purchaseDocument
		if decode(snapshot, &d) == nil {
			out[d.Reference] = d.Purchase
		}
	}
	return out, nil
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Hold is a hold as it is now: one whose time has passed is released first. One read, or a commit more when it is due.
func (l *Ledger) Hold(ctx context.Context, id string) (*credit.Hold, error) {
	org, doc, err := credit.ParseHoldID(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	for range maxLoads {
		h, err := l.storedHold(ctx, org, doc)
		switch {
		case err != nil:
			return nil, err
		case h == nil:
			return nil, credit.Refuse(credit.CodeNotFound, "there is no such hold", map[string]any{"hold_id": id})
		case h.State != credit.HoldOpen || l.opts.Now().Before(h.ExpiresAt):
			return h, nil
		}
		if err := l.Settle(ctx, org); err != nil {
			return nil, err
		}
	}
	return nil, unavailable(fmt.Errorf("%s: not settled after %d rounds", id, maxLoads))
}

// storedHold reads a hold's record; nil when there is none.
func (l *Ledger) storedHold(ctx context.Context, org, doc string) (*credit.Hold, error) {
	name := l.store.holdName(org, doc)
	got, err := l.store.get(ctx, name)
	if err != nil {
		return nil, unavailable(err)
	}
	if got[name] == nil {
		return nil, nil //nolint:nilnil // the domain, too, knows a hold that is absent as nil
	}
	return decodeHold(got[name])
}

// holdIDs lists the holds of this wallet that the batch's commands are about, each once.
func (r *round) holdIDs() []string {
	var ids []string
	seen := map[string]bool{}
	for _, it := range r.items {
		if id, ok := credit.HoldOf(it.cmd); ok && r.ownHold(id) && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// loadHolds reads at once those holds that are not known, and then those of their grants that are not in the wallet: asked for one by one,
// each would cost the whole batch a round trip.
func (r *round) loadHolds(ctx context.Context, ids []string) error {
	unknown := slices.DeleteFunc(slices.Clone(ids), r.state.KnowsHold)
	if len(unknown) > 0 {
		if err := r.supplyHolds(ctx, unknown...); err != nil {
			return err
		}
	}
	if grants := r.state.UnknownGrants(ids); len(grants) > 0 {
		if err := r.supplyGrants(ctx, grants); !errors.Is(err, errStale) { // the command that needs them asks again
			return err
		}
	}
	return nil
}

// placed tells whether a command is about a hold that this batch places.
func (r *round) placed(c credit.Command) bool {
	id, ok := credit.HoldOf(c)
	if !ok || !r.ownHold(id) {
		return false
	}
	_, doc, _ := credit.ParseHoldID(id)
	return r.pending[credit.CallerDoc(doc)] != nil // the entry that placed a hold bears its hash
}

// ownHold tells whether an id can be that of a hold of this wallet.
func (r *round) ownHold(id string) bool {
	org, _, err := credit.ParseHoldID(id)
	return err == nil && org == r.org
}

// supplyHolds loads holds by their ids; that of another wallet is not looked for.
func (r *round) supplyHolds(ctx context.Context, ids ...string) error {
	own := make([]string, 0, len(ids))
	for _, id := range ids {
		if r.ownHold(id) {
			own = append(own, id)
		} else {
			r.state.LoadHold(id, nil)
		}
	}
	if len(own) == 0 {
		return nil
	}
	got, err := r.ledger.store.get(ctx, r.holdNames(own)...)
	if err != nil {
		return unavailable(err)
	}
	return r.takeHolds(r.state, own, got)
}

// holdNames are the documents of holds of this wallet.
func (r *round) holdNames(ids []string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		_, doc, _ := credit.ParseHoldID(id) // was looked at by ownHold
		names[i] = r.ledger.store.holdName(r.org, doc)
	}
	return names
}

// takeHolds loads holds into a state from what was read, or that they are not there.
func (r *round) takeHolds(state *credit.State, ids []string, got map[string]*pb.Document) error {
	for i, name := range r.holdNames(ids) {
		d := got[name]
		if d == nil {
			state.LoadHold(ids[i], nil)
			continue
		}
		h, err := decodeHold(d)
		if err != nil {
			return err
		}
		state.LoadHold(ids[i], h)
	}
	return nil
}

// supplyDueHolds loads the open holds that are due at a moment, oldest first, and learns when the next one is.
func (r *round) supplyDueHolds(ctx context.Context, at time.Time) error {
	most := r.mostDue()
	due, err := r.queryHolds(ctx, pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, at, int32(most)+1)
	if err != nil {
		return err
	}
	if r.deep && len(due) > most {
		return errMuchDue
	}
	var next time.Time
	if len(due) > most {
		next, due = due[most].ExpiresAt, due[:most]
	} else {
		later, err := r.queryHolds(ctx, pb.StructuredQuery_FieldFilter_GREATER_THAN, at, 1)
		if err != nil {
			return err
		}
		if len(later) > 0 {
			next = later[0].ExpiresAt
		}
	}
	r.state.LoadDueHolds(next, due...)
	return nil
}

func (r *round) queryHolds(ctx context.Context, op pb.StructuredQuery_FieldFilter_Operator, at time.Time, limit int32) ([]*credit.Hold, error) {
	q := from("holds", limit)
	q.Where = both(inAnyLane(), where("expires_at", op, timeValue(at)))
	q.OrderBy = []*pb.StructuredQuery_Order{order("expires_at", pb.StructuredQuery_ASCENDING)}
	return r.ledger.holds(ctx, r.org, q)
}

func (l *Ledger) holds(ctx context.Context, org string, q *pb.StructuredQuery) ([]*credit.Hold, error) {
	docs, err := l.store.query(ctx, l.store.walletName(org), q)
	if err != nil {
		return nil, unavailable(err)
	}
	hs := make([]*credit.Hold, len(docs))
	for i, d := range docs {
		if hs[i], err = decodeHold(d); err != nil {
			return nil, err
		}
	}
	return hs, nil
}

// allHolds reads the records of all holds of a wallet.
func (l *Ledger) allHolds(ctx context.Context, org string) ([]*credit.Hold, error) {
	var out []*credit.Hold
	for {
		q := from("holds", auditPage)
		q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
		if len(out) > 0 {
			_, doc, err := credit.ParseHoldID(out[len(out)-1].ID)
			if err != nil {
				return nil, err
			}
			q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: l.store.holdName(org, doc)}}}}
		}
		page, err := l.holds(ctx, org, q)
		if err != nil {
			return nil, err
		}
		if out = append(out, page...); len(page) < auditPage {
			return out, nil
		}
	}
}

// supplyCharge finds what the reversal of an event id undoes, and sums what earlier reversals gave back: a debit's entry or, when the event
// placed a hold, that of its capture; from this batch or the store.
func (r *round) supplyCharge(ctx context.Context, id string) error {
	e, err := r.charge(ctx, id)
	if err != nil {
		return err
	}
	if e == nil {
		r.state.LoadDebit(id, credit.Debited{})
		return nil
	}
	if r.pending[e.Key.Doc()] != nil {
		r.state.LoadDebit(id, credit.Debited{Entry: e})
		return nil
	}
	reversed, err := r.reversed(ctx, id)
	if err != nil {
		return err
	}
	r.state.LoadDebit(id, credit.Debited{Entry: e, Reversed: reversed})
	return nil
}

// charge finds the entry that charged for an event id, nil when there is none.
func (r *round) charge(ctx context.Context, id string) (*credit.Entry, error) {
	e, err := r.entry(ctx, credit.CallerKey(id))
	if err != nil || e == nil || e.Kind != credit.KindHold {
		return e, err
	}
	return r.entry(ctx, credit.CaptureKey(e.Subject))
}

// entry finds an entry in this batch or the store, nil when there is none.
func (r *round) entry(ctx context.Context, key credit.Key) (*credit.Entry, error) {
	if e := r.pending[key.Doc()]; e != nil {
		return e, nil
	}
	e, err := r.ledger.EntryByDoc(ctx, r.org, key.Doc())
	var none *credit.Refusal
	if errors.As(err, &none) && none.Code() == credit.CodeNotFound {
		return nil, nil //nolint:nilnil // the domain, too, knows an entry that is absent as nil
	}
	return e, err
}

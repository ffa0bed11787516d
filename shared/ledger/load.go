package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Bounds of what one command may load.
const (
	loadWaiting = credit.MaxLive
	loadDue     = credit.MaxJournaled
	relatedPage = 300 // grants of a subscription item, or bonuses of a purchase, in one query
	// maxRelatedPages bounds those queries: 500 years of months.
	maxRelatedPages = 20
	loadReversed    = 1000 // reversals of one debit: one that has so many takes no more
)

// adopt makes a wallet document, or its absence, the actor's state.
func (a *actor) adopt(d *pb.Document) error {
	if d == nil {
		a.forget()
		a.clearFence(nil)
		return nil
	}
	s, err := decodeWallet(d)
	if err != nil {
		return err
	}
	if s.usage != a.usage {
		a.usage, a.cells = s.usage, nil
	}
	if !proto.Equal(a.version, d.GetUpdateTime()) {
		a.seen = time.Now()
	}
	a.turns = s.turns
	state := credit.NewState(s.wallet)
	if proto.Equal(a.version, d.GetUpdateTime()) {
		state.KeepCounters(a.state)
	}
	a.state, a.version = state, d.GetUpdateTime()
	a.clearFence(a.version)
	return nil
}

// supply loads what the domain asks for. What is read beneath a wallet after its version holds while that version holds.
func (r *round) supply(ctx context.Context, m *credit.Missing) error {
	switch {
	case !m.Due.IsZero():
		return r.supplyDue(ctx, m.Due)
	case m.More:
		return r.supplyWaiting(ctx)
	case len(m.Grants) > 0:
		return r.supplyGrants(ctx, m.Grants)
	case m.Item != "":
		return r.supplyRelated(ctx, "item", m.Item, r.state.LoadItem)
	case m.Linked != "":
		return r.supplyRelated(ctx, "linked_to", m.Linked, r.state.LoadLinked)
	case m.Hold != "":
		return r.supplyHolds(ctx, m.Hold)
	case !m.DueHolds.IsZero():
		return r.supplyDueHolds(ctx, m.DueHolds)
	case len(m.Counters) > 0:
		return r.supplyCounters(ctx, m.Counters)
	case m.Usage != "":
		return r.supplyUsage(ctx, m.Usage)
	}
	return r.supplyCharge(ctx, m.Debit)
}

// supplyDue loads the grants outside the wallet that are due at a moment, oldest first, and learns when the next one is.
func (r *round) supplyDue(ctx context.Context, at time.Time) error {
	most := r.mostDue()
	due, docs, err := r.queryDue(ctx, pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, at, int32(most)+1)
	if err != nil {
		return err
	}
	if r.deep && len(due) > most {
		return errMuchDue
	}
	if len(due) <= most {
		if _, docs, err = r.queryDue(ctx, pb.StructuredQuery_FieldFilter_GREATER_THAN, at, 1); err != nil {
			return err
		}
	} else {
		due, docs = due[:most], docs[most:]
	}
	var next time.Time
	if len(docs) > 0 {
		next = readDocument(docs[0]).time("due_at")
	}
	r.state.LoadDue(next, due...)
	return nil
}

func (r *round) queryDue(ctx context.Context, op pb.StructuredQuery_FieldFilter_Operator, at time.Time, limit int32) ([]*credit.Grant, []*pb.Document, error) {
	q := from("grants", limit)
	q.Where = where("due_at", op, timeValue(at))
	q.OrderBy = []*pb.StructuredQuery_Order{order("due_at", pb.StructuredQuery_ASCENDING)}
	return r.queryGrants(ctx, q)
}

// supplyWaiting loads the next waiting grants in burn-down order.
func (r *round) supplyWaiting(ctx context.Context) error {
	q := from("grants", loadWaiting)
	q.OrderBy = []*pb.StructuredQuery_Order{order("order", pb.StructuredQuery_ASCENDING)}
	if after := r.state.WaitingAfter(); after != "" { // what was loaded may have changed here, but the store still has it waiting
		q.Where = where("order", pb.StructuredQuery_FieldFilter_GREATER_THAN, stringValue(after))
	}
	next, _, err := r.queryGrants(ctx, q)
	if err != nil {
		return err
	}
	r.state.LoadWaiting(len(next) < loadWaiting, next...)
	return nil
}

// errStale says that what is cached of a wallet is older than what is stored beneath it.
var errStale = errors.New("the wallet has changed since it was read")

// supplyGrants loads grants by their ids. One whose record says that it is in the wallet, and that is asked for because it is not, was put there
// after the wallet was read: then the wallet must be read again.
func (r *round) supplyGrants(ctx context.Context, ids []string) error {
	s := &r.ledger.store
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = s.grantName(r.org, id)
	}
	got, err := s.get(ctx, names...)
	if err != nil {
		return unavailable(err)
	}
	for i, id := range ids {
		d := got[names[i]]
		if d == nil {
			r.state.LoadAbsent(id)
			continue
		}
		g, err := decodeGrantRecord(d)
		switch {
		case err != nil:
			return err
		case g.Place == credit.InWallet && r.fresh:
			return unavailable(fmt.Errorf("grant %s of %s: %w", id, r.org, errStale))
		case g.Place == credit.InWallet:
			return fmt.Errorf("grant %s of %s: %w", id, r.org, errStale) // no refusal is final on a wallet that was not just read
		}
		r.state.LoadGrants(g)
	}
	return nil
}

// supplyRelated loads the grants that name another thing, all of them: a subscription's item, or the purchase they came with.
func (r *round) supplyRelated(ctx context.Context, field, value string, load func(string, ...*credit.Grant)) error {
	var all []*credit.Grant
	var after string
	for range maxRelatedPages {
		q := from("grants", relatedPage)
		q.Where = where(field, pb.StructuredQuery_FieldFilter_EQUAL, stringValue(value))
		q.OrderBy = []*pb.StructuredQuery_Order{order("__name__", pb.StructuredQuery_ASCENDING)}
		if after != "" {
			q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: after}}}}
		}
		gs, docs, err := r.queryGrants(ctx, q)
		if err != nil {
			return err
		}
		all = append(all, gs...)
		if len(gs) < relatedPage {
			load(value, all...)
			return nil
		}
		after = docs[len(docs)-1].GetName()
	}
	return fmt.Errorf("more than %d grants of %s have %s %s", relatedPage*maxRelatedPages, r.org, field, value)
}

// reversed sums what earlier reversals of an event's charge gave back.
func (r *round) reversed(ctx context.Context, id string) (credits int64, err error) {
	s := &r.ledger.store
	q := from("entries", loadReversed)
	q.Where = where("reverses", pb.StructuredQuery_FieldFilter_EQUAL, stringValue(credit.CallerKey(id).Doc()))
	docs, err := s.query(ctx, s.walletName(r.org), q)
	if err != nil {
		return 0, unavailable(err)
	}
	if len(docs) == loadReversed { // how much is left cannot be told from these
		return 0, credit.Refuse(credit.CodeInvalid, fmt.Sprintf("the debit has been reversed in %d parts or more already; no more are taken", loadReversed),
			map[string]any{"debit_event_id": id})
	}
	for _, doc := range docs {
		rev, _, err := decodeEntry(doc)
		if err != nil {
			return 0, err
		}
		credits += rev.Credits
	}
	return credits, nil
}

func (r *round) queryGrants(ctx context.Context, q *pb.StructuredQuery) ([]*credit.Grant, []*pb.Document, error) {
	docs, err := r.ledger.store.query(ctx, r.ledger.store.walletName(r.org), q)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	gs := make([]*credit.Grant, len(docs))
	for i, d := range docs {
		if gs[i], err = decodeGrantRecord(d); err != nil {
			return nil, nil, err
		}
	}
	return gs, docs, nil
}

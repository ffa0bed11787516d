package payments

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/coded"
)

// AsideState says whether what was put aside needs somebody.
type AsideState string

// The states of what was put aside.
const (
	AsideWaiting  AsideState = "waiting"
	AsideResolved AsideState = "resolved" // settled after all, or by a person in another way
)

// Aside is an event of Stripe's that was put aside for a person: the record quarantine/{id}, under the event's id.
type Aside struct {
	Event  string `firestore:"event"`
	Type   string `firestore:"type"`
	Reason Reason `firestore:"reason"`
	Detail string `firestore:"detail"`
	// Org and Reference are those that the event names, whether they are ours or not.
	Org       string `firestore:"org,omitempty"`
	Reference string `firestore:"reference,omitempty"`
	// Object and Payment are Stripe's ids, to look them up there.
	Object  string `firestore:"object,omitempty"`
	Payment string `firestore:"payment,omitempty"`
	// At is since when it waits.
	At    time.Time  `firestore:"at"`
	State AsideState `firestore:"state"`
	// ResolvedAt is when it was settled or resolved; zero before. ResolvedBy is the person, empty when Stripe told of it again.
	ResolvedAt time.Time `firestore:"resolved_at,omitempty"`
	ResolvedBy string    `firestore:"resolved_by,omitempty"`
	// Resolution is what a person did about it who resolved it by hand.
	Resolution string `firestore:"resolution,omitempty"`
}

// asideDocument is an Aside as it is stored.
type asideDocument struct {
	V int64 `firestore:"v"`
	Aside
}

func (s store) asides() *firestore.CollectionRef { return s.client.Collection("quarantine") }

// resolved are the fields of what is resolved.
func resolved(at time.Time, by, resolution string) []firestore.Update {
	out := []firestore.Update{{Path: "state", Value: AsideResolved}, {Path: "resolved_at", Value: at}}
	if by != "" {
		out = append(out, firestore.Update{Path: "resolved_by", Value: by}, firestore.Update{Path: "resolution", Value: resolution})
	}
	return out
}

// quarantine puts an event aside for a person. What a person has resolved by hand stays so while it is told again for the same reason.
func (s store) quarantine(ctx context.Context, n Notice, e seenEvent, a Aside) error {
	return s.insist(ctx, func(ctx context.Context) error {
		before, _, err := s.aside(ctx, n.ID)
		if err != nil {
			return err
		}
		if before.State == AsideWaiting {
			a.At = before.At // since when it waits
		}
		writes := []write{func(tx *firestore.Transaction) error { return tx.Set(s.event(n.ID), e) }}
		if before.Resolution == "" || before.Reason != a.Reason {
			writes = append(writes, func(tx *firestore.Transaction) error {
				return tx.Set(s.asides().Doc(n.ID), asideDocument{V: schemaVersion, Aside: a})
			})
		}
		return s.commit(ctx, writes)
	})
}

// aside reads what was put aside; the zero Aside when nothing was under this id. At is the document's update time.
func (s store) aside(ctx context.Context, id string) (a Aside, at time.Time, err error) {
	snapshot, err := s.asides().Doc(id).Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return Aside{}, time.Time{}, nil
	case err != nil:
		return Aside{}, time.Time{}, err //nolint:wrapcheck // whether to try again is told by the bare error
	}
	var d asideDocument
	err = decode(snapshot, &d)
	return d.Aside, snapshot.UpdateTime, err
}

// findAside reads what was put aside under an id that somebody wrote. Errors are an *Error, `not_found` or `unavailable`.
func (s store) findAside(ctx context.Context, id string) (a Aside, err error) {
	if validObjectID(id) {
		err = s.insist(ctx, func(ctx context.Context) error {
			a, _, err = s.aside(ctx, id)
			return err
		})
	}
	if err == nil && a.Event == "" {
		err = &Error{coded.Reason{Is: "not_found", Says: "No such event was put aside."}}
	}
	return a, err
}

// resolve notes that what was put aside needs nobody any more.
func (s store) resolve(ctx context.Context, id string, decide func(Aside) []firestore.Update) (out Aside, err error) {
	err = s.insist(ctx, func(ctx context.Context) error {
		a, at, err := s.aside(ctx, id)
		if err != nil {
			return err
		}
		if updates := decide(a); updates != nil {
			err := s.commit(ctx, []write{func(tx *firestore.Transaction) error {
				return tx.Update(s.asides().Doc(id), updates, firestore.LastUpdateTime(at))
			}})
			if err != nil {
				return err
			}
			a, _, err = s.aside(ctx, id)
			out = a
			return err
		}
		out = a
		return nil
	})
	return out, err
}

// Asides returns at most n of what was put aside, the newest first, from what comes after a place, which is told by when that was and the
// event's id. An empty state is all. A read for each. The error is an *Error, `unavailable`.
func (r *Receiver) Asides(ctx context.Context, state AsideState, after Place, n int) ([]Aside, error) {
	all := r.store.asides()
	query := all.OrderBy("at", firestore.Desc)
	if state != "" {
		query = query.Where("state", "==", string(state))
	}
	return newest(ctx, all, query, after, n, func(d asideDocument) Aside { return d.Aside })
}

// Replay receives again what was put aside, as Stripe has it now: settled once its cause is mended, and waiting on otherwise, with the reason
// that stands against it now. Repeating it is harmless, as with every event. Errors are an *Error: `not_found`; `invalid_request` when Stripe
// has neither the event nor what it is about any more; `unavailable`.
func (r *Receiver) Replay(ctx context.Context, id, by string) (Aside, error) {
	a, err := r.store.findAside(ctx, id)
	if err != nil {
		return Aside{}, err
	}
	n, tells, err := r.again(ctx, a)
	switch {
	case errors.Is(err, errUnreadable):
		return a, nil // it waits on
	case err != nil:
		return Aside{}, err
	}
	outcome := Ignored
	if tells {
		if outcome, err = r.Receive(ctx, n); err != nil {
			return Aside{}, fmt.Errorf("replay %s: %w", id, err)
		}
	}
	now := r.opts.Now().UTC().Truncate(time.Microsecond)
	return r.store.resolve(ctx, id, func(a Aside) []firestore.Update {
		if !tells || outcome == Quarantined || a.ResolvedBy != "" {
			return nil
		}
		return resolved(now, by, "") // what Receive resolves names nobody
	})
}

// again asks Stripe for what was put aside: the event while Stripe lists it, about a month, and then the object that it is about. tells is
// false when that has nothing to tell now.
func (r *Receiver) again(ctx context.Context, a Aside) (n Notice, tells bool, err error) {
	object, found, err := r.opts.Stripe.object(ctx, eventSource.path, a.Event)
	if err != nil {
		return Notice{}, false, err
	}
	if found {
		return foundEvent(ctx, r.opts.Stripe, object)
	}
	src := sourceOf(a.Type)
	if validObjectID(a.Object) {
		if object, found, err = r.opts.Stripe.object(ctx, src.path, a.Object, expands(src)...); err != nil {
			return Notice{}, false, err
		}
	}
	if !found {
		return Notice{}, false, refuse("Stripe has neither this event nor what it is about any more. Settle it by hand, and resolve it.", errGone)
	}
	n, tells, err = src.notice(ctx, r.opts.Stripe, object)
	n.ID = a.Event // it is this one that waits
	return n, tells, err
}

// errGone says that Stripe has neither an event nor what it is about.
var errGone = errors.New("it is not at Stripe any more")

// sourceOf is the kind of object that events of a type are about.
func sourceOf(eventType string) source {
	switch {
	case eventType == chargeRefunded:
		return chargeSource
	case strings.HasPrefix(eventType, "charge.dispute."):
		return disputeSource
	case eventType == intentSucceeded || eventType == intentFailed:
		return intentSource
	case eventType == invoicePaid:
		return invoiceSource
	case eventType == chargeRefundUpdated || strings.HasPrefix(eventType, "refund."):
		return refundSource
	case eventType == customerUpdated:
		return customerSource
	case strings.HasPrefix(eventType, "customer.subscription."):
		return subscriptionSource
	case strings.HasPrefix(eventType, "subscription_schedule."):
		return scheduleSource
	default:
		return sessionSource
	}
}

// Resolve notes what a person did about what was put aside, and changes nothing else. What is resolved already stays as it is. Errors are an
// *Error: `not_found`; `invalid_request` without a resolution of 500 bytes at most; `unavailable`.
func (r *Receiver) Resolve(ctx context.Context, id, by, resolution string) (Aside, error) {
	if strings.TrimSpace(resolution) == "" || len(resolution) > maxKeptBytes {
		return Aside{}, refuse(fmt.Sprintf("Say what was done about it, in %d bytes at most.", maxKeptBytes), nil)
	}
	if _, err := r.store.findAside(ctx, id); err != nil {
		return Aside{}, err
	}
	now := r.opts.Now().UTC().Truncate(time.Microsecond)
	return r.store.resolve(ctx, id, func(a Aside) []firestore.Update {
		if a.State == AsideResolved {
			return nil
		}
		return resolved(now, by, resolution)
	})
}

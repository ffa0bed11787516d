package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stripe/stripe-go/v76"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
)

// learnTimeout bounds learning of a subscription, with what Stripe is asked: less than a webhook may take.
const learnTimeout = 20 * time.Second

type subscriptionDocument struct {
	V int64 `firestore:"v"`
	Subscription
}

func (s store) subscription(id string) *firestore.DocumentRef {
	return s.client.Collection("subscriptions").Doc(id)
}

// loadSubscription reads a subscription's record, and when it was last written; the zero Subscription for none.
func (s store) loadSubscription(ctx context.Context, id string) (Subscription, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := s.subscription(id).Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return Subscription{}, time.Time{}, nil
	case err != nil:
		return Subscription{}, time.Time{}, storeDown(fmt.Errorf("read subscription %s: %w", id, err))
	}
	var d subscriptionDocument
	return d.Subscription, snapshot.UpdateTime, decode(snapshot, &d)
}

// changeSubscription brings a subscription's record to what next says of it, on the condition that nobody else wrote meanwhile. So an answer of
// Stripe's is never stored over one that it gave later. next is asked again when somebody did.
func (s store) changeSubscription(ctx context.Context, id string, next func(context.Context, Subscription) (Subscription, error)) (Subscription, error) {
	var out Subscription
	err := s.insistFor(ctx, learnTimeout, func(ctx context.Context) error {
		old, at, err := s.loadSubscription(ctx, id)
		if err != nil {
			return err
		}
		if out, err = next(ctx, old); err != nil || out.ID == "" || reflect.DeepEqual(out, old) {
			return err
		}
		doc := subscriptionDocument{V: schemaVersion, Subscription: out}
		return s.commit(ctx, []write{func(tx *firestore.Transaction) error {
			if at.IsZero() {
				return tx.Create(s.subscription(id), doc)
			}
			return tx.Update(s.subscription(id), out.updates(), firestore.LastUpdateTime(at))
		}})
	})
	return out, err
}

// updates are the fields of a subscription that may change.
func (s Subscription) updates() []firestore.Update {
	return []firestore.Update{
		{Path: "org", Value: s.Org}, {Path: "customer", Value: s.Customer}, {Path: "status", Value: s.Status}, {Path: "items", Value: s.Items},
		{Path: "former", Value: s.Former}, {Path: "period", Value: s.Period}, {Path: "anchor", Value: s.Anchor},
		{Path: "cancel_at_period_end", Value: s.CancelAtPeriodEnd}, {Path: "ends_at", Value: orNone(s.EndsAt)},
		{Path: "unbilled", Value: s.Unbilled}, {Path: "resumes_at", Value: orNone(s.ResumesAt)}, {Path: "schedule", Value: s.Schedule},
		{Path: "change", Value: s.Change}, {Path: "as_of", Value: s.AsOf}, {Path: "paid_until", Value: orNone(s.PaidUntil)},
	}
}

// orNone is a time, or no field for none.
func orNone(t time.Time) any {
	if t.IsZero() {
		return firestore.Delete
	}
	return t
}

// askSubscription makes a subscription's record what Stripe says of it now. The zero Subscription is one that neither has.
func (r *Receiver) askSubscription(ctx context.Context, id string) (Subscription, error) {
	return r.store.changeSubscription(ctx, id, func(ctx context.Context, old Subscription) (Subscription, error) {
		return r.ask(ctx, id, old)
	})
}

// ask is a subscription once Stripe has been asked about it. One that Stripe does not have, or no longer, is as it was.
func (r *Receiver) ask(ctx context.Context, id string, old Subscription) (Subscription, error) {
	at := r.opts.Now().UTC().Truncate(time.Second)
	now, err := r.opts.Stripe.subscription(ctx, id)
	if err != nil || now.ID == "" {
		return old, err
	}
	if old.says(now) && reflect.DeepEqual(old.Change, now.Change) {
		return old, nil
	}
	return r.whose(ctx, old.become(now, at))
}

// whose finds out to which organisation a subscription belongs: by its own metadata, or by its customer's.
func (r *Receiver) whose(ctx context.Context, s Subscription) (Subscription, error) {
	if s.Org != "" || s.Customer == "" {
		return s, nil
	}
	var err error
	s.Org, err = r.opts.Stripe.customerOrg(ctx, s.Customer)
	return s, err
}

// receiveSubscription settles an event about a subscription or its schedule: its record learns of it, and the grace of its credits follows.
// Such an event grants nothing.
func (r *Receiver) receiveSubscription(ctx context.Context, n Notice, e Event) (Outcome, error) {
	var s Subscription
	var err error
	switch {
	case e.Told != nil:
		s, err = r.store.changeSubscription(ctx, e.Told.ID, func(ctx context.Context, old Subscription) (Subscription, error) {
			next, ask := old.merge(*e.Told, e.At)
			if ask {
				return r.ask(ctx, e.Told.ID, old)
			}
			return r.whose(ctx, next)
		})
	case e.Scheduled.Subscription != "":
		s, err = r.askSubscription(ctx, e.Scheduled.Subscription)
	}
	if err != nil {
		return "", err
	}
	about := subject{org: clip(s.Org), object: s.ID}
	if credit.CheckOrg(s.Org) != nil { // nobody's of ours, or one that Stripe no longer knows
		return Ignored, r.store.saw(ctx, n, r.seen(n, Ignored, about))
	}
	if err := r.settleGrace(ctx, s); err != nil {
		return "", err
	}
	return Recorded, r.store.saw(ctx, n, r.seen(n, Recorded, about))
}

// settleGrace lets the credits of a subscription's period be used after its end while it will renew, and not otherwise. When it has ended, the
// payment for its current period is not awaited either, so that the credits of the one before have no grace any more.
func (r *Receiver) settleGrace(ctx context.Context, s Subscription) error {
	items := s.itemIDs()
	if len(items) == 0 || s.Period.End.IsZero() {
		return nil
	}
	awaits := []credit.AwaitRenewal{{Start: s.Period.Start, End: s.Period.End, Until: s.usableUntil(s.Period.End, r.opts.Grace)}}
	if !s.Live() {
		awaits = append(awaits, credit.AwaitRenewal{End: s.Period.Start, Until: s.Period.Start})
	}
	for _, a := range awaits {
		a.Items, a.Actor, a.Reason = items, actor, "subscription "+s.ID
		refused, err := carryOut(ctx, r.opts.Ledger.Do, s.Org, a)
		if err != nil {
			return err
		}
		if refused != nil {
			r.opts.Log.WarnContext(ctx, "a subscription's organisation has no wallet", slog.String("subscription", s.ID), slog.String("org", s.Org),
				slog.String("detail", refused.Detail))
		}
	}
	return nil
}

// subscription is a subscription as it is now, with what its schedule will do; the zero Subscription when Stripe does not have it.
func (g *Gateway) subscription(ctx context.Context, id string) (Subscription, error) {
	object, found, err := g.object(ctx, "/v1/subscriptions", id, "schedule")
	if err != nil || !found {
		return Subscription{}, err
	}
	var s stripe.Subscription
	if err := json.Unmarshal(object, &s); err != nil {
		return Subscription{}, fmt.Errorf("subscription %s: %w", id, err)
	}
	if s.ID != id {
		return Subscription{}, fmt.Errorf("subscription %s came as %q", id, s.ID)
	}
	return readSubscription(&s), nil
}

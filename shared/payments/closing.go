package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
)

// Bounds of looking for what was bought within a cycle.
const (
	// boughtLookback is how long before it was paid a purchase may have been begun.
	boughtLookback = 16 * day
	// maxBoughtPages bounds the purchases that are looked at, a hundred each.
	maxBoughtPages = 50
)

// Periods tells how the credits of a period were left, as a *ledger.Ledger does.
type Periods interface {
	PeriodGrants(ctx context.Context, org string, items []string, end time.Time) ([]*credit.Grant, error)
}

// Publisher publishes messages, as an *events.Publisher does.
type Publisher interface {
	Publish(ctx context.Context, messages []events.Message) error
}

// Closer closes cycles: it writes what became of their credits, and tells the organisation. It is safe for concurrent use, also for one cycle at
// once.
type Closer struct {
	receiver *Receiver
	periods  Periods
	publish  Publisher
}

// NewCloser makes a Closer; all are required.
func NewCloser(r *Receiver, p Periods, publish Publisher) (*Closer, error) {
	if r == nil || p == nil || publish == nil {
		return nil, errors.New("closing cycles needs a receiver, a ledger and a publisher")
	}
	return &Closer{receiver: r, periods: p, publish: publish}, nil
}

// DueCycle is a cycle that is due to be closed at a moment.
type DueCycle struct {
	ID string
	At time.Time
}

// Due lists cycles that are due to be closed by a moment, the longest due first, at most limit of those that come after another; the zero
// DueCycle begins. The error is an *Error, `unavailable`.
func (c *Closer) Due(ctx context.Context, by time.Time, after DueCycle, limit int) ([]DueCycle, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	cycles := c.receiver.store.cycles()
	q := cycles.Where("close_at", "<=", by).OrderBy("close_at", firestore.Asc).OrderBy(firestore.DocumentID, firestore.Asc).Select("close_at").Limit(limit)
	if after.ID != "" {
		q = q.StartAfter(after.At, cycles.Doc(after.ID))
	}
	snapshots, err := q.Documents(ctx).GetAll()
	if err != nil {
		return nil, storeDown(fmt.Errorf("list cycles that are due: %w", err))
	}
	out := make([]DueCycle, len(snapshots))
	for i, snapshot := range snapshots {
		at, err := snapshot.DataAt("close_at")
		if err != nil {
			return nil, fmt.Errorf("cycle %s: %w", snapshot.Ref.ID, err)
		}
		moment, ok := at.(time.Time)
		if !ok {
			return nil, fmt.Errorf("cycle %s is to be closed at %v", snapshot.Ref.ID, at)
		}
		out[i] = DueCycle{ID: snapshot.Ref.ID, At: moment}
	}
	return out, nil
}

// Close closes a cycle that is due: its statement is written, then told, then the cycle is marked as closed. Whatever stops it in between, the
// next goes on from there: a statement that is written is told as it is, under one id. One that is closed, not due, or not there is left alone.
// Errors pass: it is to be closed again.
func (c *Closer) Close(ctx context.Context, id string) error {
	if !validObjectID(id) {
		return nil
	}
	cycle, due, err := c.state(ctx, id)
	if err != nil || !due {
		return err
	}
	s, err := c.subscription(ctx, cycle)
	if err != nil {
		return err
	}
	told := events.Cycle{
		Subscription: cycle.Subscription, Plan: cycle.PlanName, Start: cycle.Period.Start, End: cycle.Period.End,
		Granted: cycle.Statement.Granted, Used: cycle.Statement.Used, Expired: cycle.Statement.Expired, Returned: cycle.Statement.Returned,
		Held: cycle.Statement.Held, Bought: cycle.Statement.Bought,
	}
	kinds := []credit.EventKind{events.CycleClosed}
	missing, err := c.renewalMissing(ctx, cycle, s)
	if err != nil {
		return err
	}
	if missing {
		kinds = append(kinds, events.RenewalMissing)
	}
	var messages []events.Message
	for _, kind := range kinds {
		m, err := events.EncodeCycle(kind, cycle.Org, cycle.CloseAt, told)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	if err := c.publish.Publish(ctx, messages); err != nil {
		return unavailable("The statement of a cycle cannot be told now.", err)
	}
	return c.write(ctx, id, firestore.Update{Path: "closed_at", Value: c.now()}, firestore.Update{Path: "close_at", Value: firestore.Delete})
}

func (c *Closer) now() time.Time { return c.receiver.opts.Now().UTC().Truncate(time.Microsecond) }

// state is a cycle with its statement, which is written if it was not. due is false when there is nothing to be done.
func (c *Closer) state(ctx context.Context, id string) (cycle Cycle, due bool, err error) {
	cycle, err = c.receiver.store.loadCycle(ctx, id)
	if err != nil || cycle.CloseAt.IsZero() || c.now().Before(cycle.CloseAt) || cycle.Statement != nil {
		return cycle, cycle.Statement != nil && !cycle.CloseAt.IsZero(), err
	}
	s, _, err := c.receiver.store.loadSubscription(ctx, cycle.Subscription)
	if err != nil {
		return Cycle{}, false, err
	}
	statement, err := c.sum(ctx, cycle, distinct(append(s.itemIDs(), cycle.Items...)))
	if err != nil {
		return Cycle{}, false, err
	}
	cycle.Statement = &statement
	return cycle, true, c.write(ctx, id, firestore.Update{Path: "statement", Value: statement})
}

// write changes a cycle. Who closes it at the same time writes the same.
func (c *Closer) write(ctx context.Context, id string, updates ...firestore.Update) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := c.receiver.store.cycles().Doc(id).Update(ctx, updates); err != nil {
		return storeDown(fmt.Errorf("write cycle %s: %w", id, err))
	}
	return nil
}

// loadCycle reads a cycle; the zero Cycle for none.
func (s store) loadCycle(ctx context.Context, id string) (Cycle, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := s.cycles().Doc(id).Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return Cycle{}, nil
	case err != nil:
		return Cycle{}, storeDown(fmt.Errorf("read cycle %s: %w", id, err))
	}
	var d cycleDocument
	return d.Cycle, decode(snapshot, &d)
}

// sum is what became of a cycle's credits.
func (c *Closer) sum(ctx context.Context, cycle Cycle, items []string) (Statement, error) {
	grants, err := c.periods.PeriodGrants(ctx, cycle.Org, items, cycle.Period.End)
	if err != nil {
		return Statement{}, fmt.Errorf("close cycle %s: %w", cycle.ID(), err)
	}
	var s Statement
	for _, g := range grants {
		s.Granted += g.Granted
		s.Expired += g.Expired
		s.Returned += g.TakenOwn
		s.Held += g.Held
		s.Used += g.Granted - g.Expired - g.TakenOwn - g.Held - g.Free
	}
	s.Bought, err = c.receiver.store.bought(ctx, cycle.Org, cycle.Period)
	return s, err
}

// bought sums the credits of an organisation's purchases that were paid within a period.
func (s store) bought(ctx context.Context, org string, p Period) (credits int64, err error) {
	q := s.purchases().Where("org", "==", org).Where("created_at", "<", p.End).OrderBy("created_at", firestore.Desc).Limit(pageSize)
	for range maxBoughtPages {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		snapshots, err := q.Documents(ctx).GetAll()
		cancel()
		if err != nil {
			return 0, storeDown(fmt.Errorf("list what %s bought: %w", org, err))
		}
		for _, snapshot := range snapshots {
			var d purchaseDocument
			if err := decode(snapshot, &d); err != nil {
				return 0, err
			}
			if d.CreatedAt.Before(p.Start.Add(-boughtLookback)) {
				return credits, nil
			}
			if !d.PaidAt.IsZero() && !d.PaidAt.Before(p.Start) && d.PaidAt.Before(p.End) {
				credits += d.Credits
			}
		}
		if len(snapshots) < pageSize {
			return credits, nil
		}
		q = q.StartAfter(snapshots[len(snapshots)-1])
	}
	return 0, fmt.Errorf("%s bought more than %d times", org, maxBoughtPages*pageSize)
}

// subscription is a cycle's subscription. Unless the next period is paid for, Stripe is asked how it stands.
func (c *Closer) subscription(ctx context.Context, cycle Cycle) (Subscription, error) {
	s, _, err := c.receiver.store.loadSubscription(ctx, cycle.Subscription)
	if err != nil || s.PaidUntil.After(cycle.Period.End) {
		return s, err
	}
	return c.receiver.askSubscription(ctx, cycle.Subscription)
}

// renewalMissing reports whether a cycle was to be followed by another that is not paid for. An invoice that Stripe has as paid, and whose event
// has not come, is for reconciliation to settle.
func (c *Closer) renewalMissing(ctx context.Context, cycle Cycle, s Subscription) (bool, error) {
	end := cycle.Period.End
	if s.PaidUntil.After(end) || !s.renews(end) {
		return false, nil
	}
	paid, err := c.receiver.opts.Stripe.paidSince(ctx, s.ID, end)
	if err != nil {
		return false, err
	}
	if paid {
		c.receiver.opts.Log.WarnContext(ctx, "a renewal is paid, and its event has not come", slog.String("subscription", s.ID), slog.String("org", s.Org))
	}
	return !paid, nil
}

// paidSince reports whether a subscription's latest invoice is from a moment or later, and paid.
func (g *Gateway) paidSince(ctx context.Context, id string, since time.Time) (bool, error) {
	object, found, err := g.object(ctx, "/v1/subscriptions", id, "latest_invoice")
	if err != nil || !found {
		return false, err
	}
	var s struct {
		LatestInvoice *struct {
			Status  string `json:"status"`
			Created int64  `json:"created"`
		} `json:"latest_invoice"`
	}
	if err := json.Unmarshal(object, &s); err != nil {
		return false, fmt.Errorf("subscription %s: %w", id, err)
	}
	return s.LatestInvoice != nil && s.LatestInvoice.Status == "paid" && s.LatestInvoice.Created >= since.Unix(), nil
}

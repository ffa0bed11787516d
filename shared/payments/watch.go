package payments

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

const (
	// creditedWithin is how soon a paid purchase must be credited.
	creditedWithin = 15 * time.Minute
	// sessionLife is how long after it was opened a session can be paid, and a margin.
	sessionLife = 26 * time.Hour
	// maxWatchedPages bounds how many sessions are looked at, a hundred each.
	maxWatchedPages = 50
	// maxUncredited bounds how many uncredited purchases are told.
	maxUncredited = 50
)

// alertUncredited is the log attribute "alert" on which the metric of uncredited purchases is based. It never changes.
const alertUncredited = "purchase_uncredited"

// watched are the kinds of objects that say that purchases are paid: checkouts, and the payments of auto top-ups, which have none.
var watched = []struct {
	source
	where [][2]string
	// paid reads what an object says is paid, by whom and when; ok is false when that is nothing of ours. What cannot be read may be ours.
	paid func(l listed) (u Uncredited, ok bool)
}{
	{sessionSource, [][2]string{{"status", "complete"}}, paidBySession},
	{intentSource, nil, paidByTopUp},
}

// watch compares what was paid in the last day with our purchases, by whichever way the events came or did not. One that is not credited is settled
// by what its session or payment says; if that does not help either, people are told.
func (w *run) watch(ctx context.Context) error {
	var uncredited []Uncredited
	for _, kind := range watched {
		l := listing{path: kind.path, span: Period{Start: w.now.Add(-sessionLife), End: w.now.Add(time.Second)}, where: kind.where}
		if kind.expand != "" {
			l.expand = "data." + kind.expand
		}
		after, more := "", true
		for n := 0; more; n++ {
			if n == maxWatchedPages {
				w.opts.Log.WarnContext(ctx, "not all that was paid in the last day was looked at", slog.String("source", kind.name), slog.Int("pages", n))
				break
			}
			var objects []listed
			var err error
			if objects, more, err = w.opts.Stripe.page(ctx, l, after); err != nil {
				return err
			}
			late, err := w.uncredited(ctx, kind.source, objects, kind.paid)
			if err != nil {
				return err
			}
			uncredited = append(uncredited, late...)
			if more {
				after = objects[len(objects)-1].ID
			}
		}
	}
	w.tell(ctx, uncredited)
	return nil
}

// tell raises the alert for what is uncredited, in each run until it is credited or its session is a day old.
func (w *run) tell(ctx context.Context, uncredited []Uncredited) {
	for _, u := range uncredited {
		w.opts.Log.ErrorContext(ctx, "a paid purchase is not credited", slog.String("alert", alertUncredited), slog.String("reference", u.Reference),
			slog.String("org", u.Org), slog.String("session", u.Session), slog.Time("paid_at", u.PaidAt))
	}
	var oldest time.Duration
	for _, u := range uncredited {
		oldest = max(oldest, w.now.Sub(u.PaidAt))
	}
	telemetry.FromContext(ctx).UncreditedAge(ctx, oldest)
	w.cursor.Uncredited = uncredited[:min(len(uncredited), maxUncredited)]
}

// uncredited finds what of some objects is paid and not credited, though there was time.
func (w *run) uncredited(ctx context.Context, src source, objects []listed, paid func(listed) (Uncredited, bool)) ([]Uncredited, error) {
	open, found, err := w.unsettled(ctx, objects, paid)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	err = w.hand(ctx, src, found, func(ctx context.Context, d debt, cause error) error {
		w.opts.Log.WarnContext(ctx, "what is paid cannot be settled yet", slog.String("source", d.Source), slog.String("id", d.ID), slog.Any("error", cause))
		return nil // the next run looks at it again
	})
	if err != nil {
		return nil, err
	}
	now, err := w.bought(ctx, open)
	if err != nil {
		return nil, err
	}
	var late []Uncredited
	for _, u := range open {
		if !now[u.Reference].creditedBy(u.Session) && !u.PaidAt.After(w.now.Add(-creditedWithin)) {
			late = append(late, u)
		}
	}
	return late, nil
}

// unsettled finds what of some objects is paid, and its purchase is not credited, or was by another; and the objects that say so.
func (w *run) unsettled(ctx context.Context, objects []listed, paid func(listed) (Uncredited, bool)) (open []Uncredited, found []listed, err error) {
	var all []Uncredited
	of := map[string]listed{}
	for _, l := range objects {
		if u, ok := paid(l); ok {
			all = append(all, u)
			of[u.Session] = l
		}
	}
	known, err := w.bought(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	for _, u := range all {
		if !known[u.Reference].creditedBy(u.Session) {
			open, found = append(open, u), append(found, of[u.Session])
		}
	}
	return open, found, nil
}

// bought are the purchases that were paid.
func (w *run) bought(ctx context.Context, paid []Uncredited) (map[string]Purchase, error) {
	references := make([]string, len(paid))
	for i, u := range paid {
		references[i] = u.Reference
	}
	return w.store.purchasesOf(ctx, references)
}

// creditedBy reports whether the purchase was credited for this session, or for this payment.
func (p Purchase) creditedBy(id string) bool {
	return p.credited() && (p.Session == id || p.Payment == id)
}

// paidBySession reads a checkout that is complete.
func paidBySession(l listed) (Uncredited, bool) {
	u := Uncredited{Session: l.ID, PaidAt: l.Created}
	var s stripe.CheckoutSession
	if err := json.Unmarshal(l.Object, &s); err != nil {
		return u, true
	}
	u.Reference, u.Org = clip(s.Metadata[metaReference]), clip(s.Metadata[metaOrg])
	if pi := s.PaymentIntent; pi != nil && pi.LatestCharge != nil && pi.LatestCharge.Created != 0 {
		u.PaidAt = time.Unix(pi.LatestCharge.Created, 0).UTC()
	}
	return u, s.Mode == stripe.CheckoutSessionModePayment && u.Reference != "" && s.PaymentStatus != stripe.CheckoutSessionPaymentStatusUnpaid
}

// paidByTopUp reads a payment.
func paidByTopUp(l listed) (Uncredited, bool) {
	u := Uncredited{Session: l.ID, PaidAt: l.Created}
	var pi stripe.PaymentIntent
	if err := json.Unmarshal(l.Object, &pi); err != nil {
		return u, true
	}
	u.Reference, u.Org = clip(pi.Metadata[metaReference]), clip(pi.Metadata[metaOrg])
	return u, pi.Metadata[metaTopUp] != "" && pi.Status == stripe.PaymentIntentStatusSucceeded
}

// Reconciliation is how the walk through Stripe's record stands, for operators.
type Reconciliation struct {
	// RanAt is when it last ran, Until the moment up to which Stripe's events have been seen to; zero before the first run.
	RanAt, Until time.Time
	// Owed is how many events and objects could not be settled yet. Sweeping says that a long gap is being made up for.
	Owed     int
	Sweeping bool
	// Uncredited are purchases that were paid 15 minutes ago or more and are not credited, at most 50.
	Uncredited []Uncredited
}

// Reconciliation tells how the walk through Stripe's record stands. The error is an *Error, `unavailable`.
func (s *Shop) Reconciliation(ctx context.Context) (Reconciliation, error) {
	c, err := s.store.loadCursor(ctx)
	return Reconciliation{RanAt: c.RanAt, Until: c.Until, Owed: len(c.Owed), Sweeping: c.Sweep != nil, Uncredited: c.Uncredited}, err
}

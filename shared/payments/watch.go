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

// watch compares the paid sessions of the last day with our purchases, by whichever way their events came or did not. One that is not credited
// is settled by what its session says; if that does not help either, people are told.
func (w *run) watch(ctx context.Context) error {
	l := listing{
		path: "/v1/checkout/sessions", span: Period{Start: w.now.Add(-sessionLife), End: w.now.Add(time.Second)},
		where: [][2]string{{"status", "complete"}}, expand: "data." + sessionDetail,
	}
	var uncredited []Uncredited
	after := ""
	for range maxWatchedPages {
		sessions, more, err := w.opts.Stripe.page(ctx, l, after)
		if err != nil {
			return err
		}
		late, err := w.uncredited(ctx, sessions)
		if err != nil {
			return err
		}
		uncredited = append(uncredited, late...)
		if !more {
			w.tell(ctx, uncredited)
			return nil
		}
		after = sessions[len(sessions)-1].ID
	}
	w.opts.Log.WarnContext(ctx, "not all paid sessions of the last day were looked at", slog.Int("pages", maxWatchedPages))
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

// uncredited finds which sessions are paid and not credited, though there was time.
func (w *run) uncredited(ctx context.Context, sessions []listed) ([]Uncredited, error) {
	open, err := w.unsettled(ctx, sessions)
	if err != nil {
		return nil, err
	}
	var notices []listed
	for _, o := range open {
		notices = append(notices, o.session)
	}
	err = w.hand(ctx, sessionSource, notices, func(ctx context.Context, _ source, id string, cause error) error {
		w.opts.Log.WarnContext(ctx, "a paid session cannot be settled yet", slog.String("session", id), slog.Any("error", cause))
		return nil // the next run looks at it again
	})
	if err != nil || len(open) == 0 {
		return nil, err
	}
	references := make([]string, len(open))
	for i, o := range open {
		references[i] = o.Reference
	}
	now, err := w.store.purchasesOf(ctx, references)
	if err != nil {
		return nil, err
	}
	var late []Uncredited
	for _, o := range open {
		if p, ok := now[o.Reference]; ok && p.credited() && p.Session == o.Session || o.PaidAt.After(w.now.Add(-creditedWithin)) {
			continue
		}
		late = append(late, o.Uncredited)
	}
	return late, nil
}

// unsettledSession is a paid session whose purchase is not credited.
type unsettledSession struct {
	Uncredited

	session listed
}

// unsettled finds the paid sessions of ours whose purchase is not credited, or was by another session.
func (w *run) unsettled(ctx context.Context, sessions []listed) ([]unsettledSession, error) {
	var paid []unsettledSession
	var references []string
	for _, l := range sessions {
		var s stripe.CheckoutSession
		if err := json.Unmarshal(l.Object, &s); err != nil {
			return nil, unreadable("session", l.ID, err)
		}
		reference := clip(s.Metadata[metaReference])
		if s.Mode != stripe.CheckoutSessionModePayment || reference == "" || s.PaymentStatus == stripe.CheckoutSessionPaymentStatusUnpaid {
			continue
		}
		at := l.Created
		if pi := s.PaymentIntent; pi != nil && pi.LatestCharge != nil && pi.LatestCharge.Created != 0 {
			at = time.Unix(pi.LatestCharge.Created, 0).UTC()
		}
		paid = append(paid, unsettledSession{Uncredited{Reference: reference, Org: clip(s.Metadata[metaOrg]), Session: l.ID, PaidAt: at}, l})
		references = append(references, reference)
	}
	known, err := w.store.purchasesOf(ctx, references)
	if err != nil {
		return nil, err
	}
	open := paid[:0]
	for _, s := range paid {
		if p, ok := known[s.Reference]; !ok || !p.credited() || p.Session != s.Session {
			open = append(open, s)
		}
	}
	return open, nil
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

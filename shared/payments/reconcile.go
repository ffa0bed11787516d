package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Bounds of a run. What is left when one is reached is for the next run.
const (
	// runNotices is how many events and objects a run looks at, runTime for how long, by the machine's clock.
	runNotices = 5000
	runTime    = 100 * time.Second
	// windowNotices is how many events are held in memory at once.
	windowNotices = 1000
)

const (
	// overlap is how far back each run looks again, for events that Stripe listed late.
	overlap = 15 * time.Minute
	// eventsListed is for how long Stripe lists events, less a margin: what is older is found by its objects.
	eventsListed = 29 * day
)

// walked are the types of events that are walked, all that change something, in the groups that they are listed by: Stripe takes 20 types in a
// listing at most.
var walked = [][]string{{
	sessionCompleted, sessionAsyncSucceeded, sessionAsyncFailed, sessionExpired, invoicePaid, chargeRefunded, chargeRefundUpdated, refundCreated,
	refundUpdated, disputeCreated, disputeUpdated, disputeClosed, disputeWithdrawn, disputeReinstated, intentSucceeded,
	intentFailed, customerUpdated,
}, {
	subscriptionCreated, subscriptionUpdated, subscriptionDeleted, subscriptionPaused, subscriptionResumed, scheduleUpdated,
}}

// ofTypes is a group of types as a condition of a listing.
func ofTypes(group []string) [][2]string {
	out := make([][2]string, len(group))
	for i, t := range group {
		out[i] = [2]string{"types[]", t}
	}
	return out
}

// Reconciler finds what webhooks did not tell. It walks Stripe's own record of events, and hands each that was not seen to the same [Receiver]
// that webhooks go to. It is safe for concurrent use: two runs at once do the same thing, which has its effect once.
type Reconciler struct{ receiver *Receiver }

// NewReconciler makes a Reconciler.
func NewReconciler(r *Receiver) *Reconciler { return &Reconciler{receiver: r} }

// Run is what a run did.
type Run struct {
	// Looked is how many events and objects were looked at, Received how many of them had not been seen, Owed how many cannot be settled yet.
	Looked   int `json:"looked"`
	Received int `json:"received"`
	Owed     int `json:"owed"`
	// Uncredited is how many purchases were paid 15 minutes ago or more and are not credited.
	Uncredited int `json:"uncredited"`
	// Until is the moment up to which Stripe's events have been seen to.
	Until time.Time `json:"until"`
	// More says that the run stopped at its bound; the next goes on.
	More bool `json:"more"`
}

// run is a run in progress.
type run struct {
	Run

	*Receiver
	cursor cursor
	now    time.Time // the system's clock, when the run began
	end    time.Time // the machine's clock
}

// Run goes on from where the run before stopped: what is owed, then what a long gap asks for, then events in the order of time, then a look at
// which paid purchases are not credited. A run that finds nothing new writes the cursor alone. Errors are an *Error, `unavailable`; what was
// done until then is kept.
func (r *Reconciler) Run(ctx context.Context) (Run, error) {
	now := r.receiver.opts.Now().UTC().Truncate(time.Microsecond)
	c, err := r.receiver.store.loadCursor(ctx)
	if err != nil {
		return Run{}, err
	}
	w := &run{Receiver: r.receiver, cursor: c, now: now, end: time.Now().Add(runTime)}
	w.begin()
	for _, step := range []func(context.Context) error{w.payDebts, w.sweep, w.walk, w.watch} {
		if err = step(ctx); err != nil {
			break
		}
	}
	if err == nil {
		w.cursor.RanAt = now
	}
	w.Owed, w.Uncredited, w.Until = len(w.cursor.Owed), len(w.cursor.Uncredited), w.cursor.Until
	saved, failed := w.store.saveCursor(context.WithoutCancel(ctx), w.cursor) // what was done is kept, also when the time was up
	if failed == nil && !saved {
		w.opts.Log.InfoContext(ctx, "another run was at work at the same time")
	}
	if w.More {
		w.opts.Log.WarnContext(ctx, "a run stopped at its bound", slog.Int("looked", w.Looked), slog.Time("until", w.Until))
	}
	return w.Run, errors.Join(err, failed)
}

// begin decides where to begin. The very first run has no gap: before there was a system, nothing was sold.
func (w *run) begin() {
	oldest := w.now.Add(-eventsListed)
	if w.cursor.Until.IsZero() {
		w.cursor.Until = oldest
		return
	}
	if !w.cursor.Until.Before(oldest) {
		return
	}
	from := w.cursor.Until
	if s := w.cursor.Sweep; s != nil && s.From.Before(from) {
		from = s.From
	}
	w.cursor.Sweep = &sweep{From: from, To: w.now, Source: swept[0].name, Before: w.now.Add(time.Second)}
	w.cursor.Until = oldest
}

// spent reports whether the run has reached its bound, and notes it.
func (w *run) spent() bool {
	if w.Looked >= runNotices || !time.Now().Before(w.end) {
		w.More = true
	}
	return w.More
}

func expands(s source) []string {
	if s.expand == "" {
		return nil
	}
	return []string{s.expand}
}

// walk goes through the events that were not walked, window by window. A window that holds too many is halved.
func (w *run) walk(ctx context.Context) error {
	from := w.cursor.Until.Add(-overlap).Truncate(time.Second)
	until := w.now.Truncate(time.Second).Add(time.Second)
	span := until.Sub(from)
	for from.Before(until) && !w.spent() {
		to := from.Add(span)
		if to.After(until) {
			to = until
		}
		events, fits, err := w.window(ctx, Period{Start: from, End: to})
		switch {
		case err != nil:
			return err
		case !fits && span <= time.Second:
			return fmt.Errorf("more than %d events at %s", windowNotices, from.Format(time.RFC3339))
		case !fits:
			span = max(span/2, time.Second).Truncate(time.Second)
			continue
		}
		if err := w.see(ctx, eventSource, events); err != nil {
			return err
		}
		if w.cursor.Until = w.now; to.Before(w.now) {
			w.cursor.Until = to
		}
		if from = to; 2*len(events) <= windowNotices { // sparse: the next may be wider
			span *= 2
		}
	}
	return nil
}

// window lists the events of a time, oldest first, of all groups together; fits is false when those of one are too many.
func (w *run) window(ctx context.Context, span Period) (events []listed, fits bool, err error) {
	for _, group := range walked {
		some, fits, err := w.opts.Stripe.all(ctx, listing{path: eventSource.path, span: span, where: ofTypes(group)}, windowNotices)
		if err != nil || !fits {
			return nil, false, err
		}
		slices.Reverse(some)
		events = append(events, some...)
	}
	slices.SortStableFunc(events, func(a, b listed) int { return a.Created.Compare(b.Created) })
	return events, true, nil
}

// sweep goes through the objects that tell what happened in a gap from which no events are listed.
func (w *run) sweep(ctx context.Context) error {
	for w.cursor.Sweep != nil && !w.spent() {
		s := w.cursor.Sweep
		i := slices.IndexFunc(swept, func(src source) bool { return src.name == s.Source })
		if i < 0 {
			return fmt.Errorf("a newer release sweeps %q", s.Source)
		}
		done, err := w.sweepSource(ctx, swept[i], s)
		switch {
		case err != nil:
			return err
		case !done:
		case i+1 < len(swept):
			s.Source, s.Before = swept[i+1].name, s.To.Add(time.Second)
		default:
			w.cursor.Sweep = nil
		}
	}
	return nil
}

// sweepSource goes back through the objects of a source, page by page, until it is done or the run is spent.
func (w *run) sweepSource(ctx context.Context, src source, s *sweep) (done bool, err error) {
	l := listing{path: src.path, span: Period{Start: s.From.Add(-src.lookback).Truncate(time.Second), End: s.Before}, where: src.where}
	if src.expand != "" {
		l.expand = "data." + src.expand
	}
	after := ""
	for !w.spent() {
		objects, more, err := w.opts.Stripe.page(ctx, l, after)
		if err != nil {
			return false, err
		}
		if err := w.see(ctx, src, objects); err != nil {
			return false, err
		}
		if !more {
			return true, nil
		}
		last := objects[len(objects)-1]
		after, s.Before = last.ID, last.Created.Add(time.Second) // the next run begins with those of the same second
	}
	return false, nil
}

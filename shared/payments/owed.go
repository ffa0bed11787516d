package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const (
	// maxOwed is how many objects that could not be settled are kept to be tried again; past it the walk does not go on.
	maxOwed = 100
	// owedLife is for how long they are tried again before a person is to look.
	owedLife = 30 * day
)

// told is what an object tells.
type told struct {
	Notice
	debt
	// doubt says that it cannot be read; nil if it can.
	doubt *Doubt
}

// failing decides what becomes of an object that cannot be settled now.
type failing func(ctx context.Context, d debt, cause error) error

// see hands to the receiver what of some objects was not seen. What cannot be settled is owed, and holds up nothing else.
func (w *run) see(ctx context.Context, src source, objects []listed) error {
	w.Looked += len(objects)
	for chunk := range slices.Chunk(objects, pageSize) {
		if err := w.hand(ctx, src, chunk, w.owe); err != nil {
			return err
		}
	}
	return nil
}

// hand hands over at most a page of objects.
func (w *run) hand(ctx context.Context, src source, objects []listed, failed failing) error {
	var all []told
	for _, o := range objects {
		x, tells, err := w.read(ctx, src, o)
		switch {
		case err != nil:
			if err := failed(ctx, x.debt, err); err != nil {
				return err
			}
		case tells:
			all = append(all, x)
		}
	}
	return w.receive(ctx, all, failed)
}

// read finds out what an object tells. One that cannot be read tells that, since it never will be.
func (w *run) read(ctx context.Context, src source, o listed) (x told, tells bool, err error) {
	x.debt = debt{Source: src.name, ID: o.ID, Since: w.now}
	x.Notice, tells, err = src.notice(ctx, w.opts.Stripe, o.Object)
	x.debt.Type, x.debt.Object = x.Notice.Type, x.object()
	if errors.Is(err, errUnreadable) && validObjectID(o.ID) {
		id := foundID(o.ID, "unreadable")
		if src.name == eventSource.name {
			id = o.ID
		}
		x.Notice = Notice{ID: id, Type: cmp.Or(x.Notice.Type, src.kind), At: o.Created}
		x.debt.Object = cmp.Or(x.debt.Object, o.ID)
		x.doubt = doubt(Malformed, "%v", err)
		return x, true, nil
	}
	return x, tells, err
}

// receive hands over at most a page of what was told, unless it was seen.
func (w *run) receive(ctx context.Context, all []told, failed failing) error {
	seen, err := w.store.seenBefore(ctx, all)
	if err != nil {
		return err
	}
	for _, x := range all {
		if seen[x.Notice.ID] {
			continue
		}
		seen[x.Notice.ID] = true // two refunds of one charge tell the same
		if x.doubt != nil {
			_, err = w.putAside(ctx, x.Notice, subject{object: x.debt.Object}, x.doubt)
		} else {
			_, err = w.Receive(ctx, x.Notice)
		}
		if err == nil {
			w.Received++
		} else if err := failed(ctx, x.debt, err); err != nil {
			return err
		}
	}
	return nil
}

// owe keeps an object to be tried again. When too many are owed, or the run is out of time, its cause stops the run instead.
func (w *run) owe(ctx context.Context, d debt, cause error) error {
	if slices.ContainsFunc(w.cursor.Owed, d.same) {
		return nil
	}
	if ctx.Err() != nil || len(w.cursor.Owed) >= maxOwed {
		return fmt.Errorf("%s %s: %w", d.Source, d.ID, cause)
	}
	w.opts.Log.WarnContext(ctx, "what Stripe tells cannot be settled yet", slog.String("source", d.Source), slog.String("id", d.ID), slog.Any("error", cause))
	w.cursor.Owed = append(w.cursor.Owed, d)
	return nil
}

// same reports whether two debts are of one object.
func (d debt) same(e debt) bool { return d.Source == e.Source && d.ID == e.ID }

// payDebts tries again what could not be settled, for half of the run's time at most, so that time is left to walk. What it did not come to
// is the first of the next run.
func (w *run) payDebts(ctx context.Context) error {
	owed := w.cursor.Owed
	w.cursor.Owed = nil
	for i, d := range owed {
		if w.spent() || !time.Now().Before(w.end.Add(-runTime/2)) {
			w.cursor.Owed = append(slices.Clone(owed[i:]), w.cursor.Owed...)
			return nil
		}
		if err := w.pay(ctx, d); err != nil {
			w.cursor.Owed = append(w.cursor.Owed, owed[i:]...)
			return err
		}
	}
	return nil
}

// pay tries again to settle an object. One that Stripe does not tell of now is owed on, and holds up nothing else. What is owed for a month is put aside for a person, and so is what Stripe has no more; of an event that
// Stripe lists no more, the object tells that it is about.
func (w *run) pay(ctx context.Context, d debt) error {
	src, known := sourceNamed(d.Source)
	if !known { // a newer release's
		w.cursor.Owed = append(w.cursor.Owed, d)
		return nil
	}
	still := func(ctx context.Context, _ debt, cause error) error {
		if ctx.Err() == nil && !w.now.Before(d.Since.Add(owedLife)) {
			return w.giveUp(ctx, d, cause)
		}
		return w.owe(ctx, d, cause)
	}
	w.Looked++
	if src.name == eventSource.name {
		n, tells, err := w.again(ctx, Aside{Event: d.ID, Type: d.Type, Object: d.Object})
		switch {
		case errors.Is(err, errGone), errors.Is(err, errUnreadable):
			return w.giveUp(ctx, d, err)
		case err != nil:
			return still(ctx, d, err)
		case !tells:
			return w.giveUp(ctx, d, errors.New("what it is about tells nothing now"))
		}
		return w.receive(ctx, []told{{Notice: n, debt: d}}, still)
	}
	object, found, err := w.opts.Stripe.object(ctx, src.path, d.ID, expands(src)...)
	switch {
	case err != nil:
		return still(ctx, d, err)
	case !found:
		return w.giveUp(ctx, d, errGone)
	}
	return w.hand(ctx, src, []listed{{ID: d.ID, Object: object, Created: d.Since}}, still)
}

// giveUp puts aside for a person what was owed.
func (w *run) giveUp(ctx context.Context, d debt, cause error) error {
	n := Notice{ID: d.ID, Type: d.Type, At: d.Since}
	if d.Source != eventSource.name {
		src, _ := sourceNamed(d.Source)
		n = Notice{ID: foundID(d.ID, "owed"), Type: src.kind, At: d.Since}
	}
	_, err := w.putAside(ctx, n, subject{object: cmp.Or(d.Object, d.ID)}, doubt(Unsettled, "since %s: %v", d.Since.Format(time.RFC3339), cause))
	return err
}

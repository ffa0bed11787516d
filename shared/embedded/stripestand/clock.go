package stripestand

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"time"
)

// timerKind says what comes due. Of what is due at the same moment the lower
// kind goes first: a schedule changes the items before the period turns.
type timerKind int

const (
	timerSchedule timerKind = iota
	timerSubscription
	timerInvoice
	timerSession
)

// maxSteps bounds the timed steps of one call: a year of a hundred thousand
// subscriptions.
const maxSteps = 5_000_000

// timer is a moment at which something comes due. One whose object has since
// another moment is stale.
type timer struct {
	at     int64
	kind   timerKind
	serial int // order of arming, so that replays agree
	id     string
}

// timerQueue is a heap of timers, with the moment last armed for each object.
type timerQueue struct {
	heap   []timer
	armed  map[string]int64
	serial int
}

// Len implements heap.Interface.
func (q *timerQueue) Len() int { return len(q.heap) }

// Less implements heap.Interface.
func (q *timerQueue) Less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.serial, b.serial)) < 0
}

// Swap implements heap.Interface.
func (q *timerQueue) Swap(i, j int) { q.heap[i], q.heap[j] = q.heap[j], q.heap[i] }

// Push implements heap.Interface.
func (q *timerQueue) Push(x any) { q.heap = append(q.heap, x.(timer)) }

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	last := q.heap[len(q.heap)-1]
	q.heap = q.heap[:len(q.heap)-1]
	return last
}

// arm notes when an object next comes due, if ever. The caller holds mu.
func (s *Stand) arm(kind timerKind, id string) {
	at := s.nextMoment(kind, id)
	if s.timers.armed == nil {
		s.timers.armed = map[string]int64{}
	}
	if at == 0 {
		delete(s.timers.armed, id)
		return
	}
	if s.timers.armed[id] == at {
		return
	}
	s.timers.armed[id] = at
	s.timers.serial++
	heap.Push(&s.timers, timer{at: at, kind: kind, serial: s.timers.serial, id: id})
}

// armAll arms everything, after the file was read.
func (s *Stand) armAll() {
	for kind, ids := range [][]string{
		timerSchedule: s.st.Schedules.order, timerSubscription: s.st.Subscriptions.order,
		timerInvoice: s.st.Invoices.order, timerSession: s.st.Sessions.order,
	} {
		for _, id := range ids {
			s.arm(timerKind(kind), id)
		}
	}
}

// nextMoment says when an object comes due in Unix seconds, 0 for never.
func (s *Stand) nextMoment(kind timerKind, id string) int64 {
	switch kind {
	case timerSchedule:
		if sc, ok := s.st.Schedules.get(id); ok && sc.Status == scheduleActive {
			return sc.CurrentPhase.EndDate
		}
	case timerSubscription:
		if sub, ok := s.st.Subscriptions.get(id); ok {
			return sub.nextMoment()
		}
	case timerInvoice:
		in, ok := s.st.Invoices.get(id)
		switch {
		case ok && in.Status == invoiceDraft && in.AutoAdvance:
			return in.Hidden.FinalizeAt
		case ok && in.Status == invoiceOpen:
			return int64(in.NextPaymentAttempt)
		}
	case timerSession:
		if c, ok := s.st.Sessions.get(id); ok && c.Status == sessionOpen {
			return c.ExpiresAt
		}
	}
	return 0
}

func (sub *subscription) nextMoment() int64 {
	switch {
	case sub.over():
		return 0
	case sub.Status == subIncomplete:
		return min(sub.Created+incompleteLife, sub.CurrentPeriodEnd)
	case sub.CancelAt != 0:
		return min(int64(sub.CancelAt), sub.CurrentPeriodEnd)
	default:
		return sub.CurrentPeriodEnd
	}
}

// peek returns the next timer that is not stale. The caller holds mu.
func (s *Stand) peek() (timer, bool) {
	for s.timers.Len() > 0 {
		t := s.timers.heap[0]
		if s.nextMoment(t.kind, t.id) == t.at && s.timers.armed[t.id] == t.at {
			return t, true
		}
		heap.Pop(&s.timers)
	}
	return timer{}, false
}

// Due returns the moment of the system's clock at which something next comes
// due: a period turns, an invoice is finalised or collected again, a schedule
// enters a phase, a session expires.
func (s *Stand) Due() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.peek()
	return time.Unix(t.at, 0).UTC(), ok
}

// Run does what comes due up to and including a moment, in order, each at its
// own moment. Webhooks are queued, not awaited.
func (s *Stand) Run(ctx context.Context, until time.Time) error {
	for range maxSteps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("running to %s: %w", until.Format(time.RFC3339), err)
		}
		s.mu.Lock()
		more, err := s.step(until.Unix())
		if kept := s.keep(); kept != nil {
			err = kept
		}
		s.mu.Unlock()
		if err != nil || !more {
			return err
		}
	}
	return fmt.Errorf("running to %s: not done after %d steps", until.Format(time.RFC3339), maxSteps)
}

// catchUp does what is due by now. The caller holds mu.
func (s *Stand) catchUp(now int64) error {
	for range maxSteps {
		more, err := s.step(now)
		if err != nil || !more {
			return err
		}
	}
	return fmt.Errorf("catching up: not done after %d steps", maxSteps)
}

// step does the first thing due up to a moment; it reports whether there was
// one. The caller holds mu.
func (s *Stand) step(until int64) (bool, error) {
	t, ok := s.peek()
	if !ok || t.at > until {
		return false, nil
	}
	heap.Pop(&s.timers)
	delete(s.timers.armed, t.id)
	defer s.wake()
	if err := (&op{Stand: s, now: t.at}).fire(t); err != nil {
		return false, fmt.Errorf("at %s, %s: %w", time.Unix(t.at, 0).UTC().Format(time.RFC3339), t.id, err)
	}
	return true, nil
}

func (o *op) fire(t timer) error {
	switch t.kind {
	case timerSchedule:
		sc, err := o.schedule(t.id, "timer")
		if err != nil {
			return err
		}
		return o.nextPhase(sc)
	case timerSubscription:
		sub, err := o.subscription(t.id, "timer")
		if err != nil {
			return err
		}
		return o.turn(sub)
	case timerInvoice:
		in, err := o.invoice(t.id, "timer")
		if err != nil {
			return err
		}
		return o.advance(in)
	default:
		c, err := o.session(t.id, "timer")
		if err != nil {
			return err
		}
		return o.expire(c)
	}
}
